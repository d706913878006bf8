"""Pooling over squares that touch and do not overlap; rows and columns left over at the edge are not looked at."""

from collections.abc import Iterator

from npticket.backend import Array, array_module
from npticket.layers.parameterless import Parameterless
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep


class _OverSquares(Parameterless):
    def __init__(self, size: int = 2) -> None:
        if size < 1:
            raise ValueError(f"pooling needs squares of at least 1 pixel, got {size}")
        self.size = size


class MaxPool(_OverSquares):
    """y = the largest of each `size` x `size` square.     x (T, B, H, W, C)   y (T, B, H // size, W // size, C)

    Where several pixels of a square are equally large, the gradient goes to the first of them, row by row.
    """

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        xp = array_module(x)
        first, *others = _corners(x, self.size)
        y = first.copy()
        for corner in others:
            xp.maximum(y, corner, out=y)

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array:
            dx = xp.zeros_like(x)
            open_ = xp.ones(y.shape, bool)  # squares whose largest pixel has not come yet
            for corner, d_corner in zip(_corners(x, self.size), _corners(dx, self.size), strict=True):
                hit = corner == y
                hit &= open_
                open_ ^= hit
                xp.multiply(dy, hit, out=d_corner)
            return dx

        return y, backward


class AveragePool(_OverSquares):
    """y = the mean of each `size` x `size` square.     x (T, B, H, W, C)   y (T, B, H // size, W // size, C)"""

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        y = sum(_corners(x, self.size)) / self.size**2

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array:
            dx = array_module(x).zeros_like(x)
            for d_corner in _corners(dx, self.size):
                d_corner[...] = dy / self.size**2
            return dx

        return y, backward


class GlobalAveragePool(Parameterless):
    """y = the mean of each channel over the whole map.     x (T, B, H, W, C)   y (T, B, C)"""

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        area = x.shape[2] * x.shape[3]

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array:
            dx = array_module(x).empty_like(x)
            dx[...] = (dy / area)[:, :, None, None]
            return dx

        return x.mean(axis=(2, 3)), backward


def _corners(x: Array, size: int) -> Iterator[Array]:
    """The size^2 views of x that hold one pixel of every square, row by row."""
    height, width = (n // size * size for n in x.shape[2:4])
    for i in range(size):
        for j in range(size):
            yield x[:, :, i:height:size, j:width:size]
