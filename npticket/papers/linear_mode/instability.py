"""Instability to SGD's noise (Frankle et al. 2020, section 2): two copies of a network, and the line between them.

The two copies start from the same weights at the rewind step, with a fresh optimizer, and differ in their minibatches
and augmentation. There are copies of four kinds of networks: the dense one, which is the ticket of round 0; tickets,
whose masks come from iterative pruning of the first copy; the tickets' masks with new initial values; and the weights
of the rewind step under random masks with as many weights in each layer. All train from that step of the schedule to
the end: new initial values, too, for as many steps as the others, and never with the learning rates before it.
"""

from collections.abc import Callable, Sequence

import numpy as np

from npticket.datasets import Dataset, Split
from npticket.experiments.planning import require
from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At, Done, Given, Measure, Run, Runs, Series, rewind_point
from npticket.experiments.tables import Row
from npticket.papers.lottery_ticket.measures import apart, rounds_near
from npticket.papers.lottery_ticket.series import Under, look, mask_shuffled, random_reinit, ticket
from npticket.params import Params
from npticket.protocols import Net
from npticket.streams import Place, TrainingStep
from npticket.task import CLASSIFY, evaluate

STABLE = 2  # the paper calls a network stable if its instability is below so many percentage points
DENSITIES = (1, 0.512, 0.168, 0.107, 0.022)  # there are two copies at the rounds nearest to these
TICKET, REINIT, MASK = KINDS = ("ticket", "reinit", "mask")
FIRST = "ticket_order_1"  # has the masks of all others
POINTS = 30  # on the line, its ends among them
TEST, TRAIN = 5_000, 2_500  # examples of each split by which errors are measured, at most, evenly spread over it
BATCHES, BATCH = 50, 32  # batches, and examples of each, from which statistics of batch normalisation are renewed


def tickets(recipe: Recipe) -> Runs:
    """The first copies of the dense network and of all tickets, by iterative pruning with rewinding."""
    point = yield from rewind_point(recipe)
    masks: Given = {}
    for round in range(recipe.rounds):
        left = yield Run(round, ticket, {**masks, **point}, first_step=recipe.rewind_step, order=1)
        masks = {"masks": left["next_masks"]}


def copies(kind: str, start: Under, order: int) -> Callable[[Recipe], Runs]:
    """Return a series of copies with one order of minibatches; only tickets have copies of the dense network."""

    def series(recipe: Recipe) -> Runs:
        point = yield from rewind_point(recipe)
        for round in _rounds(recipe, kind):
            masks = {"masks": (yield Done(FIRST, round - 1))["next_masks"]} if round else {}
            yield Run(round, start, {**masks, **point}, start.own_masks, first_step=recipe.rewind_step, order=order)

    return series


def paths(kind: str) -> Callable[[Recipe], Runs]:
    """Return the series of measures between the first and the second copies."""

    def series(recipe: Recipe) -> Runs:
        require(recipe, task=(CLASSIFY.name,))
        for round in _rounds(recipe, kind):
            one, other = (yield Done(f"{kind}_order_1", round)), (yield Done(f"{kind}_order_2", round))
            yield Measure(round, path, {"masks": one["masks"], "one": one["end"], "other": other["end"]})

    return series


def _rounds(recipe: Recipe, kind: str) -> list[int]:
    return [round for round in rounds_near(recipe, DENSITIES) if round or kind == TICKET]


def path(at: At) -> list[Row]:
    """Return a row for each point of the line: errors (fractions) there, and how far apart its ends are.

    `alpha` runs from 0 at one end to 1 at the other. `distance` (L2) and `angle` (degrees, as seen from 0) are between
    the two ends, in their weights alone: without biases and batch normalisation.
    """
    one, other = at.given["one"], at.given["other"]
    line = between(one, other, POINTS)
    if line.buffers:
        renew_statistics(at.net, line, at.data)
    columns = {
        "alpha": np.linspace(0, 1, POINTS),
        "test_error": errors(at, line, spread(at.data.test, TEST)),
        "train_error": errors(at, line, spread(at.data.train, TRAIN)),
    }
    distance, angle = apart(one, other)
    points = (dict(zip(columns, values, strict=True)) for values in np.stack([*columns.values()], axis=1).tolist())
    return [{**point, "distance": distance, "angle": angle} for point in points]


def between(one: Params, other: Params, points: int) -> Params:
    """Return networks at equal distances on the straight line from `one` to `other`, one trial each: (points, P)."""
    alpha = np.linspace(0, 1, points, dtype=one.flat.dtype)[:, None]
    return one.like((1 - alpha) * one.flat + alpha * other.flat)


def renew_statistics(net: Net, line: Params, data: Dataset) -> None:
    """Compute batch normalisation's running statistics anew for each network, from training examples; writes `line`.

    The mean of two networks' statistics is not the statistics of the network between them. How the paper deals with
    that we do not know. All points of the line, the ends too, see the same examples, not augmented; at the usual
    momentum of 0.1 the old statistics count for less than 1 % after these batches.
    """
    for i in range(BATCHES):
        chosen = np.arange(i * BATCH, (i + 1) * BATCH)
        x = data.floats(data.train.inputs.take(chosen, axis=0, mode="wrap")[None], line.flat.dtype)
        for t in range(line.trials):
            net.forward(line.trial(t), x, TrainingStep(Place(), i))


def errors(at: At, networks: Params, split: Split) -> np.ndarray:
    """Return the error, a fraction, of each network (T,); they predict one by one, which takes little memory."""

    def predict(x: np.ndarray) -> np.ndarray:
        return np.concatenate([at.net.predict(networks.trial(t), x) for t in range(networks.trials)])

    return 1 - evaluate(at.task, predict, at.data, split, networks.flat.dtype)["acc"]


def spread(split: Split, most: int) -> Split:
    """Return every n-th example, `most` at most; not the first ones, which are easier in MNIST's test set."""
    return split.take(slice(None, None, -(-len(split) // most)))


def instability(rows: Sequence[Row]) -> float:
    """Return the highest test error on a line minus the mean of those at its two ends, in percentage points."""
    found = [row["test_error"] for row in sorted(rows, key=lambda row: row["alpha"])]
    return 100 * (max(found) - (found[0] + found[-1]) / 2)


_WHAT = {
    TICKET: ("winning ticket", look("#0072b2", "-", "o")),
    REINIT: ("random reinit", look("#d55e00", "--", "s")),
    MASK: ("random mask", look("#000000", ":", "x")),
}
SERIES = {
    FIRST: Series(tickets, *_WHAT[TICKET]),
    "ticket_order_2": Series(copies(TICKET, ticket, 2), draw_of=FIRST),
    # The copies of a control start from the same draw.
    "reinit_order_1": Series(copies(REINIT, random_reinit, 1), *_WHAT[REINIT], stream="reinit_order"),
    "reinit_order_2": Series(copies(REINIT, random_reinit, 2), draw_of="reinit_order_1", stream="reinit_order"),
    "mask_order_1": Series(copies(MASK, mask_shuffled, 1), *_WHAT[MASK], stream="mask_order"),
    "mask_order_2": Series(copies(MASK, mask_shuffled, 2), draw_of="mask_order_1", stream="mask_order"),
    **{f"{kind}_path": Series(paths(kind)) for kind in KINDS},
}
TICKETS = (FIRST, "ticket_order_2", "ticket_path")
ALL = (FIRST, *(name for name in SERIES if name != FIRST))
