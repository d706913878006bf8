"""The series: pruning below a threshold in rounds, and measures of the networks that are left and of tickets."""

from collections.abc import Mapping
from functools import partial
from statistics import NormalDist

from npticket.experiments.planning import require
from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At, Done, Measure, Run, Runs, Series, Start
from npticket.papers.deep_compression.measures import ablation, compressed, ticket_file
from npticket.papers.deep_compression.sharing import STARTS
from npticket.papers.lottery_ticket.series import TICKET, look
from npticket.params import Params
from npticket.tickets import rewind

THRESHOLD, COMPRESSED, ABLATION, TICKET_FILE = "below_threshold", "compressed", "bits", "ticket_file"
PRUNINGS = {"lenet_300_100": 5, "lenet_5": 3}  # rounds after which the last thresholds are reached
ABLATED = 5  # the round of the pruned network whose values get fewer and fewer bits
ABOVE = {  # the last thresholds, given by the fraction of normally distributed weights that lie above them
    "lenet_300_100": {"fc1/W": 0.08, "fc2/W": 0.028, "out/W": 0.03},
    "lenet_5": {"conv1/W": 0.55, "conv2/W": 0.09, "fc1/W": 0.085, "out/W": 0.09},
}


def quality(fraction: float, part: float) -> float:
    """Return the quality parameter that leaves fraction^part of normal weights above it: `fraction` if `part` is 1."""
    return NormalDist().inv_cdf(1 - fraction**part / 2)


def above(values: Params, masks: Params, dense: Params, qualities: Mapping[str, float]) -> Params:
    """Return masks without weights whose size is at most quality times standard deviation (Han et al. 2015, section 3).

    The standard deviation is that of the whole layer in the trained `dense` network. How many weights go is not fixed.
    """
    left = masks.copy()
    for name, times in qualities.items():
        for t in range(masks.trials):
            left[name][t] &= abs(values[name][t]) > times * dense[name][t].std()
    return left


def survivors(at: At, last: Mapping[str, float], prunings: int) -> Start:
    """Start from the trained values of the weights above the round's threshold, the `last` after so many prunings."""
    part = min(at.round / prunings, 1)
    qualities = {name: quality(fraction, part) for name, fraction in last.items()}
    masks = above(at.end, at.masks, at.given["dense"], qualities)
    return rewind(at.end, masks), masks


def below_threshold(recipe: Recipe) -> Runs:
    """Prune below a threshold that rises for PRUNINGS rounds, and train further, with the same schedule again."""
    require(recipe, net=ABOVE)
    start = partial(survivors, last=ABOVE[recipe.net.name], prunings=PRUNINGS[recipe.net.name])
    dense = left = yield Done(TICKET, 0)
    for round in range(1, recipe.rounds):
        given = {"end": left["end"], "masks": left["masks"], "dense": dense["end"]}
        left = yield Run(round, start, given, own_masks=True)


def compressions(recipe: Recipe) -> Runs:
    """Measure each stage of the compression of each round's network."""
    dense = yield Done(TICKET, 0)
    for round in range(1, recipe.rounds):
        left = yield Done(THRESHOLD, round)
        given = {"end": left["end"], "masks": left["masks"], "dense": dense["end"]}
        yield Measure(round, partial(compressed, recipe=recipe), given)


def bits(recipe: Recipe) -> Runs:
    """Measure how few bits values may have: in the dense network and, from each start of k-means, in a pruned one."""
    dense = yield Done(TICKET, 0)
    yield Measure(0, partial(ablation, recipe=recipe, starts=("linear",)), {"end": dense["end"]})
    if recipe.rounds > ABLATED:
        left = yield Done(THRESHOLD, ABLATED)
        given = {"end": left["end"], "masks": left["masks"]}
        yield Measure(ABLATED, partial(ablation, recipe=recipe, starts=tuple(STARTS)), given)


def ticket_files(recipe: Recipe) -> Runs:
    """Measure the files of winning tickets."""
    for round in range(recipe.rounds):
        left = yield Done(TICKET, round)
        yield Measure(round, partial(ticket_file, recipe=recipe), {"masks": left["masks"]})


SERIES = {
    THRESHOLD: Series(below_threshold, "pruned below a threshold, trained further", look("#56b4e9", "-.", "D")),
    COMPRESSED: Series(compressions),
    ABLATION: Series(bits),
    TICKET_FILE: Series(ticket_files),
}
