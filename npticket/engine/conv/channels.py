"""Which channels of a convolutional network can matter: the others are left out of the maps for the round.

A channel has a way in if a weight from a channel that is left leads to it, or if its bias is or may become positive;
it has a way out if a weight leads from it to a channel that is left. Without batch normalisation a channel without a
way in is 0, and one without a way out changes nothing; neither it nor its weights have a gradient. With batch
normalisation a channel without a way in is a constant that is learnt, and one without a way out still has running
statistics: only one that lacks both can go. Its running statistics then approach those of a channel that is always 0.

What a block reads and adds to is left whole. Only maps are made smaller: optimizers still see every parameter, so that
weight decay, too, does what it would do.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from npticket.engine.conv.blueprint import Blueprint, Unit
from npticket.engine.living import until_settled
from npticket.layers import Dense, Flatten
from npticket.params import Params


def living_channels(blueprint: Blueprint, start: Params, masks: Params, decays: bool) -> dict[str, np.ndarray]:
    """Return, by the prefix of a convolution's name, the numbers of its output channels that are left; at least one.

    `decays` says that the optimizer may move biases whose gradient is 0.
    """
    links = list(_links(blueprint, masks))
    alive = {unit.prefix: np.ones(unit.shape[-1], bool) for unit in blueprint.units}
    for _ in until_settled(alive.values()):
        for link in links:
            alive[link.unit.prefix] &= link.matters(alive, start, decays)
    return {prefix: np.flatnonzero(channels) for prefix, channels in alive.items()}


@dataclass
class _Link:
    """A map that `unit` writes and one layer reads, the unit `below` or a dense layer; and what is connected by it.

    w_in and w_out say which channels a surviving weight connects: of the map before and this one; this and the next.
    """

    unit: Unit
    below: Unit | None
    w_in: np.ndarray  # (C, K)
    w_out: np.ndarray  # (K, O)

    def matters(self, alive: dict[str, np.ndarray], start: Params, decays: bool) -> np.ndarray:
        """Return which channels of this map can matter, if of the other maps those do that are `alive`."""
        unit, w_in, w_out = self.unit, self.w_in, self.w_out
        if unit.source is not None:
            w_in = w_in & alive[unit.source.prefix][:, None]
        if unit.norm is None and self.below is not None and self.below.norm is None:
            w_out = w_out & alive[self.below.prefix]
        has_in: np.ndarray = np.logical_or.reduce(w_in, axis=0)
        has_out: np.ndarray = np.logical_or.reduce(w_out, axis=1)
        if unit.norm is not None:
            return np.full_like(has_in, True) if unit.has_bias else has_in | has_out
        if not unit.relu:
            return has_out
        if unit.has_bias:
            bias = start[f"{unit.prefix}b"].ravel()
            has_in = has_in | (decays | (bias > 0))
        return has_in & has_out


def _links(blueprint: Blueprint, masks: Params) -> Iterator[_Link]:
    """Yield the maps that are written by one convolution and read, once, by one layer."""
    layers = [(name, layer) for name, layer in blueprint.tail.items() if not isinstance(layer, Flatten)]
    for unit in blueprint.units:
        readers = [other for other in blueprint.units for read in (other.source, other.around) if read is unit]
        if unit.shortcut or unit.around:
            continue
        if len(readers) == 1:
            yield _Link(unit, readers[0], _connected(unit, masks), _connected(readers[0], masks))
        elif unit is blueprint.units[-1] and layers and isinstance(layers[0][1], Dense):
            w = masks[f"{layers[0][0]}/W"][0]  # of each pixel and channel, or each channel's average
            w_out = w.reshape(-1, unit.shape[-1], w.shape[-1]).any(axis=0)
            yield _Link(unit, None, _connected(unit, masks), w_out)


def _connected(unit: Unit, masks: Params) -> np.ndarray:
    """Return which input channels a convolution's surviving weights connect with which filters, (C, K)."""
    return masks[f"{unit.prefix}W"][0].any(axis=(0, 1))
