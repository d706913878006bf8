"""Dropout (Srivastava et al. 2014), inverted: what survives is scaled up in training, prediction is the identity."""

import numpy as np

from npticket.backend import Array, array_module, to_device
from npticket.layers.parameterless import Parameterless
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep


class Dropout(Parameterless):
    """y = x keep / (1 - rate), keep being 0 with probability `rate`, in training; y = x otherwise."""

    def __init__(self, rate: float = 0.5) -> None:
        if not 0 <= rate < 1:
            raise ValueError(f"a dropout rate is a probability in [0, 1), got {rate}")
        self.rate = rate

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        """Return y and the function that turns dL/dy into dL/dx; each trial draws from its own stream of the step."""
        if step is None:
            return x, lambda dy, grad, need_dx=True: dy
        drawn = np.stack([rng.random(x.shape[1:], np.float32) >= self.rate for rng in step.rngs])
        keep = to_device(drawn.astype(x.dtype) / x.dtype.type(1 - self.rate), array_module(x))

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array:
            return dy * keep

        return x * keep, backward
