"""Tiny ImageNet (Stanford's CS231n): photographs of 64 x 64 pixels, 500 for training and 50 for validation of a class.

All of its 200 classes, or some of them, as wnids.txt names them, in its own folders. ImageNet's terms: for research and
education.
"""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from npticket.datasets.dataset import DataError, Dataset, Split, split_off
from npticket.datasets.download import cache_folder, read_caveat
from npticket.reading import UnreadableError, printable, read_bytes, read_text, shown

SIDE, MOST = 64, 1 << 20  # pixels; bytes of an image's file
PLACES = ("tiny-imagenet-200", "tiny-imagenet-20", "tiny-imagenet-20/tiny-imagenet-20", "")
ASIDE = 10  # one training image of so many is for validation


def tiny_imagenet(folder: str | Path | None = None, seed: int = 0) -> Dataset:
    """Return Tiny ImageNet's images, bytes (N, 64, 64, 3), grey ones in colour; classes are numbered as in wnids.txt.

    Its validation images are the test set here; `seed` chooses a tenth of the others for validation. Looks for
    wnids.txt, train/ and val/ in `folder`, else in $NPTICKET_DATA, else in the cache folder, or in tiny-imagenet-20/ or
    tiny-imagenet-200/ there; nothing is downloaded. Raises DataError where something is missing or damaged, or Pillow
    (npticket[images]) is not installed.
    """
    root = _root(folder)
    try:
        classes = read_text(root / "wnids.txt", 1 << 16).split()
        if len(classes) < 2 or len(set(classes)) < len(classes) or not all(map(str.isalnum, classes)):
            raise DataError(f"its wnids.txt should name two classes or more, each once, got {shown(classes)}")
        number = {name: i for i, name in enumerate(classes)}
        found = [
            (file, i) for name, i in number.items() for file in sorted((root / "train" / name / "images").iterdir())
        ]
        lines = read_text(root / "val" / "val_annotations.txt", 1 << 24).splitlines()
        named = [line.split("\t")[:2] for line in lines if line.strip()]
        tested = [(root / "val" / "images" / Path(file).name, number[name]) for file, name in named]
    except (OSError, UnreadableError, LookupError, ValueError) as error:
        raise DataError(f"{root} is not laid out as Tiny ImageNet: {printable(str(error))}") from error
    train, test = _read(found), _read(tested)
    train, validation = split_off(train, len(train) // ASIDE, seed)
    name = f"Tiny ImageNet, {len(classes)} classes"
    return Dataset(name, train, validation, test, len(classes), printable(str(root)), read_caveat(root), 2 / 255, -1.0)


def _root(folder: str | Path | None) -> Path:
    given = Path(folder or os.environ.get("NPTICKET_DATA") or cache_folder())
    for root in (given / place for place in PLACES):
        if (root / "wnids.txt").is_file() and all((root / name).is_dir() for name in ("train", "val")):
            return root
    raise DataError(f"neither {printable(str(given))} nor tiny-imagenet-20/ or tiny-imagenet-200/ in it has wnids.txt, "
                    "train/ and val/: unpack Tiny ImageNet there, or name its folder by --data or "
                    "NPTICKET_DATA")  # fmt: skip


def _read(files: Sequence[tuple[Path, int]]) -> Split:
    """Images with their classes."""
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError("to read images install Pillow: pip install 'npticket[images]'") from error
    pixels = np.empty((len(files), SIDE, SIDE, 3), np.uint8)
    for (path, _), out in zip(files, pixels, strict=True):
        try:
            with Image.open(io.BytesIO(read_bytes(path, MOST)), formats=["JPEG"]) as image:
                if image.size != (SIDE, SIDE):  # of which this has read no more than the header
                    raise DataError(f"{path} is an image of {image.size}, expected {SIDE, SIDE}")
                out[...] = np.asarray(image.convert("RGB"))
        except (OSError, UnreadableError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} is no JPEG that can be read: {shown(str(error))}") from error
    return Split(pixels, np.array([number for _, number in files], np.int64))
