"""Max-pooling in one kernel each way."""

from functools import cache

from npticket import layers
from npticket.backend import Array, array_module
from npticket.engine.gpu.kernels import Source, kernel
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep

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
        if (value > top || (value != value && top == top)) {{
            best = at;
            top = value;
        }}
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
        """Return y and the function that turns dL/dy into dL/dx."""
        xp, size = array_module(x), self.size
        trials, batch, height, width, channels = x.shape
        out = height // size, width // size
        shapes = height, width, channels, *out
        over_squares, gradient = max_pool(size)
        y = xp.empty((trials, batch, *out, channels), x.dtype)
        kernel(xp, over_squares)(x, *shapes, y)

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array:
            covered = height % size == width % size == 0
            dx = xp.empty_like(x) if covered else xp.zeros_like(x)
            kernel(xp, gradient)(x, dy, *shapes, dx)
            return dx

        return y, backward
