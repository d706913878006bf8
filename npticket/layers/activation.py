"""Nonlinearities, which have no parameters."""

from npticket.backend import Array, array_module
from npticket.layers.parameterless import Parameterless
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep


class ReLU(Parameterless):
    """y = max(x, 0).     x, y of any shape.     The gradient at 0 is 0."""

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        """Return y and the function that turns dL/dy into dL/dx."""
        xp = array_module(x)
        y = xp.maximum(x, xp.zeros(x.shape[2:], x.dtype))  # NumPy has a fast loop for two arrays, none for a scalar

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array:
            return dy * (y > 0)  # ten times faster than `where`

        return y, backward
