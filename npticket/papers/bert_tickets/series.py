"""Controls of tickets in a pre-trained encoder (Chen et al. 2020, Table 2), at a few densities."""

from collections.abc import Callable
from functools import partial

import numpy as np

from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At, Done, Run, Runs, Series
from npticket.papers.lottery_ticket.series import TICKET, Under, look, redrawn, scattered, theta0
from npticket.params import Params

ROUNDS = (3, 6, 8)  # at which controls are trained: 70, 40 and 20 % of the weights
STD = 0.02  # of BERT's initial weights
ONES, ZEROS = ("scale",), ("shift", "b")


def scratch(at: At) -> Params:
    """Values as before any pre-training: weights and tables N(0, 0.02^2), norms 1 and 0, biases 0."""
    values = at.theta0.copy()
    for t, rng in enumerate(at.rngs):
        for name in values:
            local, there = name.rpartition("/")[2], values[name]
            if local in ONES or local in ZEROS:
                there[t] = local in ONES
            else:
                there[t] = rng.normal(0, STD, there[t].shape)
    return values


def control(start: Under, own_masks: bool = False) -> Callable[[Recipe], Runs]:
    """Return a series with the ticket's masks, or own ones made of them, from another start, at ROUNDS."""

    def series(recipe: Recipe) -> Runs:
        for round in (round for round in ROUNDS if round < recipe.rounds):
            left = yield Done(TICKET, round - 1)
            yield Run(round, start, {"masks": left["next_masks"]}, own_masks)

    return series


random_pretrained = Under(theta0, scattered)  # the pre-trained weights, as many in each matrix, anywhere
from_scratch = Under(scratch)  # the ticket's masks, nothing pre-trained
shuffled_pretrained = Under(partial(redrawn, draw=np.random.Generator.permutation))  # exchanged within each matrix

RANDOM, SCRATCH, SHUFFLED = "bert_random_mask", "bert_scratch", "bert_shuffled"
SERIES = {
    RANDOM: Series(control(random_pretrained, own_masks=True), "random mask, pre-trained", look("#000000", ":", "x")),
    SCRATCH: Series(control(from_scratch), "ticket's mask, from scratch", look("#d55e00", "--", "s")),
    SHUFFLED: Series(control(shuffled_pretrained), "pre-trained weights shuffled", look("#009e73", "-.", "<")),
}
