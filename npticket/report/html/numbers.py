"""Statistics of masks and weights. `masks` are those of one round's trials, Params with T = 1 each."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from npticket.params import Params

EDGE, BINS = 5.0, 50  # histograms of values go to EDGE standard deviations of a layer's initial values, in BINS bins
PARTS = 25  # bins of a histogram of units, about


def connections(mask: np.ndarray) -> np.ndarray:
    """Return a layer's mask (..., O) as (inputs, O); for a filter, each of its weights is an input."""
    return mask.reshape(-1, mask.shape[-1])


class Shared(NamedTuple):
    """Which fraction of a layer's survivors two trials have in common, (pairs,) each.

    `found` is what they have; `by_chance` what is expected if each had drawn as many survivors at random; `by_input`
    if each had drawn as many at random among each input's weights. If that explains `found`, two trials agree about
    which inputs matter, and about nothing else.
    """

    found: np.ndarray
    by_chance: np.ndarray
    by_input: np.ndarray


def shared(masks: Sequence[Params], name: str) -> Shared:
    """Compare the masks of a layer of all pairs of trials; pairs without survivors are left out."""
    rows = []
    for one, other in combinations([connections(each[name][0]) for each in masks], 2):
        here, there = int(one.sum()), int(other.sum())
        if here and there:
            inputs = (one.sum(axis=1) * other.sum(axis=1)).sum() / one.shape[1]
            both = np.array([(one & other).sum(), here * there / one.size, inputs])
            rows.append(2 * both / (here + there))
    return Shared(*np.array(rows, float).reshape(-1, 3).T)


class Bars(NamedTuple):
    """A histogram: heights (n,) between edges (n + 1,), as a density."""

    edges: np.ndarray
    heights: np.ndarray


class Degrees(NamedTuple):
    """The fraction (units,) of its `connections` that each unit of a layer, or each of its inputs, has left."""

    fractions: np.ndarray
    connections: int

    @property
    def bars(self) -> Bars:
        """The histogram of the fractions: at most PARTS bins, each for the same whole number of connections."""
        left = np.round(self.fractions * self.connections).astype(int)
        width = -(-(int(left.max()) + 1) // PARTS)
        counts = np.bincount(left // width)
        edges = (width * np.arange(len(counts) + 1) - 0.5) / self.connections
        return Bars(edges, counts / counts.sum() / np.diff(edges))


def degrees(masks: Sequence[Params], name: str) -> tuple[Degrees, Degrees]:
    """Return the incoming connections of a layer's units, and the outgoing ones of its inputs, of all trials together.

    Inputs are units of the layer below, channels, or pixels.
    """
    found = []
    for axis in (-1, -2):
        laid_out = [np.moveaxis(each[name][0], axis, 0).reshape(each[name].shape[axis], -1) for each in masks]
        found.append(Degrees(np.concatenate([each.mean(axis=1) for each in laid_out]), laid_out[0].shape[1]))
    return found[0], found[1]


class Spread(NamedTuple):
    """A histogram of values in BINS bins from -EDGE to EDGE, and the fraction of values beyond these."""

    bars: Bars
    beyond: float


def spread(values: Sequence[np.ndarray], scales: Sequence[float]) -> Spread | None:
    """Return the histogram of the values of all trials, each in units of its scale; None if there is no value."""
    total, counts, edges = sum(map(len, values)), np.zeros(BINS), np.linspace(-EDGE, EDGE, BINS + 1)
    for each, scale in zip(values, scales, strict=True):
        counts += np.histogram(each / scale, BINS, (-EDGE, EDGE))[0]
    return Spread(Bars(edges, counts / total / np.diff(edges)), 1 - counts.sum() / total) if total else None


def strongest(mask: np.ndarray, most: int) -> list[int]:
    """Return the numbers of the units in a layer's mask (..., O) with most survivors, at most so many, ascending."""
    left = connections(mask).sum(axis=0)
    return sorted(np.argsort(-left, kind="stable")[:most].tolist())
