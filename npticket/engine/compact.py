"""Runs what a pruned network has left: packed survivors, and no units that cannot matter.

A hidden unit without a way in (no surviving weight from a unit that is left, and a bias that is not positive) is 0 for
every input and has no gradient; one without a way out changes nothing. Both can go, with their weights, until none is
found. What is left is a smaller dense network; one index vector leads from its flat parameters to the whole's. What was
taken out never moves, so the training trajectory is the same up to the rounding of shorter sums.
"""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from npticket.backend import Array
from npticket.engine.packed import packed
from npticket.engine.plain import Plain
from npticket.layers import Chain, Dense, Flatten, ReLU
from npticket.params import Params
from npticket.streams import TrainingStep

DEAD_INPUTS = 0.1  # from this share on, picking the living ones out of each batch pays


class Compact:
    """Runs one trial of `net` from `start` under `masks`; `start` itself is not written.

    Units are only taken out of dense networks, and not under weight decay, which moves weights without gradient.
    """

    def __init__(self, net: Any, start: Params, masks: Params, optimizer: Callable[[Params], Any]) -> None:
        self._start = start
        self._inputs = self._index = None
        make = partial(packed, optimizer)
        if is_dense(net.body) and not getattr(optimizer(masks), "weight_decay", 0):
            alive = living_units(net.body, start, masks)
            if alive[0].mean() < 1 - DEAD_INPUTS:
                self._inputs = np.flatnonzero(alive[0])
            else:
                alive[0][...] = True
            net = _Smaller(smaller(net.body, alive))
            self._index = places(start, alive)
            start, masks = (Params(net.body.layout, whole.flat[:, self._index]) for whole in (start, masks))
        self._plain = Plain(net, start, masks, make)

    def step(self, x: Array, labels: Array, step: TrainingStep) -> Array:
        """Take one optimizer step; return the loss before it, per trial (1,).     x (1, B, ...)   labels (1, B)"""
        return self._plain.step(self._see(x), labels, step)

    def predict(self, x: Array) -> Array:
        """Return logits (1, B, C).     x (1, B, ...)"""
        return self._plain.predict(self._see(x))

    def read(self, out: Params) -> None:
        """Copy the present parameters, pruned ones 0, into `out`."""
        if self._index is None:
            self._plain.read(out)
        else:
            out.flat[...] = self._start.flat
            out.flat[:, self._index] = self._plain.theta.flat

    def _see(self, x: Array) -> Array:
        """The inputs that lead anywhere."""
        if self._index is None:
            return x
        x = x.reshape(*x.shape[:2], -1)
        return x if self._inputs is None else x.take(self._inputs, axis=2)


class _Smaller:
    """A network by its body alone."""

    def __init__(self, body: Chain) -> None:
        self.body = body

    def forward(self, theta: Params, x: Array, step: TrainingStep | None = None) -> tuple[Array, Callable]:
        return self.body.forward(theta.tree, x, step)


def is_dense(body: Any) -> bool:
    """Whether a network is dense layers with a ReLU between each two, perhaps after flattening."""
    if not isinstance(body, Chain):
        return False
    kinds = [type(layer) for layer in body.layers.values()]
    kinds = kinds[kinds[:1] == [Flatten] :]
    return len(kinds) % 2 == 1 and kinds == [Dense, ReLU] * (len(kinds) // 2) + [Dense]


def living_units(body: Chain, start: Params, masks: Params) -> list[np.ndarray]:
    """Which units matter, (I,) for the inputs and each dense layer's outputs; in every layer at least one is left."""
    names = [name for name, layer in body.layers.items() if isinstance(layer, Dense)]
    weights = [masks[f"{name}/W"][0] for name in names]
    may_fire = [start[f"{name}/b"][0, 0] > 0 for name in names]
    alive = [np.ones(len(weights[0]), bool), *(np.ones(w.shape[1], bool) for w in weights)]
    before = -1
    while before != (before := sum(map(np.count_nonzero, alive))):
        for i, weight in enumerate(weights):
            left = weight & alive[i][:, None] & alive[i + 1]
            alive[i] &= left.any(axis=1)
            if i + 1 < len(weights):  # outputs stay, whatever leads to them
                alive[i + 1] &= left.any(axis=0) | may_fire[i]
    for units in alive:
        units[0] |= not units.any()
    return alive


def smaller(body: Chain, alive: list[np.ndarray]) -> Chain:
    """The dense network of the living units."""
    sizes = pairwise(alive)
    layers: Mapping[str, Any] = {name: layer for name, layer in body.layers.items() if not isinstance(layer, Flatten)}
    return Chain(
        **{
            name: Dense(*(int(units.sum()) for units in next(sizes))) if isinstance(layer, Dense) else layer
            for name, layer in layers.items()
        }
    )


def places(start: Params, alive: list[np.ndarray]) -> np.ndarray:
    """Where the parameters of the smaller network stand among those of the whole, in its order."""
    numbers = Params(start.shapes, np.arange(start.flat.shape[1])[None])
    found = []
    for i, name in enumerate(name for name in start if name.endswith("/W")):
        found.append(numbers[name][0][np.ix_(alive[i], alive[i + 1])].ravel())
        found.append(numbers[f"{name.removesuffix('W')}b"][0, 0][alive[i + 1]])
    return np.concatenate(found)
