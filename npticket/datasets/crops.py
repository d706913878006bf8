"""Random-resized crops, by which networks for ImageNet are trained (Szegedy et al. 2015, section 6)."""

from dataclasses import dataclass
from types import ModuleType

import numpy as np

from npticket.backend import Array, array_module, to_device
from npticket.streams import Place

AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)  # of a crop: its share of the image's area, its width divided by its height
TRIES = 10  # crops that are drawn until one does not stick out; if none does, the whole image is taken


@dataclass(frozen=True)
class ResizedCrop:
    """Cut out a part of each image, stretch it to the size of the whole, mirror half of them, for one epoch.

    A part has 8 to 100 % of the image's area, and its sides, in an image taken for a square, are as 3 to 4 at most. It
    is interpolated linearly; as it is only ever enlarged, no pixels have to be averaged. `apply` raises ValueError
    unless images are (T, B, H, W, C) in uint8.
    """

    boxes: Array  # (T, n, 4) of each example: top, left, height, width, as fractions
    mirrored: Array  # (T, n), whether it is mirrored

    @classmethod
    def draw(cls, n: int, place: Place, epoch: int) -> "ResizedCrop":
        """Draw for the n examples that each trial sees in an epoch, from the trial's own stream."""
        draws = [(_boxes(rng, n), rng.random(n) < 0.5) for rng in place.rngs("augment", epoch)]
        return cls(*map(np.stack, zip(*draws, strict=True)))

    def to(self, xp: ModuleType) -> "ResizedCrop":
        return ResizedCrop(to_device(self.boxes, xp), to_device(self.mirrored, xp))

    def apply(self, images: Array, examples: slice) -> Array:
        xp = array_module(images, self.boxes, self.mirrored)
        if images.ndim != 5 or images.dtype != np.uint8:
            raise ValueError(f"to be cropped, images must be (H, W, C) in uint8, got {images.shape[2:]} {images.dtype}")
        flat = images.reshape(-1, *images.shape[2:])
        boxes, mirrored = self.boxes[:, examples].reshape(-1, 4), self.mirrored[:, examples].ravel()
        cropped = xp.empty_like(flat)
        rows, columns = (_places(xp, boxes[:, i], boxes[:, i + 2], flat.shape[1 + i]) for i in (0, 1))
        columns = xp.where(mirrored[:, None], columns[:, ::-1], columns)
        for image, out, row, column in zip(flat, cropped, rows, columns, strict=True):
            out[...] = xp.rint(_between(_between(image, row, 0), column, 1))
        return cropped.reshape(images.shape)


def _boxes(rng: np.random.Generator, n: int) -> np.ndarray:
    """Boxes (n, 4) in images that are squares of side 1."""
    area, (narrow, wide) = rng.uniform(AREA[0], AREA[1], (TRIES, n)), np.log(RATIO)
    ratio, corners = np.exp(rng.uniform(narrow, wide, (TRIES, n))), rng.random((2, n))
    width, height = np.sqrt(area * ratio), np.sqrt(area / ratio)
    fits = (width <= 1) & (height <= 1)
    first = fits.argmax(axis=0), np.arange(n)
    whole = ~fits.any(axis=0)
    sides = np.stack([np.where(whole, 1, height[first]), np.where(whole, 1, width[first])])
    return np.concatenate([corners * (1 - sides), sides]).T


def _places(xp: ModuleType, start: Array, length: Array, size: int) -> Array:
    """Where the pixels (n, size) of stretched boxes lie in their images, in pixels."""
    centres = (xp.arange(size) + 0.5) / size
    return ((start[:, None] + centres * length[:, None]) * size - 0.5).clip(0, size - 1)


def _between(image: Array, at: Array, axis: int) -> Array:
    """Sample an image linearly between its rows (axis 0) or columns (1)."""
    xp = array_module(image, at)
    low = at.astype(np.int64)
    high = xp.minimum(low + 1, image.shape[axis] - 1)
    part = (at - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    one = image.take(low, axis=axis).astype(np.float32, copy=False)
    return one + part * (image.take(high, axis=axis) - one)
