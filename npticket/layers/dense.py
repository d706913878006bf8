"""The dense layer and its gradient."""

from operator import index

import numpy as np

from npticket.backend import Array, array_module
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep


class Dense:
    """y = x W + b.     W (T, I, O)   b (T, 1, O)   x (T, B, I)   y (T, B, O)

    Weights start as N(0, std^2), by default Gaussian Glorot, where std^2 is 2 / (I + O) (Glorot & Bengio 2010), and
    biases at 0. ValueError for sizes below 1 and a std that is not positive.
    """

    def __init__(self, inputs: int, outputs: int, std: float | None = None) -> None:
        inputs, outputs = index(inputs), index(outputs)
        if min(inputs, outputs) < 1:
            raise ValueError(f"a dense layer needs at least one input and one output, got {inputs} and {outputs}")
        if std is not None and not std > 0:
            raise ValueError(f"the standard deviation of initial weights is positive, got {std}")
        self.layout = {"W": (inputs, outputs), "b": (1, outputs)}
        self.std = np.sqrt(2 / (inputs + outputs)) if std is None else std

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"W": rng.standard_normal(self.layout["W"]) * self.std, "b": np.zeros(self.layout["b"])}

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        y = x @ p["W"]
        y += p["b"]

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array | None:
            array_module(x, dy).matmul(x.swapaxes(-1, -2), dy, out=grad["W"])
            dy.sum(axis=-2, keepdims=True, out=grad["b"])
            return dy @ p["W"].swapaxes(-1, -2) if need_dx else None

        return y, backward
