"""How the convolutional engine keeps a batch of images in memory, and what it does to rows of them.

A map of some images is an array (H + 2, W, images * channels), with a row of zeros above and one below: image row h is
in row h + 1. A pixel of all images and channels is one long run of memory, and the whole is a matrix (H W images,
channels) without copying. "Rows" are a part of a map, (h, W, images * channels).
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from npticket.engine.conv.threads import Half, Team, half_of

BAND = 4  # rows that are made at a time, as many as a tile of Winograd's has; a map of 2 x 2 has only two


class Scratch:
    """Named pieces of memory, as large as the largest asked for, that layers use in turn: so it stays in the cache."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype
        self._memory: dict[str, np.ndarray] = {}

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return the beginning of a piece, in that shape; whoever else asks for it may write to it meanwhile."""
        size = math.prod(shape)
        if name not in self._memory or len(self._memory[name]) < size:
            self._memory[name] = np.empty(size, self.dtype)
        return self._memory[name][:size].reshape(shape)


class Halves:
    """A batch in two halves, in one if it is a single image: which `images` they have, how many, memory and a team.

    There are always two scratch memories, which may be the same: halves of the weights, too, need them.
    """

    def __init__(self, batch: int, scratch: Sequence[Scratch], team: Team) -> None:
        self.batch, self.scratch, self.team, self.dtype = batch, scratch, team, scratch[0].dtype
        self.images = [half_of(batch, half_batch) for half_batch in range(min(batch, 2))]
        self.counts = [images.stop - images.start for images in self.images]

    def each(self, function: Half) -> None:
        """Call function(half_batch) for each half."""
        self.team.each(function, len(self.counts))

    def maps(self, size: int, channels: int) -> list[np.ndarray]:
        """Return a map of zeros, `size` pixels high and wide, for each half."""
        return [np.zeros((size + 2, size, count * channels), self.dtype) for count in self.counts]


def as_images(a: np.ndarray, count: int) -> np.ndarray:
    """View a map, without the zeros around it, as so many images (count, H, W, channels)."""
    return a[1:-1].reshape(len(a) - 2, a.shape[1], count, -1).transpose(2, 0, 1, 3)


def bands(size: int) -> Iterator[slice]:
    """Yield all rows of a map, a few at a time."""
    for start in range(1, size + 1, BAND):
        yield slice(start, min(start + BAND, size + 1))


def corners(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the four views of rows that hold one pixel of every 2 x 2 square, row by row."""
    for i, j in np.ndindex(2, 2):
        yield rows[i::2, j::2]


def max_pool(rows: np.ndarray, out: np.ndarray) -> None:
    """Write the largest of each 2 x 2 square.     rows (2 h, 2 w, ...)   out (h, w, ...)"""
    first, second, *others = corners(rows)
    np.maximum(first, second, out=out)
    for corner in others:
        np.maximum(out, corner, out=out)


def max_pool_gradient(rows: np.ndarray, pooled: np.ndarray, dy: np.ndarray, out: np.ndarray) -> None:
    """Give dy to the first pixel of each square that is as large as the largest.     rows, out (2 h, 2 w, ...)"""
    hit, open_ = np.empty(pooled.shape, bool), np.ones(pooled.shape, bool)
    *others, (_, d_last) = zip(corners(rows), corners(out), strict=True)
    for corner, d_corner in others:
        np.equal(corner, pooled, out=hit)
        hit &= open_
        open_ ^= hit
        np.multiply(dy, hit, out=d_corner)
    np.multiply(dy, open_, out=d_last)  # it is the largest where no other is
