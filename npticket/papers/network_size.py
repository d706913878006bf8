"""Is the network too large? Tickets of larger networks against smaller networks with as many weights.

If a tenth of a network can be trained alone, the whole may have been too large from the beginning. So this compares at
equal *numbers* of weights: tickets of networks of several sizes, and small dense networks. Frankle & Carbin (2019,
appendix G.6, Figure 31) did so for the width of LeNet: tickets of all widths fell to the accuracy of their dense
network at about the same number of weights, so of two tickets the larger network's was better. Zhu & Gupta (2017) find
large and sparse networks better than small and dense ones. Claims with the source "the slides' question" are about what
a talk on the paper asks without answering it: that the same is true of deeper and wider residual networks.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np

from npticket.experiments.outcome import Outcome, Point
from npticket.experiments.parts import BUILT_IN, Experiment
from npticket.experiments.recipe import Part, Recipe, scaled
from npticket.papers.lottery_ticket.claims.words import ACC, END, POINTS, THIRD, TICKET, TIMES
from npticket.papers.lottery_ticket.recipes import LENET, RESNET_18_HIGH
from npticket.report.canvas import Pen, Picture, panels, upright
from npticket.report.claims import Claim
from npticket.report.comparisons import Number, left_out, value
from npticket.report.intervals import Numbers
from npticket.report.paper import Paper
from npticket.report.quantities import STOP, Quantity, QuantityOf, at_early_stop, at_the_end, early_stop, first, trained
from npticket.report.sweeps import Sweep
from npticket.report.views import Missing, View

DENSITY = Quantity(lambda point: np.full(len(point.trial), point.density), "density", "density")
TICKS = [digit * 10**power for power in range(8) for digit in (1, 2, 5)]


def weights(recipe: Recipe) -> int:
    """Count the weights of a recipe's network before it is pruned: densities are fractions of these."""
    layout = Experiment(recipe, BUILT_IN).net.body.layout
    return sum(math.prod(shape) for name, shape in layout.items() if name.endswith("/W"))


def at(count: int, quantity: Quantity, recipe: Recipe) -> Number:
    """A quantity of a recipe's ticket with `count` weights left, interpolated between rounds on a logarithmic axis."""
    dense = weights(recipe)

    def number(v: View) -> Numbers:
        densities, values = ([v(each, v.first, 100), *v.pruned(each, v.first)] for each in (DENSITY, quantity))
        left = (round(dense * float(density.low[0])) for density in densities)  # as many in every trial
        known = dict(zip(left, values, strict=True))
        if count in known:
            return quantity.scale * known[count]
        for more, few in pairwise(known):
            if few < count < more:
                part, a, b = math.log(more / count) / math.log(more / few), known[more], known[few]
                low, high = ((1 - part) * x + part * y for x, y in ((a.low, b.low), (a.high, b.high)))
                return quantity.scale * Numbers(low, high)
        raise Missing(f"{recipe.name} has no ticket with {count:,} weights")

    return number


def by_number(
    outcomes: Mapping[str, Outcome], stem: str, legend: str, quantities: tuple[QuantityOf, ...]
) -> Iterator[Picture]:
    """Draw a panel for each quantity against the number of weights left, in the form of the paper's Figure 31.

    There is a line for each size of network that was pruned, and one through the dense networks of all sizes.
    """
    tickets = {key: _counted(outcome) for key, outcome in outcomes.items()}
    dense = sorted((points[0] for points in tickets.values() if points), key=lambda point: -point.density)
    lines = {"dense networks": dense} | {key: points for key, points in tickets.items() if len(points) > 1}
    left = [100 * point.density for points in lines.values() for point in points]
    ticks = [tick for tick in TICKS if min(left) <= tick <= max(left)]
    figure, axes_of = panels(len(quantities))
    for axes, make in zip(axes_of, quantities, strict=True):
        quantity = make(next(iter(outcomes.values())).task.headline)
        for i, (key, points) in enumerate(lines.items()):
            pen = Pen.nth(key, i)
            pen.line(axes, points, quantity, 0.15 if len(dense) < 4 else 0)  # as the sweep's note says
        upright(axes, quantity, min(quantity.drawn(point).mean() for point in dense))
        axes.set(xlabel="weights left", xscale="log", xlim=(1.1 * max(left), min(left) / 1.1))
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks], fontsize=8)
        axes.minorticks_off()
    yield Picture(stem, figure, legend)


def _counted(outcome: Outcome) -> list[Point]:
    """The points of the tickets, with densities changed so that 100 times these, which pens draw, count weights."""
    size = weights(outcome.recipe)
    return [replace(point, density=point.density * size / 100) for point in outcome.points(first(outcome))]


def _sweep(name: str, source: str, legend: str, recipes: Mapping[str, Recipe], *quantities: QuantityOf) -> Sweep:
    """A sweep whose recipes are named after it, and which is also drawn by `by_number`."""
    named = {key: replace(recipe, name=f"{name}-{key}", source=source) for key, recipe in recipes.items()}
    return Sweep(name, source, legend, named, partial(by_number, stem=f"{name}_weights", legend=legend,
                                                      quantities=quantities))  # fmt: skip


# fmt: off
SHORT = replace(LENET, steps=15_000, train_at=(), series=(TICKET,))
LENETS = _sweep("lenet-size", "after Frankle & Carbin 2019, Figure 31", "hidden units", {
    f"{a}-{b}": replace(SHORT, net=LENET.net.having(hidden=[a, b]), rounds=rounds)  # down to some 9,000 weights
    for a, b, rounds in ((900, 300, 22), (700, 233, 21), (500, 167, 19), (400, 134, 18), (300, 100, 16), (200, 67, 14),
                         (150, 50, 13), (100, 34, 11), (50, 17, 8), (25, 9, 5), (15, 5, 1))},
    early_stop, at_early_stop, at_the_end)

# As in Figure 8, left, but short; at that learning rate tickets must be rewound to an early step (Frankle et al. 2020).
# Of depths 8, 14, 20 and widths 8, 16, 32 these four take two cores some two hours; the other five a night and more.
FEW_STEPS = replace(
    scaled(RESNET_18_HIGH, 2_400), batch=64, rewind_step=200, test_at=(2_400,), train_at_end=True, trials=3,
    series=(TICKET,),
    prune=RESNET_18_HIGH.prune.having(rates={"out/W": 0, "*/shortcut/*": 0, "*/W": 0.488}))  # 20 % three times
RESNETS = _sweep("resnet-size", "the slides' question, residual networks", "depth-width", {
    f"{depth}-{width}": replace(FEW_STEPS, net=Part("resnet", depth=depth, width=width), rounds=rounds)
    for depth, width, rounds in ((14, 16, 5), (8, 16, 4), (14, 8, 4), (8, 8, 4))},
    at_the_end, trained)
# fmt: on

TEXT, SLIDES = "App. G.6, text of Fig 31", "the slides' question"
INFERRED = f"inferred from {TEXT}"
GUPTA = f"{SLIDES}; Zhu & Gupta 2017, from memory"
LENET_OF, RESNET_OF = LENETS.recipes, RESNETS.recipes
PRUNED = {key: LENET_OF[key] for key in ("900-300", "300-100", "100-34", "50-17", "25-9")}  # 979,000 to 20,000 weights
LEAST, LEAST_DEEP = weights(LENET_OF["15-5"]), weights(RESNET_OF["8-8"])  # 11,885 and 19,608
FEW_DEEP = 15_000  # every network of RESNETS has a ticket with so few weights
Compared = tuple[Recipe, Number]


def _ticket(recipe: Recipe, count: int, quantity: Quantity) -> Compared:
    return recipe, at(count, quantity, recipe)


def _dense(recipe: Recipe, quantity: Quantity) -> Compared:
    return recipe, value(quantity)


def _better(id: str, sentence: str, source: str, of: Compared, than: Compared) -> Claim:
    """The claim that one network is more accurate than another, in percentage points."""
    (one, better), (other, worse) = of, than
    return Claim((one.name, other.name), id, sentence, source, lambda a, b: better(a) - worse(b), "> 0", POINTS,
                 low=0, strict=True)  # fmt: skip


def _extreme(quantity: Quantity, sign: int, views: Sequence[View]) -> Numbers:
    """The highest (1) or lowest (-1) value among tickets of the first networks of PRUNED, one for each view."""
    return left_out([at(LEAST, quantity, recipe)(v) for recipe, v in zip(PRUNED.values(), views, strict=False)], sign)


# fmt: off
LENET_NAMES = tuple(LENET_OF[key].name for key in (*PRUNED, "15-5"))  # the last has LEAST weights, and is not pruned
CLAIMS = [
    *(_better(f"size-{one}-over-{other}",
        f"of tickets with {LEAST:,} weights that of LeNet-{one} is more accurate than LeNet-{other}'s", TEXT,
        _ticket(PRUNED[one], LEAST, ACC), _ticket(PRUNED[other], LEAST, ACC))
      for one, other in pairwise(PRUNED)),
    _better("size-dense", "of dense networks the larger is more accurate: LeNet-900-300 against LeNet-25-9", INFERRED,
        _dense(LENET_OF["900-300"], END), _dense(LENET_OF["25-9"], END)),
    _better("size-over-dense-100-34",
        f"a ticket of LeNet-300-100 with {LEAST:,} weights is more accurate than the dense LeNet-100-34 with 82,140",
        INFERRED, _ticket(LENET_OF["300-100"], LEAST, END), _dense(LENET_OF["100-34"], END)),
    Claim(LENET_NAMES, "size-over-dense",
        f"tickets with {LEAST:,} weights are more accurate than a dense LeNet of as many: the worst of five",
        GUPTA, lambda *views: _extreme(END, -1, views[:-1]) - value(END)(views[-1]), "> 0", POINTS, 0, strict=True),
    Claim(LENET_NAMES, "size-faster-than-dense",
        f"tickets with {LEAST:,} weights learn faster than a dense LeNet of as many: the slowest of five", SLIDES,
        lambda *views: _extreme(STOP, 1, views[:-1]) / value(STOP)(views[-1]),
        "< 1", TIMES, high=1, strict=True, ratio=True),
    Claim(LENET_NAMES[:4], "size-as-fast",
        f"tickets of LeNet-50-17 and larger with {LEAST:,} weights stop about equally early: slowest against fastest",
        TEXT, lambda *views: _extreme(STOP, 1, views) / _extreme(STOP, -1, views),
        "1", TIMES, 0.67, 1.33, ratio=True, because=THIRD),
    *(_better(f"size-resnet-{what}-dense",
        f"a ticket of a {what} residual network is more accurate than a dense one of its {LEAST_DEEP:,} weights: "
        f"{key} against 8-8", GUPTA, _ticket(RESNET_OF[key], LEAST_DEEP, END), _dense(RESNET_OF["8-8"], END))
      for what, key in (("deeper", "14-8"), ("wider", "8-16"), ("larger", "14-16"))),
    *(_better(f"size-resnet-{what}",
        f"of tickets with {count:,} weights that of a {what} residual network is more accurate: 14-16 against {key}",
        SLIDES, _ticket(RESNET_OF["14-16"], count, END), _ticket(RESNET_OF[key], count, END))
      for what, count, key in (("deeper", LEAST_DEEP, "8-16"), ("wider", LEAST_DEEP, "14-8"),
                               ("larger", FEW_DEEP, "8-8"))),
]
# fmt: on

PAPER = Paper(
    "network_size",
    "Is the network too large? After Frankle & Carbin 2019, and Zhu & Gupta: To prune, or not to prune, 2017",
    sweeps={sweep.name: sweep for sweep in (LENETS, RESNETS)}, claims=CLAIMS,
)  # fmt: skip
