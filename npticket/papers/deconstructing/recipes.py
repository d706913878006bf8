"""The paper's experiments, and smaller ones that two cores can afford, on the same network and data.

The smaller ones take fewer steps, and prune in each round what the paper prunes in two: with nine criteria, the rounds
in between cost more than they tell.
"""

from dataclasses import replace

from npticket.experiments.recipe import Part, Recipe
from npticket.papers.deconstructing import criteria
from npticket.papers.deconstructing.actions import MASK_0, MASK_1
from npticket.papers.deconstructing.supermasks import LEARNING
from npticket.papers.lottery_ticket.recipes import CONVS, LENET
from npticket.papers.lottery_ticket.series import TICKET

BY_CRITERIA, BY_ZEROS = (TICKET, *criteria.SERIES), (TICKET, *MASK_0)
BY_SIGNS = (TICKET, "shuffled", *MASK_1)
LEARNED = (*LEARNING, "sampled_supermasks")

# fmt: off
FC = replace(
    LENET, name="deconstructing-fc", source="Zhou et al. 2019, FC: mask criteria, mask-1 actions, supermasks",
    steps=55 * 916, rounds=25, train_at=(),  # 55 epochs, 24 prunings
    series=(*BY_CRITERIA, *BY_SIGNS[1:], "supermasks"))
FC_ZEROS = replace(FC, name="deconstructing-fc-zeros", source="Zhou et al. 2019, FC: mask-0 actions",
    net=Part("frozen_lenet"), series=BY_ZEROS)
FC_LEARNED = replace(
    FC, name="deconstructing-fc-learned", source="Zhou et al. 2019, FC: learned supermasks",
    net=Part("supermask_lenet"), optimizer=Part("sgd", lr=100, momentum=0.9), prune=Part("magnitude"),
    batch=250, steps=2_000 * 220, validate_every=220, rounds=1, series=LEARNED)  # 2,000 epochs

_TWICE = Part("magnitude", rates={"fc*/W": 0.36, "out/W": 0.19})  # 1 - 0.8 ** 2, 1 - 0.9 ** 2
CRITERIA = replace(
    FC, name="deconstructing-criteria", source="after Zhou et al. 2019, on LeNet: mask criteria and their supermasks",
    prune=_TWICE, steps=15_000, rounds=7, series=(*BY_CRITERIA, "supermasks"))  # to 7.0 % of the weights
SIGNS = replace(CRITERIA, name="deconstructing-signs", source="after Zhou et al. 2019, on LeNet: mask-1 actions",
    series=BY_SIGNS)
ZEROS = replace(CRITERIA, name="deconstructing-zeros", source="after Zhou et al. 2019, on LeNet: mask-0 actions",
    net=FC_ZEROS.net, series=BY_ZEROS)
FEW_STEPS = replace(
    FC_LEARNED, name="deconstructing-learned", source="after Zhou et al. 2019, on LeNet: learned supermasks",
    steps=10_000, validate_every=200)
RESNET_8 = Recipe(
    name="deconstructing-resnet8", source="after Zhou et al. 2019, on ResNet-8: mask criteria, mask-1 actions",
    net=Part("resnet", depth=8, width=8), data=Part("cifar10"), augment=Part("flip_and_crop"),
    # At a low learning rate, at which tickets need no rewinding (Frankle & Carbin 2019, section 4).
    optimizer=Part("sgd", lr=0.01, momentum=0.9, weight_decay=1e-4),
    schedule=Part("step_drops", drops=[[1_200, 0.001], [1_800, 0.0001]]),
    prune=Part("magnitude", rates={"out/W": 0, "*/shortcut/*": 0, "*/W": 0.68}),  # to 35.3 and 14.6 %
    batch=64, steps=2_400, rounds=3, trials=3, validate_every=600, train_at_end=False,
    series=(*BY_CRITERIA, *BY_SIGNS[1:]))


def _rescaled(recipe: Recipe) -> Recipe:
    return replace(recipe, name=f"{recipe.name}-rescaled", source=f"{recipe.source}, rescaled",
        net=recipe.net.having(rescaled=True))


RECIPES = {recipe.name: recipe for recipe in (
    FC, FC_ZEROS, FC_LEARNED, _rescaled(FC_LEARNED),
    *(replace(CONVS[depth], name=f"deconstructing-conv{depth}", steps=750 * epochs, rounds=25,
              train_at=(), train_at_end=False,  # neither claims nor figures read it
              source=f"Zhou et al. 2019, Conv{depth}: mask criteria, mask-1 actions, supermasks", series=FC.series)
      for depth, epochs in ((2, 27), (4, 34), (6, 40))),
    CRITERIA, SIGNS, ZEROS, FEW_STEPS, _rescaled(FEW_STEPS), RESNET_8,
)}
