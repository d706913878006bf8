"""CIFAR-10 and CIFAR-100 from their binary files: 45,000 training, 5,000 validation, 10,000 test images, 32 x 32 x 3.

The binary version is a list of records, label byte(s) and then 1,024 red, 1,024 green and 1,024 blue pixels, row by
row. The pickled versions are never read: loading a pickle runs whatever is in it.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from npticket.datasets import packed
from npticket.datasets.dataset import DataError, Dataset, Split, split_off
from npticket.datasets.download import OutOfReach, caveats, find

MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
MEAN, STD = 0.473, 0.251  # of CIFAR-10's pixels / 255, all three channels together


@dataclass(frozen=True)
class _Format:
    """One of the two datasets: its archive, and the records that its members consist of."""

    name: str
    slug: str
    sha256: str  # of the archive (TensorFlow Datasets' url_checksums)
    contents: tuple[str, ...]  # SHA-256 of the members, or nothing where they are not known
    inside: str  # the folder in it
    members: tuple[str, ...]  # that count; the last one is for testing
    label_bytes: int  # the last one is the class
    classes: int

    @property
    def sizes(self) -> dict[str, int]:
        """How many bytes each member has."""
        record, training = self.label_bytes + 3 * 32 * 32, len(self.members) - 1
        counts = {name: 50_000 // training for name in self.members} | {self.members[-1]: 10_000}
        return {name: count * record for name, count in counts.items()}

    @property
    def pickled(self) -> str:
        """The folder with the same data for Python, as torchvision has it."""
        return self.inside.replace("binary", "python").replace("-bin", "-py")

    @property
    def archive(self) -> str:
        return f"{self.slug}-binary.tar.gz"

    def missing(self, folder: Path) -> str:
        """What `folder` lacks, or nothing: it needs the archive or all members."""
        if (folder / self.archive).is_file() or self.unpacked(folder):
            return ""
        lacking = f"{self.archive}, or {', '.join(self.members)}"
        there = (path for path in (folder / self.pickled, folder / f"{self.slug}-python.tar.gz") if path.exists())
        if pickled := next(there, None):
            lacking += f". {pickled.name} is never read: loading a pickle, as it holds, runs whatever is in it"
        return lacking

    def unpacked(self, folder: Path) -> Path | None:
        """Where the unpacked members are: in `folder` or in its subfolder named as in the archive."""
        candidates = (folder / self.inside, folder)
        return next((path for path in candidates if all((path / name).is_file() for name in self.members)), None)


SIX, TWO = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"), ("train.bin", "test.bin")
CIFAR_10 = _Format(
    "CIFAR-10", "cifar-10", "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ("cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
     "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
     "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
     "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
     "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
     "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
    "cifar-10-batches-bin", SIX, 1, 10,
)  # fmt: skip
CIFAR_100 = _Format(
    "CIFAR-100", "cifar-100", "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec", (),
    "cifar-100-binary", TWO, 2, 100,
)  # fmt: skip


def cifar10(folder: str | Path | None = None, seed: int = 0) -> Dataset:
    """Return CIFAR-10, split 45,000 / 5,000 / 10,000; `seed` chooses the validation images.

    Looks where `mnist` does, else downloads 162 MB or raises DataError. A folder may hold cifar-10-binary.tar.gz or its
    six .bin files, itself or in a subfolder "cifar-10" or "cifar-10-batches-bin". Pixels enter a network with mean 0
    and standard deviation 1: so Conv-2 stopped early nearer to where the paper's does, in trials whose
    rows were not kept (docs/results/input_scaling.md says how to repeat them).
    """
    return _load(CIFAR_10, folder, seed)


def cifar100(folder: str | Path | None = None, seed: int = 0) -> Dataset:
    """Return CIFAR-100 with its 100 fine classes, from the same places as CIFAR-10."""
    return _load(CIFAR_100, folder, seed)


def _load(kind: _Format, folder: str | Path | None, seed: int) -> Dataset:
    try:
        found, source = find(kind.slug, folder, kind.missing, {kind.archive: f"sha256:{kind.sha256}"}, MIRRORS)
    except OutOfReach as error:
        raise DataError(f"{kind.name} is not on this machine, and {error}. Fetch {MIRRORS[0]}{kind.archive} where "
                        "there is network, put it into a folder, and name that folder as the argument (--data) "
                        "or in NPTICKET_DATA") from error  # fmt: skip
    unpacked = kind.unpacked(found)
    parts = _from_archive(kind, found / kind.archive) if unpacked is None else _from_files(kind, unpacked)
    others, files = _others(kind, parts, None if unpacked else found / kind.archive)
    train, validation = split_off(_records(kind, parts[:-1]), 5_000, seed)
    where = found if (found / "CAVEAT.txt").exists() else unpacked or found
    test, caveat = _records(kind, parts[-1:]), caveats(where, kind.name, others, files)
    return Dataset(kind.name, train, validation, test, kind.classes, source, caveat, 1 / 255 / STD, -MEAN / STD)


def _from_files(kind: _Format, folder: Path) -> list[bytes]:
    parts = [packed.read(folder / name, size) for name, size in kind.sizes.items()]
    for (name, size), part in zip(kind.sizes.items(), parts, strict=True):
        if len(part) != size:
            there = f"{len(part):,}" if len(part) < size else "more"
            raise DataError(f"{folder / name} of {kind.name} has {size:,} bytes, this one {there}; "
                            "delete it and fetch it again")  # fmt: skip
    return parts


def _from_archive(kind: _Format, path: Path) -> list[bytes]:
    """The bytes of each member that counts, found by its exact name; nothing is unpacked to the disk."""
    found = packed.members(path, {f"{kind.inside}/{name}": size for name, size in kind.sizes.items()})
    if lacking := [name for name in kind.members if f"{kind.inside}/{name}" not in found]:
        raise DataError(f"{path} does not contain {', '.join(lacking)}: is it another version of {kind.name}?")
    return [found[f"{kind.inside}/{name}"] for name in kind.members]


def _others(kind: _Format, parts: list[bytes], archive: Path | None) -> tuple[int, int]:
    """Of how many files the content is not the known one, and how many there are: members, or else the archive."""
    if kind.contents:
        known = zip(parts, kind.contents, strict=True)
        return sum(hashlib.sha256(part).hexdigest() != content for part, content in known), len(parts)
    if archive is None:
        return 0, len(parts)
    with open(archive, "rb") as file:
        return int(hashlib.file_digest(file, "sha256").hexdigest() != kind.sha256), 1


def _records(kind: _Format, parts: list[bytes]) -> Split:
    """Images (N, 32, 32, 3) and labels (N,) from whole members."""
    table = np.frombuffer(b"".join(parts), np.uint8).reshape(-1, kind.label_bytes + 3 * 32 * 32)
    images = table[:, kind.label_bytes :].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Split(np.ascontiguousarray(images), table[:, kind.label_bytes - 1].copy())
