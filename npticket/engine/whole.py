"""How an optimizer that looks at more than one parameter at a time is run: over the whole network, trial by trial."""

import numpy as np

from npticket.backend import array_module
from npticket.optimizers import moving
from npticket.params import Params
from npticket.protocols import MakeOptimizer, Optimizer, is_elementwise


def made(optimizer: MakeOptimizer, masks: Params) -> Optimizer:
    """Return an optimizer for `masks` that may be stepped over all parameters of all trials."""
    one = optimizer(masks)
    return one if is_elementwise(one) else Whole(optimizer, masks)


class Whole:
    """One optimizer per trial, each over all parameters under their true names and shapes.

    It is shown gradients of exactly 0 where nothing may move, so that a norm over all of them, say, is the same in
    every engine, and no other trial's.
    """

    elementwise, decays = False, True

    def __init__(self, optimizer: MakeOptimizer, masks: Params) -> None:
        self._optimizers = [optimizer(masks.trial(t)) for t in range(masks.trials)]
        self._moves = moving(masks).flat

    def step(self, theta: Params, grads: Params) -> None:
        grads.flat[...] = array_module(grads.flat).where(self._moves, grads.flat, 0)
        for t, optimizer in enumerate(self._optimizers):
            optimizer.step(theta.trial(t), grads.trial(t))


class Scattered:
    """The same for an engine that keeps a part of one trial's parameters.

    What stands at `kept` of the engine's flat array is what stands at `index` of the whole one.
    """

    elementwise, decays = False, True

    def __init__(
        self, optimizer: MakeOptimizer, start: Params, masks: Params, index: np.ndarray, kept: np.ndarray
    ) -> None:
        self._optimizer = Whole(optimizer, masks)
        self._theta, self._grads = start.copy(), start.copy()
        self._index, self._kept = index, kept

    def step(self, theta: Params, grads: Params) -> None:
        """Update theta.flat in place, which nobody else may change."""
        self._grads.flat[...] = 0
        self._grads.flat[:, self._index] = grads.flat[:, self._kept]
        self._optimizer.step(self._theta, self._grads)
        theta.flat[:, self._kept] = self._theta.flat[:, self._index]
