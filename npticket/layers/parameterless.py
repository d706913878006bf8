"""Layers without parameters: activation, shapes, dropout and pooling."""

import math
from collections.abc import Iterator, Mapping
from operator import index
from typing import ClassVar

import numpy as np

from npticket.backend import Array, array_module, to_device
from npticket.params import Shapes, Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep


class Parameterless:
    """A layer with an empty layout and nothing to initialise."""

    layout: ClassVar[Shapes] = {}

    def init(self, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
        return {}


class ReLU(Parameterless):
    """y = max(x, 0).     x, y of any shape.     The gradient at 0 is 0."""

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        xp = array_module(x)
        y = xp.maximum(x, xp.zeros(x.shape[2:], x.dtype))  # NumPy has a fast loop for two arrays, none for a scalar
        return y, lambda dy, grad, need_dx=True: dy * (y > 0)  # ten times faster than `where`


class Flatten(Parameterless):
    """Join all axes of an example, the last one running fastest.     x (T, B, ...)   y (T, B, I)"""

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        y = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
        return y, lambda dy, grad, need_dx=True: dy.reshape(x.shape)


class OneChannel(Parameterless):
    """Give grey images an axis of channels.     x (T, B, H, W)   y (T, B, H, W, 1)"""

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        return x[..., None], lambda dy, grad, need_dx=True: dy[..., 0]


class Dropout(Parameterless):
    """In training y = x keep / (1 - rate), keep being 0 with probability `rate` and else 1; in prediction y = x.

    x, y of any shape (T, B, ...). This is inverted dropout (Srivastava et al. 2014): kept values are scaled up in
    training, so that prediction needs no scaling. Each trial draws from its own stream of the step.
    """

    def __init__(self, rate: float = 0.5) -> None:
        if not 0 <= rate < 1:
            raise ValueError(f"a dropout rate is a probability in [0, 1), got {rate}")
        self.rate = rate

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        if step is None:
            return x, lambda dy, grad, need_dx=True: dy
        drawn = np.stack([rng.random(x.shape[1:], np.float32) >= self.rate for rng in step.rngs])
        keep = to_device(drawn.astype(x.dtype) / x.dtype.type(1 - self.rate), array_module(x))
        return x * keep, lambda dy, grad, need_dx=True: dy * keep


class MaxPool(Parameterless):
    """y[h, w] = the largest of x[h s - p, w s - p] and the `size` x `size` pixels from there.

    x (T, B, H, W, C)   y (T, B, H', W', C),   H' = (H + 2 p - size) // s + 1, with s the stride and p the padding

    Without a stride it is the size: squares touch and do not overlap. Rows and columns left over at the edge are
    ignored. The padding is never the largest. The gradient goes to the first of several that are equally large, row by
    row. ValueError for a map that is smaller than a square.
    """

    def __init__(self, size: int = 2, stride: int | None = None, padding: int = 0) -> None:
        size, stride, padding = index(size), index(size if stride is None else stride), index(padding)
        if min(size, stride) < 1 or not 0 <= padding <= size // 2:  # else there are squares of the frame alone
            raise ValueError("a pool needs sizes of at least 1 and a padding of at most half of its size, got size "
                             f"{size}, stride {stride}, padding {padding}")  # fmt: skip
        self.size, self.stride, self.padding = size, stride, padding

    @property
    def tiles(self) -> bool:
        """Whether the squares are tiles: they touch, do not overlap, and have no frame around them."""
        return self.stride == self.size and not self.padding

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        xp, pad, (height, width), framed = array_module(x), self.padding, x.shape[2:4], x
        check_fits(height + 2 * pad, width + 2 * pad, self.size)
        inside = (slice(None), slice(None), slice(pad, pad + height), slice(pad, pad + width))
        if pad:
            framed = xp.full((*x.shape[:2], height + 2 * pad, width + 2 * pad, x.shape[4]), -np.inf, x.dtype)
            framed[inside] = x
        first, *others = _corners(framed, self.size, self.stride)
        y = first.copy()
        for corner in others:
            xp.maximum(y, corner, out=y)

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array:
            dx = xp.zeros_like(framed)
            open_ = xp.ones(y.shape, bool)  # squares whose largest pixel has not come yet
            views = (_corners(whole, self.size, self.stride) for whole in (framed, dx))
            for corner, d_corner in zip(*views, strict=True):
                hit = corner == y
                hit &= open_
                open_ ^= hit
                if self.tiles:  # each pixel is written once, which is faster than to add
                    xp.multiply(dy, hit, out=d_corner)
                else:
                    d_corner += dy * hit
            return dx[inside]

        return y, backward


class AveragePool(Parameterless):
    """y = the mean of each `size` x `size` square.     x (T, B, H, W, C)   y (T, B, H // size, W // size, C)

    Squares touch and do not overlap; rows and columns left over at the edge are ignored. ValueError for a map that is
    smaller than a square.
    """

    def __init__(self, size: int = 2) -> None:
        size = index(size)
        if size < 1:
            raise ValueError(f"pooling needs squares of at least 1 pixel, got {size}")
        self.size, self.stride, self.padding = size, size, 0  # as of MaxPool, for those that go by these

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        height, width = x.shape[2:4]
        check_fits(height, width, self.size)
        y = sum(_corners(x, self.size, self.size)) / self.size**2

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array:
            dx = array_module(x).zeros_like(x)
            for d_corner in _corners(dx, self.size, self.size):
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


def check_fits(height: int, width: int, size: int) -> None:
    if min(height, width) < size:
        raise ValueError(f"a {height} x {width} map is smaller than a pool of size {size}")


def _corners(x: Array, size: int, stride: int) -> Iterator[Array]:
    """The size^2 views of x that hold one pixel of every square, row by row."""
    height, width = (max(0, n - size + 1) for n in x.shape[2:4])
    for i in range(size):
        for j in range(size):
            yield x[:, :, i : i + height : stride, j : j + width : stride]
