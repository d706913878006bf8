"""Pruning filters for efficient ConvNets (Li et al., ICLR 2017): whole units go, and the network really is smaller.

Units are neurons or filters. Those whose incoming weights have the smallest L1 norms are pruned, at once or round by
round, and the others are trained further. Is that better than pruning other units, or than training the smaller network
from scratch, from values as for the whole one? And, not in the paper: do a structured ticket's initial values help?

The paper's numbers and settings are from memory; on LeNet, Conv-2 and a small residual network only orders are asked.
Networks are trained further for as many steps as the dense one, in the paper for a quarter of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from npticket.experiments.outcome import Outcome
from npticket.experiments.parts import Parts
from npticket.experiments.recipe import Part, Recipe
from npticket.experiments.series import At, Done, Measure, Runs, Series
from npticket.experiments.tables import Row
from npticket.export import shrink
from npticket.papers.lottery_ticket.claims.words import (
    ACC,
    END,
    HALF,
    POINTS,
    REINIT,
    SPREAD,
    SPREAD_HERE,
    TICKET,
    TIMES,
    better,
    worse,
)
from npticket.papers.lottery_ticket.recipes import CONV_2, LENET, RESNET_18
from npticket.papers.lottery_ticket.series import FINE_TUNING, Under, end, in_one_go, look
from npticket.params import Params
from npticket.prune import Evidence, Score, at_random, dense_masks, magnitude
from npticket.report import canvas
from npticket.report.claims import Claim
from npticket.report.comparisons import gain, gain_between
from npticket.report.figures import Lines, Plot
from npticket.report.paper import Paper
from npticket.report.quantities import at_early_stop, at_the_end, first
from npticket.units import multiply_adds

SMALLEST, SMALLEST_L2, RANDOM, LARGEST = "smallest_units", "smallest_l2_units", "random_units", "largest_units"
SIZES = "shrunk_sizes"


def squares(seen: Evidence) -> Params:
    """Score weights by their squares, which ranks whole units by their L2 norms (appendix)."""
    return seen.end.like(seen.end.flat**2)


def largest(seen: Evidence) -> Params:
    """Score weights by the negative of their magnitude, so that the largest go."""
    return seen.end.like(-magnitude(seen).flat)


def cut(at: At, score: Score) -> Params:
    """Return masks of the trained dense network pruned by a score, with as many units as the round's ticket."""
    masks = dense_masks(at.theta0)
    for _ in range(at.round):
        masks = at.prune(at.end, masks, score=score)
    return masks


def sizes(recipe: Recipe) -> Runs:
    """Measure how large each ticket is, with its mask and after dead units are cut out."""
    for round in range(recipe.rounds):
        left = yield Done(TICKET, round)
        yield Measure(round, counts, {"masks": left["masks"], "end": left["end"]})


def counts(at: At) -> list[Row]:
    """Return one row: weights and multiply-adds of the masked network, and of the shrunk one."""
    small, theta = shrink(at.net, at.end, at.masks)
    row = {}
    for what, net, masks in (("masked", at.net, at.masks), ("shrunk", small, dense_masks(theta))):
        row[f"{what}_weights"] = int(sum(masks[name].sum() for name in masks.weights))
        row[f"{what}_multiply_adds"] = int(multiply_adds(net, masks)[0])
    return [row]


def left_over(rows: Sequence[Row]) -> float:
    """The weights of the shrunk network divided by the surviving weights of the masked one."""
    return rows[0]["shrunk_weights"] / rows[0]["masked_weights"]


class AgainstCosts(Plot):
    """Test accuracy at the end against weights remaining, and against the multiply-adds of the shrunk network.

    All series prune as many units, or weights, of each layer as the ticket, so each point has the multiply-adds that
    were measured for its round's ticket. Pruning single weights saves some only where whole units become dead.
    """

    def pictures(self, outcome: Outcome, points: canvas.Points) -> Iterator[canvas.Picture]:
        """Draw it if sizes were measured."""
        used = {row["round"]: row["shrunk_multiply_adds"] for row in outcome.measured.get(SIZES, ())}
        if len(used) < 2 or 0 not in used:
            return
        quantity, (figure, axes_of) = at_the_end(outcome.task.headline), canvas.panels(2, sharey=True)
        for one, line in points.items():
            pen, there = canvas.pen(outcome, one), [point for point in line if point.round in used]
            x = [100 * used[point.round] / used[0] for point in there]
            pen.line(axes_of[0], line, quantity, 0.07)
            pen.draw(axes_of[1], x, [quantity.drawn(point) for point in there], 0.07)
        levels = [canvas.dense_network(axes, points[first(outcome)][0], quantity) for axes in axes_of]
        canvas.upright(axes_of[0], quantity, levels[0])
        canvas.weights_remaining(axes_of[0], points.values())
        ticks, words = axes_of[0].get_xticks(), [label.get_text() for label in axes_of[0].get_xticklabels()]
        axes_of[1].set(xscale="log", xlabel="multiply-adds of the shrunk network (%)", xlim=axes_of[0].get_xlim())
        axes_of[1].set_xticks(ticks, words, fontsize=8)
        axes_of[1].minorticks_off()
        yield canvas.Picture("costs", figure)


SERIES = {
    name: Series(in_one_go(Under(end, partial(cut, score=score)), tuned=True), f"one-shot: {legend}", look(*marks))
    for name, score, legend, marks in (
        (SMALLEST, magnitude, "smallest units", ("#009e73", "-", "D")),
        (SMALLEST_L2, squares, "smallest by L2", ("#e69f00", ":", "P")),
        (RANDOM, at_random, "random units", ("#000000", ":", "x")),
        (LARGEST, largest, "largest units", ("#cc79a7", "--", "v")),
    )
} | {SIZES: Series(sizes)}

# fmt: off
LENET_UNITS = replace(LENET, name="filters-lenet", source="after Li et al. 2017, on LeNet",
    prune=Part("magnitude", scope="units layerwise", rates={"fc*/W": 0.3}), steps=15_000, rounds=7, train_at=(),
    series=(TICKET, REINIT, FINE_TUNING, SMALLEST, SMALLEST_L2, RANDOM, LARGEST, SIZES))  # to 10.5 % of the weights
LENET_WEIGHTS = replace(LENET_UNITS, name="filters-lenet-weights",  # to as many weights, within a tenth of them
    prune=Part("magnitude", rates={"fc*/W": 0.32, "out/W": 0.16}), series=(TICKET, FINE_TUNING, SIZES))
CONV_2_UNITS = replace(CONV_2, name="filters-conv2", source="after Li et al. 2017, on Conv-2",
    prune=Part("magnitude", scope="units layerwise", rates={"out/W": 0, "*/W": 0.4375}), rounds=3, trials=3,
    steps=3_000, validate_every=250, train_at=(), train_at_end=False,
    series=(TICKET, REINIT, SMALLEST, RANDOM, LARGEST, SIZES))
CONV_2_WEIGHTS = replace(CONV_2_UNITS, name="filters-conv2-weights",  # to as many weights of each layer
    prune=Part("magnitude", rates={"conv1/W": 0.4375, "out/W": 0.4375, "*/W": 0.6836}), series=(TICKET, SIZES))
RESNET_8 = replace(RESNET_18, name="filters-resnet8", source="after Li et al. 2017, on ResNet-8",
    net=Part("resnet", depth=8, width=8), batch=64, steps=2_400, rounds=4, trials=3, validate_every=200, test_at=(),
    optimizer=Part("sgd", lr=0.1, momentum=0.9, weight_decay=1e-4), schedule=Part("step_drops", drops=[[1_600, 0.01]]),
    prune=Part("magnitude", scope="units layerwise", rates={"out/W": 0, "*/W": 0.25}),
    series=(TICKET, REINIT, FINE_TUNING, SMALLEST, RANDOM, LARGEST, SIZES))
RESNET_8_WEIGHTS = replace(RESNET_8, name="filters-resnet8-weights",  # to as many weights, within a twentieth of them
    prune=Part("magnitude", rates={"conv/W": 0.25, "out/W": 0.25, "*/W": 0.4375}), series=(TICKET, FINE_TUNING, SIZES))
RESNET_56_B = replace(RESNET_8, name="filters-resnet56-b",
    source="after Li et al. 2017, Tables 1 and 2: ResNet-56-pruned-B", net=Part("resnet", depth=56), batch=128,
    steps=64_000, rounds=2, validate_every=391, schedule=Part("step_drops", drops=[[32_000, 0.01], [48_000, 0.001]]),
    prune=Part("magnitude", scope="units layerwise", rates={  # of each block the first layer, but near other widths
        **{f"stage{stage}_block{block}/*": 0 for stage, block in ((1, 8), (1, 9), (2, 1), (2, 8), (3, 1), (3, 9))},
        "stage1_*/conv1/W": 0.6, "stage2_*/conv1/W": 0.3, "stage3_*/conv1/W": 0.1}),
    series=(TICKET, REINIT, FINE_TUNING, RANDOM, LARGEST, SIZES))

AT = ("lenet", LENET_UNITS, 21.9), ("conv2", CONV_2_UNITS, 9.9), ("resnet8", RESNET_8, 31.6)  # percent of the weights
lenet, published = (partial(Claim, (recipe.name,)) for recipe in (LENET_UNITS, RESNET_56_B))
MEMORY = "Li et al. 2017, {}, from memory"
OTHERS, SCRATCH = MEMORY.format("§4.4"), MEMORY.format("Table 2")
CLAIMS = [
    *(better((recipe.name,), f"filters-{name}-{what}",
        f"at {percent} % pruning the smallest units is more accurate than {what} ones",
        OTHERS, gain(END, SMALLEST, percent, other))
      for name, recipe, percent in AT for what, other in (("random", RANDOM), ("largest", LARGEST))),
    lenet("filters-l1-l2", "at 21.9 % it makes no difference whether the smallest are so by L1 or by L2",
        MEMORY.format("appendix"), gain(END, SMALLEST, 21.9, SMALLEST_L2), "0", POINTS, -0.2, 0.2, because=SPREAD_HERE),
    lenet("filters-no-loss", "at 31.8 % networks pruned in one go and trained further are as accurate as the dense one",
        MEMORY.format("Table 1"), gain(END, SMALLEST, 31.8, at=100), "0", POINTS, -0.2, because=SPREAD_HERE),
    lenet("filters-once", "at 21.9 % one-shot pruning is as accurate as pruning round by round",
        MEMORY.format("§3.4"), gain(END, SMALLEST, 21.9, FINE_TUNING), "0", POINTS, -0.2, 0.2, because=SPREAD_HERE),
    *(worse((recipe.name,), f"filters-{name}-scratch",
        f"at {percent} % the small network, new values as for the whole, is less accurate than the pruned one", SCRATCH,
        gain(END, REINIT, percent, SMALLEST)) for name, recipe, percent in AT),
    lenet("filters-ticket", "at 21.9 % the initial values of a structured ticket gain nothing over others",
        "Liu et al. 2019, §6", gain(ACC, TICKET, 21.9, REINIT), "0", POINTS, -0.2, 0.2, because=SPREAD_HERE),
    *(worse((recipe.name, f"{recipe.name}-weights"), f"filters-{name}-below-weights",
        f"with {part} of the weights {what} of whole units are less accurate than those of single weights",
        "Mao et al. 2017, from memory", gain_between(END, one, units, at=weights))
      for name, recipe, what, one, part, units, weights in (
          ("tickets", LENET_UNITS, "tickets", TICKET, "a tenth", 10.5, 10.0),
          ("fine-tuned", LENET_UNITS, "fine-tuned networks", FINE_TUNING, "a tenth", 10.5, 10.0),
          ("conv2-tickets", CONV_2_UNITS, "tickets", TICKET, "a tenth", 9.9, 10.0),
          ("resnet8-tickets", RESNET_8, "tickets", TICKET, "a fifth", 19.3, 18.5),
          ("resnet8-fine-tuned", RESNET_8, "fine-tuned networks", FINE_TUNING, "a fifth", 19.3, 18.5))),
    Claim((LENET_WEIGHTS.name,), "filters-not-smaller",
        "without its dead units a ticket of 21.5 % of single weights has more than twice the weights that survive",
        "Li et al. 2017, §1", lambda v: v.measured(SIZES, 21.5, left_over),
        "> 1", TIMES, 2, strict=True, ratio=True, because="more than twice"),
    published("filters-resnet56-no-loss", "ResNet-56 without 14 % of its weights is as accurate after training further",
        MEMORY.format("Table 1"), gain(END, FINE_TUNING, 87, at=100), "+0.02", POINTS, -0.2, because=SPREAD),
    published("filters-resnet56-scratch", "ResNet-56 without 14 % of its weights is 1.75 points worse from scratch",
        SCRATCH, gain(END, REINIT, 87, FINE_TUNING), "-1.75", POINTS, high=-0.87, because=HALF),
]
# fmt: on

RECIPES = (LENET_UNITS, LENET_WEIGHTS, CONV_2_UNITS, CONV_2_WEIGHTS, RESNET_8, RESNET_8_WEIGHTS, RESNET_56_B)
PAPER = Paper(
    "structured", "Li, Kadav, Durdanovic, Samet & Graf: Pruning Filters for Efficient ConvNets, ICLR 2017",
    {recipe.name: recipe for recipe in RECIPES}, Parts(series=SERIES), claims=CLAIMS,
    plots=(AgainstCosts(), Lines("early_stopping", (at_early_stop, at_the_end))),
)  # fmt: skip
