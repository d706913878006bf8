"""A tenth of the original weights each round, of all matrices together: as Chen et al.'s code does.

Their pseudocode reads a tenth of those that remain.
"""

from dataclasses import dataclass

from npticket.experiments.parts import Parts
from npticket.params import Params, stack
from npticket.prune import Globally, prune_globally, rates_by_name

OF_ALL = "globally, of all"


@dataclass(frozen=True)
class GloballyOfAll(Globally):
    """Ranked together as in Globally, but rates are fractions of all weights there were: 0.1 leaves 90, 80, 70 ... %.

    Where fewer are left than should go, all go.
    """

    def __call__(self, scores: Params, masks: Params) -> Params:
        rates = rates_by_name(self.rates, masks)
        if not rates:
            return masks.copy()
        go = round(max(rates.values()) * sum(masks[name][0].size for name in rates))
        pruned = []
        for one, score in ((masks.trial(t), scores.trial(t)) for t in range(masks.trials)):
            alive = sum(int(one[name].sum()) for name in rates)
            if go < alive:
                pruned.append(prune_globally(score, one, go / alive, rates))
            else:
                pruned.append(one.copy())
                for name in rates:
                    pruned[-1][name][...] = False
        return stack(pruned)


NEEDED = Parts(scopes={OF_ALL: lambda rates, _: GloballyOfAll(rates)})
