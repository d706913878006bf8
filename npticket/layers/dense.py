"""The dense layer and its gradient."""

from operator import index

import numpy as np

from npticket.backend import Array, array_module
from npticket.initializers import glorot_normal, normal
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep


class Dense:
    """y = x W + b.     W (T, I, O)   b (T, 1, O)   x (T, B, I)   y (T, B, O)"""

    def __init__(self, inputs: int, outputs: int, std: float | None = None) -> None:
        inputs, outputs = index(inputs), index(outputs)
        if min(inputs, outputs) < 1:
            raise ValueError(f"a dense layer needs at least one input and one output, got {inputs} and {outputs}")
        if std is not None and not std > 0:
            raise ValueError(f"the standard deviation of initial weights is positive, got {std}")
        self.layout = {"W": (inputs, outputs), "b": (1, outputs)}
        self.std = std

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw one trial's parameters: weights from N(0, std^2), or Gaussian Glorot if none was given; zero biases."""
        inputs, outputs = shape = self.layout["W"]
        weights = glorot_normal(rng, shape, inputs, outputs) if self.std is None else normal(rng, shape, self.std)
        return {"W": weights, "b": np.zeros((1, outputs))}

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        """Return y and the function that turns dL/dy into dL/dx, writing dL/dW and dL/db on its way."""
        y = x @ p["W"]
        y += p["b"]

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array | None:
            array_module(x, dy).matmul(x.swapaxes(-1, -2), dy, out=grad["W"])
            dy.sum(axis=-2, keepdims=True, out=grad["b"])
            return dy @ p["W"].swapaxes(-1, -2) if need_dx else None

        return y, backward
