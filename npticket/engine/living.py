"""Which units of a dense network can matter, and where their parameters stand.

A hidden unit without a way in (no surviving weight from a unit that is left, and a bias that is not positive) is 0 for
every input and has no gradient; one without a way out changes nothing. Both can be left out with their weights, which
may make others such units, until none is found. What is left out would never move, so training is the same up to the
rounding of shorter sums.
"""

import math
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from npticket.layers import Chain, Dense, Flatten, ReLU
from npticket.params import Params
from npticket.protocols import Layer


def dense_layers(body: Layer) -> list[str]:
    """Return the names of a network's dense layers if it is nothing but these with ReLUs between them, else [].

    A Flatten may come first.
    """
    if type(body) is not Chain:  # what is derived from it, or from a layer, may do something else
        return []
    kinds = [type(layer) for layer in body.layers.values()]
    kinds = kinds[kinds[:1] == [Flatten] :]
    if kinds != [Dense, ReLU] * (len(kinds) // 2) + [Dense]:
        return []
    return [name for name, layer in body.layers.items() if type(layer) is Dense]


def living_units(body: Layer, start: Params, masks: Params) -> list[np.ndarray]:
    """Return which units can matter: bool arrays for the inputs and for each dense layer's outputs.

    In each at least one unit is left.
    """
    names = dense_layers(body)
    weights = [masks[f"{name}/W"][0] for name in names]
    may_fire = [start[f"{name}/b"][0, 0] > 0 for name in names]
    alive = [np.ones(len(weights[0]), bool), *(np.ones(w.shape[1], bool) for w in weights)]
    for _ in until_settled(alive):
        for i, weight in enumerate(weights):
            left = weight & alive[i][:, None] & alive[i + 1]
            alive[i] &= left.any(axis=1)
            if i + 1 < len(weights):  # outputs stay, whatever leads to them
                alive[i + 1] &= left.any(axis=0) | may_fire[i]
    return alive


def until_settled(alive: Collection[np.ndarray]) -> Iterator[None]:
    """Yield as long as a loop's body has made more of the bool arrays `alive` False; then leave one True in each."""
    before = math.inf
    while (count := sum(map(np.count_nonzero, alive))) < before:
        yield
        before = count
    for each in alive:
        each[0] |= not each.any()


def columns_of(body: Layer, units: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Return, by name, the columns of theta.flat that belong to the network of these units alone.

    `units` are index vectors, of the inputs first. Each array has the shape of a parameter of the smaller network.
    """
    numbers, found = Params.empty(body.layout, 1, int), {}
    numbers.flat[0] = np.arange(numbers.flat.size)
    for i, name in enumerate(dense_layers(body)):
        found[f"{name}/W"] = numbers[f"{name}/W"][0][np.ix_(units[i], units[i + 1])]
        found[f"{name}/b"] = numbers[f"{name}/b"][0][:, units[i + 1]]
    return found
