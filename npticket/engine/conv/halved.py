"""A dense layer whose products are done in two halves by a team."""

from collections.abc import Callable, Mapping

import numpy as np

from npticket.engine.conv.team import Team, half
from npticket.layers import Dense


class Halved:
    """y = x W + b as npticket.layers.Dense, for one trial: forward half of the outputs each, backward of the inputs."""

    def __init__(self, dense: Dense, team: Team) -> None:
        self.layout, self._team = dense.layout, team
        self.init = dense.init

    def forward(self, p: Mapping[str, np.ndarray], x: np.ndarray, step: object = None) -> tuple[np.ndarray, Callable]:
        """Return y and the function that turns dL/dy into dL/dx, writing dL/dW and dL/db on its way."""
        w, x = p["W"][0], x[0]
        y = np.empty((len(x), w.shape[1]), x.dtype)

        def multiply(part: int) -> None:
            outputs = half(part, w.shape[1])
            np.matmul(x, w[:, outputs], out=y[:, outputs])

        self._team.each(multiply)
        y += p["b"][0]

        def backward(dy: np.ndarray, grad: Mapping[str, np.ndarray], need_dx: bool = True) -> np.ndarray:
            dy, dx = dy[0], np.empty_like(x)
            dy.sum(axis=0, keepdims=True, out=grad["b"][0])

            def multiply(part: int) -> None:
                inputs = half(part, len(w))
                np.matmul(x.T[inputs], dy, out=grad["W"][0][inputs])
                np.matmul(dy, w[inputs].T, out=dx[:, inputs])

            self._team.each(multiply)
            return dx[None]

        return y[None], backward
