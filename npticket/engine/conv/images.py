"""How the convolutional engine keeps images in memory, and what it does to rows of them.

A map of some images is an array (H + 2, W, images * channels), with a row of zeros above and one below: image row h is
in row h + 1. A pixel of all images and channels is one long run of memory, and the whole is a matrix (H W images,
channels) without copying. "Rows" are a part of a map, (h, W, images * channels).
"""

from collections.abc import Iterator

import numpy as np


def blank(size: int, images: int, channels: int, dtype: np.dtype) -> np.ndarray:
    """A map of zeros, `size` pixels high and wide."""
    return np.zeros((size + 2, size, images * channels), dtype)


def inside(a: np.ndarray) -> np.ndarray:
    """All rows of a map but the zeros around it."""
    return a[1:-1]


def as_images(rows: np.ndarray, images: int) -> np.ndarray:
    """Rows seen as (images, h, W, channels)."""
    return rows.reshape(*rows.shape[:2], images, -1).transpose(2, 0, 1, 3)


def corners(rows: np.ndarray) -> Iterator[np.ndarray]:
    """The four views of rows that hold one pixel of every 2 x 2 square, row by row."""
    for i in range(2):
        for j in range(2):
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
    for corner, d_corner in zip(corners(rows), corners(out), strict=True):
        np.equal(corner, pooled, out=hit)
        hit &= open_
        open_ ^= hit
        np.multiply(dy, hit, out=d_corner)
