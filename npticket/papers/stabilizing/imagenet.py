"""Rewinding on photographs (Frankle et al. 2019, section 5): ResNet-50 on ImageNet, and a task that two cores can do.

The paper's setting is a recipe here, with the scope of pruning from memory. Its question is asked of 20 classes of Tiny
ImageNet at 32 x 32 pixels and a ResNet-8 of 20,000 weights, rewound to 0, 5 and 20 % of training.
"""

from dataclasses import replace
from functools import partial

from npticket.experiments.recipe import Part, Recipe
from npticket.papers.lottery_ticket.claims.words import END, POINTS, REINIT, TICKET, better, worse
from npticket.report.claims import Claim
from npticket.report.comparisons import gain, gain_between
from npticket.report.sweeps import Sweep

EPOCH = 1_251  # steps of an epoch of ImageNet, 1,024 images at a time
SERIES = (TICKET, REINIT)

# fmt: off
RESNET_50 = Recipe(
    name="stabilizing-resnet50", source="Frankle et al. 2019, section 5 and Figures 6 to 8",
    net=Part("imagenet_resnet", depth=50), data=Part("images", path="imagenet"), augment=Part("resized_crop"),
    optimizer=Part("sgd", lr=0.4, momentum=0.9, weight_decay=1e-4),
    schedule=Part("step_drops", drops=[[30 * EPOCH, 0.04], [60 * EPOCH, 0.004], [80 * EPOCH, 0.0004]],
        warmup=5 * EPOCH),
    prune=Part("magnitude", scope="globally", rates={"*/W": 0.2}),
    batch=1_024, steps=90 * EPOCH, rounds=8, trials=5, validate_every=EPOCH, train_at_end=False,
    series=SERIES)  # to 21.0 %
TINY = replace(
    RESNET_50, name="stabilizing-tiny", source="after Frankle et al. 2019, on Tiny ImageNet and a small ResNet-8",
    net=Part("resnet", depth=8, width=8, classes=20),
    data=Part("images", path="tiny-imagenet-20", size=[32, 32], test="val/val_annotations.txt"),
    augment=Part("flip_and_crop"), optimizer=Part("sgd", lr=0.1, momentum=0.9, weight_decay=1e-4),
    schedule=Part("step_drops", drops=[[800, 0.01], [1_000, 0.001]]),
    prune=Part("magnitude", scope="globally", rates={"*/W": 0.488}),  # as much as in three rounds of 20 %
    batch=64, steps=1_200, rounds=3, trials=3, validate_every=100)
# fmt: on


def _rewound(recipe: Recipe, steps: tuple[int, ...]) -> Sweep:
    """The sweep of a recipe over rewind steps."""
    recipes = {f"{k:,}": replace(recipe, name=f"{recipe.name}-{k}", rewind_step=k) for k in steps}
    return Sweep(recipe.name, recipe.source, "rewound to step", recipes)


SWEEPS = (_rewound(RESNET_50, (0, 6 * EPOCH)), _rewound(TINY, (0, 60, 240)))
ZERO, EARLY, LATE = (recipe.name for recipe in SWEEPS[1].recipes.values())
FIRST, SIXTH = (recipe.name for recipe in SWEEPS[0].recipes.values())
QUARTER, FIFTH = 26.2, 21.0  # percent of the weights
FIG_8 = "§5, Fig 8"
level = partial(Claim, form=POINTS, source=FIG_8, expected="≥ 0", low=-1, because="ten of the thousand test images")
loses = partial(worse, source=FIG_8)


def later(late: str, early: str, id: str, words: str) -> Claim:
    """The claim that tickets rewound to a later step are better."""
    return better((late, early), id, words, "§5, Figs 6-8", gain_between(END, TICKET, QUARTER))


CLAIMS = [
    later(EARLY, ZERO, "stab-tiny-60", "Tiny ImageNet at 26.2 %: tickets rewound to 5 % of training are more accurate "
          "than tickets reset to step 0"),
    later(LATE, ZERO, "stab-tiny-240", "Tiny ImageNet at 26.2 %: tickets rewound to 20 % of training, later than "
          "the paper does, are more accurate than tickets reset to step 0"),
    level((EARLY,), "stab-tiny-matching", "rewound to 5 % of training, tickets of half of the weights are as accurate "
          "as the dense network", quantity=gain(END, TICKET, 51.2, at=100)),
    loses((ZERO,), "stab-tiny-reset", "reset to step 0, tickets of 26.2 % are less accurate than the dense network",
          quantity=gain(END, TICKET, QUARTER, at=100)),
    loses((ZERO,), "stab-tiny-reinit", "reset to step 0, random reinitialisations of 26.2 % are less accurate than the "
          "dense network",
          quantity=gain(END, REINIT, QUARTER, at=100)),
    better((EARLY,), "stab-tiny-ticket", "rewound to 5 % of training, tickets of 26.2 % are more accurate than random "
           "reinitialisations", FIG_8, gain(END, TICKET, QUARTER, REINIT)),
    Claim((SIXTH,), "stab-resnet50-matching", "ResNet-50 on ImageNet: tickets of 21.0 % rewound to epoch 6 are as "
          "accurate as the dense network", FIG_8, gain(END, TICKET, FIFTH, at=100), "≥ 0", POINTS, -0.2,
          because="Frankle et al. 2020, §4.4"),
    loses((FIRST,), "stab-resnet50-reset", "ResNet-50 on ImageNet: reset to step 0, tickets of 51.2 % are less "
          "accurate than the dense network", quantity=gain(END, TICKET, 51.2, at=100)),
]  # fmt: skip
