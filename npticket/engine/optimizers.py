"""How engines run an optimizer: over all parameters, trial by trial, in pieces, or over the survivors alone."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from npticket.backend import Dtype, array_module
from npticket.engine.gemm import fastest
from npticket.engine.threads import Team
from npticket.optimizers import moving
from npticket.optimizers.survivors import FEW, PIECE, Survivors
from npticket.params import Params
from npticket.protocols import MakeOptimizer, Optimizer, State, is_elementwise


def made(optimizer: MakeOptimizer, masks: Params) -> Optimizer:
    """Return an optimizer for all trials at once: one if it is elementwise, else one for each trial."""
    one = optimizer(masks)
    return one if is_elementwise(one) else Whole(optimizer, masks)


class Whole:
    """One optimizer per trial, each over all parameters under their true names and shapes.

    Gradients are exactly 0 where nothing may move, so that a norm over all of them is the same in every engine.
    """

    elementwise, decays = False, True

    def __init__(self, optimizer: MakeOptimizer, masks: Params) -> None:
        self._optimizers = [optimizer(masks.trial(t)) for t in range(masks.trials)]
        self._survivors = Survivors(masks)

    def step(self, theta: Params, grads: Params) -> None:
        self._survivors.keep(grads.flat)
        for t, optimizer in enumerate(self._optimizers):
            optimizer.step(theta.trial(t), grads.trial(t))

    def state(self) -> State:
        return stacked([optimizer.state() for optimizer in self._optimizers])

    def restore(self, state: State) -> None:
        for t, optimizer in enumerate(self._optimizers):
            optimizer.restore(of_trial(state, t))


class Scattered(Whole):
    """The same for an engine of one trial that keeps some parameters in another order.

    What is at `kept` in the engine's flat array is at `index` in the whole one.
    """

    def __init__(
        self, optimizer: MakeOptimizer, start: Params, masks: Params, index: np.ndarray, kept: np.ndarray
    ) -> None:
        super().__init__(optimizer, masks)
        self._theta, self._grads, self._index, self._kept = start.copy(), start.copy(), index, kept

    def step(self, theta: Params, grads: Params) -> None:
        self._grads.flat[...] = 0
        for whole, part in ((self._theta, theta), (self._grads, grads)):
            whole.flat[:, self._index] = part.flat[:, self._kept]
        super().step(self._theta, self._grads)
        theta.flat[:, self._kept] = self._theta.flat[:, self._index]


class Packed:
    """Steps the survivors of one trial as one packed vector, with the same bits as `optimizer` among the zeros.

    Parameters are read once, at the first step; after it they must be changed by nothing else.
    """

    elementwise, decays = True, True

    def __init__(self, optimizer: MakeOptimizer, masks: Params) -> None:
        self._index, self._size = np.flatnonzero(moving(masks).flat[0]), masks.flat.shape[1]
        self._everyone = Params({"packed/W": self._index.shape}, np.ones((1, len(self._index)), bool))
        self._optimizer = optimizer(self._everyone)
        self._memory: tuple[Params, Params] | None = None  # the survivors' parameters and gradients

    def step(self, theta: Params, grads: Params) -> None:
        if self._memory is None:
            survivors = self._everyone.like(theta.flat[:, self._index])
            self._memory = survivors, survivors.copy()
        mine, gradients = self._memory
        grads.flat[0].take(self._index, out=gradients.flat[0], mode="wrap")  # with the default mode it would copy
        self._optimizer.step(mine, gradients)
        theta.flat[0][self._index] = mine.flat[0]  # of one axis, which NumPy has a faster way for

    def state(self) -> State:
        return spread(self._optimizer.state(), self._index, self._size)

    def restore(self, state: State) -> None:
        self._optimizer.restore(picked(state, self._index))


def packed(optimizer: MakeOptimizer, masks: Params, dtype: Dtype = np.float32) -> Optimizer:
    """Return the optimizer for one trial's `masks`, packed if it is elementwise and that way is timed to be faster."""
    one = optimizer(masks)
    if masks.flat.all() or not is_elementwise(one):
        return one
    ways: list[MakeOptimizer] = [optimizer, partial(Packed, optimizer)]
    theta, grads = (masks.like(np.zeros(masks.flat.shape, dtype)) for _ in range(2))
    steps = [way(masks).step for way in ways]
    return ways[steps.index(fastest(steps, theta, grads))](masks)


class Pieces:
    """Steps one trial by an elementwise `optimizer(masks)`, in pieces that stay in the cache, which a team shares."""

    elementwise, decays = True, True

    def __init__(self, optimizer: MakeOptimizer, masks: Params, dtype: Dtype, team: Team) -> None:
        moves, size = moving(masks).flat, masks.flat.shape[1]
        self._team, self._pieces = team, [slice(i, min(i + PIECE, size)) for i in range(0, size, PIECE)]
        self._optimizers = [packed(optimizer, _params(moves[:, piece]), dtype) for piece in self._pieces]

    def step(self, theta: Params, grads: Params) -> None:
        def step_half(half: int) -> None:
            for piece, optimizer in list(zip(self._pieces, self._optimizers, strict=True))[half::2]:
                optimizer.step(_params(theta.flat[:, piece]), _params(grads.flat[:, piece]))

        self._team.each(step_half)

    def state(self) -> State:
        first, *others = (optimizer.state() for optimizer in self._optimizers)
        parts = {name: [array, *(other[name] for other in others)] for name, array in first.items()}
        return {name: part[0] if part[0].ndim == 1 else np.concatenate(part, axis=1) for name, part in parts.items()}

    def restore(self, state: State) -> None:
        for piece, optimizer in zip(self._pieces, self._optimizers, strict=True):
            optimizer.restore(picked(state, piece))


def in_cache(optimizer: MakeOptimizer, masks: Params, dtype: Dtype, team: Team) -> Optimizer:
    """Return an optimizer for one trial: if it is elementwise, packed or, of many parameters, in pieces."""
    if not is_elementwise(optimizer(masks)):
        return Whole(optimizer, masks)
    if masks.flat.shape[1] <= FEW:
        return packed(optimizer, masks, dtype)
    return Pieces(optimizer, masks, dtype, team)


def _params(flat: np.ndarray) -> Params:
    return Params({"piece/W": (flat.shape[1],)}, flat)


def stacked(states: Sequence[State]) -> State:
    """Join the states of optimizers of one trial each."""
    return {
        name: array_module(first).concatenate([state[name] for state in states]) for name, first in states[0].items()
    }


def of_trial(state: State, t: int) -> State:
    """The state of trial `t` alone."""
    return {name: array[t : t + 1] for name, array in state.items()}


def picked(state: State, index: np.ndarray | slice) -> State:
    """The state of those parameters of one trial that stand at `index`."""
    return {name: array if array.ndim == 1 else array[:, index] for name, array in state.items()}


def spread(state: State, index: np.ndarray, size: int) -> State:
    """The state of `size` parameters of one trial, among which those of `state` stand at `index`; the others have 0."""
    found = {name: array if array.ndim == 1 else np.zeros((1, size), array.dtype) for name, array in state.items()}
    for name, array in state.items():
        if array.ndim == 2:
            found[name][:, index] = array
    return found
