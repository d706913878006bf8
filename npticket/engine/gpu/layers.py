"""Replaces a network's layers by ones with fused kernels, each joined with the ReLU that follows it; the small ones."""

from collections.abc import Callable
from functools import cache

from npticket import layers
from npticket.backend import Array, array_module
from npticket.engine.gpu.conv import Conv2D
from npticket.engine.gpu.kernels import RELU, Source, add_bias, kernel, relu_gradient, sum_rows
from npticket.engine.gpu.norm import BatchNorm
from npticket.engine.gpu.winograd import Winograd
from npticket.layers.parameterless import check_fits
from npticket.params import Tree
from npticket.protocols import Backward, Layer
from npticket.streams import TrainingStep

WINOGRAD_CHANNELS = 8  # windows of fewer, an image's colours, are small


def fused_layers(layer: Layer, relu: bool = False) -> Layer:
    """Return the same network, of the same parameters, with fused kernels, and with `relu` followed by a ReLU.

    Layers of unknown types, and of types derived from known ones, stay as they are.
    """
    if type(layer) is layers.Chain:
        return _fused_chain(layer)
    if type(layer) is layers.Residual:
        return layers.Residual(fused_layers(layer.body), layer.shortcut and fused_layers(layer.shortcut))
    if type(layer) in WITH_RELU:
        return WITH_RELU[type(layer)](layer, relu)
    if type(layer) is layers.MaxPool and layer.tiles:
        return MaxPool(layer.size)
    return ReLU() if type(layer) is layers.ReLU else layer


def _fused_chain(chain: layers.Chain) -> layers.Chain:
    rest, found = list(chain.layers.items()), dict[str, Layer]()
    while rest:
        name, layer = rest.pop(0)
        relu = type(layer) in WITH_RELU and bool(rest) and type(rest[0][1]) is layers.ReLU
        rest, found[name] = rest[relu:], fused_layers(layer, relu)
    return layers.Chain(**found)


class ReLU(layers.ReLU):
    """The layer in one kernel each way."""

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        y = kernel(array_module(x), RELU)(x)
        return y, lambda dy, grad, need_dx=True: relu_gradient(y, dy)


class Dense:
    """y = x W + b or, with `relu`, max(x W + b, 0).     W (T, I, O)   b (T, 1, O)   x (T, B, I)   y (T, B, O)"""

    def __init__(self, dense: layers.Dense, relu: bool) -> None:
        self.layout, self.init, self._relu = dense.layout, dense.init, relu

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        y = stacked_product(x, p["W"])
        add_bias(p["b"], y, self._relu)

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array | None:
            dz = relu_gradient(y, dy) if self._relu else array_module(dy).ascontiguousarray(dy)
            stacked_product(x.swapaxes(1, 2), dz, out=grad["W"])
            sum_rows(dz, grad["b"][:, 0])
            # dz W^T, written as (W dz^T)^T: of W and dz, dz is smaller to be copied in another order.
            return stacked_product(p["W"], dz.swapaxes(1, 2)).swapaxes(1, 2) if need_dx else None

        return y, backward


def convolution(conv: layers.Conv2D, relu: bool) -> Conv2D | Winograd:
    """By Winograd's domain or, if there are other taps or few channels, or a ReLU without a bias, by windows."""
    *taps, channels, filters = conv.layout["W"]
    suits = taps == [3, 3] and conv.stride == 1 and min(channels, filters) >= WINOGRAD_CHANNELS
    return Winograd(conv, relu) if suits and ("b" in conv.layout or not relu) else Conv2D(conv, relu)


WITH_RELU: dict[type, Callable] = {layers.Dense: Dense, layers.Conv2D: convolution, layers.BatchNorm: BatchNorm}


def stacked_product(a: Array, b: Array, out: Array = None) -> Array:
    """a @ b, trial by trial.     a (T or 1, N, K)   b (T or 1, K, M)   out (T, N, M)

    A single product takes transposed factors as they are. A stack needs contiguous ones, and this copies the others.
    """
    xp = array_module(a, b)
    if len(a) == len(b) == 1:
        return xp.matmul(a[0], b[0], out=None if out is None else out[0])[None]
    return xp.matmul(xp.ascontiguousarray(a), xp.ascontiguousarray(b), out=out)


# One i is one square: x (N, H, W, C), y and dy (N, H', W', C). NaN is larger than anything, as for numpy.maximum.
SHAPES = "int32 height, int32 width, int32 channels, int32 out_height, int32 out_width"
SQUARE = """
    const int size = {size};
    const unsigned int index = i, c = index % channels, pixel = index / channels;
    const unsigned int w = pixel % out_width, h = pixel / out_width % out_height;
    const unsigned int image = pixel / out_width / out_height;
    const ptrdiff_t corner = ((ptrdiff_t(image) * height + h * size) * width + w * size) * channels + c;
    ptrdiff_t best = corner;
    T top = x[corner];
    for (int k = 1; k < size * size; ++k) {{
        const ptrdiff_t at = corner + (ptrdiff_t(k / size) * width + k % size) * channels;
        const T value = x[at];
        if (value > top || (value != value && top == top)) best = at, top = value;
    }}
"""
GRADIENT = """
    for (int k = 0; k < size * size; ++k) {
        const ptrdiff_t at = corner + (ptrdiff_t(k / size) * width + k % size) * channels;
        dx[at] = at == best ? dy : T(0);
    }
"""


@cache
def max_pool(size: int) -> tuple[Source, Source]:
    """The kernels for both ways; as the size is known to the compiler, it unrolls their loops."""
    square = SQUARE.format(size=size)
    forward = f"raw T x, {SHAPES}", "T y", square + "y = top;", f"max_pool_{size}"
    return forward, (f"raw T x, T dy, {SHAPES}", "raw T dx", square + GRADIENT, f"max_pool_gradient_{size}")


class MaxPool(layers.MaxPool):
    """The layer in one kernel each way.     x (T, B, H, W, C)   y (T, B, H // size, W // size, C)"""

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        xp, size = array_module(x), self.size
        trials, batch, height, width, channels = x.shape
        check_fits(height, width, size)
        shapes = height, width, channels, *(out := (height // size, width // size))
        over_squares, gradient = max_pool(size)
        y = xp.empty((trials, batch, *out, channels), x.dtype)
        kernel(xp, over_squares)(x, *shapes, y)

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array:
            covered = height % size == width % size == 0
            dx = xp.empty_like(x) if covered else xp.zeros_like(x)
            kernel(xp, gradient)(x, dy, *shapes, dx)
            return dx

        return y, backward
