"""The layers after the maps: two threads share the products of the large dense ones."""

import math

import numpy as np

from npticket.engine.conv.blueprint import Blueprint
from npticket.engine.threads import Team, half_of
from npticket.layers import Chain, Dense, Flatten
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep

LARGE = 1 << 18  # weights of a dense layer from which on two threads share its products


def tail_of(blueprint: Blueprint, team: Team) -> Chain:
    """Return the chain of a network's last layers, from its features on."""
    tail = {**blueprint.tail} or {"features": Flatten()}
    for name, layer in tail.items():
        if isinstance(layer, Dense) and math.prod(layer.layout["W"]) >= LARGE:
            tail[name] = HalvedDense(layer, team)
    return Chain(**tail)


class HalvedDense:
    """y = x W + b as npticket.layers.Dense, for one trial, a half of the inputs at a time or by each thread."""

    def __init__(self, dense: Dense, team: Team) -> None:
        self.layout, self.init, self._team = dense.layout, dense.init, team

    def forward(self, p: Tree, x: np.ndarray, step: TrainingStep | None = None) -> tuple[np.ndarray, Backward]:
        w, x = p["W"][0], x[0]
        parts = np.empty((2, len(x), w.shape[1]), x.dtype)

        def multiply(half: int) -> None:
            inputs = half_of(len(w), half)
            np.matmul(x[:, inputs], w[inputs], out=parts[half])

        self._team.each(multiply)
        y = parts[0] + parts[1]
        y += p["b"][0]

        def backward(dy: np.ndarray, grad: Tree, need_dx: bool = True) -> np.ndarray:
            dy, dx = dy[0], np.empty_like(x)
            dy.sum(axis=0, keepdims=True, out=grad["b"][0])

            def multiply(half: int) -> None:
                inputs = half_of(len(w), half)
                np.matmul(x.T[inputs], dy, out=grad["W"][0][inputs])
                np.matmul(dy, w[inputs].T, out=dx[:, inputs])

            self._team.each(multiply)
            return dx[None]

        return y[None], backward
