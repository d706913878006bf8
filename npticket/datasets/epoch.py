"""What an epoch shows: the order of its minibatches, and how its examples are flipped and cropped."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

import numpy as np

from npticket.backend import Array, array_module, to_device
from npticket.streams import Place

PAD = 4  # pixels on each side


def epoch_order(n: int, batch: int, place: Place, epoch: int) -> np.ndarray:
    """Return the example numbers of one epoch's minibatches (T, n // batch, batch), each trial in its own order.

    It is a function of the place and the epoch: in a round, a ticket and its controls see the same minibatches.
    """
    count = n // batch  # all are full: the examples left over wait for the next epoch's shuffle
    orders = [rng.permutation(n)[: count * batch] for rng in place.rngs("order", epoch)]
    return np.stack(orders).reshape(len(orders), count, batch)


class Changes(Protocol):
    """How an epoch's inputs are augmented. `apply` returns changed copies of `images` (T, B, ...).

    `examples` says which of the epoch's examples these are, counted in the order in which they are shown.
    """

    def to(self, xp: ModuleType) -> "Changes": ...

    def apply(self, images: Array, examples: slice) -> Array: ...


Augment = Callable[[int, Place, int], Changes]  # (examples per epoch, place, epoch) -> the epoch's changes


@dataclass(frozen=True)
class FlipAndCrop:
    """Pad each image by 4 black pixels, cut out the old size, mirror half of all (He et al. 2016, section 4.2).

    Drawn for one epoch. `apply` raises ValueError unless images are (T, B, H, W, C).
    """

    corners: Array  # (T, n, 2), where each example is cut out
    mirrored: Array  # (T, n), whether it is mirrored

    @classmethod
    def draw(cls, n: int, place: Place, epoch: int) -> "FlipAndCrop":
        """Draw for the n examples that each trial sees in an epoch, from the trial's own stream."""
        draws = [(rng.integers(0, 2 * PAD + 1, (n, 2)), rng.random(n) < 0.5) for rng in place.rngs("augment", epoch)]
        return cls(*map(np.stack, zip(*draws, strict=True)))

    def to(self, xp: ModuleType) -> "FlipAndCrop":
        return FlipAndCrop(to_device(self.corners, xp), to_device(self.mirrored, xp))

    def apply(self, images: Array, examples: slice) -> Array:
        xp = array_module(images, self.corners, self.mirrored)
        if images.ndim != 5:
            raise ValueError(f"to be flipped and cropped, images must be (H, W, C), got {images.shape[2:]}")
        trials, batch, height, width, channels = images.shape
        padded = xp.zeros((trials, batch, height + 2 * PAD, width + 2 * PAD, channels), images.dtype)
        padded[:, :, PAD : PAD + height, PAD : PAD + width] = images
        corners, mirrored = self.corners[:, examples], self.mirrored[:, examples, None]
        rows, across = corners[..., 0, None] + xp.arange(height), xp.arange(width)
        columns = corners[..., 1, None] + xp.where(mirrored, across[::-1], across)
        t, b = xp.arange(trials)[:, None, None, None], xp.arange(batch)[:, None, None]
        return padded[t, b, rows[..., :, None], columns[..., None, :]]
