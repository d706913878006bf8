"""The Lottery Ticket Hypothesis for Object Recognition (Girish, Maiya, Gupta, Chen, Davis & Shrivastava, CVPR 2021).

Do detectors have tickets, and how are they found? The paper prunes Faster and Mask R-CNN with pre-trained backbones, on
VOC and COCO, for detection itself (direct pruning): a fifth of the weights is as good as all on COCO, three tenths on
VOC. One-shot pruning is better than iterative pruning; masks are nearly final after half of the training (early birds);
with less than a fifth of the weights, small objects and rare classes suffer most. Here this is asked of a small
one-stage detector without pre-training, on blood cells (BCCD) and on scenes of MNIST's digits. And do tickets of a
backbone that were found by classification serve detection? The paper's, from ImageNet, do not on COCO, but do on VOC,
down to about half of the weights; here they come from 20 classes of Tiny ImageNet.
"""

from dataclasses import replace

from npticket.experiments.series import Series
from npticket.papers.object_recognition.claims import of_both, of_classes, of_scopes, of_transfer
from npticket.papers.object_recognition.figures import Carried, SizesAndMasks
from npticket.papers.object_recognition.recipes import CELLS_160, LAYERWISE, LINES, NEEDED, SCENES, TRANSFER
from npticket.papers.object_recognition.series import CARRIED, SERIES
from npticket.papers.object_recognition.transfer import to_detection
from npticket.report.figures import Lines
from npticket.report.paper import Paper
from npticket.report.quantities import at_the_end

PAPER = Paper(
    "object_recognition",
    "Sharath Girish, Shishira R. Maiya, Kamal Gupta, Hao Chen, Larry S. Davis and Abhinav Shrivastava: The Lottery "
    "Ticket Hypothesis for Object Recognition. CVPR 2021. arXiv:2012.04643",
    {recipe.name: recipe for recipe in (SCENES, LAYERWISE, CELLS_160, TRANSFER)},
    replace(NEEDED, series={**SERIES, CARRIED: Series(to_detection)}),
    claims=[
        *of_both(SCENES.name, "scenes", "scenes of digits"),
        *of_both(CELLS_160.name, "cells", "blood cells"),
        *of_classes(CELLS_160.name),
        *of_scopes(SCENES.name, LAYERWISE.name),
        *of_transfer(TRANSFER.name),
    ],
    plots=(Lines("final_precision", (at_the_end,), LINES), SizesAndMasks(), Carried()),
)
