"""Fused loops for a GPU, in the terms of cupy.ElementwiseKernel: inputs, outputs, loop body, name.

A body is run for every index i and sees element i of its arrays; a `raw` array can be read and written anywhere, as if
it had one axis. Outputs may be updated in place. No two i write to the same place, and sums are added up in a fixed
order, so that a run repeats bit for bit.
"""

from collections.abc import Callable
from functools import cache
from types import ModuleType

from npticket.backend import Array, array_module

Source = tuple[str, str, str, str]

ROWS = 64  # that one i goes through: enough to be worth its start, few enough that there are many i

# Which rows of x (T, N, C) those are, for i over (T, G, C): from x[start + first * channels] to before `last`.
PART = f"""
    const int index = i, c = index % channels, part = index / channels % parts, t = index / channels / parts;
    const int first = part * {ROWS}, last = min(first + {ROWS}, rows);
    const ptrdiff_t start = ptrdiff_t(t) * rows * channels + c;
"""

SUM_ROWS: Source = (
    "raw T x, int32 rows, int32 parts, int32 channels",
    "T total",
    PART
    + """
    T sum = 0;
    for (int r = first; r < last; ++r) sum += x[start + ptrdiff_t(r) * channels];
    total = sum;
    """,
    "sum_rows",
)

# NaN stays NaN in all three, as in layers.ReLU.
RELU: Source = ("T x", "T y", "y = x < 0 ? T(0) : x;", "relu")
BIAS: Source = ("T b, bool relu", "T y", "y += b; if (relu && y < 0) y = 0;", "bias")
RELU_GRADIENT: Source = ("T y, T dy", "T dz", "dz = y > 0 ? dy : T(0);", "relu_gradient")


@cache
def kernel(xp: ModuleType, source: Source) -> Callable:
    """Return the kernel of module `xp`, compiled when it is first called with arrays of a type."""
    return xp.ElementwiseKernel(*source)


def add_bias(b: Array, y: Array, relu: bool) -> None:
    """y becomes y + b or, with `relu`, max(y + b, 0)."""
    kernel(array_module(b, y), BIAS)(b, relu, y)


def relu_gradient(y: Array, dy: Array) -> Array:
    """Turn dL/dy into dL/dz for y = max(z, 0); the gradient at 0 is 0."""
    return kernel(array_module(y, dy), RELU_GRADIENT)(y, dy)


def parts_of(rows: int) -> int:
    """Return how many indices i share the work on `rows` rows, ROWS each."""
    return -(-rows // ROWS)


def sum_rows(x: Array, out: Array) -> None:
    """Write the sum over the middle axis to `out` (T, C).     x (T, N, C), out contiguous

    A library sums over an axis in the middle with as many threads as there are sums, which are few here.
    """
    xp, (trials, rows, channels) = array_module(x, out), x.shape
    while (parts := parts_of(rows)) > 1:
        total = xp.empty((trials, parts, channels), x.dtype)
        kernel(xp, SUM_ROWS)(x, rows, parts, channels, total)
        x, rows = total, parts
    kernel(xp, SUM_ROWS)(x, rows, 1, channels, out.reshape(trials, 1, channels))
