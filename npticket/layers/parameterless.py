"""Layers that have nothing to learn and nothing to draw."""

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from npticket.backend import Array, array_module, to_device
from npticket.params import Shapes, Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep


class Parameterless:
    """What they have in common."""

    layout: ClassVar[Shapes] = {}

    def init(self, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
        return {}


class ReLU(Parameterless):
    """y = max(x, 0).     x, y of any shape.     The gradient at 0 is 0."""

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        xp = array_module(x)
        y = xp.maximum(x, xp.zeros(x.shape[2:], x.dtype))  # NumPy has a fast loop for two arrays, none for a scalar
        return y, lambda dy, grad, need_dx=True: dy * (y > 0)  # ten times faster than `where`


class Flatten(Parameterless):
    """Join all axes of an example.     x (T, B, ...)   y (T, B, I)"""

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        y = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
        return y, lambda dy, grad, need_dx=True: dy.reshape(x.shape)


class Dropout(Parameterless):
    """y = x keep / (1 - rate), keep being 0 with probability `rate`, in training; y = x otherwise.

    Inverted (Srivastava et al. 2014): what survives is scaled up. Each trial draws from its own stream of the step.
    """

    def __init__(self, rate: float = 0.5) -> None:
        if not 0 <= rate < 1:
            raise ValueError(f"a dropout rate is a probability in [0, 1), got {rate}")
        self.rate = rate

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        if step is None:
            return x, lambda dy, grad, need_dx=True: dy
        drawn = np.stack([rng.random(x.shape[1:], np.float32) >= self.rate for rng in step.rngs])
        keep = to_device(drawn.astype(x.dtype) / x.dtype.type(1 - self.rate), array_module(x))
        return x * keep, lambda dy, grad, need_dx=True: dy * keep
