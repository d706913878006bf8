"""The networks of several sizes: LeNets as in the paper's Figure 31, and residual networks."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from npticket.experiments.recipe import Part, Recipe, scaled
from npticket.papers.lottery_ticket.claims.words import TICKET
from npticket.papers.lottery_ticket.recipes import LENET, RESNET_18_HIGH
from npticket.papers.network_size.figures import by_number
from npticket.report.quantities import QuantityOf, at_early_stop, at_the_end, early_stop, trained
from npticket.report.sweeps import Sweep


def _sweep(name: str, source: str, legend: str, recipes: Mapping[str, Recipe], *quantities: QuantityOf) -> Sweep:
    """A sweep whose recipes are named after it, and which is also drawn by `by_number`."""
    named = {key: replace(recipe, name=f"{name}-{key}", source=source) for key, recipe in recipes.items()}
    return Sweep(name, source, legend, named, partial(by_number, stem=f"{name}_weights", legend=legend,
                                                      quantities=quantities))  # fmt: skip


# fmt: off
SHORT = replace(LENET, steps=15_000, train_at=(), series=(TICKET,))
LENETS = _sweep("lenet-size", "after Frankle & Carbin 2019, Figure 31", "hidden units", {
    f"{a}-{b}": replace(SHORT, net=LENET.net.having(hidden=[a, b]), rounds=rounds)  # down to some 4,500 weights
    for a, b, rounds in ((900, 300, 25), (700, 233, 24), (500, 167, 22), (400, 134, 21), (300, 100, 19), (200, 67, 17),
                         (150, 50, 16), (100, 34, 14), (50, 17, 11), (25, 9, 8), (15, 5, 1))},
    early_stop, at_early_stop, at_the_end)

# As in Figure 8, left, but short; at that learning rate tickets must be rewound to an early step (Frankle et al. 2020).
# Of depths 8, 14, 20 and widths 8, 16, 32 all depths are here at width 16, all widths at depth 8, and 14-8. The other
# three (20-8, and depths 14 and 20 at width 32) are left out: with them there would be four times as much to multiply.
FEW_STEPS = replace(
    scaled(RESNET_18_HIGH, 2_400), batch=64, rewind_step=200, test_at=(2_400,), train_at_end=True, trials=3,
    series=(TICKET,),
    prune=RESNET_18_HIGH.prune.having(rates={"out/W": 0, "*/shortcut/*": 0, "*/W": 0.488}))  # 20 % three times
RESNETS = _sweep("resnet-size", "a talk's question, residual networks", "depth-width", {
    f"{depth}-{width}": replace(FEW_STEPS, net=Part("resnet", depth=depth, width=width), rounds=rounds)
    for depth, width, rounds in ((20, 16, 6), (14, 16, 5), (8, 16, 4), (14, 8, 4), (8, 32, 6), (8, 8, 4))},
    at_the_end, trained)
# fmt: on
