"""Layers that only rearrange."""

import math
from collections.abc import Callable, Mapping

import numpy as np

from npticket.backend import Array


class Flatten:
    """Join all axes of an example.     x (T, B, ...)   y (T, B, I)"""

    layout: Mapping[str, tuple[int, ...]] = {}

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Nothing to draw."""
        return {}

    def forward(self, p: Mapping[str, Array], x: Array, step: object = None) -> tuple[Array, Callable]:
        """Return y and the function that turns dL/dy into dL/dx."""
        y = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))

        def backward(dy: Array, grad: Mapping[str, Array], need_dx: bool = True) -> Array:
            return dy.reshape(x.shape)

        return y, backward
