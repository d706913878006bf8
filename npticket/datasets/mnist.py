"""MNIST and Fashion-MNIST: 55,000 training, 5,000 validation and 10,000 test images of 28 x 28 pixels.

Pixels enter the network divided by 255 and nothing else; docs/results/input_scaling.md says why. Files are in IDX
format: two zero bytes, type 0x08, number of axes, big-endian sizes, then the bytes themselves.
"""

import hashlib
import math
from contextlib import suppress
from functools import partial
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from npticket.datasets import packed
from npticket.datasets.dataset import DataError, Dataset, Split, split_off
from npticket.datasets.download import OutOfReach, caveats, find
from npticket.reading import printable

TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
MIRRORS = {
    "MNIST": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    "Fashion-MNIST": (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",),
}  # fmt: skip
GZIPPED = {  # SHA-256 of TRAIN and TEST, gzipped as the mirrors have them (TensorFlow Datasets' url_checksums)
    "MNIST": ("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
              "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
              "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
              "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    "Fashion-MNIST": ("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                      "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                      "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                      "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
}  # fmt: skip
TORCHVISIONS = {"MNIST": "MNIST/raw", "Fashion-MNIST": "FashionMNIST/raw"}  # where torchvision puts the files
CONTENTS = {  # SHA-256 of the same files, unpacked
    "MNIST": ("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
              "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
              "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
              "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}  # fmt: skip


def mnist(folder: str | Path | None = None, seed: int = 0) -> Dataset:
    """Return MNIST, split 55,000 / 5,000 / 10,000; `seed` chooses the validation images.

    A folder that is named, here or else by $NPTICKET_DATA, must hold it, or DataError says what is missing. If none is
    named, looks in the user's cache folder; else downloads into it; and only where that cannot be done, takes the 5,000
    images that come with the package (3,500 / 500 / 1,000), which the dataset's `caveat` then says. A folder may hold
    the four IDX files, raw or .gz, a dot or a hyphen before their "idx", or a subfolder "mnist" with them, or
    "MNIST/raw", as torchvision has it.
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
    names = (stem, stem.replace("-idx", ".idx"))
    candidates = [folder / f"{name}{ending}" for ending in ("", ".gz") for name in names]
    return next(filter(Path.is_file, candidates), candidates[0])


def _lacking(folder: Path) -> list[str]:
    return [stem for stem in TRAIN + TEST if not _file(folder, stem).is_file()]


def _missing(name: str, folder: Path) -> str:
    """What `folder` lacks, or nothing: it needs all files, itself or in torchvision's subfolder."""
    lacking = _lacking(folder)
    return f"{', '.join(lacking)} (raw or .gz)" if lacking and _lacking(folder / TORCHVISIONS[name]) else ""


def _load(name: str, folder: str | Path | None, seed: int) -> Dataset:
    files = {f"{stem}.gz": f"sha256:{known}" for stem, known in zip(TRAIN + TEST, GZIPPED[name], strict=True)}
    found, source = find(name.lower(), folder, partial(_missing, name), files, MIRRORS[name])
    found = found / TORCHVISIONS[name] if _lacking(found) else found
    shapes, contents = ((60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,)), CONTENTS.get(name, ("",) * 4)
    arrays, others = [], 0
    for stem, shape, content in zip(TRAIN + TEST, shapes, contents, strict=True):
        raw = _raw(_file(found, stem), shape)
        others += _is_another(_file(found, stem), raw, content, files[f"{stem}.gz"].removeprefix("sha256:"))
        arrays.append(np.frombuffer(raw, np.uint8, offset=_header(shape)).reshape(shape))
    train, validation = split_off(Split(arrays[0], arrays[1]), 5_000, seed)
    test, caveat = Split(arrays[2], arrays[3]), caveats(found, name, others, len(arrays))
    return Dataset(name, train, validation, test, classes=10, source=source, caveat=caveat)


def _is_another(path: Path, raw: bytes, content: str, gzipped: str) -> bool:
    """Whether a file is not the known one: by its content or, where only that is known, by the gzipped file itself."""
    if content:
        return hashlib.sha256(raw).hexdigest() != content
    return path.suffix == ".gz" and hashlib.sha256(path.read_bytes()).hexdigest() != gzipped


def read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return the uint8 array in an IDX file, raw or gzipped (.gz), or DataError: it must have exactly this shape."""
    return np.frombuffer(_raw(path, shape), np.uint8, offset=_header(shape)).reshape(shape)


def _header(shape: tuple[int, ...]) -> int:
    """How many bytes stand before the array."""
    return 4 * (1 + len(shape))


def _raw(path: Path, shape: tuple[int, ...]) -> bytes:
    """The bytes of an IDX file with an array of this shape; no more are read than that takes."""
    header, size = _header(shape), math.prod(shape)
    raw = packed.read(path, header + size)
    if len(raw) < header:
        raise DataError(f"{path} is cut off: {len(raw)} bytes do not even hold the header")
    if raw[:4] != (expected := bytes([0, 0, 8, len(shape)])):
        raise DataError(f"{path} starts with {raw[:4].hex()}, an IDX file of {len(shape)}-d bytes with "
                        f"{expected.hex()}: is it another file, or (1f8b) gzipped without the ending .gz?")  # fmt: skip
    announced = np.frombuffer(raw, ">u4", len(shape), offset=4).tolist()
    if tuple(announced) != shape:
        there, wanted = ("x".join(map(str, sizes)) for sizes in (announced, shape))
        raise DataError(f"{path} announces {there} bytes, expected {wanted}: is it another file?")
    if len(raw) != header + size:
        holds = f"{len(raw) - header}" if len(raw) < header + size else "more"
        raise DataError(f"{path} announces {size} bytes and holds {holds}; delete it and fetch it again")
    return raw


def _bundled_subset(seed: int, reason: str) -> Dataset:
    bundled: Traversable = Path(__file__).parents[2] / "data"  # in a source tree
    with suppress(ModuleNotFoundError):
        bundled = resources.files("npticket.bundled")  # as installed
    with (bundled / "mnist5k.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        everything = Split(file["images"], file["labels"].astype(np.uint8))
    is_digit = everything.targets[:, None] == np.arange(10)
    rank = is_digit.cumsum(axis=0)[is_digit]  # the number of each image within its class, from 1
    train, validation = split_off(everything.take(rank <= 400), 500, seed)
    source = printable(f"the 5,000 images that come with npticket, because {reason}")
    caveat = "bundled subset of 5,000 images"
    return Dataset("MNIST", train, validation, everything.take(rank > 400), 10, source, caveat)
