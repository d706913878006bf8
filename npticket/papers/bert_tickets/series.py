"""Controls of tickets in a pre-trained encoder (Chen et al. 2020, Table 2), at a few densities."""

from functools import partial

from npticket.experiments.planning import require
from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At, Runs, Series
from npticket.layers.embedding import STD
from npticket.papers.lottery_ticket.draws import permuted, redrawn
from npticket.papers.lottery_ticket.series import Under, control, look, mask_shuffled
from npticket.params import Params

ROUNDS = (3, 6, 8)  # at which controls are trained: 70, 40 and 20 % of the weights
ONES, ZEROS = ("scale",), ("shift", "b")


def scratch(at: At) -> Params:
    """Return new initial values as before pre-training: weights and tables N(0, 0.02^2), scales 1, the rest 0."""
    values = at.theta0.copy()
    for t, rng in enumerate(at.rngs):
        for name in values:
            local, there = name.rpartition("/")[2], values[name]
            if local in ONES or local in ZEROS:
                there[t] = local in ONES
            else:
                there[t] = rng.normal(0, STD, there[t].shape)
    return values


from_scratch = Under(scratch, is_new=True)  # the ticket's masks, nothing pre-trained
shuffled = Under(partial(redrawn, draw=permuted))  # the ticket's masks over the pre-trained weights of each matrix

_at_few = partial(control, rounds=ROUNDS)


def as_before_pre_training(recipe: Recipe) -> Runs:
    """The series of the ticket's masks over such new values."""
    require(recipe, net=("bert",))
    yield from _at_few(from_scratch)(recipe)


RANDOM, SCRATCH, SHUFFLED = "bert_random_mask", "bert_scratch", "bert_shuffled"
SERIES = {
    RANDOM: Series(_at_few(mask_shuffled), "random mask, pre-trained", look("#000000", ":", "x")),
    SCRATCH: Series(as_before_pre_training, "ticket's mask, from scratch", look("#d55e00", "--", "s")),
    SHUFFLED: Series(_at_few(shuffled), "pre-trained weights shuffled", look("#009e73", "-.", "<")),
}
