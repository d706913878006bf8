"""Rethinking the Value of Network Pruning (Liu, Sun, Zhou, Huang & Darrell, ICLR 2019): is it the weights at all?

If a trained network is pruned and fine-tuned, are the weights that it keeps worth something, or only its architecture,
which could as well be trained from scratch? And are the initial values of winning tickets worth something at the large
learning rates that are usual in training? Frankle & Carbin answer the last question differently.

Residual networks start from Gaussian Glorot values here, as in the first paper; in the authors' code convolutions start
from He's normal ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from npticket.experiments.outcome import Outcome, Point
from npticket.experiments.parts import Parts
from npticket.experiments.recipe import Part, Recipe
from npticket.papers.lottery_ticket.recipes import BOTH, RECIPES
from npticket.papers.lottery_ticket.series import TICKET
from npticket.papers.rethinking.claims import CLAIMS
from npticket.papers.rethinking.series import SERIES, TUNED, UNITS_B, UNITS_E, UNITS_TICKET, UNITS_TUNED, B, E
from npticket.report.canvas import Pen, Picture, panels, upright, weights_remaining
from npticket.report.figures import Lines
from npticket.report.paper import Paper
from npticket.report.quantities import at_the_end
from npticket.report.sweeps import Sweep

EPOCH = 782  # steps of an epoch of the paper's 50,000 images, 64 at a time; here there are 45,000
EPOCHS = 160


def _at_rate(recipe: Recipe, lr: float, weight_decay: float = 0.0) -> Recipe:
    """The recipe with SGD at `lr`, and a tenth of it after half of the steps, a hundredth after three quarters."""
    drops = [[recipe.steps // 2, lr / 10], [recipe.steps * 3 // 4, lr / 100]]
    return replace(recipe, optimizer=Part("sgd", lr=lr, momentum=0.9, weight_decay=weight_decay),
                   schedule=Part("step_drops", drops=drops))  # fmt: skip


# fmt: off
RESNET_56 = _at_rate(Recipe(
    name="rethinking-resnet56", source="after Liu et al. 2019, sections 4 and 6: Scratch-B at most twice as long",
    net=Part("resnet", depth=56), data=Part("cifar10"), augment=Part("flip_and_crop"), optimizer=Part("sgd"),
    # The rates of the first paper. If whole filters are pruned, it is those of each block's first convolution.
    prune=Part("magnitude", scope="globally", rates={"out/W": 0, "*/shortcut/*": 0, "*/W": 0.2}),
    batch=64, steps=EPOCHS * EPOCH, rounds=9, trials=5, validate_every=EPOCH, train_at_end=False,
    series=(*BOTH, *SERIES),
), 0.1, 1e-4)
LENET = _at_rate(replace(RECIPES["lenet-mnist"],
    name="rethinking-lenet", source="after Liu et al. 2019, section 4, on LeNet",
    # As much in a round as in two of the first paper. If whole units are pruned, it is those of both hidden layers.
    prune=Part("magnitude", rates={"fc*/W": 0.36, "out/W": 0.19}),
    steps=15_000, train_at=(), rounds=6, validate_every=500, series=(TICKET, *SERIES),
), 0.1)
RESNET_8 = replace(RESNET_56,
    name="rethinking-resnet8", source="after Liu et al. 2019, section 6, on ResNet-8",
    net=Part("resnet", depth=8, width=8),
    prune=RESNET_56.prune.having(rates={"out/W": 0, "*/shortcut/*": 0, "*/W": 0.36}),
    steps=2_400, rounds=5, trials=3, validate_every=600, series=BOTH,
)
# fmt: on
LENET_RATES = replace(LENET, source="after Liu et al. 2019, section 6, on LeNet", series=BOTH)


def initial_values(outcomes: Mapping[str, Outcome]) -> Iterator[Picture]:
    """Draw tickets and reinitialised tickets at each learning rate against weights remaining."""
    figure, (axes,) = panels(1)
    lines, levels = list[Sequence[Point]](), list[float]()
    for rate, outcome in outcomes.items():
        quantity = at_the_end(outcome.task.headline)
        for series in BOTH:
            if points := outcome.points(series):
                i = len(lines)
                legend = f"{rate}, {outcome.known[series].legend}"
                Pen.nth(legend, i).line(axes, points, quantity)
                lines.append(points)
                levels.append(quantity.drawn(points[0]).mean())
    upright(axes, quantity, min(levels))
    weights_remaining(axes, lines)
    yield Picture("initial_values_by_rate", figure, "learning rate")


def _sweep(recipe: Recipe, weight_decay: float) -> Sweep:
    """The recipe at a high and a low learning rate."""
    name = f"{recipe.name}-rate"
    rates = {f"{lr:g}": replace(_at_rate(recipe, lr, weight_decay), name=f"{name}-{lr:g}") for lr in (0.1, 0.01)}
    return Sweep(name, recipe.source, "learning rate", rates, initial_values)


PAPER = Paper(
    "rethinking",
    "Zhuang Liu, Mingjie Sun, Tinghui Zhou, Gao Huang and Trevor Darrell: Rethinking the Value of Network Pruning. "
    "ICLR 2019. arXiv:1810.05270",
    {recipe.name: recipe for recipe in (RESNET_56, LENET)}, Parts(series=SERIES),
    {sweep.name: sweep for sweep in (_sweep(LENET_RATES, 0), _sweep(RESNET_8, 1e-4))}, CLAIMS,
    (Lines("weights", (at_the_end,), (TUNED, E, B), beside=BOTH),
     Lines("units", (at_the_end,), (UNITS_TUNED, UNITS_E, UNITS_B, UNITS_TICKET))),
)  # fmt: skip
