"""An optimizer whose state and work are proportional to the survivors."""

from functools import partial

import numpy as np

from npticket.backend import Dtype
from npticket.engine.gemm import fastest
from npticket.engine.whole import made
from npticket.optimizers import moving
from npticket.params import Params
from npticket.protocols import MakeOptimizer, Optimizer, is_elementwise


class Packed:
    """Steps the survivors of one trial as one packed vector; exactly what `optimizer` does among the zeros.

    Parameters are read once, at the first step: from then on nobody else may change them.
    """

    elementwise, decays = True, True

    def __init__(self, optimizer: MakeOptimizer, masks: Params) -> None:
        self._index = np.flatnonzero(moving(masks).flat[0])
        everyone = Params({"packed/W": self._index.shape}, np.ones((1, len(self._index)), bool))
        self._optimizer = optimizer(everyone)
        self._shapes = everyone.shapes
        self._memory: tuple[Params, Params] | None = None  # the survivors' parameters and gradients

    def step(self, theta: Params, grads: Params) -> None:
        if self._memory is None:
            survivors = Params(self._shapes, theta.flat[:, self._index])
            self._memory = survivors, survivors.copy()
        mine, gradients = self._memory
        grads.flat[0].take(self._index, out=gradients.flat[0], mode="wrap")  # with the default mode it would copy
        self._optimizer.step(mine, gradients)
        theta.flat[0, self._index] = mine.flat[0]


def packed(optimizer: MakeOptimizer, masks: Params, dtype: Dtype = np.float32) -> Optimizer:
    """Return the optimizer for one trial's `masks`, packed where that is faster, which is timed; the bits are the same.

    One that is not elementwise is not packed.
    """
    if masks.flat.all() or not is_elementwise(optimizer(masks)):
        return made(optimizer, masks)
    ways: list[MakeOptimizer] = [optimizer, partial(Packed, optimizer)]
    theta, grads = (masks.like(np.zeros(masks.flat.shape, dtype)) for _ in range(2))
    steps = [way(masks).step for way in ways]
    return ways[steps.index(fastest(steps, theta, grads))](masks)
