"""What the paper claims of Conv-2, Conv-4 and Conv-6 on CIFAR-10.

Appendix H has accuracies on validation examples; here all are on test examples.
"""

from collections.abc import Callable
from functools import partial

from npticket.papers.lottery_ticket.claims.words import (
    ACC,
    END,
    FITTED,
    GAP,
    HALF,
    LEVEL,
    MASK,
    POINTS,
    REINIT,
    STEPS,
    THIRD,
    TICKET,
    TIMES,
    TRAIN,
    better,
    worse,
)
from npticket.papers.lottery_ticket.recipes import SWEEPS
from npticket.report.claims import Claim
from npticket.report.comparisons import best_gain, fastest, gain, left_out, lowest, times, value, worst_gain
from npticket.report.intervals import Numbers
from npticket.report.quantities import STOP
from npticket.report.views import View

Claims = Callable[..., Claim]  # of certain recipes
NEAR = {2: (13.7, 26.5), 4: (16.2, 29.1), 6: (15.3, 26.6)}  # percent of the weights in rounds near 13.7 and 26.5 %


def _best(v: View) -> Numbers:
    """Accuracy at early stopping of the best ticket of all, in percent."""
    return 100 * left_out(v.pruned(ACC, TICKET), 1)


# fmt: off
def _tickets(depth: int, stop: int, dense: float, speed: float, best: float) -> list[Claim]:
    """The claims about tickets and their controls; `stop` in steps, `dense` and `best` in percent, `speed` times."""
    name, conv = f"conv-{depth}", partial(Claim, (f"conv{depth}-cifar10",))
    near_14, near_27 = NEAR[depth]
    return [
        *dense_network(conv, name, depth, stop, dense),
        conv(f"{name}-faster", f"the fastest ticket from 1.9 % on learns {speed} times as fast as the dense network",
            "§3, Fig 5", fastest(1.9), f"{speed} times", TIMES, 1 + (speed - 1) / 2, ratio=True, because=HALF),
        conv(f"{name}-gain", f"the best ticket from 1.9 % on gains {best} points",
            "§3, Fig 5", best_gain(ACC), f"+{best}", POINTS, best / 2, because=HALF),
        conv(f"{name}-never-worse",
            "from 2 % on every ticket is more accurate than the dense network: the worst of them",
            "§3, Fig 5", worst_gain(ACC, TICKET, 2), "> 0", POINTS, 0, strict=True),
        conv(f"{name}-train", "tickets from 2 % on fit the whole training set: the worst of them",
            "§3, Fig 13", lowest(TRAIN, 2, TICKET), "100 %", LEVEL, 99.9, because=FITTED),
        *controls(conv, name, near_14, MASK), *([reinit_flat(conv, name, near_27)] if depth < 6 else []),
    ]


def dense_network(conv: Claims, name: str, depth: int, stop: int, dense: float) -> list[Claim]:
    """The claims about the dense network, which stops early after `stop` steps, `dense` % accurate."""
    return [
        conv(f"{name}-dense-accuracy", f"dense Conv-{depth} is {dense} % accurate at early stopping",
            "Fig 5, by eye", value(ACC), f"{dense} %", LEVEL, dense - 1, dense + 1, because="a point"),
        conv(f"{name}-dense-stop", f"dense Conv-{depth} stops early near step {stop:,}",
            "Fig 5, by eye", value(STOP), f"{stop:,}", STEPS, stop * 2 / 3, stop * 4 / 3, because=THIRD),
    ]


def controls(conv: Claims, name: str, percent: float, mask: str) -> list[Claim]:
    """The claims about tickets, reinitialised tickets and random masks at `percent` of the weights."""
    return [
        conv(f"{name}-generalise",
            f"at {percent} % the gap between training and test accuracy is narrower than the dense network's",
            "§3, Fig 13", gain(GAP, TICKET, percent, at=100), "< 0", POINTS, high=0, strict=True),
        conv(f"{name}-reinit", f"at {percent} % reinitialised tickets learn more slowly than tickets",
            "§3, Fig 5", times(REINIT, percent), "> 1", TIMES, 1, strict=True, ratio=True),
        conv(f"{name}-reinit-is-mask", f"at {percent} % reinitialised tickets and random masks end equally accurate",
            "App. E, Fig 14", gain(END, REINIT, percent, mask), "0", POINTS, -1, 1, because="a point"),
    ]


def reinit_flat(conv: Claims, name: str, percent: float) -> Claim:
    """What the paper says of Conv-2 and Conv-4 alone."""
    return conv(f"{name}-reinit-flat",
        f"at {percent} % reinitialised tickets are still as accurate as the dense network", "§3, Fig 5",
        gain(ACC, REINIT, percent, at=100), "≥ 0", POINTS, -0.5, because="half a point")


def _dropout(depth: int, alone: float, more: float) -> list[Claim]:
    name, plain, dropped = f"conv-{depth}", f"conv{depth}-cifar10", f"conv{depth}-dropout"
    return [
        Claim((plain, dropped), f"{name}-dropout", f"dropout alone gains the dense network {alone} points",
            "§3, Fig 6", lambda v, d: 100 * (d(ACC, TICKET, 100) - v(ACC, TICKET, 100)),
            f"+{alone}", POINTS, alone / 2, because=HALF),
        Claim((dropped,), f"{name}-dropout-and-pruning",
            f"with dropout the best ticket from 1.9 % on gains {more} points more", "§3, Fig 6",
            best_gain(ACC), f"+{more}", POINTS, more / 2, because=HALF),
        Claim((plain, dropped), f"{name}-dropout-speed",
            "with dropout the lead of the fastest ticket from 1.9 % on over the dense network is smaller than without",
            "§3, Fig 6",
            lambda v, d: fastest(1.9)(d) / fastest(1.9)(v), "< 1", TIMES, high=1, strict=True, ratio=True),
    ]


def _pruned_otherwise(depth: int) -> list[Claim]:
    """The claims about networks that are reset only at the end, or pruned at other rates or in other layers."""
    name, near_14 = f"conv-{depth}", NEAR[depth][0]
    continued = partial(Claim, (f"conv{depth}-continued",))
    rates, layers = SWEEPS[f"conv{depth}-rate"].recipes, SWEEPS[f"conv{depth}-layers"].recipes
    said = {"convolutions": "convolutions alone", "both": "everything", "dense": "dense layers alone"}

    def best_of(number: int, more: str, less: str) -> Claim:
        return better((layers[more].name, layers[less].name), f"{name}-layers-{number}",
            f"pruning {said[more]} gives a better best ticket than pruning {said[less]}", "App. H.6, Fig 37",
            lambda v, other: _best(v) - _best(other))

    return [
        worse((f"conv{depth}-continued",), f"{name}-continued-accuracy",
            f"at {near_14} % resetting only at the end is less accurate than resetting every round", "App. B, Fig 10",
            gain(ACC, "continued_training", near_14)),
        continued(f"{name}-continued-speed", f"at {near_14} % resetting only at the end learns more slowly",
            "App. B, Fig 10", times("continued_training", near_14), "> 1", TIMES, 1, strict=True, ratio=True),
        Claim(tuple(rates[key].name for key in ("0.1", "0.15", "0.2")), f"{name}-rate",
            "pruning 10, 15 or 20 % of the convolutions per round makes no difference: the best ticket of each, best "
            "against worst", "App. H.4, Fig 35",
            lambda *views: left_out(list(map(_best, views)), 1) - left_out(list(map(_best, views)), -1),
            "0", POINTS, -1, 1, because="a point"),
        best_of(1, "convolutions", "both"), best_of(2, "both", "dense"),
    ]


CONV = [
    *_tickets(2, 2_300, 65.7, 3.5, 3.4), *_dropout(2, 2.1, 2.3), *_pruned_otherwise(2),
    *_tickets(4, 2_700, 73.7, 3.5, 3.5), *_dropout(4, 3.0, 4.6), *_pruned_otherwise(4),
    *_tickets(6, 3_300, 77.1, 2.5, 3.3), *_dropout(6, 2.4, 4.7), *_pruned_otherwise(6),
]
