"""An optimizer whose state and work are proportional to the survivors."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from npticket.engine.gemm import fastest
from npticket.optimizers import moving
from npticket.params import Params


class Packed:
    """Steps the survivors of one trial as one packed vector; exactly what `optimizer` does among the zeros.

    Every step picks the survivors' gradients out of the flat array, and puts their parameters into the other. These
    are read once, at the first step: from then on nobody else may change them.
    """

    def __init__(self, optimizer: Callable[[Params], Any], masks: Params) -> None:
        self._index = np.flatnonzero(moving(masks).flat[0])
        everyone = Params({"packed/W": self._index.shape}, np.ones((1, len(self._index)), bool))
        self._optimizer = optimizer(everyone)
        self._theta = self._grads = None

    def step(self, theta: Params, grads: Params) -> None:
        """Update theta.flat in place."""
        if self._theta is None:
            shapes = {"packed/W": self._index.shape}
            self._theta, self._grads = (Params.empty(shapes, 1, theta.flat.dtype) for _ in range(2))
            self._theta.flat[0] = theta.flat[0, self._index]
        grads.flat[0].take(self._index, out=self._grads.flat[0], mode="wrap")  # with the default mode it would copy
        self._optimizer.step(self._theta, self._grads)
        theta.flat[0, self._index] = self._theta.flat[0]


def packed(optimizer: Callable[[Params], Any], masks: Params, dtype: Any = np.float32) -> Any:
    """The optimizer for `masks`, packed where that is faster here: it is timed, and the bits are the same."""
    ways = [optimizer, partial(Packed, optimizer)]
    if masks.flat.all():
        return optimizer(masks)
    theta, grads = (masks.like(np.zeros(masks.flat.shape, dtype)) for _ in range(2))
    steps = [way(masks).step for way in ways]
    return ways[steps.index(fastest(steps, theta, grads))](masks)
