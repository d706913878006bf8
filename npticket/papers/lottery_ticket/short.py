"""The experiments on CIFAR-10 in fewer steps and trials: for days on two cores, or for an hour on a GPU.

Conv-2, Conv-4 and Conv-6 stop early, in the paper, after 2,300 to 3,300 steps, and tickets sooner: 8,000 steps are
enough for these, not for all reinitialised tickets, whose last ones are cut short. Twelve prunings leave 7 to 11 % of
the weights. Resnet-18 has a quarter of the paper's steps. VGG-19 is a quarter as wide (1,252,784 weights) and has a
fourteenth of them. Learning rates drop, and warm up, at the same fractions of training. Both are pruned once, not round
by round: the trained dense network's smallest weights go, as many as in some of the paper's rounds. So less can be
expected of these tickets than of the paper's.
"""

from dataclasses import replace
from functools import partial

from npticket.experiments.recipe import Recipe, scaled
from npticket.experiments.series import Run, Runs, Series
from npticket.papers.lottery_ticket.recipes import BOTH, CONVS, RESNET_18_HIGH, VGG_19_WARMUP
from npticket.papers.lottery_ticket.recipes import RECIPES as FULL
from npticket.papers.lottery_ticket.series import (
    TICKET,
    control,
    in_one_go,
    look,
    one_shot,
    one_shot_reinit,
    random_mask,
    ticket,
)

DENSE, ONCE, ONCE_REINIT = "dense", "dense_one_shot", "dense_one_shot_reinit"
MASK, ONE_SHOT = "random_mask_thirds", "one_shot_thirds"
EVERY_THIRD = range(3, 1_000, 3)  # round
PRUNED_ONCE = (4, 6, 10, 19)  # as many weights left as after these rounds: 41.7, 27.1, 11.8 and 1.5 %


def dense(recipe: Recipe) -> Runs:
    """Train the dense network, and no ticket."""
    yield Run(0, ticket)


once = partial(in_one_go, dense=DENSE, rounds=PRUNED_ONCE)

SERIES = {
    DENSE: Series(dense, "dense network"),
    ONCE: Series(once(one_shot), "one-shot ticket", look("#0072b2", "-", "o")),
    ONCE_REINIT: Series(once(one_shot_reinit), "one-shot, reinit", look("#d55e00", "--", "s")),
    MASK: Series(control(random_mask, rounds=EVERY_THIRD), "random mask", look("#000000", ":", "x")),
    ONE_SHOT: Series(in_one_go(one_shot, rounds=EVERY_THIRD), "one-shot", look("#009e73", "-", "D")),
}


def _short(recipe: Recipe, name: str, steps: int, rounds: int, series: tuple[str, ...]) -> Recipe:
    source = f"after {recipe.source}, shorter"
    return replace(scaled(recipe, steps), name=name, source=source, rounds=rounds, trials=3, train_at=(), series=series)


def _resnet_18(recipe: Recipe, setting: str) -> Recipe:
    return _short(recipe, f"resnet18-short-{setting}", 7_500, 11, (DENSE, ONCE, ONCE_REINIT))


def _vgg_19(recipe: Recipe, setting: str, *reinit: str) -> Recipe:
    recipe = replace(recipe, net=recipe.net.having(width=16))
    return _short(recipe, f"vgg19-short-{setting}", 8_000, 20, (DENSE, ONCE, *reinit))


RECIPES = {recipe.name: recipe for recipe in (
    *(_short(conv, f"conv{depth}-short", 8_000, 13, (*BOTH, MASK, ONE_SHOT)) for depth, conv in CONVS.items()),
    _short(FULL["conv2-dropout"], "conv2-dropout-short", 24_000, 9, (TICKET,)),
    *(_resnet_18(FULL[f"resnet18-{setting}"], setting) for setting in ("high", "low", "warmup")),
    # Reset to step 125, the 500 of 30,000 of Stabilizing the Lottery Ticket Hypothesis (Frankle et al. 2019).
    _resnet_18(replace(RESNET_18_HIGH, source="Frankle et al. 2019, sections 3 and 4", rewind_step=500), "rewound"),
    *(_vgg_19(FULL[f"vgg19-{setting}"], setting, ONCE_REINIT) for setting in ("high", "low", "warmup")),
    _vgg_19(replace(VGG_19_WARMUP, prune=VGG_19_WARMUP.prune.having(scope="layerwise")), "layerwise"),
)}  # fmt: skip
