"""The experiments: the network of Frankle et al. 2021 that is built here, and smaller ones that two cores can afford.

Weights start from Gaussian Glorot values, as in the first paper; in open_lth from He's normal ones.
"""

from dataclasses import replace

from npticket.experiments.recipe import Part, Recipe, scaled
from npticket.papers.lottery_ticket.recipes import LENET
from npticket.papers.lottery_ticket.series import TICKET
from npticket.papers.pruning_at_init.series import SERIES

EPOCH = 391  # steps of an epoch of the paper's 50,000 images, 128 at a time; here there are 45,000

RESNET_20 = Recipe(
    name="at-init-resnet20", source="Frankle et al. 2021, settings as in their open_lth",
    net=Part("resnet", depth=20), data=Part("cifar10"), augment=Part("flip_and_crop"),
    optimizer=Part("sgd", lr=0.1, momentum=0.9, weight_decay=1e-4),
    schedule=Part("step_drops", drops=[[80 * EPOCH, 0.01], [120 * EPOCH, 0.001]]),
    prune=Part("magnitude", scope="globally", rates={"*/W": 0.2}),
    batch=128, steps=160 * EPOCH, rounds=17, trials=3, validate_every=EPOCH, train_at_end=False,
    rewind_step=2_000,  # of the tickets alone: from where on Frankle et al. 2020 find this network stable
    series=(TICKET, *SERIES),
)  # fmt: skip
LENET_AT_INIT = replace(
    LENET, name="at-init-lenet", source="after Frankle et al. 2021, on LeNet",
    prune=Part("magnitude", scope="globally", rates={"*/W": 0.2}),
    steps=15_000, rounds=17, train_at=(), series=(TICKET, *SERIES),
)  # fmt: skip

RESNET_8 = replace(
    scaled(RESNET_20, 2_400), name="at-init-resnet8", source="after Frankle et al. 2021, on ResNet-8",
    net=Part("resnet", depth=8, width=8), batch=64, rounds=9, validate_every=600, rewind_step=200,
)  # fmt: skip

RECIPES = {recipe.name: recipe for recipe in (RESNET_20, LENET_AT_INIT, RESNET_8)}
