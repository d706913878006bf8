"""Nonlinearities, which have no parameters."""

from collections.abc import Callable, Mapping

import numpy as np

from npticket.backend import Array, array_module


class ReLU:
    """y = max(x, 0).     x, y of any shape.     The gradient at 0 is 0."""

    layout: Mapping[str, tuple[int, ...]] = {}

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Nothing to draw."""
        return {}

    def forward(self, p: Mapping[str, Array], x: Array, step: object = None) -> tuple[Array, Callable]:
        """Return y and the function that turns dL/dy into dL/dx."""
        xp = array_module(x)
        y = xp.maximum(x, 0)

        def backward(dy: Array, grad: Mapping[str, Array], need_dx: bool = True) -> Array:
            return xp.where(y > 0, dy, 0)

        return y, backward
