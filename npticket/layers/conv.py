"""Convolution by im2col: windows become rows of a matrix, a few images at a time, and one matrix product does the rest.

The columns of a whole batch would be K^2 times its size, so they are made for a few images, used while they are in the
cache, and made again in the backward pass. dx needs no second algorithm: it is the convolution of dy, with zeros put
between its pixels where the stride was larger than 1, with W turned by half a turn and its channels exchanged.
"""

import math
from collections.abc import Iterator
from operator import index

import numpy as np

from npticket.backend import Array, array_module
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep

# Columns are made for as many images as fit into this many bytes (at least one image), or into four times the size of W
# where that is more: adding up dW costs as much as W is large, once per group of images.
COLUMN_BYTES = 2 << 20


class Conv2D:
    """y[h, w] = sum over i, j of x[h s + i - p, w s + j - p] W[i, j] + b, with zeros outside of x.

    W (T, K, K, C, O)   b (T, 1, 1, 1, O)   x (T, B, H, W, C)   y (T, B, H', W', O),   H' = (H + 2 p - K) // s + 1

    s is `stride` and p `padding`. Weights start as Gaussian Glorot, N(0, 2 / (K^2 (C + O))), biases at 0. ValueError
    for sizes below 1, a padding of K or more, and a map that is smaller than the kernel.
    """

    def __init__(
        self, channels: int, filters: int, kernel: int = 3, stride: int = 1, padding: int = 0, bias: bool = True
    ) -> None:
        channels, filters, kernel, stride, padding = map(index, (channels, filters, kernel, stride, padding))
        if min(channels, filters, kernel, stride) < 1 or not 0 <= padding < kernel:
            raise ValueError(
                "a convolution needs sizes of at least 1 and a padding below the kernel size, got "
                f"{channels} channels, {filters} filters, kernel {kernel}, stride {stride}, padding {padding}"
            )
        self.stride, self.padding = stride, padding
        self.layout = {"W": (kernel, kernel, channels, filters)}
        if bias:
            self.layout["b"] = (1, 1, 1, filters)

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        kernel, _, channels, filters = shape = self.layout["W"]
        zeros = {name: np.zeros(shape) for name, shape in self.layout.items()}
        return zeros | {"W": rng.standard_normal(shape) * np.sqrt(2 / (kernel**2 * (channels + filters)))}

    def framed(self, height: int, width: int) -> tuple[int, int]:
        """Return the size of a map with its padding; ValueError if that is smaller than the kernel."""
        kernel, pad = self.layout["W"][0], self.padding
        if min(height, width) + 2 * pad < kernel:
            raise ValueError(f"a {height} x {width} map with padding {pad} is smaller than a kernel of size {kernel}")
        return height + 2 * pad, width + 2 * pad

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        kernel, pad, (height, width) = p["W"].shape[1], self.padding, x.shape[2:4]
        y = convolve(x, p["W"], self.stride, pad, self.framed(height, width))
        if "b" in p:
            y += p["b"]

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array | None:
            if "b" in p:
                dy.sum(axis=(1, 2, 3), keepdims=True, out=grad["b"])
            weight_gradient(x, dy, self.stride, pad, out=grad["W"])
            if not need_dx:
                return None
            turned = p["W"][:, ::-1, ::-1].swapaxes(-1, -2)
            return convolve(dy, turned, 1, kernel - 1 - pad, (height + kernel - 1, width + kernel - 1), self.stride)

        return y, backward


def convolve(x: Array, w: Array, stride: int, pad: int, padded: tuple[int, int], spread: int = 1) -> Array:
    """Return x * w (T, B, H', W', O), for x (T, B, H, W, C) in a frame of zeros and w (T, K, K, C, O).

    In the frame, of `padded` (height, width), x lies at `pad` from the top and left, its pixels `spread` apart.
    """
    xp = array_module(x, w)
    trials, kernel, *_, filters = w.shape
    out = [(size - kernel) // stride + 1 for size in padded]
    matrix = w.reshape(trials, -1, filters)
    y = xp.empty((max(trials, len(x)), x.shape[1], *out, filters), w.dtype)
    flat = y.reshape(len(y), -1, filters)
    for rows, columns in im2col(x, kernel, stride, pad, padded, spread, matrix[0].nbytes):
        xp.matmul(columns, matrix, out=flat[:, rows])
    return y


def weight_gradient(x: Array, dy: Array, stride: int, pad: int, out: Array) -> None:
    """Write the sum over all windows of x^T dy into `out` (T, K, K, C, O)."""
    xp = array_module(x, dy, out)
    trials, kernel, *_, filters = out.shape
    total, flat = out.reshape(trials, -1, filters), dy.reshape(trials, -1, filters)
    part = xp.empty_like(total)
    padded = (x.shape[2] + 2 * pad, x.shape[3] + 2 * pad)
    for i, (rows, columns) in enumerate(im2col(x, kernel, stride, pad, padded, 1, total[0].nbytes)):
        xp.matmul(columns.swapaxes(-1, -2), flat[:, rows], out=part if i else total)
        if i:
            total += part


def im2col(
    x: Array, kernel: int, stride: int, pad: int, padded: tuple[int, int], spread: int, w_bytes: int
) -> Iterator[tuple[slice, Array]]:
    """Yield (rows, columns (T, n H' W', K K C)) for n images at a time; `columns` is the same memory every time.

    `rows` says which rows of the whole batch's matrix (T, B H' W', ...) these are. The frame is as in `convolve`, and
    `w_bytes` is the size of one trial's W.
    """
    xp = array_module(x)
    trials, batch, height, width, channels = x.shape
    out = [(size - kernel) // stride + 1 for size in padded]
    area, window = math.prod(out), kernel * kernel * channels
    n = min(batch, max(1, max(COLUMN_BYTES, 4 * trials * w_bytes) // (trials * area * window * x.dtype.itemsize)))
    frame = xp.zeros((trials, n, *padded, channels), x.dtype)
    inside = frame[:, :, pad : pad + (height - 1) * spread + 1 : spread, pad : pad + (width - 1) * spread + 1 : spread]
    # A view that takes no memory. CuPy's sliding_window_view waits for the GPU.
    trial, image, row, column, channel = frame.strides
    windows = xp.lib.stride_tricks.as_strided(
        frame, (trials, n, *out, kernel, kernel, channels),
        (trial, image, stride * row, stride * column, row, column, channel),
    )  # fmt: skip
    columns = xp.empty(windows.shape, x.dtype)
    for first in range(0, batch, n):
        count = min(n, batch - first)
        inside[:, :count] = x[:, first : first + count]
        columns[:, :count] = windows[:, :count]
        yield slice(first * area, (first + count) * area), columns[:, :count].reshape(trials, count * area, window)
