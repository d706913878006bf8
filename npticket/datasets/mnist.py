"""MNIST and Fashion-MNIST: 55,000 training, 5,000 validation and 10,000 test images of 28 x 28 pixels.

Pixels enter the network divided by 255 and nothing else; docs/results/input_scaling.md says why. Files are in IDX
format: two zero bytes, type 0x08, number of axes, big-endian sizes, then the bytes themselves.
"""

import gzip
import zlib
from contextlib import suppress
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from npticket.datasets.dataset import DataError, Dataset, Split, split_off
from npticket.datasets.download import OutOfReach, find, read_caveat

TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
MIRRORS = {
    "MNIST": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    "Fashion-MNIST": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"),
}  # fmt: skip
MD5 = {  # of the gzipped files of TRAIN and TEST
    "MNIST": ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432",
              "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c"),
    "Fashion-MNIST": ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
                      "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310"),
}  # fmt: skip


def mnist(folder: str | Path | None = None, seed: int = 0) -> Dataset:
    """Return MNIST, split 55,000 / 5,000 / 10,000; `seed` chooses the validation images.

    Looks in `folder`; else in $NPTICKET_DATA; else in the user's cache folder; else downloads into it; and only if
    no mirror can be reached, takes the 5,000 images that come with the package (3,500 / 500 / 1,000), which the
    dataset's `caveat` then says. A folder may hold the four IDX files, raw or .gz, or a subfolder "mnist" with them.
    """
    try:
        return _load("MNIST", folder, seed)
    except OutOfReach as error:
        return _bundled_subset(seed, str(error))


def fashion_mnist(folder: str | Path | None = None, seed: int = 0) -> Dataset:
    """Return Fashion-MNIST from the same places (subfolder "fashion-mnist"), or raise DataError: there is no subset."""
    try:
        return _load("Fashion-MNIST", folder, seed)
    except OutOfReach as error:
        raise DataError(f"Fashion-MNIST is not on this machine, and {error}. Put its four IDX files into a folder and "
                        "name it as the argument or in NPTICKET_DATA") from error  # fmt: skip


def _file(folder: Path, stem: str) -> Path:
    """The file, raw or gzipped; if there is neither, the name that it would have."""
    gzipped = folder / f"{stem}.gz"
    return gzipped if gzipped.is_file() and not (folder / stem).is_file() else folder / stem


def _missing(folder: Path) -> str:
    missing = [stem for stem in TRAIN + TEST if not _file(folder, stem).is_file()]
    return f"{', '.join(missing)} (raw or .gz)" if missing else ""


def _load(name: str, folder: str | Path | None, seed: int) -> Dataset:
    files = {f"{stem}.gz": f"md5:{md5}" for stem, md5 in zip(TRAIN + TEST, MD5[name], strict=True)}
    found, source = find(name.lower(), folder, _missing, files, MIRRORS[name])

    def read(images: str, labels: str, expected: int, what: str) -> Split:
        split = Split(read_idx(_file(found, images), 3), read_idx(_file(found, labels), 1))
        count, shape = len(split.inputs), split.inputs.shape[1:]
        if count != len(split):
            raise DataError(f"{found}: {count} images in {images}, {len(split)} labels in {labels}")
        if shape != (28, 28):
            raise DataError(f"{found}: {images} holds images of {shape} pixels, expected (28, 28)")
        if count != expected:
            raise DataError(f"{found}: {count} {what} images, {name} has {expected}")
        return split

    full, test = read(*TRAIN, 60_000, "training"), read(*TEST, 10_000, "test")
    train, validation = split_off(full, 5_000, seed)
    return Dataset(name, train, validation, test, classes=10, source=source, caveat=read_caveat(found))


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """Return the uint8 array in an IDX file, raw or gzipped (.gz); DataError says what is wrong with the file."""
    raw = path.read_bytes()
    if path.suffix == ".gz":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path} is not a complete gzip file ({error}); delete it and fetch it again") from error
    if len(raw) < (header := 4 * (1 + ndim)):
        raise DataError(f"{path} is cut off: {len(raw)} bytes do not even hold the header")
    if raw[:4] != (expected := bytes([0, 0, 8, ndim])):
        raise DataError(f"{path} starts with {raw[:4].hex()}, an IDX file of {ndim}-d bytes with {expected.hex()}: "
                        "is it another file, or (1f8b) gzipped without the ending .gz?")  # fmt: skip
    shape = tuple(np.frombuffer(raw, ">i4", ndim, offset=4))
    size, body = int(np.prod(shape, dtype=np.int64)), len(raw) - header
    if body != size:
        sizes = "x".join(map(str, shape))
        raise DataError(f"{path} announces {sizes} = {size} bytes and holds {body}; delete it and fetch it again")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def _bundled_subset(seed: int, reason: str) -> Dataset:
    bundled: Traversable = Path(__file__).parents[2] / "data"  # in a source tree
    with suppress(ModuleNotFoundError):
        bundled = resources.files("npticket.bundled")  # as installed
    with (bundled / "mnist5k.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        everything = Split(file["images"], file["labels"].astype(np.uint8))
    is_digit = everything.targets[:, None] == np.arange(10)
    rank = is_digit.cumsum(axis=0)[is_digit]  # the how-manieth of its class each image is, from 1
    train, validation = split_off(everything.take(rank <= 400), 500, seed)
    source, caveat = f"the 5,000 images that come with npticket, because {reason}", "bundled subset of 5,000 images"
    return Dataset("MNIST", train, validation, everything.take(rank > 400), 10, source, caveat)
