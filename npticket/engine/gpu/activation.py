"""ReLU, alone and behind a bias."""

from npticket import layers
from npticket.backend import Array, array_module
from npticket.engine.gpu.kernels import Source, kernel
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep

# NaN stays NaN in all of them, as in layers.ReLU.
RELU: Source = ("T x", "T y", "y = x < 0 ? T(0) : x;", "relu")
BIAS: Source = ("T b, bool relu", "T y", "y += b; if (relu && y < 0) y = 0;", "bias")

# What arrives at the ReLU's output y, in front of it. The gradient at 0 is 0.
RELU_GRADIENT: Source = ("T y, T dy", "T dz", "dz = y > 0 ? dy : T(0);", "relu_gradient")


class ReLU(layers.ReLU):
    """The layer in one kernel each way."""

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        """Return y and the function that turns dL/dy into dL/dx."""
        y = kernel(array_module(x), RELU)(x)
        return y, lambda dy, grad, need_dx=True: relu_gradient(y, dy)


def add_bias(b: Array, y: Array, relu: bool) -> None:
    """y becomes y + b or, with `relu`, max(y + b, 0)."""
    kernel(array_module(b, y), BIAS)(b, relu, y)


def relu_gradient(y: Array, dy: Array) -> Array:
    """Turn dL/dy into dL/dz for y = max(z, 0)."""
    return kernel(array_module(y, dy), RELU_GRADIENT)(y, dy)
