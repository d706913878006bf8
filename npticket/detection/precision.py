"""Average precision as COCO defines it (cocodataset.org; Lin et al. 2014), of boxes without crowds.

For each class, and each least overlap from 0.5 to 0.95, found boxes are matched, highest scores first, each to the
object not yet matched that it overlaps most, if by enough. Precision at a recall is the highest at that or any higher
recall; it is averaged over 101 recalls. If only objects of some size count, matches with others are ignored, and so are
found boxes of another size without a match.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from npticket.datasets.annotations import BOX, CLASS
from npticket.detection.boxes import Found, overlaps

OVERLAPS = np.linspace(0.5, 0.95, 10)  # intersection over union
RECALLS = np.linspace(0, 1, 101)
MOST = 100  # boxes of an image and class that count
SIZES = {"all": (0.0, 1e10)}  # areas in square pixels, both ends included

Matches = tuple[np.ndarray, np.ndarray, np.ndarray, int]  # scores (n,), hits and ignored (10, n); objects that count


def average_precision(
    found: Sequence[Found], targets: np.ndarray, classes: int, sizes: Mapping[str, tuple[float, float]] = SIZES
) -> np.ndarray:
    """Return average precisions (sizes, classes, 10 overlaps), each in [0, 1]; NaN where there is no such object.

    found (N of them, one for each image)   targets (N, M, 5)

    `sizes` are the least and the largest area that counts, in square pixels. ValueError for other numbers of images.
    """
    if len(found) != len(targets):
        raise ValueError(f"found are objects of {len(found)} images, there are targets of {len(targets)}")
    return np.array([[_of_class(found, targets, c, size) for c in range(classes)] for size in sizes.values()])


def _of_class(found: Sequence[Found], targets: np.ndarray, kind: int, size: tuple[float, float]) -> np.ndarray:
    """The average precision at each overlap (10,)."""
    parts = [_matched(*each, kind, size) for each in zip(found, targets, strict=True)]
    count = sum(part[3] for part in parts)
    if not count:
        return np.full(len(OVERLAPS), np.nan)
    scores, hits, ignored = (np.concatenate([part[i] for part in parts], axis=-1) for i in range(3))
    order = np.argsort(-scores, kind="stable")
    right, wrong = ((each & ~ignored)[:, order].cumsum(axis=1) for each in (hits, ~hits))
    precision = right / np.maximum(right + wrong, 1)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = np.concatenate([precision, np.zeros((len(OVERLAPS), 1))], axis=1)
    at = [np.searchsorted(each, RECALLS) for each in right / count]
    return np.array([each[i].mean() for each, i in zip(reached, at, strict=True)])


def _matched(found: Found, targets: np.ndarray, kind: int, size: tuple[float, float]) -> Matches:
    """Match what was found of one class in one image."""
    mine = np.flatnonzero(found.classes == kind)
    mine = mine[np.argsort(-found.scores[mine], kind="stable")][:MOST]
    boxes, objects = found.boxes[mine], targets[targets[:, CLASS] == kind][:, BOX].astype(float)
    other, others = (_is_outside(each, size) for each in (objects, boxes))
    order = np.argsort(other, kind="stable")  # those that count first
    objects, other = objects[order], other[order]
    hits, ignored = np.zeros((2, len(OVERLAPS), len(boxes)), bool)
    free = np.ones((len(OVERLAPS), len(objects)), bool)
    for i, each in enumerate(overlaps(boxes, objects) if len(objects) else ()):
        for j, overlap in enumerate(OVERLAPS):
            good = free[j] & (each >= overlap)
            good = good & ~other if (good & ~other).any() else good
            if good.any():
                best = len(each) - 1 - int(np.where(good, each, -1)[::-1].argmax())  # of equals the last
                free[j, best], hits[j, i], ignored[j, i] = False, True, other[best]
    ignored |= ~hits & others
    return found.scores[mine], hits, ignored, int((~other).sum())


def _is_outside(boxes: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    area = boxes[:, 2] * boxes[:, 3]
    return (area < size[0]) | (area > size[1])
