"""Random flips and crops (He et al. 2016, section 4.2): pad by 4 black pixels, cut out 32 x 32, mirror half of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from npticket.backend import Array, array_module, to_device
from npticket.streams import streams

PAD = 4


@dataclass(frozen=True)
class FlipAndCrop:
    """The draws of one epoch: where each example is cut out (T, n, 2), and whether it is mirrored (T, n)."""

    corners: np.ndarray
    mirrored: np.ndarray

    @classmethod
    def draw(cls, n: int, seed: int, trials: Sequence[int], round: int, epoch: int) -> "FlipAndCrop":
        """Draw for the n examples that each trial sees in an epoch, from the trial's own stream."""
        rngs = streams(seed, trials, "augment", round, epoch)
        corners = [rng.integers(0, 2 * PAD + 1, (n, 2)) for rng in rngs]
        return cls(np.stack(corners), np.stack([rng.random(n) < 0.5 for rng in rngs]))

    def apply(self, images: Array, examples: slice) -> Array:
        """Return changed copies of `images` (T, B, H, W, C), which are the epoch's `examples`."""
        xp = array_module(images)
        trials, batch, height, width, channels = images.shape
        padded = xp.zeros((trials, batch, height + 2 * PAD, width + 2 * PAD, channels), images.dtype)
        padded[:, :, PAD : PAD + height, PAD : PAD + width] = images
        corners, mirrored = self.corners[:, examples], self.mirrored[:, examples, None]
        rows = corners[..., 0, None] + np.arange(height)
        columns = corners[..., 1, None] + np.where(mirrored, np.arange(width)[::-1], np.arange(width))
        t, b = np.ogrid[:trials, :batch]
        index = (t[..., None, None], b[..., None, None], rows[..., :, None], columns[..., None, :])
        return padded[tuple(to_device(part, xp) for part in index)]
