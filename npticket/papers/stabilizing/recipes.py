"""The experiments: LeNet with fewer steps, rewound to several, and the paper's deep networks.

Each trial has two copies with other orders of the data, where the paper has 18 samples, and three of pruning.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from npticket.experiments.recipe import Recipe
from npticket.papers.lottery_ticket.recipes import LENET, RESNET_18_HIGH, VGG_19_HIGH
from npticket.papers.stabilizing.distances import SERIES
from npticket.papers.stabilizing.figures import against_k
from npticket.report.sweeps import Sweep

STABILITY = replace(
    LENET, name="stabilizing-lenet", source="after Frankle et al. 2019, Figure 3, with fewer steps", steps=15_000,
    train_at=(), rounds=11, series=SERIES,
)  # fmt: skip
STEPS = {k: replace(STABILITY, name=f"stabilizing-lenet-step-{k}", rewind_step=k) for k in (1_000, 5_000)}


def _sweep(name: str, source: str, recipes: Iterable[Recipe]) -> Sweep:
    """A sweep over rewind steps, with a figure of the distances at each."""
    by_step = {f"{recipe.rewind_step:,}": recipe for recipe in recipes}
    return Sweep(name, source, "rewound to step", by_step, partial(against_k, stem=f"{name}_distances"))


def _deep(recipe: Recipe, name: str, rounds: int, steps: tuple[int, int]) -> Sweep:
    """The sweep of a deep network: 3 trials, down to the density of the paper's Figure 3."""
    source = "Frankle et al. 2019, Figure 3 and sections 3 and 4"
    made = replace(recipe, source=source, rounds=rounds, trials=3, series=SERIES)
    return _sweep(name, source, (replace(made, name=f"{name}-{k}", rewind_step=k) for k in steps))


SWEEPS = (
    _sweep("stabilizing-lenet-step", "after Frankle et al. 2019, section 4, on LeNet", (STABILITY, *STEPS.values())),
    _deep(RESNET_18_HIGH, "stabilizing-resnet18", 9, (0, 500)),
    _deep(VGG_19_HIGH, "stabilizing-vgg19", 18, (0, 100)),
)
