"""MNIST and Fashion-MNIST: 55,000 training, 5,000 validation and 10,000 test images of 28 x 28 pixels.

Pixels enter the network divided by 255 and nothing else; docs/results/input_scaling.md says why.
"""

from functools import partial
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from npticket.datasets.dataset import DataError, Dataset, Split, split_off
from npticket.datasets.download import OutOfReach, download
from npticket.datasets.find import find, read_caveat
from npticket.datasets.idx import read_idx

_TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
_TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
MNIST_FILES = {
    "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}
FASHION_MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
FASHION_FILES = {
    "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
}


def mnist(folder: str | Path | None = None, seed: int = 0) -> Dataset:
    """Return MNIST, split 55,000 / 5,000 / 10,000; `seed` chooses the validation images.

    Looks in `folder`; else in $NPTICKET_DATA; else in the user's cache folder; else downloads into it; and only if
    no mirror can be reached, takes the 5,000 images that come with the package (3,500 / 500 / 1,000), which the
    dataset's `caveat` then says. A folder may hold the four IDX files, raw or .gz, or a subfolder "mnist" with them.
    """
    try:
        found, source = find("mnist", folder, _missing, partial(download, MNIST_FILES, MNIST_MIRRORS))
    except OutOfReach as error:
        return _bundled_subset(seed, str(error))
    return _from_folder("MNIST", found, source, seed)


def fashion_mnist(folder: str | Path | None = None, seed: int = 0) -> Dataset:
    """Return Fashion-MNIST, which has MNIST's format, from the same places (subfolder "fashion-mnist"), but no subset.

    Raises DataError if it is nowhere and cannot be downloaded.
    """
    try:
        found, source = find("fashion-mnist", folder, _missing, partial(download, FASHION_FILES, FASHION_MIRRORS))
    except OutOfReach as error:
        raise DataError(
            f"Fashion-MNIST is not on this machine, and {error}. Put its four IDX files into a folder and name it "
            "as the argument or in NPTICKET_DATA"
        ) from error
    return _from_folder("Fashion-MNIST", found, source, seed)


def _file(folder: Path, stem: str) -> Path:
    """The file, raw or gzipped; if there is neither, the name that it would have."""
    gzipped = folder / f"{stem}.gz"
    return gzipped if gzipped.is_file() and not (folder / stem).is_file() else folder / stem


def _missing(folder: Path) -> str:
    """What `folder` lacks of the four files, or nothing."""
    missing = [stem for stem in _TRAIN + _TEST if not _file(folder, stem).is_file()]
    return f"{', '.join(missing)} (raw or .gz)" if missing else ""


def _from_folder(name: str, folder: Path, source: str, seed: int) -> Dataset:
    def read(images: str, labels: str) -> Split:
        split = Split(read_idx(_file(folder, images), 3), read_idx(_file(folder, labels), 1))
        if len(split.inputs) != len(split.targets):
            raise DataError(
                f"{folder}: {len(split.inputs)} images in {images}, {len(split.targets)} labels in {labels}"
            )
        if split.inputs.shape[1:] != (28, 28):
            raise DataError(f"{folder}: {images} holds images of {split.inputs.shape[1:]} pixels, expected (28, 28)")
        return split

    full, test = read(*_TRAIN), read(*_TEST)
    for split, expected, what in ((full, 60_000, "training"), (test, 10_000, "test")):
        if len(split) != expected:
            raise DataError(f"{folder}: {len(split)} {what} images, {name} has {expected}")
    train, validation = split_off(full, 5_000, seed)
    return Dataset(name, train, validation, test, classes=10, source=source, caveat=read_caveat(folder))


def _bundled_subset(seed: int, reason: str) -> Dataset:
    with _bundled_file().open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        images, labels = file["images"], file["labels"].astype(np.uint8)
    rank = np.zeros(len(labels), int)  # the how-manieth of its class each image is
    for digit in range(10):
        rank[labels == digit] = np.arange((labels == digit).sum())
    everything = Split(images, labels)
    train, validation = split_off(everything.take(rank < 400), 500, seed)
    return Dataset(
        "MNIST",
        train,
        validation,
        everything.take(rank >= 400),
        classes=10,
        source=f"the 5,000 images that come with npticket, because {reason}",
        caveat="bundled subset of 5,000 images",
    )


def _bundled_file() -> Traversable:
    """The subset as installed (in npticket.bundled) or, in a source tree that is not installed, in data/."""
    try:
        return resources.files("npticket.bundled") / "mnist5k.npz"
    except ModuleNotFoundError:
        return Path(__file__).parents[2] / "data" / "mnist5k.npz"
