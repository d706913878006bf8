"""How the convolutional engine keeps a batch of images in memory, and how it pools rows of them.

A map of some images is an array (H + 2, W, images * channels), with a row of zeros above and one below: image row h is
in row h + 1. A pixel of all images and channels is one long run of memory, and the whole is a matrix (H W images,
channels) without copying. "Rows" are a part of a map, (h, W, images * channels).
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from npticket.backend import Dtype
from npticket.engine.threads import Half, Team, half_of

Size = tuple[int, int]  # height and width of a map, in pixels
LINE = 64  # bytes in a cache line
BAND = 4  # rows that are made at a time, as many as a tile of Winograd's has; a map of 2 x 2 has only two


def aligned_zeros(shape: Sequence[int], dtype: Dtype) -> np.ndarray:
    """Return zeros that begin at a cache line; NumPy's own begin 16 or 32 bytes after one.

    With AVX-512 each load of a whole line from such an array would touch two lines: twice the time on some processors.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.zeros(size + LINE, np.uint8)
    begin = -memory.ctypes.data % LINE
    return memory[begin : begin + size].view(dtype).reshape(shape)


class Scratch:
    """Named pieces of memory that layers share, using them in turn: so few are needed that they stay in the cache."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype
        self._memory: dict[str, np.ndarray] = {}

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return the piece `name`, in that shape; its content is lost as soon as another layer uses it."""
        size = math.prod(shape)
        if name not in self._memory or len(self._memory[name]) < size:
            self._memory[name] = aligned_zeros((size,), self.dtype)
        return self._memory[name][:size].reshape(shape)


class Halves:
    """A batch in two halves, or one if it is a single image: each has a slice of the `images` and a count of them.

    There are always two scratch memories, which may be one and the same: work on halves of the weights needs two.
    """

    def __init__(self, batch: int, scratch: Sequence[Scratch], team: Team) -> None:
        self.batch, self.scratch, self.team, self.dtype = batch, scratch, team, scratch[0].dtype
        self.images = [half_of(batch, half_batch) for half_batch in range(min(batch, 2))]
        self.counts = [images.stop - images.start for images in self.images]

    def each(self, function: Half) -> None:
        """Call function(half_batch) for each half."""
        self.team.each(function, len(self.counts))

    def maps(self, size: Size, channels: int) -> list[np.ndarray]:
        """Return a map of zeros for each half."""
        return [aligned_zeros((size[0] + 2, size[1], count * channels), self.dtype) for count in self.counts]


def as_images(a: np.ndarray, count: int) -> np.ndarray:
    """View a map, without the zeros around it, as so many images (count, H, W, channels)."""
    return a[1:-1].reshape(len(a) - 2, a.shape[1], count, -1).transpose(2, 0, 1, 3)


def bands(height: int) -> Iterator[slice]:
    """Yield all rows of a map, a few at a time."""
    for start in range(1, height + 1, BAND):
        yield slice(start, min(start + BAND, height + 1))


def tile(values: np.ndarray, images: int) -> np.ndarray:
    """Return values per channel (C,) as values per image and channel (images C,)."""
    return np.broadcast_to(values, (images, len(values))).ravel()  # np.tile is slower


def corners(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the four views of rows that hold one pixel of every 2 x 2 square, row by row."""
    for i, j in np.ndindex(2, 2):
        yield rows[i::2, j::2]


def doubled(rows: slice) -> slice:
    """Return the rows of a map that rows of the pooled map come from."""
    return slice(2 * rows.start - 1, 2 * rows.stop - 1)


def halved(rows: slice) -> slice:
    """Return the rows of the pooled map that come from rows of a map, an even number from an odd one on."""
    return slice((rows.start + 1) // 2, (rows.stop + 1) // 2)


class Pooling:
    """2 x 2 max-pooling, some rows at a time; it remembers which pixel of each square was the (first) largest.

    The pooled map has the `size` (height, width) and so many `channels`.
    """

    def __init__(self, size: Size, channels: int, halves: Halves) -> None:
        shapes = [(4, size[0] + 1, size[1], count * channels) for count in halves.counts]
        self._largest = [np.zeros(shape, bool) for shape in shapes]

    def pool(self, half_batch: int, rows: slice, x: np.ndarray, out: np.ndarray, training: bool) -> None:
        """Write pooled rows of x, (2 h, 2 W, slot), to out, (h, W, slot)."""
        np.maximum.reduce(x.reshape(len(out), 2, out.shape[1], 2, -1), axis=(1, 3), out=out)
        if training:
            *largest, left = self._largest[half_batch][:, rows]
            left[...] = True
            for here, corner in zip(largest, corners(x), strict=False):
                np.equal(corner, out, out=here)
                here &= left
                left ^= here  # what is left at the end are the squares whose last pixel is the largest

    def gradient(self, half_batch: int, rows: slice, dy: np.ndarray, out: np.ndarray) -> None:
        """Write dx, (2 h, 2 W, slot), of the pooled rows whose gradient is dy (h, W, slot)."""
        for here, corner in zip(self._largest[half_batch][:, rows], corners(out), strict=True):
            np.multiply(dy, here, out=corner)
