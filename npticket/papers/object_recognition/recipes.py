"""Girish et al.'s experiments with a small detector, on scenes of digits and on blood cells, and the parts they need.

The recipe of the transfer trains the backbone, on 20 classes of Tiny ImageNet where the paper has ImageNet; as there,
its tickets are rewound to a step of early training (Frankle et al. 2019). Pixels of cells are scaled differently, which
the batch normalisation after the first convolution makes up for.
"""

from dataclasses import replace

from npticket import datasets, nets
from npticket.experiments.parts import Parts
from npticket.experiments.recipe import Part, Recipe
from npticket.papers.lottery_ticket.claims.words import MASK, REINIT, TICKET
from npticket.papers.object_recognition.claims import ONE_SHOT
from npticket.papers.object_recognition.series import BLOOD, CARRIED, DIGITS, EARLY_BIRD, SERIES

LINES = (TICKET, REINIT, MASK, ONE_SHOT, EARLY_BIRD)
ALL = (*LINES, *(name for name in SERIES if name not in LINES))
NEEDED = Parts(
    nets={"detector": nets.detector, "detector_backbone": nets.detector_backbone},
    data={"bccd": datasets.bccd, "digit_scenes": datasets.digit_scenes},
    tasks={task.name: task for task in (DIGITS, BLOOD)},
)

# fmt: off
SCENES = Recipe(
    name="detection-scenes", source="after Girish et al. 2021, on scenes of digits and a small detector",
    net=Part("detector", height=64, width=64, channels=1, classes=10), data=Part("digit_scenes"),
    task=Part(DIGITS.name), optimizer=Part("adam", lr=2e-3), schedule=Part("step_drops", drops=[[1_600, 2e-4]]),
    prune=Part("magnitude", scope="globally", rates={"out/W": 0, "*/W": 0.415}),  # to 58.7, 34.6, 20.5, 12.2, 7.4 %
    batch=16, steps=2_000, rounds=6, trials=3, validate_every=200, series=ALL)
LAYERWISE = replace(SCENES, name="detection-scenes-layerwise", prune=SCENES.prune.having(scope="layerwise"),
    series=(TICKET,))
CELLS_160 = replace(SCENES, name="detection-cells",
    source="after Girish et al. 2021, on blood cells and a small detector", net=Part("detector"), data=Part("bccd"),
    task=Part(BLOOD.name), batch=8, steps=1_500, schedule=Part("step_drops", drops=[[1_200, 2e-4]]))
TRANSFER = replace(SCENES, name="detection-transfer",
    source="after Girish et al. 2021, Tables 1 and 2, from Tiny ImageNet to blood cells with a small detector",
    net=Part("detector_backbone"), task=Part("classify"), augment=Part("flip_and_crop"),
    data=Part("images", path="tiny-imagenet-20", size=[64, 64], test="val/val_annotations.txt"),
    batch=64, steps=2_000, rounds=4, rewind_step=100, series=(TICKET, CARRIED))
# fmt: on
