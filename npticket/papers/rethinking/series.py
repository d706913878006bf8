"""The series: pruned architectures fine-tuned, and trained from scratch, by single weights and by whole units.

All are pruned once from the trained dense network. Scratch-E trains new values for as many steps as the dense network,
Scratch-B for so many that it takes as much computation.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from npticket.experiments.parts import BUILT_IN, Experiment
from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At, Done, Length, Run, Runs, Series, Start
from npticket.papers.lottery_ticket import series as lottery
from npticket.papers.lottery_ticket.series import TICKET, Under, end, fresh, look, theta0
from npticket.params import Params
from npticket.protocols import Net
from npticket.prune import Evidence, Rates, Rule, dense_masks, magnitude, rates_by_name
from npticket.scopes import ByUnits
from npticket.tickets import rewind
from npticket.units import Units

MOST = 2.0  # Scratch-B takes at most so many times the steps: the paper limits them on ImageNet alone, for their cost


def by_units(net: Net, params: Params, rates: Rates, rounds: int) -> ByUnits:
    """Return the scope that prunes as many units at once as `rounds` rounds at the rates of their incoming weights.

    Units that are added to other layers' stay: in a residual block only filters of the first convolution go.
    """
    alone = [f"{group.layers[0]}/W" for group in Units.of(net).groups if len(group.layers) == 1]
    by_name = rates_by_name(rates, params)
    return ByUnits(net, {name: 1 - (1 - by_name[name]) ** rounds for name in alone if name in by_name})


def whole_units(rates: Rates, at: At) -> Params:
    """Return masks without the units whose incoming weights have the smallest L1 norms at the end of dense training."""
    seen = Evidence(at.end, dense_masks(at.theta0))
    return Rule(magnitude, by_units(at.net, at.theta0, rates, at.round)).judge(seen)


def drawn_small(at: At, masks: Params) -> Params:
    """Return new values as the smaller architecture would draw them.

    The variance of Gaussian Glorot is 2 divided by a layer's inputs and outputs; here only those that are left count.
    """
    values = fresh(at)
    for name in values.weights:
        for t in range(values.trials):
            mask = masks[name][t].reshape(-1, *masks[name].shape[-2:])
            left = mask.any(axis=(0, 2)).sum() + mask.any(axis=(0, 1)).sum()
            values[name][t] *= math.sqrt(sum(mask.shape[1:]) / left)
    return values


def structured_kept(rates: Rates, at: At) -> Start:
    """Start from the trained values of the units that are left."""
    return Under(end, partial(whole_units, rates))(at)


def structured_ticket(rates: Rates, at: At) -> Start:
    """Start from the initial values of the units that are left."""
    return Under(theta0, partial(whole_units, rates))(at)


def structured_scratch(rates: Rates, at: At) -> Start:
    """Start from new values of the units that are left, drawn as for the smaller network."""
    masks = whole_units(rates, at)
    return rewind(drawn_small(at, masks), masks), masks


def speedups(recipe: Recipe, structured: bool) -> list[float]:
    """Return the dense network's multiplications divided by those of the network of each round from 1 on.

    If the weights of all layers are ranked together, they are counted as if each layer lost the same fraction.
    """
    net, rates = Experiment(recipe, BUILT_IN).net, recipe.prune.options.get("rates", {})
    units, theta = Units.of(net), Params.empty(net.body.layout, 1)
    dense = {name: theta[f"{name}/W"].size * ends.pixels for name, ends in units.weights.items()}
    by_name = rates_by_name(rates, theta)

    def left(rounds: int) -> float:
        if not structured:
            return sum(count * (1 - by_name.get(f"{name}/W", 0.0)) ** rounds for name, count in dense.items())
        stays, gone = np.ones(units.count), by_units(net, theta, rates, rounds).rates
        for layer, here in ((group.layers[0], group.units) for group in units.groups):
            stays[here[: min(len(here) - 1, round(gone.get(f"{layer}/W", 0.0) * len(here)))]] = 0
        parts = ((stays[ends.reads].mean() * stays[ends.writes].mean(), name) for name, ends in units.weights.items())
        return sum(dense[name] * part for part, name in parts)

    return [sum(dense.values()) / left(round) for round in range(1, recipe.rounds)]


Lengths = Callable[[Recipe], list[Length]]  # recipe -> the length of each round's run, from round 1 on


def as_long(recipe: Recipe) -> list[Length]:
    """Return lengths of as many steps as the dense network's."""
    return [Length()] * (recipe.rounds - 1)


def a_quarter(recipe: Recipe) -> list[Length]:
    """Return lengths of a quarter of the steps, in the paper 40 of 160 epochs, at the last learning rate."""
    return [Length(recipe.steps - recipe.steps // 4, lr_at=recipe.steps - 1)] * (recipe.rounds - 1)


def as_much(recipe: Recipe, structured: bool) -> list[Length]:
    """Return lengths that take as much computation as the dense network, at most MOST times its steps, stretched."""
    steps = [int(min(MOST, times) * recipe.steps) for times in speedups(recipe, structured)]
    return [Length(steps=each, stretched=True) for each in steps]


def from_dense(recipe: Recipe, start: Callable[[At], Start], lengths: Lengths) -> Runs:
    """Prune the trained dense network once, to each round's density, and train for that round's length."""
    given = {"end": (yield Done(TICKET, 0))["end"]}
    for round, length in enumerate(lengths(recipe), start=1):
        yield replace(Run(round, start, given), **length._asdict())


def weights(start: Under, lengths: Lengths = as_long) -> Callable[[Recipe], Runs]:
    """Return a series of networks of which single weights are pruned."""
    return lambda recipe: from_dense(recipe, start, lengths)


def units(start: Callable[[Rates, At], Start], lengths: Lengths = as_long) -> Callable[[Recipe], Runs]:
    """Return a series of networks of which whole units are pruned."""
    return lambda recipe: from_dense(recipe, partial(start, recipe.prune.options.get("rates", {})), lengths)


TUNED, E, B = "unstructured_fine_tuned", "unstructured_scratch_e", "unstructured_scratch_b"
UNITS_TUNED, UNITS_E, UNITS_B = "structured_fine_tuned", "structured_scratch_e", "structured_scratch_b"
UNITS_TICKET = "structured_ticket"

SERIES = {  # by its `stream`, B starts from the same values as E
    TUNED: Series(weights(lottery.one_shot_kept, a_quarter), "fine-tuned", look("#009e73", "-", "D")),
    E: Series(weights(lottery.one_shot_reinit), "Scratch-E", look("#d55e00", "--", "s")),
    B: Series(weights(lottery.one_shot_reinit, partial(as_much, structured=False)), "Scratch-B",
              look("#cc79a7", "-.", "v"), stream=E),
    UNITS_TUNED: Series(units(structured_kept, a_quarter), "units fine-tuned", look("#009e73", "-", "P")),
    UNITS_E: Series(units(structured_scratch), "units, Scratch-E", look("#d55e00", "--", "<")),
    UNITS_B: Series(units(structured_scratch, partial(as_much, structured=True)), "units, Scratch-B",
                    look("#cc79a7", "-.", ">"), stream=UNITS_E),
    UNITS_TICKET: Series(units(structured_ticket), "units, reset", look("#0072b2", ":", "X")),
}  # fmt: skip
