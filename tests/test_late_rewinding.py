"""Late rewinding on photographs: the paper's setting as a recipe, one that two cores can run, and its claims."""

import pytest
from worlds import assert_judged, either_way, with_accuracies

from npticket.experiments.checks import check
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned, trained
from npticket.papers import PARTS
from npticket.papers.lottery_ticket.claims.words import REINIT, TICKET
from npticket.papers.stabilizing.imagenet import CLAIMS, RESNET_50, SWEEPS, TINY

RECIPES = {recipe.name: recipe for sweep in SWEEPS for recipe in sweep.recipes.values()}


def test_recipes_are_the_papers_setting_and_one_that_is_affordable():
    for recipe in RECIPES.values():
        check(recipe, PARTS)
    assert [recipe.rewind_step for recipe in RECIPES.values()] == [0, 7_506, 0, 60, 240]
    assert (RESNET_50.steps, RESNET_50.batch, Experiment(RESNET_50, PARTS).net.output_shape) == (
        112_590,
        1_024,
        (1000,),
    )
    schedule = Experiment(RESNET_50, PARTS).optimizer().keywords["lr"]
    rates = [schedule(step) for step in (0, 6_254, 37_529, 37_530, 75_060, 112_589)]
    assert rates == pytest.approx([0.4 / 6_255, 0.4, 0.4, 0.04, 0.004, 0.0004])
    assert 0.8 ** (RESNET_50.rounds - 1) == pytest.approx(0.21, abs=0.01)
    runs = [len(trained(planned(recipe, PARTS.series))) for name, recipe in RECIPES.items() if "tiny" in name]
    assert runs == [15, 18, 18] and Experiment(TINY, PARTS).net.output_shape == (20,)


def world(recipe, holds):
    """What a recipe leaves where all is as the paper says, or nothing."""
    late = recipe.rewind_step > 0
    pruned = {TICKET: 0.5 if late else 0.4, REINIT: 0.42} if holds else {TICKET: 0.45 if late else 0.6, REINIT: 0.61}
    rounds = range(recipe.rounds)
    return with_accuracies(recipe, {(name, r): pruned[name] if r else 0.495 for name in pruned for r in rounds})


@either_way
def test_every_claim_can_come_out_either_way(holds, status):
    assert len(CLAIMS) == 8
    assert_judged(CLAIMS, [world(recipe, holds) for recipe in RECIPES.values()], status)
