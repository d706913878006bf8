"""Convolution by im2col, as in layers.Conv2D, with the bias and the ReLU behind it.

One kernel gathers the windows, of as many trials or images at a time as fit into COLUMN_BYTES, and a stacked product
multiplies them. For the gradient of W it is one product per trial: a stack would first copy its transposed factors.
"""

from collections.abc import Iterator
from functools import cache

from npticket import layers
from npticket.backend import Array, array_module
from npticket.engine.gpu.kernels import RELU, Source, add_bias, kernel, relu_gradient, sum_rows
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep

COLUMN_BYTES = 256 << 20

# One i gathers the pixels that one channel of one output pixel sees: columns (n H' W', K, K, C) from x (n, H, W, C),
# which lies at `pad` from the top and left of a frame of zeros, its pixels `spread` apart.
IM2COL = """
    const int size = {size}, stride = {stride}, pad = {pad}, spread = {spread};
    const int index = i, c = index % channels, pixel = index / channels;
    const int top = pixel / out_width % out_height * stride - pad, left = pixel % out_width * stride - pad;
    const int image = pixel / out_width / out_height;
    const ptrdiff_t start = ptrdiff_t(pixel) * size * size * channels + c;
    #pragma unroll
    for (int k = 0; k < size * size; ++k) {{
        const int row = top + k / size, column = left + k % size;
        const int h = row / spread, w = column / spread;
        const bool inside = row >= 0 && row % spread == 0 && h < height
            && column >= 0 && column % spread == 0 && w < width;
        columns[start + ptrdiff_t(k) * channels] = inside ? x[((image * height + h) * width + w) * channels + c] : T(0);
    }}
"""


@cache
def im2col_source(size: int, stride: int, pad: int, spread: int) -> Source:
    """The kernel for windows of these sizes: as the compiler knows them, it unrolls the loops and divides quickly."""
    inputs = "raw T x, int32 height, int32 width, int32 channels, int32 out_height, int32 out_width"
    body = IM2COL.format(size=size, stride=stride, pad=pad, spread=spread)
    return inputs, "raw T columns", body, f"im2col_{size}_{stride}_{pad}_{spread}"


class Conv2D:
    """layers.Conv2D, with `relu` followed by a ReLU.     W (T, K, K, C, O)   x (T, B, H, W, C)"""

    def __init__(self, conv: layers.Conv2D, relu: bool) -> None:
        self.layout, self.init, self._conv, self._relu = conv.layout, conv.init, conv, relu

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        stride, pad, relu, weights = self._conv.stride, self._conv.padding, self._relu, p["W"]
        xp, kernel_size = array_module(x, weights), weights.shape[1]
        (height, width), filters = x.shape[2:4], weights.shape[-1]
        y = convolve(x, weights, stride, pad, self._conv.framed(height, width))
        if "b" in p:
            add_bias(p["b"], y, relu)
        elif relu:
            kernel(xp, RELU)(y, y)

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array | None:
            dz = relu_gradient(y, dy) if relu else xp.ascontiguousarray(dy)
            if "b" in p:
                sum_rows(dz.reshape(len(dz), -1, filters), grad["b"][:, 0, 0, 0])
            weight_gradient(x, dz, stride, pad, grad["W"])
            if not need_dx:
                return None
            turned = xp.ascontiguousarray(weights[:, ::-1, ::-1].swapaxes(-1, -2))
            frame = height + kernel_size - 1, width + kernel_size - 1
            return convolve(dz, turned, 1, kernel_size - 1 - pad, frame, stride)

        return y, backward


def convolve(x: Array, w: Array, stride: int, pad: int, padded: tuple[int, int], spread: int = 1) -> Array:
    """Slide w (T, K, K, C, O) over x (T or 1, B, H, W, C); the rest as in layers.conv."""
    xp, size, filters = array_module(x, w), w.shape[1], w.shape[-1]
    out_height, out_width = ((frame - size) // stride + 1 for frame in padded)
    y = xp.empty((len(w), x.shape[1], out_height, out_width, filters), x.dtype)
    matrices, rows_of_y = w.reshape(len(w), -1, filters), y.reshape(len(w), -1, filters)
    for trials, rows, columns in im2col(x, size, stride, pad, (out_height, out_width), spread):
        if len(x) == len(w):
            xp.matmul(columns, matrices[trials], out=rows_of_y[trials, rows])
        else:  # one x for all
            for matrix, one in zip(matrices, rows_of_y, strict=True):
                xp.matmul(columns[0], matrix, out=one[rows])
    return y


def weight_gradient(x: Array, dy: Array, stride: int, pad: int, out: Array) -> None:
    """Write the sum over all windows of x^T dy into `out` (T, K, K, C, O)."""
    xp, size, filters = array_module(x, dy, out), out.shape[1], out.shape[-1]
    rows_of_dy, totals = (array.reshape(len(array), -1, filters) for array in (dy, out))
    for trials, rows, columns in im2col(x, size, stride, pad, dy.shape[2:4]):
        for windows, each, total in zip(columns, rows_of_dy[trials], totals[trials], strict=True):
            if rows.start:
                total += xp.matmul(windows.T, each[rows])
            else:
                xp.matmul(windows.T, each[rows], out=total)


def im2col(
    x: Array, size: int, stride: int, pad: int, out: tuple[int, int], spread: int = 1
) -> Iterator[tuple[slice, slice, Array]]:
    """Yield (trials, rows, columns (t, n H' W', K K C)) of x (T, B, H, W, C), rows being their place among a trial's.

    Of as many trials as fit, or of some images of a single one; `columns` is the same memory every time.
    """
    xp, (trials, batch, *shape), area = array_module(x), x.shape, out[0] * out[1]
    window = size * size * shape[-1]
    images = max(1, COLUMN_BYTES // (area * window * x.dtype.itemsize))  # that fit
    many, few = min(max(1, images // batch), trials), min(images, batch)
    memory = xp.empty((many, few * area, window), x.dtype)
    for trial in range(0, trials, many):
        for first in range(0, batch, few):
            part = x[trial : trial + many, first : first + few]
            columns = memory[: len(part), : part.shape[1] * area]  # a part of the images is of one trial
            work = columns.size // size**2
            kernel(xp, im2col_source(size, stride, pad, spread))(part, *shape, *out, columns, size=work)
            yield slice(trial, trial + many), slice(first * area, min(first + few, batch) * area), columns
