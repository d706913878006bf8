"""Numbers of weights: a network's, and what its tickets are like at any number of weights."""

import math
from itertools import pairwise

import numpy as np

from npticket.experiments.parts import BUILT_IN, Experiment
from npticket.experiments.recipe import Recipe
from npticket.report.comparisons import Number
from npticket.report.intervals import Numbers
from npticket.report.quantities import Quantity
from npticket.report.views import Missing, View

DENSITY = Quantity(lambda point: np.full(len(point.trial), point.density), "density", "density")


def weights(recipe: Recipe) -> int:
    """Count the weights of a recipe's network before it is pruned: densities are fractions of these."""
    layout = Experiment(recipe, BUILT_IN).net.body.layout
    return sum(math.prod(shape) for name, shape in layout.items() if name.endswith("/W"))


def at(count: int, quantity: Quantity, recipe: Recipe) -> Number:
    """A quantity of a recipe's ticket with `count` weights left, interpolated between rounds on a logarithmic axis."""
    dense = weights(recipe)

    def number(v: View) -> Numbers:
        densities, values = ([v(each, v.first, 100), *v.pruned(each, v.first)] for each in (DENSITY, quantity))
        left = (round(dense * float(density.low[0])) for density in densities)  # as many in every trial
        known = dict(zip(left, values, strict=True))
        if count in known:
            return quantity.scale * known[count]
        for more, few in pairwise(known):
            if few < count < more:
                part, a, b = math.log(more / count) / math.log(more / few), known[more], known[few]
                low, high = ((1 - part) * x + part * y for x, y in ((a.low, b.low), (a.high, b.high)))
                return quantity.scale * Numbers(low, high)
        raise Missing(f"{recipe.name} has no ticket with {count:,} weights")

    return number
