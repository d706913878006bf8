"""Two distances between the ends of training runs, which show why rewinding is needed (Frankle et al. 2019, Figure 3).

A subnetwork is stable to pruning if, trained alone, it ends near the values that its weights have at the end of the
dense network's training, from the same step with the same minibatches. It is stable to data order if it ends near the
same values with other minibatches. For data order, two copies are compared, as in the paper on linear mode
connectivity.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from npticket.experiments.outcome import Outcome
from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At, Done, Measure, Run, Runs, Series, rewind_point
from npticket.experiments.tables import Row
from npticket.papers.lottery_ticket.claims.words import END, HALF, LEVEL, POINTS, SPREAD, THIRD, TIMES
from npticket.papers.lottery_ticket.measures import apart, rounds_near
from npticket.papers.lottery_ticket.recipes import LENET, RESNET_18_HIGH, VGG_19_HIGH
from npticket.papers.lottery_ticket.series import ticket
from npticket.report import canvas
from npticket.report.canvas import Picture, Points
from npticket.report.claims import Claim
from npticket.report.comparisons import Number, gain, gain_between, ratio
from npticket.report.figures import Plot
from npticket.report.sweeps import Sweep
from npticket.tickets import rewind

DENSITIES = (0.512, 0.168, 0.107, 0.022)  # at some of these there are two copies
COPY, RANDOM = "ticket_order_1", "mask_order_1"
ORDER = {COPY: "ticket_path", RANDOM: "mask_path"}  # tables with the distance between two copies
PRUNING = "pruning_distance"  # the table with the distance to the dense network


def _rounds(recipe: Recipe) -> list[int]:
    return [round for round in rounds_near(recipe, DENSITIES) if round]


def dense_in_order(recipe: Recipe) -> Runs:
    """Train the dense network with the minibatches of each round's first copies, as these differ by round."""
    point = yield from rewind_point(recipe)
    for round in _rounds(recipe):
        yield Run(round, ticket, point, first_step=recipe.rewind_step, order=1)


def pruning_distances(recipe: Recipe) -> Runs:
    """Measure how far subnetworks, trained alone, end from the values of their weights in the dense network."""
    for round in _rounds(recipe):
        dense = yield Done("dense_in_order", round)
        one, other = (yield Done(COPY, round)), (yield Done(RANDOM, round))
        given = {"masks": one["masks"], COPY: one["end"], RANDOM: other["end"], "random_masks": other["masks"]}
        yield Measure(round, stability, {**given, "dense": dense["end"]})


def stability(at: At) -> list[Row]:
    """Return a row for the ticket and one for the random subnetwork: distance (L2) and angle (degrees) to the dense."""
    masks = {COPY: at.masks, RANDOM: at.given["random_masks"]}
    found = {name: apart(at.given[name], rewind(at.given["dense"], of)) for name, of in masks.items()}
    return [{"of": name, "distance": distance, "angle": angle} for name, (distance, angle) in found.items()]


class Distances(Plot):
    """Distance of two copies, and distance to the dense network, against weights remaining (after Figure 3)."""

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw both; nothing if the distance to the dense network was not measured."""
        if not outcome.measured.get(PRUNING):
            return
        figure, axes_of = canvas.panels(2)
        titles = ("distance of two data orders (L2)", "distance to the dense network (L2)")
        for axes, text, is_order in zip(axes_of, titles, (True, False), strict=True):
            for name, path in ORDER.items():
                table = outcome.measured.get(path if is_order else PRUNING, ())
                mine = [row for row in table if row["round"] and (row["alpha"] == 0 if is_order else row["of"] == name)]
                density = {point.round: 100 * point.density for point in points.get(name, ())}
                by_round = canvas.values_by(mine, "round", "distance")
                rounds = sorted(density.keys() & by_round.keys())
                values = [by_round[round] for round in rounds]
                canvas.pen(outcome, name).draw(axes, [density[round] for round in rounds], values, 0.15)
            axes.set_ylabel(text)
            axes.set_ylim(bottom=0)
            canvas.weights_remaining(axes, [[p for p in points.get(COPY, ()) if p.round in {*rounds}]])
        yield Picture("distances", figure)


def order(name: str, percent: float, column: str = "distance") -> Number:
    """How far apart two copies of a ticket, or of a random subnetwork, end."""
    return lambda v: v.measured(ORDER[name], percent, lambda rows: rows[0][column])


def pruning(name: str, percent: float, column: str = "distance") -> Number:
    """How far a ticket, or a random subnetwork, ends from the values of its weights in the dense network."""
    return lambda v: v.measured(PRUNING, percent, lambda rows: next(r[column] for r in rows if r["of"] == name))


OWN = {name: Series(runs) for name, runs in {"dense_in_order": dense_in_order, PRUNING: pruning_distances}.items()}
SERIES = (COPY, "ticket_order_2", RANDOM, "mask_order_2", *ORDER.values(), *OWN)
STABILITY = replace(
    LENET, name="stabilizing-lenet", source="after Frankle et al. 2019, Figure 3, with fewer steps", steps=15_000,
    train_at=(), rounds=11, series=SERIES,
)  # fmt: skip


def _sweep(recipe: Recipe, name: str, rounds: int, steps: tuple[int, int]) -> Sweep:
    """The sweep of a recipe over rewind steps: 3 trials, down to the density of the paper's Figure 3."""
    source = "Frankle et al. 2019, Figure 3 and sections 3 and 4"
    made = replace(recipe, source=source, rounds=rounds, trials=3, series=SERIES)
    recipes = {str(k): replace(made, name=f"{name}-{k}", rewind_step=k) for k in steps}
    return Sweep(name, source, "rewound to step", recipes)


LENET_0, RESNET_0, VGG_REWOUND = (STABILITY.name,), ("stabilizing-resnet18-0",), ("stabilizing-vgg19-100",)
RESNET_REWOUND, SMALL = ("stabilizing-resnet18-500",), ("linear-mode-resnet8-800",)
RESNET_8 = "a small ResNet-8 like the paper's Resnet-18, at 26.2 %"
half = partial(Claim, LENET_0, source="Fig 3", form=TIMES, ratio=True, because=HALF)
level = partial(Claim, LENET_0, source="Fig 3", form=LEVEL, because=SPREAD)
more = partial(Claim, expected="> 1", form=TIMES, low=1, strict=True, ratio=True)
better = partial(Claim, expected="> 0", form=POINTS, low=0, strict=True)

# fmt: off
CLAIMS = [
    half("stab-lenet-order",
        "at 10.8 % random subnetworks end 2.8 times as far apart as tickets with other data orders",
        quantity=ratio(order(RANDOM, 10.7), order(COPY, 10.7)), expected="2.8 times", low=1.9),
    half("stab-lenet-pruning", 
        "at 10.8 % random subnetworks end 1.6 times as far from their weights in the dense network as tickets",
        quantity=ratio(pruning(RANDOM, 10.7), pruning(COPY, 10.7)), expected="1.6 times", low=1.3),
    half("stab-lenet-order-or-pruning", "tickets end 2.3 times as far from the dense network as from each other",
        quantity=ratio(pruning(COPY, 10.7), order(COPY, 10.7)), expected="2.3 times", low=1.65),
    more(LENET_0, "stab-lenet-order-angle", "at 10.8 % random subnetworks end in wider angles to each "
        "other, with other data orders, than tickets",
        "App. B, from memory", ratio(order(RANDOM, 10.7, "angle"), order(COPY, 10.7, "angle"))),
    more(LENET_0, "stab-lenet-pruning-angle", "at 10.8 % random subnetworks end in wider angles to their "
        "weights in the dense network than tickets",
        "App. B, from memory", ratio(pruning(RANDOM, 10.7, "angle"), pruning(COPY, 10.7, "angle"))),
    level("stab-lenet-ticket", "tickets at 10.8 % are 98.3 % accurate",
        quantity=lambda v: 100 * v(END, COPY, 10.7), expected="98.3 %", low=98.1, high=98.5),
    level("stab-lenet-random", "random subnetworks at 10.8 % are 97.5 % accurate",
        quantity=lambda v: 100 * v(END, RANDOM, 10.7), expected="97.5 %", low=97.3, high=97.7),
    Claim(LENET_0, "stab-lenet-gain", "at 10.8 % tickets are 0.8 points more accurate than random subnetworks",
        "Fig 3", gain(END, COPY, 10.7, RANDOM), "+0.8 points", POINTS, 0.4, because=HALF),
    better((*SMALL, "linear-mode-resnet8-0"), "stab-resnet8-rewinding",
        f"{RESNET_8}: tickets rewound to step 800 are more accurate than tickets reset to step 0", "§3-4",
        gain_between(END, COPY, 26.2)),
    more((*SMALL, "linear-mode-resnet8-0"), "stab-resnet8-order",
        f"{RESNET_8}: tickets reset to step 0 end further apart with other data orders than rewound ones", "§3-4",
        lambda late, early: order(COPY, 26.2)(early) / order(COPY, 26.2)(late)),
    more(SMALL, "stab-resnet8-random", f"{RESNET_8}: rewound to step 800, random subnetworks end further apart with "
        "other data orders than tickets", "§3-4", ratio(order(RANDOM, 26.2), order(COPY, 26.2))),
    better(SMALL, "stab-resnet8-gain", f"{RESNET_8}: rewound to step 800, tickets are more accurate than random "
        "subnetworks", "§3-4", gain(END, COPY, 26.2, RANDOM)),
    Claim(RESNET_0, "stab-resnet18-order", "Resnet-18 at 17.8 % (16.7 % in the paper): reset to step 0, random "
        "subnetworks end as far apart with other data orders as tickets",
        "Fig 3", ratio(order(RANDOM, 16.7), order(COPY, 16.7)), "1.0 times", TIMES, 0.67, 1.33, ratio=True,
        because=THIRD),
    Claim(RESNET_0, "stab-resnet18-no-gain", "Resnet-18 at 17.8 % (16.7 % in the paper): reset to step 0, tickets are "
        "no more accurate than random subnetworks",
        "Fig 3", gain(END, COPY, 16.7, RANDOM), "0.0 points", POINTS, high=0.3, because=SPREAD),
    better(RESNET_REWOUND, "stab-resnet18-rewinding", "Resnet-18 at 17.8 % (16.7 % in the paper): tickets rewound to "
        "step 500 are more accurate than the dense network", "§3-4", gain(END, COPY, 16.7, COPY, 100)),
    better(VGG_REWOUND, "stab-vgg19-rewinding", "VGG-19 at 2.2 %: tickets rewound to step 100 are more accurate than "
        "the dense network", "§3-4", gain(END, COPY, 2.2, COPY, 100)),
]

# fmt: on
SWEEPS = (
    _sweep(RESNET_18_HIGH, "stabilizing-resnet18", 9, (0, 500)),
    _sweep(VGG_19_HIGH, "stabilizing-vgg19", 18, (0, 100)),
)
