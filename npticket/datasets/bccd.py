"""BCCD: 364 microscope images of blood cells with boxes around red cells, white cells and platelets (MIT licence).

github.com/Shenggan/BCCD_Dataset. Images of 640 x 480 are shown at a quarter of their size, over 8 black rows, so that
a detector of stride 8 sees 16 x 20 cells.
"""

import hashlib
import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from npticket.datasets.annotations import CLASS, Annotated, as_targets, left_out
from npticket.datasets.dataset import DataError, Dataset, Split
from npticket.datasets.decoding import pillow
from npticket.datasets.download import cache_folder, read_caveat
from npticket.datasets.voc import read_voc
from npticket.reading import BROKEN, UnreadableError, printable, read_bytes, read_text, reason, shown

CELLS = ("RBC", "WBC", "Platelets")
SPLITS = {"train": 205, "val": 87, "test": 72}  # images
SIZE, SHRUNK, HEIGHT = (640, 480), 4, 128  # (width, height) in files; factor they are shrunk by; height with black rows
MOST = 1 << 22  # bytes of an image's file
KNOWN = "131651ed89fb75cb3980a210dfe1812a67862ad7f38018aedd45778492562a2f"  # SHA-256 of all that is read


def bccd(folder: str | Path | None = None, seed: int = 0) -> Dataset:
    """Return BCCD at 160 x 128 pixels; targets (N, M, 5) are an index into CELLS, or -1, and x, y, w, h in pixels.

    The split is the data set's own, 205 / 87 / 72, whatever `seed` is. Training images are there four times, as they
    are and mirrored: a microscope has no up or left. Looks for ImageSets/, Annotations/ and JPEGImages/ in `folder`,
    else in $NPTICKET_DATA, else in the cache folder, or in bccd/ or BCCD/ there; nothing is downloaded. Two boxes have
    no area and are left out, as the source says. Raises DataError where something is missing or damaged, or Pillow
    (npticket[images]) is not installed.
    """
    root, digest = _root(folder), hashlib.sha256()
    read = [_read(root, name, count, digest.update) for name, count in SPLITS.items()]
    train, validation, test = (Split(images, as_targets(found, CELLS, 1 / SHRUNK)) for images, found in read)
    source = printable(str(root)) + left_out(each for _, found in read for each in found)
    width, height = (side // SHRUNK for side in SIZE)
    for axis, size in ((0, width), (1, height)):
        train = Split(*map(np.concatenate, zip(_parts(train), _parts(_mirrored(train, axis, size)), strict=True)))
    other = "" if digest.hexdigest() == KNOWN else "the files are not the original BCCD's"
    caveat = "; ".join(filter(None, (read_caveat(root), other)))
    return Dataset("BCCD", train, validation, test, None, source, caveat, scale=2 / 255, shift=-1.0)


def _root(folder: str | Path | None) -> Path:
    """The folder with the three subfolders that BCCD consists of."""
    given = Path(folder or os.environ.get("NPTICKET_DATA") or cache_folder())
    for root in (given / "bccd" / "BCCD", given / "bccd", given / "BCCD", given):
        if all((root / name).is_dir() for name in ("ImageSets", "Annotations", "JPEGImages")):
            return root
    raise DataError(f"neither {printable(str(given))} nor bccd/ or BCCD/ in it has ImageSets/, Annotations/ and "
                    "JPEGImages/: unpack BCCD there (github.com/Shenggan/BCCD_Dataset), or name its folder by --data "
                    "or NPTICKET_DATA")  # fmt: skip


def _read(root: Path, name: str, count: int, note: Callable[[bytes], None]) -> tuple[np.ndarray, list[Annotated]]:
    """The images of a split with their annotations; `note` is told of all bytes of its files."""
    try:
        numbers = read_text(root / "ImageSets" / "Main" / f"{name}.txt", 1 << 16).split()
        if len(numbers) != count or not all(re.fullmatch(r"\w+", number) for number in numbers):
            raise DataError(f"{root}/ImageSets/Main/{name}.txt should name {count} images, one a line")
        images, found = np.zeros((count, HEIGHT, SIZE[0] // SHRUNK, 3), np.uint8), list[Annotated]()
        for number, image in zip(numbers, images, strict=True):
            annotation, file = root / "Annotations" / f"{number}.xml", root / "JPEGImages" / f"{number}.jpg"
            found.append(read_voc(annotation))
            if found[-1].size != SIZE:
                raise DataError(f"{annotation} is of an image of {found[-1].size}, expected {SIZE}")
            image[: SIZE[1] // SHRUNK] = decoded(content := read_bytes(file, MOST), file)
            for part in (number.encode(), read_bytes(annotation, 1 << 20), content):
                note(part)
    except (OSError, UnreadableError) as error:
        raise DataError(reason(error)) from error
    return images, found


def decoded(content: bytes, path: Path) -> np.ndarray:
    """Return a JPEG of 640 x 480 at a quarter of its size, (120, 160, 3); each pixel is the mean of 4 x 4."""
    pil = pillow()
    try:
        with pil.open(io.BytesIO(content), formats=["JPEG"]) as image:  # of which this reads no more than the header
            if image.size != SIZE:
                raise DataError(f"{path} is an image of {image.size}, expected {SIZE}")
            pixels = np.asarray(image.convert("RGB"), np.uint16)
    except DataError:
        raise
    except (*BROKEN, SyntaxError, pil.DecompressionBombError) as error:
        raise DataError(f"{path} is no JPEG that can be read: {shown(error)}") from error
    blocks = pixels.reshape(SIZE[1] // SHRUNK, SHRUNK, SIZE[0] // SHRUNK, SHRUNK, 3).sum(axis=(1, 3), dtype=np.uint16)
    return ((blocks + SHRUNK**2 // 2) // SHRUNK**2).astype(np.uint8)


def _parts(split: Split) -> tuple[np.ndarray, np.ndarray]:
    return split.inputs, split.targets


def _mirrored(split: Split, axis: int, size: int) -> Split:
    """The images turned over, left and right (axis 0) or the first `size` rows (axis 1), and their boxes with them."""
    inputs, targets = split.inputs.copy(), split.targets.copy()
    images = inputs if axis == 0 else inputs[:, :size]
    images[...] = np.flip(images, 2 - axis).copy()
    there = targets[..., CLASS] >= 0
    at = targets[..., 1 + axis]
    at[there] = size - at[there] - targets[..., 3 + axis][there]
    return Split(inputs, targets)
