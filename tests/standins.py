"""The first paper's recipes and series, as far as tests of reports need them, where the package has none yet."""

import sys
from dataclasses import replace
from types import ModuleType

from npticket.experiments.recipe import Part, Recipe
from npticket.experiments.series import Series
from npticket.report.paper import Sweep

LOOKS = {
    "winning_ticket": ("winning ticket", "#0072b2", "-", "o"),
    "random_reinit": ("random reinit", "#d55e00", "--", "s"),
    "random_mask": ("random mask", "#000000", ":", "x"),
    "one_shot": ("one-shot", "#009e73", "-", "D"),
    "one_shot_reinit": ("one-shot, reinit", "#cc79a7", "--", "v"),
    "shuffled": ("shuffled within layers", "#009e73", "-.", "<"),
    "survivor_reinit": ("from survivors' values", "#cc79a7", ":", ">"),
    "pruned_at_init": ("pruned before training", "#000000", "-.", "*"),
    "fine_tuning": ("prune and fine-tune", "#56b4e9", "-.", "D"),
    "continued_training": ("reset only at the end", "#e69f00", "--", "P"),
    "noise_0.5": ("noise, 0.5 sigma", "#66c2a5", "-", "^"),
    "noise_1": ("noise, 1 sigma", "#1b9e77", "--", "d"),
    "noise_2": ("noise, 2 sigma", "#0b6e4f", "-.", "p"),
    "noise_3": ("noise, 3 sigma", "#05382a", ":", "X"),
}


def runs(recipe):
    """No test of a report trains anything."""
    yield from ()


SERIES = {
    name: Series(runs, legend, {"color": color, "linestyle": dash, "marker": marker})
    for name, (legend, color, dash, marker) in LOOKS.items()
}
for draw in ("random_reinit_2", "random_reinit_3", "random_mask_2"):
    SERIES[draw] = replace(SERIES[draw[:-2]], draw_of=draw[:-2])

MAIN = ("winning_ticket", "random_reinit", "random_reinit_2", "random_reinit_3", "random_mask", "random_mask_2")


def recipe(name, net, rounds, series=MAIN[:2], rates=None):
    prune = Part("magnitude", rates=rates or {"fc*/W": 0.2, "out/W": 0.1})
    return Recipe(name, "a figure", Part(net), Part("data"), Part("adam", lr=1e-3), prune, 60, 50_000, rounds, series)


def control(name, series):
    return recipe(name, "lenet_300_100", 29, series)


INITS = ("noise_0.5", "noise_1", "noise_2", "noise_3", "survivor_reinit", "shuffled", "pruned_at_init")
RECIPES = {
    one.name: one
    for one in (
        control("lenet-mnist", MAIN),
        control("lenet-one-shot", (*MAIN[:2], "one_shot", "one_shot_reinit")),
        control("lenet-continued", (MAIN[0], "fine_tuning", "continued_training")),
        control("lenet-inits", (*MAIN[:2], *INITS)),
        *(recipe(f"conv{n}-cifar10", f"conv_{n}", r, MAIN) for n, r in ((2, 22), (4, 25), (6, 25))),
        *(recipe(f"conv{n}-dropout", f"conv_{n}", r) for n, r in ((2, 22), (4, 25), (6, 25))),
        *(recipe(f"resnet18-{kind}", "resnet_18", 15) for kind in ("low", "high", "warmup")),
        *(recipe(f"vgg19-{kind}", "vgg_19", 31) for kind in ("low", "high", "warmup")),
    )
}
SWEEPS = {
    "lenet-prune-rate": Sweep("lenet-prune-rate", "Figure 29", "pruned per round", {
        f"{rate:g}": recipe(f"lenet-prune-rate-{rate:g}", "lenet_300_100", rounds, MAIN[:1],
                            {"fc*/W": rate, "out/W": rate / 2})
        for rate, rounds in ((0.1, 45), (0.2, 22), (0.4, 11), (0.6, 7), (0.8, 4))
    })
}  # fmt: skip

try:
    import npticket.papers
except (ImportError, AttributeError):
    for name in ("recipes", "series"):
        stand_in = ModuleType(f"npticket.papers.lottery_ticket.{name}")
        stand_in.RECIPES, stand_in.SWEEPS, stand_in.SERIES = RECIPES, SWEEPS, SERIES
        sys.modules[stand_in.__name__] = stand_in
    for name in [name for name in sys.modules if name == "npticket.papers" or name.endswith(".lottery_ticket")]:
        del sys.modules[name]
    import npticket.papers  # noqa: F401
