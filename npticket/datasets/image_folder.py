"""A folder of images, in a subfolder for each class. Needs Pillow, npticket[images]."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from npticket.backend import Array
from npticket.datasets.dataset import DataError, Dataset
from npticket.datasets.decoding import coloured, pillow
from npticket.datasets.own import LARGEST, check_filled, class_folders, from_arrays, located
from npticket.reading import BROKEN, check_size, reason, shown

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = {".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
FORMATS = ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"]  # as Pillow calls them: no other is tried
GREY, COLOURED = {"1", "L"}, {"P", "RGB", "RGBA", "LA", "CMYK", "YCbCr"}  # its modes of 8 bits a channel or fewer
SUBFOLDERS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
BYTES = 1 << 28  # of a file, at most
SIDE = 10_000  # pixels of a side that is asked for, at most

Files = Sequence[tuple[Path, str]]  # with the class of each


def image_folder(
    folder: str | Path | None = None, seed: int = 0, *, path: str, size: Sequence[int] | None = None
) -> Dataset:
    """Return the images path/<class>/<image>, as bytes (N, H, W, 3), or (N, H, W) if all of them are grey.

    Or path/train/<class>/<image>, and perhaps path/test and path/validation (or path/val); splits that are not there
    are set aside as `own.arrays` says. All images must have one size, or are brought to `size`, [height, width], by
    stretching. Behind what is transparent they are white; a camera's note of how to turn one is not followed, and of
    moving images the first is taken. Files of other kinds are ignored. DataError says what is wrong, images in other
    places among them; ImportError, that Pillow is missing.
    """
    if size is not None and (len(size) != 2 or not all(isinstance(n, int) and 0 < n <= SIDE for n in size)):
        raise DataError(f"size must be [height, width], each from 1 to {SIDE:,}, got {shown(size)}")
    root = located(folder, path)
    there = [name for name in SUBFOLDERS if (root / name).is_dir()]
    if "train" not in there:  # what is there are classes
        found = {"train": _files(root)}
    elif other := [name for name in class_folders(root) if name not in SUBFOLDERS]:
        raise DataError(f"{root} has train/ and {other[0]}/, expected only {', '.join(SUBFOLDERS)}")
    elif {"validation", "val"} <= set(there):
        raise DataError(f"{root} has images for validation twice: in validation/ and in val/")
    else:
        found = {SUBFOLDERS[name]: _files(root / name) for name in there}
    is_grey = all(_mode(file) in GREY for files in found.values() for file, _ in files)
    with _opened(found["train"][0][0]) as first:
        height, width = size or first.size[::-1]
    given = dict[str, tuple[Array, Array]]()
    for split, files in found.items():
        x = _pixels([file for file, _ in files], is_grey, (height, width), is_fitted=size is not None)
        given[split] = x, np.array([label for _, label in files])
    return from_arrays(root, given, seed)


def _by_name(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda file: file.name)  # in the same order on Windows, too


def _files(root: Path) -> Files:
    """All images in the subfolders of a folder, in the order of their names."""
    labels = class_folders(root)
    try:
        found = [(file, label) for label in labels for file in _by_name(root / label)]
        deeper = [file for inner, _ in found if inner.is_dir() and inner.name[0] != "." for file in inner.rglob("*")]
        astray = [file for file in (*filter(Path.is_file, root.iterdir()), *deeper) if _is_image(file)]
    except OSError as error:
        raise DataError(reason(error)) from error
    files = [(file, label) for file, label in found if _is_image(file)]
    if files and astray:
        raise DataError(f"{astray[0]} is an image, but not in the folder of a class itself: move it, or take it away")
    if not files:
        raise DataError(f"there are no images in the subfolders of {root}: expected a subfolder for each class")
    check_filled(root, labels, {label for _, label in files})
    return files


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in ENDINGS and file.name[0] != "."


def _pixels(files: Sequence[Path], is_grey: bool, shape: tuple[int, int], is_fitted: bool) -> np.ndarray:
    """Images of a shape, or brought to it, as (N, H, W) or (N, H, W, 3)."""
    whole = len(files), *shape, *((3,) * (not is_grey))
    if math.prod(whole) > LARGEST:
        raise DataError(f"{len(files):,} images of {_by(shape)} pixels take {math.prod(whole):,} bytes, expected at "
                        f'most {LARGEST:,}: say a smaller "size" in the recipe')  # fmt: skip
    x = np.empty(whole, np.uint8)
    for i, file in enumerate(files):
        with _opened(file) as image:
            size = image.size[::-1]
            if size != shape and not is_fitted:
                raise DataError(f"{file} is {_by(size)} pixels, others {_by(shape)}: make them alike, or have it done "
                                f'by "size": {list(shape)} in the recipe')  # fmt: skip
            if image.mode not in GREY | COLOURED:
                raise DataError(f"{file} has pixels of the kind {image.mode}, expected 8 bits a channel")
            try:
                plain = image if is_grey and "transparency" not in image.info else coloured(pillow(), image)
                plain = plain.convert("L") if is_grey else plain
            except (*BROKEN, SyntaxError) as error:
                raise DataError(f"{file} is damaged: {reason(error, file)}") from error
            x[i] = np.asarray(plain if size == shape else plain.resize(shape[::-1]))
    return x


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _opened(file: Path) -> "Image":
    """An open image, of which only the header was read; the caller closes it."""
    pil = pillow()
    try:
        check_size(file, BYTES)
        return pil.open(file, formats=FORMATS)
    except (*BROKEN, SyntaxError, pil.DecompressionBombError) as error:
        raise DataError(f"{file} is no image that can be read: {reason(error, file)}") from error


def _mode(file: Path) -> str:
    with _opened(file) as image:
        return image.mode
