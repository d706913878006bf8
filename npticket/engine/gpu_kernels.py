"""Fused loops for a GPU, in the terms of cupy.ElementwiseKernel: inputs, outputs, loop body, name.

Each does in one pass over memory, and one launch, what the plain code beside it does in several. Outputs may be read,
too: they are updated in place. None adds floats up in an order that could change: they repeat bit for bit.
"""

from collections.abc import Callable
from functools import cache
from types import ModuleType

Source = tuple[str, str, str, str]

# optimizers.Adam, with its eps / r as eps and its lr (1 - beta1) / (c1 r) as rate. What is pruned is not even read.
ADAM: Source = (
    "T g, bool alive, T beta1, T beta2, T eps, T rate",
    "T p, T m, T v",
    """
    if (alive) {
        m = beta1 * m + g;
        v = beta2 * v + g * g;
        p -= m / (sqrt(v) + eps) * rate;
    }
    """,
    "masked_adam",
)

# optimizers.SGD
SGD: Source = (
    "T g, bool alive, T momentum, T weight_decay, T lr",
    "T p, T v",
    """
    if (alive) {
        v = momentum * v + (g + weight_decay * p);
        p -= lr * v;
    }
    """,
    "masked_sgd",
)

# y = max(y + b, 0), as layers.Dense and layers.ReLU one after the other: NaN stays NaN.
BIAS_RELU: Source = ("T b", "T y", "y += b; if (y < 0) y = 0;", "bias_relu")

# The gradient behind a ReLU whose output was y.
RELU_GRADIENT: Source = ("T y, T dy", "T dz", "dz = y > 0 ? dy : T(0);", "relu_gradient")

# loss.softmax_cross_entropy, one example at a time: its loss, and the gradient of the mean over a batch.
CROSS_ENTROPY: Source = (
    "raw T z, L label, int32 classes, int32 batch",
    "T loss, raw T dz",
    """
    const ptrdiff_t first = ptrdiff_t(i) * classes;
    T top = z[first], total = 0;
    for (int c = 1; c < classes; ++c)
        if (z[first + c] > top) top = z[first + c];
    for (int c = 0; c < classes; ++c)
        total += exp(z[first + c] - top);
    const T log_total = log(total);
    for (int c = 0; c < classes; ++c)
        dz[first + c] = (exp(z[first + c] - top - log_total) - (c == int(label))) / batch;
    loss = top + log_total - z[first + int(label)];
    """,
    "cross_entropy",
)


@cache
def kernel(xp: ModuleType, source: Source) -> Callable:
    """Return the kernel of module `xp`, compiled when it is first called with arrays of a type."""
    return xp.ElementwiseKernel(*source)
