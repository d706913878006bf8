"""What appendix G of the paper claims of LeNet-300-100: other optimizers, rates, initial values and sizes.

The "pattern" in it is that pruned networks learn faster than the dense one; it is judged at 21.1 %, for the setting
where they are slowest. The appendix has accuracies on validation examples; here all are on test examples.
"""

from collections.abc import Sequence

from npticket.papers.lottery_ticket.claims.words import (
    ACC,
    BACK,
    POINTS,
    ROUNDS,
    SPREAD_HERE,
    THIRD,
    TICKET,
    TIMES,
    better,
    worse,
)
from npticket.papers.lottery_ticket.recipes import SWEEPS
from npticket.report.claims import Claim
from npticket.report.comparisons import best_gain, gain_between, left_out, times
from npticket.report.intervals import Numbers
from npticket.report.quantities import STOP, Quantity
from npticket.report.views import View

LEAST, MOST = -1, 1
RATE, WIDTH = "App. G.4, Fig 29", "App. G.6, Fig 31"
WEIGHTS = {"100 34": 82_140, "300 100": 266_200, "900 300": 978_600}
EQUAL = {"100 34": 13.5, "900 300": 1.2}  # at these percentages 11,113 and 11,645 weights are left


def _of(sweep: str, *keys: str) -> tuple[str, ...]:
    """The names of a sweep's recipes: those with some keys, or all."""
    return tuple(SWEEPS[sweep].recipes[key].name for key in keys or SWEEPS[sweep].recipes)


def _among(views: Sequence[View], quantity: Quantity, sign: int, percent: float = 21.1) -> Numbers:
    """The highest (MOST) or lowest (LEAST) of the tickets of several experiments, chosen as in `left_out`."""
    return left_out([v(quantity, TICKET, percent) for v in views], sign)


def _pattern(sweep: str, figure: str) -> Claim:
    """The claim that at all settings of a sweep tickets learn faster than the dense network."""
    return Claim(_of(f"lenet-{sweep}"), f"{sweep}-pattern",
        "at every setting tickets at 21.1 % learn faster than the dense network: the slowest of them", figure,
        lambda *views: left_out([times(TICKET, 21.1, at=100)(v) for v in views], MOST),
        "< 1", TIMES, high=1, strict=True, ratio=True)  # fmt: skip


def _faster_pruning(rate: int, percent: float, slow_percent: float) -> tuple[Claim, Claim]:
    """The claims that pruning a larger part than 20 % per round gives worse tickets, at nearly equal percentages."""
    both, at = _of("lenet-prune-rate", "0.2", f"0.{rate // 10}"), f"at {percent} % of the weights, than 20 % at"
    return (
        worse(both, f"rate-{rate}", f"pruning {rate} % per round is less accurate, {at} {slow_percent} %", RATE,
            lambda slow, fast: 100 * (fast(ACC, TICKET, percent) - slow(ACC, TICKET, slow_percent))),
        Claim(both, f"rate-{rate}-slower",
            f"pruning {rate} % per round gives tickets that learn more slowly, {at} {slow_percent} %", RATE,
            lambda slow, fast: fast(STOP, TICKET, percent) / slow(STOP, TICKET, slow_percent),
            "> 1", TIMES, 1, strict=True, ratio=True),
    )  # fmt: skip


# fmt: off
LENET_SWEEPS = [
    _pattern("adam", "App. G.2, Fig 26"),
    Claim(_of("lenet-adam", "0.0002", "0.0008", "0.0012", "0.002"), "adam-alike",
        "from 2e-4 to 2e-3 tickets at 21.1 % are about equally accurate: the best against the worst",
        "App. G.2, Fig 26", lambda *views: 100 * (_among(views, ACC, MOST) - _among(views, ACC, LEAST)),
        "0", POINTS, -0.2, 0.2, because=SPREAD_HERE),
    Claim(_of("lenet-adam", "0.0012", "0.002", "0.0002", "0.0008", "0.0032", "0.0064"), "adam-fastest",
        "from 2e-4 on tickets at 21.1 % learn fastest at 1.2e-3 and 2e-3: the slower of these against the fastest of "
        "the others",
        "App. G.2, Fig 26", lambda *views: _among(views[:2], STOP, MOST) / _among(views[2:], STOP, LEAST),
        "< 1", TIMES, high=1, strict=True, ratio=True),
    _pattern("sgd", "App. G.3, Fig 27"),
    Claim((*_of("lenet-sgd", "0.4", "0.8"), *_of("lenet-adam", "0.0012")), "sgd-as-fast",
        "tickets at 21.1 % learn as fast with SGD at 0.4 or 0.8 as with Adam: the faster of these against Adam",
        "App. G.3, Fig 27", lambda *views: _among(views[:2], STOP, LEAST) / _among(views[2:], STOP, LEAST),
        "1", TIMES, 0.67, 1.33, ratio=True, because=THIRD),
    Claim(_of("lenet-sgd", "0.8"), "sgd-for-longer",
        "with SGD at 0.8 tickets at 1.0 % are as fast as the dense network",
        "App. G.3, Fig 27", times(TICKET, 0.96, at=100), "1", TIMES, high=1.33, ratio=True, because=THIRD),
    _pattern("momentum", "App. G.3, Fig 28"),
    better(_of("lenet-momentum", "0.025", "0.003125", "0.0125", "0.05", "0.1", "0.2", "0.4"), "momentum-dense",
        "with momentum the dense network is most accurate at 0.025: against the best of the others", "App. G.3, Fig 28",
        lambda best, *views: 100 * (best(ACC, TICKET, 100) - _among(views, ACC, MOST, 100))),
    Claim(_of("lenet-momentum", "0.025"), "momentum-no-gain",
        "at 0.025 with momentum no ticket from 4 % on is more accurate than the dense network: the best of them",
        "App. G.3, Fig 28", best_gain(ACC, 4), "≤ 0", POINTS, high=0),
    *(claim for rate, fewer, many in ((40, 4.8, 4.5), (60, 6.5, 7.0), (80, 4.1, 4.5))
      for claim in _faster_pruning(rate, fewer, many)),
    Claim(_of("lenet-prune-rate", "0.1", "0.2"), "rate-10",
        "pruning 10 % per round gains little, at 7.3 % of the weights, over 20 % at 7.0 %", RATE,
        gain_between(ACC, TICKET, 7.0), "0", POINTS, -0.2, 0.2, because=SPREAD_HERE),
    _pattern("init", "App. G.5, Fig 30"),
    Claim(_of("lenet-init", "0.1", "Glorot"), "init-as-glorot",
        "tickets at 21.1 % from a standard deviation of 0.1 are as accurate as from Glorot's", "App. G.5, Fig 30",
        gain_between(ACC, TICKET, 21.1),
        "0", POINTS, -0.2, 0.2, because=SPREAD_HERE),
    better(_of("lenet-init", "0.1", "0.0125", "0.4"), "init-lasts",
        "at 4.5 % tickets from 0.1 are more accurate than from 0.0125 or 0.4 (the paper: than from any other value): "
        "against the better of these",
        "App. G.5, Fig 30",
        lambda wide, *views: 100 * (wide(ACC, TICKET, 4.5) - _among(views, ACC, MOST, 4.5))),
    *(Claim(_of("lenet-width", key), f"width-{key.replace(' ', '-')}-back",
        f"LeNet-{key.replace(' ', '-')} is less accurate than its dense network below 9,000 to 15,000 weights", WIDTH,
        lambda v, count=count: count / 100 * v.falls_below(ACC, TICKET, TICKET, 100 * BACK[0] / count),
        "9,000 to 15,000", "{:,.0f} weights", *BACK, ratio=True, because=ROUNDS)
      for key, count in WEIGHTS.items()),
    better(_of("lenet-width", "900 300", "100 34"), "width-larger",
        "of networks with 11,000 to 12,000 weights left the one that began larger is more accurate: 900-300 (11,645) "
        "against 100-34 (11,113)", WIDTH,
        lambda large, small: 100 * (large(ACC, TICKET, EQUAL["900 300"]) - small(ACC, TICKET, EQUAL["100 34"]))),
    Claim(_of("lenet-width", "900 300", "100 34"), "width-speed",
        "tickets of LeNet-900-300 and LeNet-100-34 with 11,000 to 12,000 weights stop about equally early", WIDTH,
        lambda large, small: large(STOP, TICKET, EQUAL["900 300"]) / small(STOP, TICKET, EQUAL["100 34"]),
        "1", TIMES, 0.67, 1.33, ratio=True, because=THIRD),
]
