"""Layers that only rearrange."""

import math

from npticket.backend import Array
from npticket.layers.parameterless import Parameterless
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep


class Flatten(Parameterless):
    """Join all axes of an example.     x (T, B, ...)   y (T, B, I)"""

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        """Return y and the function that turns dL/dy into dL/dx."""
        y = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array:
            return dy.reshape(x.shape)

        return y, backward
