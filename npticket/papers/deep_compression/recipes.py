"""LeNet-300-100 and LeNet-5 on MNIST, pruned to what the paper keeps of each layer.

The paper says neither how its networks were trained nor its thresholds: these, and steps, batch, learning rates and
weight decay are ours, chosen on one trial so that about as many weights are kept as in the paper, or fewer where the
files would be larger than its 27 and 44 KB otherwise: of LeNet-5's first dense layer above all. There is weight decay
as in Han et al. 2015, section 3.1. Retraining has the whole schedule again; they take a tenth of the learning rate,
with which more accuracy was lost here.
"""

from collections.abc import Mapping
from dataclasses import replace

from npticket.experiments.recipe import Part, Recipe
from npticket.papers.deep_compression.series import ABLATION, PRUNINGS, SERIES
from npticket.papers.lottery_ticket.series import TICKET

KEPT = {  # fraction of each layer's weights (Tables 2 and 3)
    "lenet_300_100": {"fc1/W": 0.08, "fc2/W": 0.09, "out/W": 0.26},
    "lenet_5": {"conv1/W": 0.66, "conv2/W": 0.12, "fc1/W": 0.08, "out/W": 0.19},
}
SOURCE = "Han, Mao & Dally 2016, Tables 1 to 3; our training"


def _rates(kept: Mapping[str, float], rounds: int) -> dict[str, float]:
    """The pruning rates by which tickets keep as much as the paper's networks after so many rounds."""
    return {name: round(1 - part ** (1 / rounds), 4) for name, part in kept.items()}


def _schedule(steps: int, lr: float) -> Part:
    """A schedule whose last fifth has a fiftieth of the learning rate."""
    return Part("step_drops", drops=[[steps * 4 // 5, lr / 50]])


LENET = Recipe(
    name="compression-lenet", source=SOURCE, net=Part("lenet_300_100"), data=Part("mnist"),
    optimizer=Part("adamw", lr=1.2e-3, weight_decay=0.05), schedule=_schedule(15_000, 1.2e-3),
    prune=Part("magnitude", rates=_rates(KEPT["lenet_300_100"], PRUNINGS["lenet_300_100"])),
    batch=60, steps=15_000, rounds=1 + PRUNINGS["lenet_300_100"], series=(TICKET, *SERIES),
)  # fmt: skip
LENET_5 = replace(
    LENET, name="compression-lenet5", net=Part("lenet_5"), schedule=_schedule(10_000, 1.2e-3),
    prune=Part("magnitude", rates=_rates(KEPT["lenet_5"], PRUNINGS["lenet_5"])), steps=10_000,
    rounds=1 + PRUNINGS["lenet_5"], series=tuple(name for name in (TICKET, *SERIES) if name != ABLATION),
)  # fmt: skip
RECIPES = {recipe.name: recipe for recipe in (LENET, LENET_5)}
