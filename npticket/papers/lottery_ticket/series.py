"""The winning ticket, and the controls that show why it wins (Frankle & Carbin 2019).

The first half says which runs a series consists of, and what one takes over from another; the second, where runs start.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from npticket.experiments.recipe import CONSTANT, Recipe
from npticket.experiments.series import At, Done, Given, Run, Runs, Series, Start, rewind_point
from npticket.papers.lottery_ticket.draws import exchanged, noisy, redrawn, resampled, scattered
from npticket.params import Params
from npticket.prune import dense_masks
from npticket.tickets import rewind

TICKET, FINE_TUNING = "winning_ticket", "fine_tuning"


_given_masks = attrgetter("masks")


@dataclass(frozen=True)
class Under:
    """A start of runs: `values` under `masks`, by default the masks given; pruned weights are 0.

    With `is_new`, the values do not come from the rewind step, and runs train from step 0.
    """

    values: Callable[[At], Params]
    masks: Callable[[At], Params] = _given_masks
    is_new: bool = False

    @property
    def own_masks(self) -> bool:
        """Whether it makes its own masks, as `Run.own_masks`."""
        return self.masks is not _given_masks

    def __call__(self, at: At) -> Start:
        masks = self.masks(at)
        return rewind(self.values(at), masks), masks


def winning_ticket(recipe: Recipe) -> Runs:
    """The four steps of the paper; in the first, theta0 is drawn by the process that trains the run."""
    given: Given = {}
    for round in range(recipe.rounds):
        left = yield Run(round, ticket, given, first_step=recipe.rewind_step if round else 0)  # 2 train, 3 prune
        given = {"masks": left["next_masks"], **(yield from rewind_point(recipe))}  # 4 reset


def dense_again(recipe: Recipe, order: int) -> Runs:
    """Train the dense network again: its early stop varies most, and every ticket is compared with it."""
    yield Run(0, ticket, order=order)


def control(
    start: Under, masks_of: str = TICKET, rounds: Sequence[int] | None = None
) -> Callable[[Recipe], Runs]:  # fmt: skip
    """Return a series with the masks of the series `masks_of`, or masks made from these, at `rounds` or all rounds."""

    def series(recipe: Recipe) -> Runs:
        point: Given = {} if start.is_new else (yield from rewind_point(recipe))
        for round in _chosen(rounds, recipe):
            left = yield Done(masks_of if round > 1 else TICKET, round - 1)  # the dense network is the ticket's
            given = {"masks": left["next_masks"], **point}
            yield Run(round, start, given, start.own_masks, recipe.rewind_step if point else 0)

    return series


def _chosen(rounds: Sequence[int] | None, recipe: Recipe) -> list[int]:
    """Those of `rounds` that a recipe has, or all its rounds but the dense network's."""
    return [round for round in range(1, recipe.rounds) if rounds is None or round in rounds]


def in_one_go(
    start: Under, trained: bool = True, tuned: bool = False, dense: str = TICKET, rounds: Sequence[int] | None = None
) -> Callable[[Recipe], Runs]:  # fmt: skip
    """Return a series whose masks come from pruning the dense network once: after training, or before if not `trained`.

    With `tuned`, it trains at the last learning rate. The dense network is that of the series `dense`; the masks leave
    as many weights as those of `rounds`, or of all rounds.
    """

    def series(recipe: Recipe) -> Runs:
        point: Given = {} if start.is_new else (yield from rewind_point(recipe))
        given = {"end": (yield Done(dense, 0))["end"], **point} if trained else point
        for round in _chosen(rounds, recipe):
            lr_at = _last_lr(recipe) if tuned else None
            yield Run(round, start, given, first_step=recipe.rewind_step if point else 0, lr_at=lr_at)

    return series


def retrained(recipe: Recipe, first_step: int, lr_at: int | None) -> Runs:
    """Prune round after round and train further from the trained values, never resetting."""
    left = yield Done(TICKET, 0)
    for round in range(1, recipe.rounds):
        given = {"end": left["end"], "masks": left["next_masks"]}
        left = yield Run(round, trained_on, given, first_step=first_step, lr_at=lr_at)


def fine_tuning(recipe: Recipe) -> Runs:
    """Train on at the last learning rate (after Han et al. 2015, who take a tenth of the first)."""
    return retrained(recipe, 0, _last_lr(recipe))


def _last_lr(recipe: Recipe) -> int | None:
    """The `lr_at` of a Run that trains at the last learning rate."""
    return None if recipe.schedule == CONSTANT else recipe.steps - 1


theta0, end = attrgetter("theta0"), attrgetter("end")


def fresh(at: At) -> Params:
    """Draw new values from the initial distribution."""
    return at.net.init(at.rngs, at.theta0.flat.dtype)


def pruned(at: At, values: Callable[[At], Params]) -> Params:
    """Prune `values` as often as the ticket of this round was, without training between: exactly as many are left."""
    params, masks = values(at), dense_masks(at.theta0)
    for _ in range(at.round):
        masks = at.prune(params, masks)
    return masks


ticket = Under(theta0)  # the survivors at their initial values
trained_on = Under(end)  # the survivors at their trained values
random_reinit = Under(fresh, is_new=True)  # the ticket's masks with new initial values (section 1)
random_mask = Under(fresh, scattered, is_new=True)  # as many survivors at random places, new values (Figure 1, app. E)
mask_shuffled = Under(theta0, scattered)  # as many survivors at random places, at their own initial values
one_shot = Under(theta0, partial(pruned, values=end))  # the dense network pruned once, and reset (Figure 4c)
one_shot_kept = Under(end, partial(pruned, values=end))  # the same, with trained values
one_shot_reinit = Under(fresh, partial(pruned, values=end), is_new=True)
initial_magnitude = Under(theta0, partial(pruned, values=theta0))  # pruned before any training (appendix F.4)
shuffled = Under(partial(redrawn, draw=exchanged))  # within each layer
survivor_reinit = Under(partial(redrawn, draw=resampled))


def disturbed(sigmas: float) -> Under:
    """Return the start from initial values with noise of `sigmas` times their layer's standard deviation."""
    return Under(partial(redrawn, draw=partial(noisy, sigmas=sigmas)))


def look(color: str, dash: str, marker: str) -> dict[str, str]:
    """Return a line's look in matplotlib's terms; the colours here are those of Okabe and Ito."""
    return {"color": color, "linestyle": dash, "marker": marker}


_REINIT = partial(Series, control(random_reinit), "random reinit", look("#d55e00", "--", "s"))
_MASK = partial(Series, control(random_mask), "random mask", look("#000000", ":", "x"))
_AT_INIT = in_one_go(initial_magnitude, trained=False)
_CONTINUED = control(ticket, masks_of=FINE_TUNING)  # masks by fine-tuning round by round, then reset once (app. B)

SERIES = {
    TICKET: Series(winning_ticket, "winning ticket", look("#0072b2", "-", "o")),
    **{f"dense_{n}": Series(partial(dense_again, order=n - 1), draw_of=TICKET) for n in range(2, 6)},
    "random_reinit": _REINIT(stream="reinit"),
    "random_reinit_2": _REINIT(stream="reinit_2", draw_of="random_reinit"),
    "random_reinit_3": _REINIT(stream="reinit_3", draw_of="random_reinit"),
    "random_mask": _MASK(),
    "random_mask_2": _MASK(draw_of="random_mask"),
    "one_shot": Series(in_one_go(one_shot), "one-shot", look("#009e73", "-", "D")),
    "one_shot_reinit": Series(in_one_go(one_shot_reinit), "one-shot, reinit", look("#cc79a7", "--", "v")),
    "shuffled": Series(control(shuffled), "shuffled within layers", look("#009e73", "-.", "<")),
    "survivor_reinit": Series(control(survivor_reinit), "from survivors' values", look("#cc79a7", ":", ">")),
    "pruned_at_init": Series(_AT_INIT, "pruned before training", look("#000000", "-.", "*")),
    FINE_TUNING: Series(fine_tuning, "prune and fine-tune", look("#56b4e9", "-.", "D")),
    "continued_training": Series(_CONTINUED, "reset only at the end", look("#e69f00", "--", "P")),
    **{  # the more noise, the darker
        f"noise_{s:g}": Series(control(disturbed(s)), f"noise, {s:g} sigma", look(color, *marks))
        for s, color, marks in ((0.5, "#66c2a5", ("-", "^")), (1, "#1b9e77", ("--", "d")),
                                (2, "#0b6e4f", ("-.", "p")), (3, "#05382a", (":", "X")))
    },
}  # fmt: skip
