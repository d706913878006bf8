"""Images by class in folders, as ImageNet has them: in memory if they fit, else read batch by batch."""

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from npticket.datasets.dataset import DataError, Dataset, Split, split_off
from npticket.datasets.decoding import Photographs
from npticket.datasets.lazy import Lazy
from npticket.datasets.own import VALIDATION, check_filled, check_left, class_folders, located
from npticket.reading import UnreadableError, printable, read_text, reason, shown

ENDINGS = (".jpeg", ".jpg", ".png")
SIDE = 4_096  # pixels of a side that is asked for, at most
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels / 255: red, green, blue
LIST = 1 << 28  # bytes of a list of files, at most
MOST = 10_000  # images that are set aside for validation, at most
CHUNK = 64  # files that are looked at together
LIMITS = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"  # where Linux says a container's

Found = dict[str, str]  # the class of each file


def images(
    folder: str | Path | None = None, seed: int = 0, *, path: str, size: Sequence[int] = (224, 224), test: str = "val",
    keep: int | None = None,
) -> Dataset:  # fmt: skip
    """Return the images in path/train/<class>/, as bytes (N, height, width, 3), those in path/<test> for testing.

    `path` is taken from `folder`, else from $NPTICKET_DATA if it is there, else from the working directory.
    Images may lie in subfolders of their class's folder. That folder may be a link; subfolders that are links are
    ignored. `test` is a folder with a folder for each class, or a text file with a line for each image, "file class"
    and perhaps more, whose files lie beside it or in images/. A tenth of the training images, 10,000 at most, is set
    aside for validation; `seed` chooses them. Each image is brought to `size`, [height, width], as `Photographs` says;
    pixels are scaled so that ImageNet's means of the colours are 0 and its standard deviations 1. Files that are not
    called .jpeg, .jpg or .png are ignored.

    If all pixels take at most `keep` bytes, by default a quarter of the machine's memory, they are kept in memory, else
    read from the files whenever needed. DataError names all files that are no images; ImportError, a missing Pillow.
    """
    if len(size) != 2 or not all(isinstance(n, int) and 0 < n <= SIDE for n in size):
        raise DataError(f"size must be [height, width], each from 1 to {SIDE:,}, got {shown(size)}")
    there = os.environ.get("NPTICKET_DATA")
    root = located(folder or (there if there and (Path(there) / path).exists() else None), path)
    train, tested = _in_folders(root, "train"), _tested(root, test)
    classes = sorted(set(train.values()))
    if len(classes) < 2:
        raise DataError(f"{root}/train needs folders of two classes at least, and has {shown(classes)}")
    _check_tested(f"{root}/{test}", train, tested)
    pictures = Photographs(root, (*train, *tested), (size[0], size[1]))
    targets = np.searchsorted(classes, [*train.values(), *tested.values()]).astype(np.int64)
    whole = Split(Lazy(pictures, np.arange(len(targets)), (*pictures.size, 3)), targets)
    first, last = whole.take(slice(len(train))), whole.take(slice(len(train), None))
    first, validation = split_off(first, min(MOST, max(1, round(VALIDATION * len(first)))), seed)
    check_left(root, classes, first)
    pixels, room = math.prod(whole.inputs.shape), _memory() // 4 if keep is None else keep
    first, validation, last = _read((first, validation, last), pictures, is_kept=pixels <= room)
    where = "in memory" if pixels <= room else "read from files as they are needed"
    source = f"{printable(str(root))} ({len(validation):,} for validation set aside; {pixels / 1e9:.2f} GB, {where})"
    scale, shift = tuple(1 / 255 / std for std in STD), tuple(-m / std for m, std in zip(MEAN, STD, strict=True))
    return Dataset(printable(root.resolve().name), first, validation, last, len(classes), source, "", scale, shift)


def _in_folders(root: Path, name: str) -> Found:
    """All images in the folders of a folder, by their paths in `root`, in the order of their names."""
    found, top = Found(), root / name
    for label in class_folders(top) if top.is_dir() else ():
        for where, folders, files in os.walk(top / label, onerror=_refuse):
            folders[:] = sorted(each for each in folders if each[0] != ".")
            for file in sorted(files):
                if file.lower().endswith(ENDINGS) and file[0] != ".":
                    found[(Path(where) / file).relative_to(root).as_posix()] = label
    if not found:
        raise DataError(f"there are no images in {top}: expected a folder for each class, with .jpeg, .jpg or .png")
    check_filled(top, class_folders(top), set(found.values()))
    return found


def _refuse(error: OSError) -> None:
    """Called with a folder that cannot be read, which os.walk would ignore."""
    raise DataError(reason(error)) from error


def _tested(root: Path, test: str) -> Found:
    """The images of a folder with folders, or of a list."""
    if ".." in Path(test).parts or Path(test).is_absolute():
        raise DataError(f"test must lie in the folder of the images, got {shown(test)}")
    if (root / test).is_dir():
        return _in_folders(root, test)
    try:
        lines = [line.split() for line in read_text(root / test, LIST).splitlines()]
    except (OSError, UnreadableError) as error:
        said = f'there are no images for testing: {reason(error)}. Name their folder or their list, "test": ...'
        raise DataError(said) from error
    beside = Path(test).parent
    beside = beside / "images" if (root / beside / "images").is_dir() else beside
    found = Found()
    for number, words in enumerate(lines, start=1):
        if not words:
            continue
        if len(words) < 2 or ".." in Path(words[0]).parts or Path(words[0]).is_absolute():
            raise DataError(
                f"{root / test}, line {number}: expected a file and its class, got {shown(' '.join(words))}"
            )
        if (file := (beside / words[0]).as_posix()) in found:
            raise DataError(f"{root / test}, line {number}: {shown(words[0])} is there twice")
        found[file] = words[1]
    if not found:
        raise DataError(f"{root / test} is empty")
    return found


def _check_tested(where: str, train: Found, tested: Found) -> None:
    """Raise DataError for a class or an image that is not one to test with."""
    if foreign := sorted(set(tested.values()) - set(train.values())):
        raise DataError(f"{where}: there are no training images of the class {shown(foreign[0])}; where a list "
                        'says which class each image has, name that: "test": "val/list.txt"')  # fmt: skip
    if twice := train.keys() & tested.keys():
        raise DataError(f"{where} tests with images that are trained with, such as {shown(min(twice))}")


def _read(splits: Sequence[Split], pictures: Photographs, is_kept: bool) -> list[Split]:
    """The splits, in memory or lazy, after each file was read once; DataError names all that are no images."""
    wrong, found = list[int](), list[Split]()

    def look(number: int) -> np.ndarray:
        try:
            return pictures(number)
        except (OSError, UnreadableError):
            wrong.append(number)
            return np.zeros((*pictures.size, 3), np.uint8)

    for split in splits:
        rows = Lazy(look, split.inputs.numbers, (*pictures.size, 3))
        kept = np.empty(rows.shape if is_kept else 0, np.uint8)
        parts = [slice(i, i + CHUNK) for i in range(0, len(rows), CHUNK)]
        for part, some in zip(parts, rows.ahead(parts), strict=True):
            if is_kept:
                kept[part] = some
        found.append(Split(kept, split.targets) if is_kept else split)
    if wrong:
        said = "\n".join(printable(pictures.check(number)) for number in sorted(wrong))
        raise DataError(f"{len(wrong):,} of {len(pictures.files):,} files in {pictures.root} are no images:\n{said}\n"
                        "Fetch them again, or take them away")  # fmt: skip
    return found


def _memory() -> int:
    """Bytes of memory that this machine has, or that a container may take of it."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 8 << 30
    for limit in LIMITS:
        with suppress(OSError, ValueError):  # there is none, or it is "max"
            whole = min(whole, int(Path(limit).read_text()))
    return whole
