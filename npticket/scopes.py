"""The scope of whole neurons and filters, which makes a network really smaller (Li et al. 2017, section 3).

`Rule(magnitude, ByUnits(net, {"out/W": 0, "*/W": 0.2}))` takes from each layer the fifth of its units whose incoming
weights have the smallest L1 norm. With a score of squares it is the L2 norm. `npticket.export.shrink` cuts them out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from npticket.backend import array_module, to_host
from npticket.params import Params
from npticket.protocols import Net
from npticket.prune import Rates, check_rates, check_scores, rates_by_name
from npticket.units import Group, Units, weights_of


@dataclass(frozen=True)
class ByUnits:
    """Units are ranked, each by the sum of the scores of its surviving incoming weights; the lowest go.

    A unit is living if it has incoming weights. Of n living units of a layer round(rate * n) go, but never the last
    one; among equals the first in index order. With a unit go all its incoming weights, and all weights that read it.
    Its biases and its norm's values stay in the masks, and have no effect.

    Layers whose outputs are added together must have one rate. Their units are the same, and have one score, the sum
    over the incoming weights in all these layers.

    With `together`, the units of all layers with a rate, which must be the same, are ranked as one. A unit's sum is
    then divided by the mean number of incoming weights in its group, since a sum of more weights is larger.

    ValueError for rates that contradict each other, and for a rate of the layer that writes the network's outputs.
    """

    net: Net
    rates: Rates
    together: bool = False

    def __post_init__(self) -> None:
        check_rates(self.rates, self.together)

    @cached_property
    def units(self) -> Units:
        """The network's units."""
        return Units.of(self.net)

    def names(self, params: Params) -> list[str]:
        """The names of the weights that may be pruned: those that write a unit that may go, or read one."""
        goes = np.zeros(self.units.count, bool)
        for group, _ in self._groups(params):
            goes[group.units] = True
        found = {name for name, ends in self.units.weights.items() if goes[ends.reads].any() or goes[ends.writes].any()}
        return [name for name in params.weights if name.removesuffix("/W") in found]

    def __call__(self, scores: Params, masks: Params) -> Params:
        groups = list(self._groups(masks))
        for group, _ in groups:
            check_scores(scores, masks, [f"{layer}/W" for layer in group.layers])
        pruned = masks.to(np).copy()
        for t in range(masks.trials):
            sums, weights = self._incoming(scores.trial(t), pruned.trial(t))
            stays = np.ones(self.units.count, bool)
            stays[_lowest(groups, sums, weights, self.together)] = False
            for name, ends in self.units.weights.items():
                pruned[weights_of(name)][t] &= stays[ends.reads][:, None] & stays[ends.writes]
        return pruned.to(array_module(masks.flat))

    def _groups(self, params: Params) -> Iterator[tuple[Group, float]]:
        """The groups that are pruned, with their rates; ValueError as above."""
        rates = rates_by_name(self.rates, params)
        for group in self.units.groups:
            each = {layer: rates.pop(f"{layer}/W", 0.0) for layer in group.layers}
            if len(set(each.values())) > 1:
                raise ValueError(f"units that are added together go together, at one rate, got {each}")
            if rate := each[group.layers[0]]:
                yield group, rate
        if rates:
            raise ValueError("outputs of the network, and what is added to its inputs, are never cut: "
                             f"give {', '.join(rates)} the rate 0")  # fmt: skip

    def _incoming(self, scores: Params, masks: Params) -> tuple[np.ndarray, np.ndarray]:
        """For each unit: the sum of the scores of its surviving incoming weights, and how many these are."""
        sums, weights = np.zeros(self.units.count), np.zeros(self.units.count, int)
        for name, ends in self.units.weights.items():
            alive, each = masks[weights_of(name)][0], to_host(scores[weights_of(name)][0]).astype(float)
            alive, each = (a.reshape(-1, a.shape[-1]).sum(axis=0) for a in (alive, np.where(alive, each, 0)))
            np.add.at(sums, ends.writes, each)
            np.add.at(weights, ends.writes, alive)
        return sums, weights


def _lowest(
    groups: list[tuple[Group, float]], sums: np.ndarray, weights: np.ndarray, together: bool
) -> np.ndarray:  # fmt: skip
    """The numbers of the units that go."""
    living = [(group.units[weights[group.units] > 0], rate) for group, rate in groups]
    living = [(units, rate) for units, rate in living if len(units)]
    orders = [units[np.argsort(sums[units], kind="stable")] for units, _ in living]
    if not together:
        chosen = [order[:-1][: round(rate * len(order))] for order, (_, rate) in zip(orders, living, strict=True)]
        return np.concatenate([*chosen, np.empty(0, int)])
    per_weight = sums.copy()
    for units, _ in living:
        per_weight[units] /= weights[units].mean()
    spare = np.concatenate([*(np.sort(order[:-1]) for order in orders), np.empty(0, int)])  # the last stays
    count = round(max((rate for _, rate in living), default=0) * sum(map(len, orders)))
    return spare[np.argsort(per_weight[spare], kind="stable")][:count]
