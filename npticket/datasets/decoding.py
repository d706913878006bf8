"""Photographs from files: JPEG and PNG of any kind become colour images of one size. Needs Pillow, npticket[images]."""

import io
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from npticket.reading import BROKEN, UnreadableError, read_bytes, reason

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG")  # known by what is in a file, not by its name: in ImageNet, too, there is a PNG called .JPEG
BYTES, PIXELS = 1 << 26, 1 << 26  # of a file and of an image, at most; the largest of ImageNet has 61 million pixels


@dataclass(frozen=True)
class Photographs:
    """The pictures of `files`, in `root`, as arrays (height, width, 3) in uint8; photographs(i) reads number i.

    A picture is scaled until it just covers the size, and its middle is cut out, so that proportions stay. Grey becomes
    colour; CMYK is converted without profiles; of 16 bits a channel the higher eight are taken; what is transparent is
    laid on white. Rotation by EXIF is ignored. UnreadableError names a file that is no image.
    """

    root: Path
    files: tuple[str, ...]
    size: tuple[int, int]  # height, width

    def __call__(self, number: int) -> np.ndarray:
        return self._read(self.root / self.files[number])

    def check(self, number: int) -> str:
        """Return what is wrong with file `number`; "" if nothing is."""
        try:
            self(number)
        except (OSError, UnreadableError) as error:
            return reason(error)
        return ""

    def _read(self, path: Path) -> np.ndarray:
        pil, content = pillow(), read_bytes(path, BYTES)
        try:
            with pil.open(io.BytesIO(content), formats=FORMATS) as image:  # which reads no more than its header
                if image.width * image.height > PIXELS:
                    raise ValueError(f"{image.width:,} x {image.height:,} pixels are more than {PIXELS:,}")
                return np.asarray(_cut(pil, image, *self.size))
        except (*BROKEN, SyntaxError, pil.DecompressionBombError) as error:
            said = "what is in it is no JPEG or PNG" if isinstance(error, pil.UnidentifiedImageError) else error
            raise UnreadableError(f"{path} is no image that can be read: {said}") from error


def pillow() -> ModuleType:
    """Return the module that opens and makes images; ImportError says how to install it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("images need Pillow: python -m pip install pillow (npticket[images])") from error
    return Image


def _cut(pil: ModuleType, image: "Image", height: int, width: int) -> "Image":
    """The middle of an image in colour, as large as fits its proportions, at a size."""
    scale = min(image.width / width, image.height / height)
    # A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, which is faster, if that leaves twice the size wanted.
    image.draft(None, (2 * round(image.width / scale), 2 * round(image.height / scale)))
    image = coloured(pil, image)
    scale = min(image.width / width, image.height / height)
    # Rounded up, a product may exceed the image's side, and Pillow refuses a box that does.
    across, down = min(scale * width, image.width), min(scale * height, image.height)
    left, top = (image.width - across) / 2, (image.height - down) / 2
    box = left, top, left + across, top + down
    return image.resize((width, height), pil.Resampling.BILINEAR, box)


def coloured(pil: ModuleType, image: "Image") -> "Image":
    """Return an image in colour, with 8 bits a channel; behind what is transparent it is white."""
    if image.mode.startswith("I"):  # 16 bits, grey
        return pil.fromarray((np.asarray(image).clip(0, 65_535) >> 8).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        return pil.alpha_composite(pil.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
