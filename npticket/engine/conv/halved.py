"""A dense layer whose products are done in two halves by a team."""

from collections.abc import Callable, Mapping

import numpy as np

from npticket.engine.conv.team import Team
from npticket.layers import Dense


class Halved:
    """y = x W + b as npticket.layers.Dense, for one trial: forward half of the outputs each, backward of the inputs."""

    def __init__(self, dense: Dense, team: Team) -> None:
        self.layout, self._team = dense.layout, team
        self.init = dense.init
        self._inputs, self._outputs = (_halves(size) for size in self.layout["W"])

    def forward(self, p: Mapping[str, np.ndarray], x: np.ndarray, step: object = None) -> tuple[np.ndarray, Callable]:
        """Return y and the function that turns dL/dy into dL/dx, writing dL/dW and dL/db on its way."""
        w, x = p["W"][0], x[0]
        y = np.empty((len(x), w.shape[1]), x.dtype)

        def multiply(half: int) -> None:
            part = self._outputs[half]
            np.matmul(x, w[:, part], out=y[:, part])

        self._team.each(multiply)
        y += p["b"][0]

        def backward(dy: np.ndarray, grad: Mapping[str, np.ndarray], need_dx: bool = True) -> np.ndarray:
            dy, dx = dy[0], np.empty_like(x)
            dy.sum(axis=0, keepdims=True, out=grad["b"][0])

            def multiply(half: int) -> None:
                part = self._inputs[half]
                np.matmul(x.T[part], dy, out=grad["W"][0][part])
                np.matmul(dy, w[part].T, out=dx[:, part])

            self._team.each(multiply)
            return dx[None]

        return y[None], backward


def _halves(size: int) -> tuple[slice, slice]:
    return slice(0, (size + 1) // 2), slice((size + 1) // 2, size)
