"""The series: masks from early in training, and average precision by size of objects and by class."""

from collections.abc import Callable
from functools import partial

import numpy as np

from npticket.datasets.bccd import CELLS
from npticket.detection import average_precision, detect, find
from npticket.experiments.planning import require
from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At, Done, Measure, Run, Runs, Series
from npticket.experiments.tables import Row
from npticket.papers.lottery_ticket.series import TICKET, look, one_shot, pruned, ticket
from npticket.params import Params

PERCENT = (10, 25, 50, 75)  # of training, after which masks are made
EARLY = {percent: f"dense_to_{percent}" for percent in PERCENT}  # the series that train the dense network until then
EARLY_BIRD, OVERLAP, PRECISION, CARRIED = "early_bird", "mask_overlap", "precision", "to_detection"
DIGITS, BLOOD = detect("detect digits", 10), detect("detect blood cells", len(CELLS))
BATCH = 50  # test images at a time
FEW = 10  # a class with fewer objects of a size is left out of that size's average precision
SMALL, LARGE = 16, 24  # pixels on a side; COCO's 32 and 96 are for larger images: in ours hardly anything is as large
SIZES = {  # areas in square pixels
    "all": (0.0, 1e10), "small": (0.0, float(SMALL**2)), "medium": (float(SMALL**2), float(LARGE**2)),
    "large": (float(LARGE**2), 1e10),
}  # fmt: skip


def dense_until(recipe: Recipe, percent: int) -> Runs:
    """The first steps of the dense network, with the minibatches and learning rates of round 0."""
    yield Run(0, ticket, steps=max(1, recipe.steps * percent // 100))


def early_bird(recipe: Recipe) -> Runs:
    """Networks reset under masks from one-shot pruning of the dense network after half of its training."""
    dense = yield Done(EARLY[50], 0)
    for round in range(1, recipe.rounds):
        yield Run(round, one_shot, {"end": dense["end"]})


def mask_overlaps(recipe: Recipe) -> Runs:
    """Measure the overlap of masks from early in training with those of its end, all by one-shot pruning."""
    given = {}
    for percent, name in {**EARLY, 100: TICKET}.items():
        given[str(percent)] = (yield Done(name, 0))["end"]
    for round in range(1, recipe.rounds):
        yield Measure(round, overlap, given)


def overlap(at: At) -> list[Row]:
    """Return a row for each percentage of training: the intersection over union of its survivors with the end's."""
    masks = {percent: pruned(at, _given(percent)) for percent in at.given}
    last = np.concatenate([masks["100"][name].ravel() for name in at.prunable])
    rows = list[Row]()
    for percent, early in masks.items():
        mask = np.concatenate([early[name].ravel() for name in at.prunable])
        rows.append({"percent": int(percent), "iou": float((mask & last).sum() / (mask | last).sum())})
    return rows


def _given(percent: str) -> Callable[[At], Params]:
    return lambda at: at.given[percent]


def precisions(recipe: Recipe) -> Runs:
    """Measure the average precision of the dense network and of tickets at the end of training, by parts."""
    require(recipe, task=(DIGITS.name, BLOOD.name))
    for round in range(recipe.rounds):
        left = yield Done(TICKET, round)
        yield Measure(round, by_part, {"masks": left["masks"], "end": left["end"]})


def by_part(at: At) -> list[Row]:
    """Return a row for each size and each class of objects that the test set has: average precisions in [0, 1].

    Sizes are by SMALL and LARGE, which are not COCO's. For a size it is the mean over those classes that have
    enough objects of that size: a single large platelet would otherwise count as a third.
    """
    test, dtype = at.data.test, at.end.flat.dtype
    parts = (slice(i, i + BATCH) for i in range(0, len(test), BATCH))
    examples = ((at.data.floats(test.inputs[None, part], dtype), test.targets[None, part]) for part in parts)
    (found,), targets, _ = find(partial(at.net.predict, at.end), examples)
    precision = average_precision(found, targets, at.net.output_shape[-1] - 4, SIZES)
    areas, kinds = targets[..., 3] * targets[..., 4], np.arange(precision.shape[1])
    for each, (name, (low, high)) in zip(precision, SIZES.items(), strict=True):
        there = targets[(low <= areas) & (areas <= high)][:, 0]
        if name != "all":
            each[(there[:, None] == kinds).sum(axis=0) < FEW] = np.nan
    named = [*zip(SIZES, precision, strict=True)]
    named += [(f"class {kind}", of_class[None]) for kind, of_class in enumerate(precision[0])]
    known = [(name, each[~np.isnan(each[:, 0])]) for name, each in named]
    return [{"of": name, "ap": float(p.mean()), "ap50": float(p[:, 0].mean())} for name, p in known if len(p)]


SERIES = {
    EARLY_BIRD: Series(early_bird, "early bird, 50 % of training", look("#e69f00", "-.", "P")),
    **{name: Series(partial(dense_until, percent=percent)) for percent, name in EARLY.items()},
    OVERLAP: Series(mask_overlaps),
    PRECISION: Series(precisions),
}
