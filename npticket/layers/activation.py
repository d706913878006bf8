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
        y = xp.maximum(x, xp.zeros(x.shape[2:], x.dtype))  # NumPy has a fast loop for two arrays, none for a scalar

        def backward(dy: Array, grad: Mapping[str, Array], need_dx: bool = True) -> Array:
            return dy * (y > 0)  # ten times faster than `where`

        return y, backward
