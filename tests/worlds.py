"""Worlds in which the right answer is known: what experiments would leave there, and how claims are judged."""

from dataclasses import replace

import pytest

from npticket.experiments.outcome import Outcome
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned
from npticket.experiments.tables import measured_columns
from npticket.papers import LIBRARY, PARTS
from npticket.params import Params
from npticket.prune import rates_by_name
from npticket.report.claims import FAILS, HOLDS, judge
from npticket.task import CLASSIFY

# For a test in the world where all is as the paper says, and in the one where nothing is.
either_way = pytest.mark.parametrize(("holds", "status"), [(True, HOLDS), (False, FAILS)])


def row(trial, series, round, density, acc=0.5, stop=1000.0, train=1.0, steps=50_000, task=CLASSIFY):
    """One row of results: `acc` is what the test set gives, and `train` the training set."""
    found = {name: train if "_train_" in name else acc for name in measured_columns(task)}
    found |= {"early_stop_step": stop, "early_stop_val_loss": 0.1, "steps": steps, "seconds": 1.0}
    return {"trial": trial, "series": series, "round": round, "density": density} | found


def outcome_of(recipe, rows, measured=None, task=CLASSIFY):
    """What an experiment leaves behind that has these rows of results, and of measures by their names."""
    return Outcome(recipe, {}, rows, [], "A net on data", "a note", task, PARTS.series, measured or {})


def densities(recipe):
    """The fractions of weights that are left after each round of pruning weights."""
    layout = Params.empty(Experiment(recipe, PARTS).net.body.layout, 1)
    sizes, rates = {name: layout[name].size for name in layout.weights}, recipe.prune.options["rates"]
    gone = rates_by_name(rates, layout)
    left = [{name: n * (1 - gone.get(name, 0)) ** r for name, n in sizes.items()} for r in range(recipe.rounds)]
    return [sum(each.values()) / sum(sizes.values()) for each in left]


def with_accuracies(recipe, accuracies, measured=None, of_rounds=None, task=CLASSIFY):
    """What three trials leave that reach these accuracies, by series and round; each is a bit better than the last.

    The fractions of weights that are left, `of_rounds`, are those of pruning weights if none are given.
    """
    of_rounds = of_rounds or densities(recipe)
    rows = [
        row(t, series, round, of_rounds[round], acc + t * (1 + round) / 1e5, steps=recipe.steps, task=task)
        for (series, round), acc in accuracies.items()
        for t in range(3)
    ]
    return outcome_of(recipe, rows, measured, task)


def by_density(recipe, accuracy, density_of=None):
    """The same, of all that is planned, if `accuracy(series, density)`, in percent, is what is found.

    `density_of` has the densities of what is not pruned by weights, by series and round.
    """
    rows, of_rounds = [], densities(recipe)
    for series, round, trial in planned(replace(recipe, trials=3), PARTS.series):
        if series != "rewind_point":
            density = (density_of or {}).get((series, round), of_rounds[round])
            acc = accuracy(series, density) / 100 + trial / 10_000 + trial * round / 1e5
            rows.append(row(trial, series, round, density, acc, steps=recipe.steps))
    return outcome_of(recipe, rows)


def assert_judged(claims, outcomes, status):
    """Each of `claims` has an id of its own and, by these outcomes, this status.

    Where it should fail, what is about half of a loss may have no judgement: nothing is lost in the opposite world.
    """
    found = judge(claims, {outcome.recipe.name: outcome for outcome in outcomes}, LIBRARY.published)
    judged = {verdict.claim.id: (verdict.status, verdict.reason) for verdict in found}
    for verdict in found:
        if status == FAILS and "half" in verdict.claim.sentence and "to take half of" in verdict.reason:
            judged[verdict.claim.id] = status, ""
    assert judged == {claim.id: (status, "") for claim in claims} and len(judged) == len(claims)
