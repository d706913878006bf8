"""Mask criteria: which weights survive, by the values that they have before training, w_i, and after it, w_f.

Each is a score, of which the lowest go, and a series: the four steps of the lottery ticket with that score in the
third. The ticket's own criterion is large_final.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At, Done, Run, Runs, Series, rewind_point
from npticket.papers.lottery_ticket.series import SERIES as OF_TICKET
from npticket.papers.lottery_ticket.series import TICKET, Under, look, theta0, ticket
from npticket.params import Params
from npticket.prune import Evidence, Score, at_random, dense_masks, magnitude

SAME_SIGN = "large_final_same_sign"


def initial(seen: Evidence) -> Params:
    """Return w_i; ValueError if the evidence has no theta0."""
    if seen.theta0 is None:
        raise ValueError("this criterion looks at the initial values: prune with Evidence(..., theta0=...)")
    return seen.theta0


def by_values(of: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Score:
    """Score each weight by `of(w_i, w_f)`."""
    return lambda seen: seen.end.like(of(initial(seen).flat, seen.end.flat))


def by_both(seen: Evidence, sign: int) -> Params:
    """Score each survivor by the lower of two ranks in its layer: that of sign |w_i| and that of sign |w_f|.

    So the survivors are those whose two values are both among a certain fraction of the largest (`sign` 1) or smallest
    (-1). The paper has min(alpha |w_f|, |w_i|); ranks within each layer take the place of alpha, as in the authors'
    code. Among equals the first in index order has the lowest rank.
    """
    scores = seen.end.like(np.zeros(seen.end.flat.shape))
    for name in seen.end.weights:
        for t in range(seen.end.trials):
            alive = seen.masks[name][t]
            ranks = (_ranks(sign * abs(values[name][t][alive])) for values in (initial(seen), seen.end))
            scores[name][t][alive] = np.minimum(*ranks)
    return scores


def _ranks(values: np.ndarray) -> np.ndarray:
    return values.argsort(kind="stable").argsort()


CRITERIA: dict[str, Score] = {
    "large_final": magnitude,
    "small_final": by_values(lambda w_i, w_f: -abs(w_f)),
    "large_init": by_values(lambda w_i, w_f: abs(w_i)),
    "small_init": by_values(lambda w_i, w_f: -abs(w_i)),
    "large_init_large_final": partial(by_both, sign=1),
    "small_init_small_final": partial(by_both, sign=-1),
    "magnitude_increase": by_values(lambda w_i, w_f: abs(w_f) - abs(w_i)),
    "movement": by_values(lambda w_i, w_f: abs(w_f - w_i)),
    "random_criterion": at_random,
    SAME_SIGN: by_values(lambda w_i, w_f: np.maximum(0, np.sign(w_i) * w_f)),
}


def by_criterion(score: Score) -> Callable[[Recipe], Runs]:
    """Return the series of tickets that a score finds, from the dense network of the ticket's series."""

    def first_masks(at: At) -> Params:
        return at.prune(at.end, dense_masks(at.theta0), at.theta0, score)

    def series(recipe: Recipe) -> Runs:
        point = yield from rewind_point(recipe)
        start, given = Under(theta0, first_masks), {"end": (yield Done(TICKET, 0))["end"], **point}
        for round in range(1, recipe.rounds):
            left = yield Run(round, start, given, first_step=recipe.rewind_step, score=score)
            start, given = ticket, {"masks": left["next_masks"], **point}

    return series


_LOOKS = {
    "magnitude_increase": look("#d55e00", "--", "s"), "movement": look("#009e73", "-.", "^"),
    "large_init_large_final": look("#cc79a7", "-", "D"), "large_init": look("#e69f00", "--", "v"),
    "small_final": look("#56b4e9", ":", "P"), "small_init": look("#999933", ":", "X"),
    "small_init_small_final": look("#882255", ":", "*"), "random_criterion": look("#000000", ":", "x"),
}  # fmt: skip
SERIES = {
    name: Series(by_criterion(CRITERIA[name]), name.replace("_", " ").removesuffix(" criterion"), its_look)
    for name, its_look in _LOOKS.items()
}
LOOKS = {"large_final": OF_TICKET[TICKET].look, SAME_SIGN: look("#332288", "-", ">"), **_LOOKS}  # of their supermasks
