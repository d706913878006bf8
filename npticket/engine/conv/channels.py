"""Which channels of a convolutional network can matter: the others are left out of the maps for the round.

A channel has a way in if a weight from a channel that is left leads to it, or if its bias may make it positive; it has
a way out if a weight leads from it to a channel that is left. Without batch normalisation a channel that lacks either
is 0, or changes nothing; neither it nor its weights have a gradient. With batch normalisation a channel without a way
in is a constant that is learnt, and one without a way out still has running statistics: only one that lacks both can
go, and of what it leaves behind, the running statistics approach those of a channel that is always 0.

What a block reads and adds to is left whole. Only maps are made smaller: optimizers still see every parameter, so that
weight decay, too, does what it would do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from npticket.engine.conv.blueprint import Block, Blueprint, Unit
from npticket.layers import Dense, Flatten
from npticket.params import Params


def living_channels(blueprint: Blueprint, start: Params, masks: Params, decays: bool) -> dict[str, np.ndarray]:
    """Return, by the prefix of a convolution's name, the numbers of its output channels that are left; at least one.

    `decays` says that the optimizer moves biases that have no gradient.
    """
    links = list(_links(blueprint.units, masks, _features(blueprint, masks)))
    alive = {unit.prefix: np.ones(unit.conv.layout["W"][-1], bool) for unit in blueprint.convolutions}
    before = -1
    while before != (before := sum(map(np.count_nonzero, alive.values()))):
        for link in links:
            alive[link.unit.prefix] &= link.matters(alive, start, decays)
    for channels in alive.values():
        channels[0] |= not channels.any()
    return {prefix: np.flatnonzero(channels) for prefix, channels in alive.items()}


@dataclass
class _Link:
    """A map that one convolution writes and one layer reads.

    w_in (C, K) and w_out (K, O) say which channels are connected; `above` and `below` are the convolutions before and
    after, if what they are connected with is a map of theirs and not images or features.
    """

    unit: Unit
    above: Unit | None
    below: Unit | None
    w_in: np.ndarray
    w_out: np.ndarray

    def matters(self, alive: dict[str, np.ndarray], start: Params, decays: bool) -> np.ndarray:
        """Say which channels can matter, as long as those of the other maps do that are `alive`."""
        w_in = self.w_in if self.above is None else self.w_in & alive[self.above.prefix][:, None]
        w_out, has_bias = self.w_out, self.unit.has_bias
        if self.unit.norm is None and self.below is not None and self.below.norm is None:
            w_out = w_out & alive[self.below.prefix]
        has_in: np.ndarray = np.logical_or.reduce(w_in, axis=0)
        has_out: np.ndarray = np.logical_or.reduce(w_out, axis=1)
        if self.unit.norm is not None:
            return np.full_like(has_in, True) if has_bias else has_in | has_out
        if not self.unit.relu:
            return has_out
        if has_bias:
            bias = start[f"{self.unit.prefix}b"].ravel()
            has_in = has_in | ((bias != 0) if decays else (bias > 0))
        return has_in & has_out


def _links(units: Sequence[Unit | Block], masks: Params, features: np.ndarray | None) -> Iterator[_Link]:
    """Yield the maps that are written by one convolution and read by one layer, the last by `features`, if given."""
    above = None  # the convolution that wrote the present map, if it may lose channels
    for unit, following in zip_longest(units, units[1:]):
        if isinstance(unit, Block):
            yield from _links(unit.body, masks, None)
            above = None
            continue
        below = following if isinstance(following, Unit) else None
        w_out = _connected(below, masks) if below else features if following is None else None
        if w_out is not None:
            yield _Link(unit, above, below, _connected(unit, masks), w_out)
        above = unit if w_out is not None else None


def _connected(unit: Unit, masks: Params) -> np.ndarray:
    """Say which input channels a convolution connects with which filters, (C, K)."""
    return masks[f"{unit.prefix}W"][0].any(axis=(0, 1))


def _features(blueprint: Blueprint, masks: Params) -> np.ndarray | None:
    """Say which channels of the last map are connected with which units (C, O); None if something is between them."""
    last, layers = blueprint.units[-1], [item for item in blueprint.tail.items() if not isinstance(item[1], Flatten)]
    if isinstance(last, Block) or not layers or not isinstance(layers[0][1], Dense):
        return None
    w = masks[f"{layers[0][0]}/W"][0]
    return w.reshape(-1, last.conv.layout["W"][-1], w.shape[-1]).any(axis=0)
