"""Pruning a tenth of the original weights each round, of all matrices together, as the code of Chen et al. does.

By their pseudocode it would be a tenth of the weights that remain.
"""

from dataclasses import dataclass

from npticket.backend import to_host
from npticket.experiments.parts import Parts
from npticket.params import Params, stack
from npticket.prune import Globally, prune_globally, rates_by_name

OF_ALL = "globally, of all"


@dataclass(frozen=True)
class GloballyOfAll(Globally):
    """Ranks together as Globally does, but rates are fractions of the original weights: 0.1 leaves 90, 80, 70 ... %.

    If no more weights are left than should go, all go.
    """

    def __call__(self, scores: Params, masks: Params) -> Params:
        rates = rates_by_name(self.rates, masks)
        if not rates:
            return masks.copy()
        go = round(max(rates.values()) * sum(masks[name][0].size for name in rates))
        pruned = []
        for one, score in ((masks.trial(t), scores.trial(t)) for t in range(masks.trials)):
            alive = sum(int(to_host(one[name]).sum()) for name in rates)
            if go < alive:
                pruned.append(prune_globally(score, one, go / alive, rates))
            else:
                pruned.append(one.copy())
                for name in rates:
                    pruned[-1][name][...] = False
        return stack(pruned)


NEEDED = Parts(scopes={OF_ALL: lambda rates, _: GloballyOfAll(rates)})
