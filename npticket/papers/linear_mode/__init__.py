"""Linear Mode Connectivity and the Lottery Ticket Hypothesis (Frankle, Dziugaite, Roy & Carbin, ICML 2020).

A network at step k is trained to the end twice, with other minibatches and augmentation each time. If the error does
not rise on the straight line between the two ends, these lie in one linearly connected minimum: the network is stable
to SGD's noise. The paper asks from which k on dense networks are stable, and finds that tickets are as accurate as the
dense network only if they are rewound to a step from which they are stable. LeNet is so from its initial values on.

Recipes have two copies a trial, where the paper has three orders of the data for each of three initialisations, and
residual networks start from Gaussian Glorot values, where open_lth has He's normal ones.
"""

from collections.abc import Mapping
from dataclasses import replace

from npticket.experiments.parts import Parts
from npticket.experiments.recipe import Part, Recipe
from npticket.papers.linear_mode.claims import CLAIMS
from npticket.papers.linear_mode.figures import Paths, against_k
from npticket.papers.linear_mode.instability import ALL, SERIES, TICKETS
from npticket.papers.lottery_ticket.recipes import LENET
from npticket.report.figures import Lines
from npticket.report.paper import Paper
from npticket.report.quantities import at_the_end
from npticket.report.sweeps import Sweep


def _sweep(recipe: Recipe, series: Mapping[int, tuple[str, ...]]) -> Sweep:
    """The sweep of a recipe over the rewind steps in `series`, which has the names of each step's series."""
    recipes = {
        str(k): replace(recipe, name=f"{recipe.name}-{k}", rewind_step=k, series=names) for k, names in series.items()
    }
    return Sweep(recipe.name, recipe.source, "rewound to step", recipes, against_k)


# fmt: off
LENET_300_100 = replace(
    LENET, name="linear-mode-lenet", source="after Frankle et al. 2020, Figures 3 and 5, with fewer steps",
    steps=15_000, train_at=(), rounds=11, series=ALL)  # to 10.7 % of the weights
RESNET_20 = Recipe(
    name="linear-mode-resnet20", source="Frankle et al. 2020, Figures 3 and 5; settings of Table 1 from memory",
    net=Part("resnet", depth=20), data=Part("cifar10"), augment=Part("flip_and_crop"),
    optimizer=Part("sgd", lr=0.1, momentum=0.9, weight_decay=1e-4),
    schedule=Part("step_drops", drops=[[32_000, 0.01], [48_000, 0.001]]),
    prune=Part("magnitude", scope="globally", rates={"*/W": 0.2}),
    batch=128, steps=63_000, rounds=9, trials=3, validate_every=500, train_at_end=False, series=ALL)  # to 16.8 %
RESNET_8 = replace(
    RESNET_20, name="linear-mode-resnet8", source="after Frankle et al. 2020, on a small ResNet-8 for fewer steps",
    net=Part("resnet", depth=8, width=8), schedule=Part("step_drops", drops=[[1_600, 0.01], [2_100, 0.001]]),
    prune=Part("magnitude", scope="globally", rates={"*/W": 0.738}),  # as much as in six rounds of 20 %
    batch=64, steps=2_400, rounds=2, validate_every=200)

PAPER = Paper(
    "linear_mode",
    "Jonathan Frankle, Gintare Karolina Dziugaite, Daniel M. Roy and Michael Carbin: Linear Mode Connectivity and the "
    "Lottery Ticket Hypothesis. ICML 2020. arXiv:1912.05671",
    parts=Parts(series=SERIES),
    sweeps={sweep.name: sweep for sweep in (
        _sweep(LENET_300_100, dict.fromkeys((0, 1_000, 5_000), ALL)),
        _sweep(RESNET_8, {0: ALL, 200: TICKETS, 800: ALL}),
        _sweep(RESNET_20, dict.fromkeys((0, 500, 2_000), ALL)))},
    claims=CLAIMS,
    plots=(Paths(), Lines("final_accuracy", (at_the_end,))),
)
