"""What appendix F of the paper claims of the weights that LeNet-300-100's tickets consist of, at 16.9 % of them."""

from collections.abc import Callable
from functools import partial

import numpy as np

from npticket.papers.lottery_ticket.claims.words import LEVEL, POINTS, THIRD, TIMES
from npticket.papers.lottery_ticket.weights import INCOMING, INITIAL, MOVED, OTHERS, OUTGOING, WEIGHTS, Histogram
from npticket.report.claims import Claim
from npticket.report.comparisons import Number, ratio

ADAM, SGD = "lenet-mnist", "lenet-inits-sgd"
FIRST, SECOND, OUT = LAYERS = ("fc1/W", "fc2/W", "out/W")
NAMES = {FIRST: "first layer", SECOND: "second layer", OUT: "output layer"}


def of(number: Callable[[Histogram], float], what: str, *layers: str, percent: float = 16.9) -> Number:
    """The quantity of a claim: `number` of the histogram of `what` in some layers, for each trial."""
    return lambda v: v.measured(WEIGHTS, percent, lambda rows: number(Histogram.of(rows, what, *layers)))


def near_0(initial: Histogram) -> float:
    """The share that starts within half a standard deviation of 0."""
    return initial.share(-0.5, 0.5)


def near_0_or_beside(initial: Histogram) -> float:
    """That share, in percent, minus the mean of those from half to one and a half deviations on either side."""
    return 100 * (near_0(initial) - (initial.share(-1.5, -0.5) + initial.share(0.5, 1.5)) / 2)


def positive(values: Histogram) -> float:
    """The share above 0, in percent."""
    return 100 * values.share(low=0)


def distance(moves: Histogram) -> float:
    """The mean distance that weights move, in either direction."""
    return moves.mean(absolute=True)


def uneven(degrees: Histogram) -> float:
    """The standard deviation in percent of the mean."""
    return 100 * degrees.spread() / degrees.mean()


def few_over_many(degrees: Histogram) -> float:
    """The share of units with less than half the mean degree minus that with more than 1.5 times it, in percent."""
    part = degrees.means / degrees.mean()
    return 100 * float(np.average((part < 0.5) * 1.0 - (part > 1.5), weights=degrees.count))


def _two_groups(recipe: str, prefix: str, figure: str, *layers: str) -> list[Claim]:
    """The claims that survivors of these layers form two groups, one on either side of 0."""
    return [
        Claim((recipe,), f"{prefix}two-groups-{layer[:-2]}",
            f"at 16.9 % survivors of the {NAMES[layer]} start in two groups, on either side of 0: the share within "
            "half a standard deviation of 0, minus that from half to one and a half on one side (mean of both)",
            figure, of(near_0_or_beside, INITIAL, layer), "< 0", POINTS, high=0, strict=True)
        for layer in layers
    ]  # fmt: skip


def _sign(recipe: str, prefix: str, figure: str, layer: str, more: bool) -> Claim:
    """The claim that more, or fewer, of a layer's survivors start above 0 than below."""
    word, expected, low, high = ("more", "> 50 %", 50, np.inf) if more else ("fewer", "< 50 %", -np.inf, 50)
    return Claim((recipe,), f"{prefix}sign-{layer[:-2]}",
        f"at 16.9 % {word} survivors of the {NAMES[layer]} start above 0 than below",
        figure, of(positive, INITIAL, layer), expected, LEVEL, low, high, strict=True)  # fmt: skip


def _moves_and_degrees(recipe: str, prefix: str, moves: str, incoming: str) -> list[Claim]:
    claim = partial(Claim, (recipe,))
    return [
        claim(f"{prefix}moves-further",
            "training the dense network moves the weights of the ticket at 16.9 % further than the others",
            moves, ratio(of(distance, MOVED, *LAYERS), of(distance, OTHERS, *LAYERS)),
            "> 1", TIMES, 1, strict=True, ratio=True),
        claim(f"{prefix}moves-away", "training moves most of the weights of the ticket at 16.9 % away from 0",
            moves, of(positive, MOVED, *LAYERS), "> 50 %", LEVEL, 50, strict=True),
        claim(f"{prefix}incoming-even",
            "at 16.9 % units of the first hidden layer keep about equally many incoming connections: their standard "
            "deviation against their mean",
            incoming, of(uneven, INCOMING, FIRST), "small", LEVEL, high=33, because=THIRD),
    ]  # fmt: skip


# fmt: off
WEIGHTS_CLAIMS = [
    Claim((ADAM,), "init-shape-fc1",
        "at 16.9 % as many of the first layer's survivors start within half a standard deviation of 0 as of all its "
        "weights",
        "App. F.1, Fig 15", ratio(of(near_0, INITIAL, FIRST), of(near_0, INITIAL, FIRST, percent=100)),
        "1", TIMES, 0.67, 1.33, ratio=True, because=THIRD),
    *_two_groups(ADAM, "", "App. F.1, Fig 15", SECOND, OUT),
    _sign(ADAM, "", "App. F.1, Fig 15", SECOND, more=True),
    _sign(ADAM, "", "App. F.1, Fig 15", OUT, more=False),
    *_two_groups(SGD, "sgd-", "App. F.2, Fig 16", FIRST, SECOND, OUT),
    _sign(SGD, "sgd-", "App. F.2, Fig 16", FIRST, more=False),
    _sign(SGD, "sgd-", "App. F.2, Fig 16", SECOND, more=True),
    _sign(SGD, "sgd-", "App. F.2, Fig 16", OUT, more=True),
    *_moves_and_degrees(ADAM, "", "App. F.5, Fig 19", "App. F.6, Fig 21"),
    *_moves_and_degrees(SGD, "sgd-", "App. F.5, Fig 20", "App. F.6, Fig 22"),
    Claim((ADAM,), "outgoing-uneven",
        "at 16.9 % outgoing connections of pixels are less even than incoming ones of the first hidden layer",
        "App. F.6, Figs 21, 23", ratio(of(uneven, OUTGOING, FIRST), of(uneven, INCOMING, FIRST)),
        "> 1", TIMES, 1, strict=True, ratio=True),
    Claim((ADAM,), "outgoing-two-groups",
        "at 16.9 % there is a smaller group of pixels with few outgoing connections: the share with less than half "
        "the mean against that with more than one and a half times the mean",
        "App. F.6, Fig 23", of(few_over_many, OUTGOING, FIRST), "> 0", POINTS, 0, strict=True),
    Claim((ADAM, SGD), "sgd-outgoing-even", "at 16.9 % outgoing connections of pixels are more even with SGD than with "
        "Adam: Adam's against SGD's standard deviation, each as a part of its mean",
        "App. F.6, Figs 23, 24", ratio(of(uneven, OUTGOING, FIRST), of(uneven, OUTGOING, FIRST)),
        "> 1", TIMES, 1, strict=True, ratio=True),
]
