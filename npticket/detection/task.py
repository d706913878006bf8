"""The task of finding objects, with its metrics: the loss and average precision."""

from dataclasses import replace

import numpy as np

from npticket.backend import to_host
from npticket.datasets import DataError, Dataset
from npticket.datasets.annotations import COLUMNS
from npticket.detection.boxes import Found, detections
from npticket.detection.loss import detection_loss
from npticket.detection.precision import average_precision
from npticket.nets.detector import STRIDE
from npticket.task import LOSS, Examples, Measured, Metric, Predict, Task, mean_over_examples

AP = Metric("ap", "average precision", "AP", unit="%", difference="points", scale=100, least=0, most=1)
AP_50 = replace(AP, name="ap50", words="average precision at overlap 0.5", short="AP50")


def detect(name: str, classes: int) -> Task:
    """Return the task, called `name`, to find objects of so many classes. Targets are (N, M, 5); data's `classes` None.

    Its headline measure is the mean average precision over classes and overlaps from 0.5 to 0.95, as COCO's; classes
    of which a split has no object do not count. Its output_shape raises DataError for data without boxes.
    """

    def evaluate(predict: Predict, examples: Examples) -> Measured:
        found, targets, loss = find(predict, examples)
        precision = [_means(average_precision(one, targets, classes)[0]) for one in found]
        return {"loss": loss, "ap50": np.array([p[0] for p in precision]), "ap": np.array([p[1] for p in precision])}

    def shape(data: Dataset) -> tuple[int | None, ...]:
        if (there := data.train.targets.shape)[2:] != (COLUMNS,):
            raise DataError(f"to {name} takes targets (N, M, {COLUMNS}), a class and a box of each object, "
                            f"{data.name} has targets {there}")  # fmt: skip
        return *(side // STRIDE for side in data.train.inputs.shape[1:3]), classes + 4

    return Task(name, detection_loss, evaluate, (LOSS, AP_50, AP), shape)


def find(predict: Predict, examples: Examples) -> tuple[list[list[Found]], np.ndarray, np.ndarray]:
    """Return what each trial finds in each image, the targets (N, M, 5), and the mean loss of each trial (T,)."""
    found, losses, targets = list[list[Found]](), [], []
    for x, wanted in examples:
        y = predict(x)
        losses.append((detection_loss(y, wanted)[0] * wanted.shape[1],))
        of_trials = [detections(one) for one in to_host(y)]
        found = [[*before, *more] for before, more in zip(found or [[] for _ in of_trials], of_trials, strict=True)]
        targets.append(to_host(wanted)[0])
    (loss,) = mean_over_examples(losses, sum(map(len, targets)))
    return found, np.concatenate(targets), loss


def _means(precision: np.ndarray) -> tuple[float, float]:
    """The means over those classes (C, 10) of which there are objects: at the lowest overlap, and over all overlaps."""
    known = precision[~np.isnan(precision[:, 0])]
    return (float(known[:, 0].mean()), float(known.mean())) if len(known) else (0.0, 0.0)
