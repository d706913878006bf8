"""The winning ticket and its controls (Frankle & Carbin 2019): what is trained, and what else to know why it wins.

The first half says which runs a series consists of, and what one takes from another; the second where a run starts.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from npticket.experiments.recipe import CONSTANT, Recipe
from npticket.experiments.series import At, Done, Given, Run, Runs, Series, Start, rewind_point
from npticket.params import Params
from npticket.prune import dense_masks
from npticket.tickets import rewind

TICKET, FINE_TUNING = "winning_ticket", "fine_tuning"


def winning_ticket(recipe: Recipe) -> Runs:
    """The four steps of the paper; the first, theta0, is drawn where the run trains."""
    masks: Given = {}
    point: Given = {}
    for round in range(recipe.rounds):
        left = yield Run(round, ticket, {**masks, **point}, first_step=recipe.rewind_step if point else 0)  # 2, 3
        masks, point = {"masks": left["next_masks"]}, (yield from rewind_point(recipe))  # 4


def control(start: Callable[[At], Start], fresh: bool = False, own_masks: bool = False) -> Callable[[Recipe], Runs]:
    """Return a series that hangs on the winning ticket's masks; `fresh` ones have new values, from step 0 on."""

    def series(recipe: Recipe) -> Runs:
        point: Given = {} if fresh else (yield from rewind_point(recipe))
        for round in range(1, recipe.rounds):
            left = yield Done(TICKET, round - 1)
            first_step = recipe.rewind_step if point else 0
            yield Run(round, start, {"masks": left["next_masks"], **point}, own_masks, first_step)

    return series


def from_dense(start: Callable[[At], Start], fresh: bool = False) -> Callable[[Recipe], Runs]:
    """Return a series whose masks come from the dense network's end, at one go."""

    def series(recipe: Recipe) -> Runs:
        point: Given = {} if fresh else (yield from rewind_point(recipe))
        dense = yield Done(TICKET, 0)
        for round in range(1, recipe.rounds):
            yield Run(round, start, {"end": dense["end"], **point}, first_step=recipe.rewind_step if point else 0)

    return series


def fine_tuning(recipe: Recipe) -> Runs:
    """Prune and train on from the trained values, at the last learning rate, never resetting (Han et al. 2015)."""
    last = None if recipe.schedule == CONSTANT else recipe.steps - 1
    left = yield Done(TICKET, 0)
    for round in range(1, recipe.rounds):
        given = {"end": left["end"], "masks": left["next_masks"]}
        left = yield Run(round, trained_on, given, rate_at=last)


def continued_training(recipe: Recipe) -> Runs:
    """Masks from fine-tuning, round after round, reset only now (appendix B)."""
    point = yield from rewind_point(recipe)
    for round in range(1, recipe.rounds):
        left = yield Done(FINE_TUNING if round > 1 else TICKET, round - 1)
        first_step = recipe.rewind_step if point else 0
        yield Run(round, ticket, {"masks": left["next_masks"], **point}, first_step=first_step)


def pruned_at_init(recipe: Recipe) -> Runs:
    """Magnitude pruning before any training (appendix F.4)."""
    point = yield from rewind_point(recipe)
    for round in range(1, recipe.rounds):
        yield Run(round, initial_magnitude, point, first_step=recipe.rewind_step if point else 0)


def ticket(at: At) -> Start:
    """The survivors, back at the values that they were first initialised with."""
    return rewind(at.theta0, at.masks), at.masks


def random_reinit(at: At) -> Start:
    """The ticket's structure with new values from the initial distribution (section 1)."""
    return rewind(at.net.init(at.rngs, at.theta0.flat.dtype), at.masks), at.masks


def random_mask(at: At) -> Start:
    """As many weights in each layer as the ticket has, anywhere, with new values (Figure 1, appendix E)."""
    scattered = at.masks.copy()
    for t, rng in enumerate(at.rngs):
        for name in at.prunable:
            scattered[name][t] = rng.permutation(at.masks[name][t].ravel()).reshape(at.masks[name][t].shape)
    return rewind(at.net.init(at.rngs, at.theta0.flat.dtype), scattered), scattered


def shuffled(at: At) -> Start:
    """The survivors' initial values, exchanged at random among the survivors of each layer."""
    return _replace_survivors(at, lambda rng, values: rng.permutation(values))


def survivor_reinit(at: At) -> Start:
    """New values for each layer, drawn from its survivors' own initial values with replacement (appendix F.3)."""
    return _replace_survivors(at, lambda rng, values: rng.choice(values, len(values)))


def noisy(at: At, sigmas: float) -> Start:
    """The ticket with Gaussian noise of `sigmas` standard deviations of its layer's initial values (appendix F.7)."""
    disturbed = at.theta0.copy()
    for t, rng in enumerate(at.rngs):
        for name in at.prunable:
            values = at.theta0[name][t]
            disturbed[name][t] += (sigmas * values.std() * rng.standard_normal(values.shape)).astype(values.dtype)
    return rewind(disturbed, at.masks), at.masks


def one_shot(at: At) -> Start:
    """The trained dense network pruned at one go to the size that a ticket has in that round, and reset (Figure 4c)."""
    masks = prune_rounds(at, at.end)
    return rewind(at.theta0, masks), masks


def one_shot_reinit(at: At) -> Start:
    """The structure found by one-shot pruning with new values."""
    masks = prune_rounds(at, at.end)
    return rewind(at.net.init(at.rngs, at.theta0.flat.dtype), masks), masks


def initial_magnitude(at: At) -> Start:
    """The ticket's size, found by magnitude pruning of the initial values themselves."""
    masks = prune_rounds(at, at.theta0)
    return rewind(at.theta0, masks), masks


def trained_on(at: At) -> Start:
    """The survivors with the values that training left them."""
    return rewind(at.end, at.masks), at.masks


def prune_rounds(at: At, params: Params) -> Params:
    """Prune the same parameters as often as a ticket was by that round: to exactly its count, without training."""
    masks = dense_masks(at.theta0)
    for _ in range(at.round):
        masks = at.prune(params, masks)
    return masks


def _replace_survivors(at: At, draw: Callable[[np.random.Generator, np.ndarray], np.ndarray]) -> Start:
    start = rewind(at.theta0, at.masks)
    for t, rng in enumerate(at.rngs):
        for name in at.prunable:
            mask = at.masks[name][t]
            start[name][t][mask] = draw(rng, at.theta0[name][t][mask])
    return start, at.masks


def _look(color: str, dash: str, marker: str) -> dict[str, str]:
    return {"color": color, "linestyle": dash, "marker": marker}


_REINIT = partial(
    Series, control(random_reinit, fresh=True), "random reinit", _look("#d55e00", "--", "s")
)  # colours: Okabe and Ito
_MASK = partial(Series, control(random_mask, fresh=True, own_masks=True), "random mask", _look("#000000", ":", "x"))


def _noise(sigmas: float, color: str, dash: str, marker: str) -> Series:
    return Series(control(partial(noisy, sigmas=sigmas)), f"noise, {sigmas:g} sigma", _look(color, dash, marker))


SERIES = {
    TICKET: Series(winning_ticket, "winning ticket", _look("#0072b2", "-", "o")),
    "random_reinit": _REINIT(stream="reinit"),
    "random_reinit_2": _REINIT(stream="reinit_2", draw_of="random_reinit"),
    "random_reinit_3": _REINIT(stream="reinit_3", draw_of="random_reinit"),
    "random_mask": _MASK(),
    "random_mask_2": _MASK(draw_of="random_mask"),
    "one_shot": Series(from_dense(one_shot), "one-shot", _look("#009e73", "-", "D")),
    "one_shot_reinit": Series(from_dense(one_shot_reinit, fresh=True), "one-shot, reinit", _look("#cc79a7", "--", "v")),
    "shuffled": Series(control(shuffled), "shuffled within layers", _look("#009e73", "-.", "<")),
    "survivor_reinit": Series(control(survivor_reinit), "from survivors' values", _look("#cc79a7", ":", ">")),
    "pruned_at_init": Series(pruned_at_init, "pruned before training", _look("#000000", "-.", "*")),
    FINE_TUNING: Series(fine_tuning, "prune and fine-tune", _look("#56b4e9", "-.", "D")),
    "continued_training": Series(continued_training, "reset only at the end", _look("#e69f00", "--", "P")),
    "noise_0.5": _noise(0.5, "#66c2a5", "-", "^"),  # the more noise, the darker
    "noise_1": _noise(1, "#1b9e77", "--", "d"),
    "noise_2": _noise(2, "#0b6e4f", "-.", "p"),
    "noise_3": _noise(3, "#05382a", ":", "X"),
}
