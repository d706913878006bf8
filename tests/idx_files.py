"""Files that look like MNIST's."""

import gzip

import numpy as np

NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", 60_000),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", 10_000),
}


def idx(array):
    """The bytes of an IDX file."""
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def write_mnist(folder, compress=False, seed=0):
    """Write a full-size MNIST look-alike, sparse so that it compresses well."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for images_name, labels_name, n in NAMES.values():
        images = np.zeros((n, 28, 28), np.uint8)
        images[np.arange(n), rng.integers(0, 28, n), rng.integers(0, 28, n)] = 255
        labels = rng.integers(0, 10, n, dtype=np.uint8)
        for name, array in ((images_name, images), (labels_name, labels)):
            if compress:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array), 1))
            else:
                (folder / name).write_bytes(idx(array))
    return folder
