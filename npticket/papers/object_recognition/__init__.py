"""The Lottery Ticket Hypothesis for Object Recognition (Girish, Maiya, Gupta, Chen, Davis & Shrivastava, CVPR 2021).

Do detectors have tickets, and how are they found? The paper prunes Faster and Mask R-CNN with pre-trained backbones, on
VOC and COCO, for the task itself (direct pruning): a fifth of the weights is as good as all. Pruning at one go is no
worse than round by round; masks are nearly final when half of the training is over (early birds); and beyond a fifth of
the weights it is small objects and rare classes that suffer. Here these are asked of a small one-stage detector without
pre-training, on blood cells (BCCD) and on scenes of MNIST's digits. Tickets of backbones, trained on ImageNet and taken
to detection, are not asked.
"""

from dataclasses import replace

from npticket import datasets, nets
from npticket.datasets.bccd import CELLS
from npticket.detection import detect
from npticket.experiments.parts import Parts
from npticket.experiments.recipe import Part, Recipe
from npticket.papers.lottery_ticket.claims.words import MASK, REINIT, TICKET
from npticket.papers.object_recognition.claims import ONE_SHOT, of_both, of_classes, of_scopes
from npticket.papers.object_recognition.figures import SizesAndMasks
from npticket.papers.object_recognition.series import EARLY_BIRD, SERIES
from npticket.report.figures import Lines
from npticket.report.paper import Paper
from npticket.report.quantities import at_the_end

LINES = (TICKET, REINIT, MASK, ONE_SHOT, EARLY_BIRD)
ALL = (*LINES, *(name for name in SERIES if name not in LINES))
DIGITS = detect("detect digits", 10)
BLOOD = detect("detect blood cells", len(CELLS))

# fmt: off
SCENES = Recipe(
    name="detection-scenes", source="after Girish et al. 2021, on scenes of digits and a small detector",
    net=Part("detector", height=64, width=64, channels=1, classes=10), data=Part("digit_scenes"),
    task=Part(DIGITS.name), optimizer=Part("adam", lr=2e-3), schedule=Part("step_drops", drops=[[1_600, 2e-4]]),
    prune=Part("magnitude", scope="globally", rates={"out/W": 0, "*/W": 0.415}),  # to 58.5, 34.2, 20.0, 11.7, 6.9 %
    batch=16, steps=2_000, rounds=6, trials=3, validate_every=200, series=ALL)
LAYERWISE = replace(SCENES, name="detection-scenes-layerwise", prune=SCENES.prune.having(scope="layerwise"),
    series=(TICKET,))
CELLS_160 = replace(SCENES, name="detection-cells",
    source="after Girish et al. 2021, on blood cells and a small detector", net=Part("detector"), data=Part("bccd"),
    task=Part(BLOOD.name), batch=8, steps=1_500, schedule=Part("step_drops", drops=[[1_200, 2e-4]]))
# fmt: on

PAPER = Paper(
    "object_recognition",
    "Sharath Girish, Shishira R. Maiya, Kamal Gupta, Hao Chen, Larry S. Davis and Abhinav Shrivastava: The Lottery "
    "Ticket Hypothesis for Object Recognition. CVPR 2021. arXiv:2012.04643",
    {recipe.name: recipe for recipe in (SCENES, LAYERWISE, CELLS_160)},
    Parts(
        nets={"detector": nets.detector},
        data={"bccd": datasets.bccd, "digit_scenes": datasets.digit_scenes},
        tasks={task.name: task for task in (DIGITS, BLOOD)},
        series=SERIES,
    ),
    claims=[
        *of_both(SCENES.name, "scenes", "scenes of digits"),
        *of_both(CELLS_160.name, "cells", "blood cells"),
        *of_classes(CELLS_160.name),
        *of_scopes(SCENES.name, LAYERWISE.name),
    ],
    plots=(Lines("final_precision", (at_the_end,), LINES), SizesAndMasks()),
)
