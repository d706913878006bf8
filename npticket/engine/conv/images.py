"""How the convolutional engine keeps images in memory, and what it does to rows of them.

A map of some images is an array (H + 2, P, W / P, images * channels): image row h is in row h + 1, between two rows of
zeros; column w = P t + p is at [p, t], P being 4 (2 where W is 2); images and channels come last. What Winograd's
transforms add up, the same column of all tiles of a row of tiles, is then one long run of memory, and H W images x
channels is one matrix without copying. "Rows" are (h, P, W / P, images * channels), a part of a map.
"""

from collections.abc import Iterator

import numpy as np


def phases(width: int) -> int:
    """P, how many columns stand apart."""
    return min(4, width)


def blank(size: int, images: int, channels: int, dtype: np.dtype) -> np.ndarray:
    """A map of zeros, `size` pixels high and wide."""
    return np.zeros((size + 2, phases(size), size // phases(size), images * channels), dtype)


def inside(a: np.ndarray) -> np.ndarray:
    """All rows of a map but the zeros around it."""
    return a[1:-1]


def as_images(rows: np.ndarray, images: int) -> np.ndarray:
    """Rows seen as (images, h, W / P, P, channels)."""
    h, p, across, _ = rows.shape
    return rows.reshape(h, p, across, images, -1).transpose(3, 0, 2, 1, 4)


def joined(rows: np.ndarray) -> np.ndarray:
    """Rows seen as (h, P, W / P images channels)."""
    return rows.reshape(*rows.shape[:2], -1)


def corners(rows: np.ndarray) -> Iterator[np.ndarray]:
    """The four views that hold one pixel of every 2 x 2 square, row by row, in the shape of the pooled `squares`."""
    h, p, across, run = rows.shape
    # Column 4 t + 2 b + o with t = 2 t' + a is pixel o of the square 4 t' + 2 a + b.
    if across > 1:
        split = rows.reshape(h // 2, 2, 2, 2, across // 2, 2, run).transpose(1, 3, 0, 5, 2, 4, 6)
    else:
        split = rows.reshape(h // 2, 2, p // 2, 2, 1, run).transpose(1, 3, 0, 2, 4, 5)
    for row in split:
        yield from row


def squares(rows: np.ndarray) -> np.ndarray:
    """Rows of a pooled map in the shape of `corners`."""
    h, p, across, run = rows.shape
    return rows.reshape(h, 2, 2, across, run) if p == 4 else rows


def max_pool(rows: np.ndarray, out: np.ndarray) -> None:
    """Write the largest of each 2 x 2 square.     rows (2 h, ...)   out (h, ...)"""
    first, second, *others = corners(rows)
    out = squares(out)
    np.maximum(first, second, out=out)
    for corner in others:
        np.maximum(out, corner, out=out)


def max_pool_gradient(rows: np.ndarray, pooled: np.ndarray, dy: np.ndarray, out: np.ndarray) -> None:
    """Give dy to the first pixel of each square that is as large as the largest.     rows, out (2 h, ...)"""
    pooled, dy = squares(pooled), squares(dy)
    hit, open_ = np.empty(pooled.shape, bool), np.ones(pooled.shape, bool)
    for corner, d_corner in zip(corners(rows), corners(out), strict=True):
        np.equal(corner, pooled, out=hit)
        hit &= open_
        open_ ^= hit
        np.multiply(dy, hit, out=d_corner)
