"""CIFAR-10 and CIFAR-100 from their binary files: 45,000 training, 5,000 validation, 10,000 test images, 32 x 32 x 3.

The binary version is a list of records, label byte(s) and then 1,024 red, 1,024 green and 1,024 blue pixels, row by
row. The pickled versions are never read: loading a pickle runs whatever is in it.
"""

import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from npticket.datasets.dataset import DataError, Dataset, Split, split_off
from npticket.datasets.download import OutOfReach, find, read_caveat

MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
MEAN, STD = 0.473, 0.251  # of CIFAR-10's pixels / 255, all three channels together


@dataclass(frozen=True)
class _Format:
    """One of the two datasets: its archive, and the records that its members consist of."""

    name: str
    slug: str
    md5: str  # of the archive
    inside: str  # the folder in it
    members: tuple[str, ...]  # that count; the last one is for testing
    label_bytes: int  # the last one is the class
    classes: int

    @property
    def archive(self) -> str:
        return f"{self.slug}-binary.tar.gz"

    def missing(self, folder: Path) -> str:
        """What `folder` lacks, or nothing: it needs the archive or all members."""
        complete = (folder / self.archive).is_file() or self.unpacked(folder)
        return "" if complete else f"{self.archive}, or {', '.join(self.members)}"

    def unpacked(self, folder: Path) -> Path | None:
        """Where the unpacked members are: in `folder` or in its subfolder named as in the archive."""
        candidates = (folder / self.inside, folder)
        return next((path for path in candidates if all((path / name).is_file() for name in self.members)), None)


SIX, TWO = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"), ("train.bin", "test.bin")
CIFAR_10 = _Format("CIFAR-10", "cifar-10", "c32a1d4ab5d03f1284b67883e8d87530", "cifar-10-batches-bin", SIX, 1, 10)
CIFAR_100 = _Format("CIFAR-100", "cifar-100", "03b5dce01913d631647c71ecec9e9cb8", "cifar-100-binary", TWO, 2, 100)


def cifar10(folder: str | Path | None = None, seed: int = 0) -> Dataset:
    """Return CIFAR-10, split 45,000 / 5,000 / 10,000; `seed` chooses the validation images.

    Looks where `mnist` does, else downloads 162 MB or raises DataError. A folder may hold cifar-10-binary.tar.gz or its
    six .bin files, itself or in a subfolder "cifar-10" or "cifar-10-batches-bin". Pixels enter a network with mean 0
    and standard deviation 1: so Conv-2 stops early nearer to where the paper does (docs/results/input_scaling.md).
    """
    return _load(CIFAR_10, folder, seed)


def cifar100(folder: str | Path | None = None, seed: int = 0) -> Dataset:
    """Return CIFAR-100 with its 100 fine classes, from the same places as CIFAR-10."""
    return _load(CIFAR_100, folder, seed)


def _load(kind: _Format, folder: str | Path | None, seed: int) -> Dataset:
    try:
        found, source = find(kind.slug, folder, kind.missing, {kind.archive: f"md5:{kind.md5}"}, MIRRORS)
    except OutOfReach as error:
        raise DataError(f"{kind.name} is not on this machine, and {error}. Fetch {MIRRORS[0]}{kind.archive} where "
                        "there is network, put it into a folder, and name that folder as the argument (--data) "
                        "or in NPTICKET_DATA") from error  # fmt: skip
    unpacked = kind.unpacked(found)
    if unpacked is None:
        *for_training, for_testing = _from_archive(kind, found / kind.archive)
    else:
        *for_training, for_testing = ((unpacked / name).read_bytes() for name in kind.members)
    train, validation = split_off(_records(kind, for_training, 50_000), 5_000, seed)
    test, caveat = _records(kind, [for_testing], 10_000), read_caveat(found) or read_caveat(unpacked or found)
    return Dataset(kind.name, train, validation, test, kind.classes, source, caveat, 1 / 255 / STD, -MEAN / STD)


def _from_archive(kind: _Format, path: Path) -> list[bytes]:
    """The bytes of each member that counts, found by its exact name; nothing is unpacked to the disk."""
    wanted, found = {f"{kind.inside}/{name}": name for name in kind.members}, dict[str, bytes]()
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name in wanted and member.isfile() else None
                if file is not None:
                    found[wanted[member.name]] = file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path} is not a complete archive ({error}); delete it and fetch it again") from error
    if lacking := [name for name in kind.members if name not in found]:
        raise DataError(f"{path} does not contain {', '.join(lacking)}: is it another version of {kind.name}?")
    return [found[name] for name in kind.members]


def _records(kind: _Format, parts: list[bytes], count: int) -> Split:
    """Images (N, 32, 32, 3) and labels (N,) from members that hold `count` records in equal parts."""
    record, each = kind.label_bytes + 3 * 32 * 32, count // len(parts)
    for size in map(len, parts):
        if size != record * each:
            raise DataError(f"{kind.name}: a file of {each:,} records has {record * each:,} bytes, this one {size:,}; "
                            "delete it and fetch it again")  # fmt: skip
    table = np.frombuffer(b"".join(parts), np.uint8).reshape(count, record)
    images = table[:, kind.label_bytes :].reshape(count, 3, 32, 32).transpose(0, 2, 3, 1)
    return Split(np.ascontiguousarray(images), table[:, kind.label_bytes - 1].copy())
