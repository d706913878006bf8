"""Object detection as a task: the loss, boxes from a network's outputs, and average precision.

A network's outputs are (H', W', C + 4), a cell for each 8 x 8 pixels: a logit for each class; how far the centre of the
object is from that of the cell, in cells, right and down; and the logarithms of its width and height, in cells.
Targets are (M, 5) for each image: rows of a class, or -1 for none, and a box x, y, w, h in pixels, from the top left.
"""

from npticket.detection.boxes import Found, detections, overlaps, suppress
from npticket.detection.loss import detection_loss
from npticket.detection.precision import SIZES, average_precision
from npticket.detection.task import detect, find

__all__ = ["SIZES", "Found", "average_precision", "detect", "detection_loss", "detections", "find", "overlaps",
           "suppress"]  # fmt: skip
