"""Convolution of 3 x 3 taps by Winograd's F(4 x 4, 3 x 3), all trials in one stacked product.

The formulas are those of engine.conv.winograd. A tile of 6 x 6 pixels becomes 36 numbers, its values in the domain:

    V (T, 36, N, C) of x    U (T, 36, C, O) of w    M = V U (T, 36, N, O), of which y is made    N tiles of all images

One kernel goes into the domain and one out of it. The gradient of x is the convolution of dy with the taps reversed;
that of w is made with the transposes of the same matrices:

    M' = A dy A^T (T, 36, N, O)     dU = V^T M'     dw = G^T dU G

Stacked products copy transposed factors; therefore V is written as V^T there. V is 2.25 times as large as x, windows
would be 9 times as large; a product is a quarter of theirs; and for all trials there are as many launches as for one.
What is exactly 0 by the definition is so here, too, where a ReLU follows at once. Where a pool or a sum is between the
two, it may be a rounding away from 0, and the ReLU may let its gradient through.
"""

from collections.abc import Iterator

from npticket import layers
from npticket.backend import Array, array_module
from npticket.engine.conv.winograd import TILE
from npticket.engine.gpu import winograd_kernels as kernels
from npticket.engine.gpu.kernels import Source, kernel, relu_gradient, sum_rows
from npticket.engine.gpu.winograd_kernels import PLANES
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep

# V and M of one trial's images, and of all trials: where they would be larger, some at a time go there. So what is
# summed up for a trial is the same among few and among many others.
TRIAL_BYTES, DOMAIN_BYTES = 64 << 20, 1 << 30


class Winograd:
    """layers.Conv2D of 3 x 3 taps and stride 1, with `relu` followed by a ReLU.     x (T or 1, B, H, W, C)"""

    def __init__(self, conv: layers.Conv2D, relu: bool) -> None:
        self.layout, self.init, self._conv, self._relu = conv.layout, conv.init, conv, relu

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        weights, pad, relu, xp = p["W"], self._conv.padding, self._relu, array_module(x)
        if len(x) < len(weights):  # one for all trials
            x = xp.ascontiguousarray(xp.broadcast_to(x, (len(weights), *x.shape[1:])))
        height, width = self._conv.framed(*x.shape[2:4])
        y = convolve(x, weights, pad, (height - 2, width - 2), p.get("b"), relu, exact=relu and step is not None)

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array | None:
            dz = relu_gradient(y, dy) if relu else xp.ascontiguousarray(dy)
            if "b" in p:
                sum_rows(dz.reshape(len(dz), -1, dz.shape[-1]), grad["b"][:, 0, 0, 0])
            weight_gradient(x, dz, pad, grad["W"])
            return convolve(dz, weights, 2 - pad, x.shape[2:4], turned=True) if need_dx else None

        return y, backward


def convolve(
    x: Array,
    w: Array,
    pad: int,
    out: tuple[int, int],
    b: Array = None,
    relu: bool = False,
    exact: bool = False,
    turned: bool = False,
) -> Array:
    """Slide w (T, 3, 3, C, O) over x (T, B, H, W, C): y (T, B, *out, O), plus `b`, or the ReLU of that.

    With `exact`, what is exactly 0 by the definition is so here; with `turned`, x has the O channels and y the C.
    """
    xp, (trials, images, *shape, depth), dtype = array_module(x, w), x.shape, x.dtype
    filters = w.shape[-2] if turned else w.shape[-1]
    taps = xp.empty((trials, PLANES, depth, filters), dtype)
    kernel(xp, kernels.TAPS)(w, depth, filters, turned, taps, size=trials * depth * filters)
    y = xp.empty((trials, images, *out, filters), dtype)
    bias = y if b is None else b  # a kernel wants some array
    for some, first, tiles in parts(x, out, max(depth, filters)):
        values = to_domain(kernels.INPUTS, x[some], pad, out, first, tiles)
        products = xp.matmul(values, taps[some])
        around = images, first, tiles, filters, *out
        flags = relu, b is not None, exact
        arrays = products, bias[some], x[some], w[some]
        size = len(products) * tiles * filters
        kernel(xp, kernels.OUTPUTS)(*arrays, depth, *shape, pad, *flags, *around, y[some], size=size)
        del values, products, arrays  # before there is memory for others
    return y


def weight_gradient(x: Array, dy: Array, pad: int, out: Array) -> None:
    """Write dL/dw into `out` (T, 3, 3, C, O).     x (T, B, H, W, C)   dy (T, B, H', W', O)"""
    xp, (trials, *_, channels, filters), size = array_module(x, dy, out), out.shape, dy.shape[2:4]
    total = xp.empty((trials, PLANES, channels, filters), x.dtype)
    for some, first, tiles in parts(x, size, max(channels, filters)):
        values = to_domain(kernels.INPUTS_TRANSPOSED, x[some], pad, size, first, tiles)
        gradients = to_domain(kernels.OUTPUT_GRADIENTS, dy[some], 0, size, first, tiles)
        sums = total[some]
        if first:
            sums += xp.matmul(values, gradients)
        else:
            xp.matmul(values, gradients, out=sums)
        del values, gradients
    matrix = channels * filters
    kernel(xp, kernels.TAP_GRADIENTS)(total, matrix, out, size=trials * matrix)


def to_domain(source: Source, x: Array, margin: int, out: tuple[int, int], first: int, tiles: int) -> Array:
    """V (T, 36, tiles, C) or, transposed, (T, 36, C, tiles) of the images from `first` on."""
    xp, (trials, images, *shape, channels) = array_module(x), x.shape
    if source is kernels.INPUTS_TRANSPOSED:
        matrix, threads = (channels, tiles), 32 * -(-tiles // 8) * -(-channels // 4)
    else:
        matrix, threads = (tiles, channels), tiles * channels
    domain = xp.empty((trials, PLANES, *matrix), x.dtype)
    kernel(xp, source)(x, *shape, margin, images, first, tiles, channels, *out, domain, size=trials * threads)
    return domain


def parts(x: Array, out: tuple[int, int], channels: int) -> Iterator[tuple[slice, int, int]]:
    """Yield some trials, and the first image and the number of tiles of some of their images.

    Of a trial's images as many as fit into TRIAL_BYTES, at least one; of trials, as many such parts as fit into
    DOMAIN_BYTES.
    """
    (trials, images), each = x.shape[:2], -(-out[0] // TILE) * -(-out[1] // TILE)
    image = PLANES * each * channels * x.dtype.itemsize
    few = min(images, max(1, TRIAL_BYTES // image))
    many = max(1, DOMAIN_BYTES // (few * image))
    for trial in range(0, trials, many):
        for first in range(0, images, few):
            yield slice(trial, trial + many), first, min(few, images - first) * each
