"""What is claimed of tickets and dense networks with equally many weights.

Claims with the source "a talk's question" are about what was asked in a talk on the paper, without an answer.
"""

from collections.abc import Sequence
from itertools import pairwise

from npticket.experiments.recipe import Recipe
from npticket.papers.lottery_ticket.claims.words import ACC, BACK, END, ROUNDS, THIRD, TICKET, TIMES, better
from npticket.papers.network_size.numbers import at, weights
from npticket.papers.network_size.recipes import LENETS, RESNETS
from npticket.report.claims import Claim
from npticket.report.comparisons import Number, left_out, value
from npticket.report.intervals import Numbers
from npticket.report.quantities import STOP, Quantity
from npticket.report.views import View

TEXT, TALK = "App. G.6, text of Fig 31", "a talk's question"
INFERRED = f"inferred from {TEXT}"
GUPTA = f"{TALK}; Zhu & Gupta 2017, from memory"
LENET_OF, RESNET_OF = LENETS.recipes, RESNETS.recipes
PRUNED = {key: LENET_OF[key] for key in ("900-300", "300-100", "100-34", "50-17", "25-9")}  # 979,000 to 20,000 weights
LEAST, LEAST_DEEP = weights(LENET_OF["15-5"]), weights(RESNET_OF["8-8"])  # 11,885 and 19,608
FEW_DEEP = 15_000  # 14-16 and 8-8 have tickets with so few weights
# The largest, 20-16 and 8-32, are compared at these: of 8-32's weights 11,520 are never pruned (shortcuts and output).
HALF_DEEP, SOME_DEEP = weights(RESNET_OF["8-16"]), 40_000  # the first is 77,360
Compared = tuple[Recipe, Number]


def _ticket(recipe: Recipe, count: int, quantity: Quantity) -> Compared:
    return recipe, at(count, quantity, recipe)


def _dense(recipe: Recipe, quantity: Quantity) -> Compared:
    return recipe, value(quantity)


def _better(id: str, sentence: str, source: str, of: Compared, than: Compared) -> Claim:
    """The claim that one network is more accurate than another, in percentage points."""
    (one, more), (other, less) = of, than
    return better((one.name, other.name), id, sentence, source, lambda a, b: more(a) - less(b))


def _extreme(quantity: Quantity, sign: int, views: Sequence[View]) -> Numbers:
    """The highest (1) or lowest (-1) value among tickets of the first networks of PRUNED, one for each view."""
    return left_out([at(LEAST, quantity, recipe)(v) for recipe, v in zip(PRUNED.values(), views, strict=False)], sign)


def _falls_back(recipe: Recipe) -> Number:
    """The number of weights from which on a recipe's tickets are less accurate than its dense network."""
    dense = weights(recipe)
    return lambda v: dense / 100 * v.falls_below(ACC, TICKET, TICKET, 100 * BACK[0] / dense)


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
    better(LENET_NAMES, "size-over-dense",
        f"tickets with {LEAST:,} weights are more accurate than a dense LeNet of as many: the worst of five",
        GUPTA, lambda *views: _extreme(END, -1, views[:-1]) - value(END)(views[-1])),
    Claim(LENET_NAMES, "size-faster-than-dense",
        f"tickets with {LEAST:,} weights learn faster than a dense LeNet of as many: the slowest of five", TALK,
        lambda *views: _extreme(STOP, 1, views[:-1]) / value(STOP)(views[-1]),
        "< 1", TIMES, high=1, strict=True, ratio=True),
    Claim(LENET_NAMES[:4], "size-as-fast",
        f"tickets of LeNet-50-17 and larger with {LEAST:,} weights stop about equally early: slowest against fastest",
        TEXT, lambda *views: _extreme(STOP, 1, views) / _extreme(STOP, -1, views),
        "1", TIMES, 0.67, 1.33, ratio=True, because=THIRD),
    *(Claim((PRUNED[key].name,), f"size-{key}-back",
        f"tickets of LeNet-{key} are less accurate than its dense network below 9,000 to 15,000 weights", TEXT,
        _falls_back(PRUNED[key]), "9,000 to 15,000", "{:,.0f} weights", *BACK, ratio=True, because=ROUNDS)
      for key in list(PRUNED)[:4]),  # LeNet-25-9 has hardly more weights at first
    *(_better(f"size-resnet-{what}-dense",
        f"a ticket of a {what} residual network is more accurate than a dense one of its {LEAST_DEEP:,} weights: "
        f"{key} against 8-8", GUPTA, _ticket(RESNET_OF[key], LEAST_DEEP, END), _dense(RESNET_OF["8-8"], END))
      for what, key in (("deeper", "14-8"), ("wider", "8-16"), ("larger", "14-16"))),
    *(_better(f"size-resnet-{what}",
        f"of tickets with {count:,} weights that of a {what} residual network is more accurate: 14-16 against {key}",
        TALK, _ticket(RESNET_OF["14-16"], count, END), _ticket(RESNET_OF[key], count, END))
      for what, count, key in (("deeper", LEAST_DEEP, "8-16"), ("wider", LEAST_DEEP, "14-8"),
                               ("larger", FEW_DEEP, "8-8"))),
    *(_better(f"size-resnet-{what}-dense",
        f"a ticket of the {what} residual network is more accurate than a dense one of its {HALF_DEEP:,} weights: "
        f"{key} against 8-16", GUPTA, _ticket(RESNET_OF[key], HALF_DEEP, END), _dense(RESNET_OF["8-16"], END))
      for what, key in (("deepest", "20-16"), ("widest", "8-32"))),
    *(_better(f"size-resnet-{what}",
        f"of tickets with {SOME_DEEP:,} weights that of the {what} residual network is more accurate: {one} against "
        f"{other}", TALK, _ticket(RESNET_OF[one], SOME_DEEP, END), _ticket(RESNET_OF[other], SOME_DEEP, END))
      for what, one, other in (("deepest", "20-16", "14-16"), ("widest", "8-32", "8-16"))),
]
# fmt: on
