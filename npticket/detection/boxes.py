"""From a network's outputs to boxes, which are rows x, y, w, h in pixels: left, top, width, height."""

from typing import NamedTuple

import numpy as np

from npticket.detection.loss import PRIOR, WIDEST
from npticket.nets.detector import STRIDE

LEAST = 0.05  # boxes with a lower score are dropped (Tian et al. 2019)
OVERLAP = 0.6  # two boxes of a larger intersection over union are taken for one object
CANDIDATES, MOST = 300, 100  # boxes of an image before and after suppression, at most


class Found(NamedTuple):
    """The objects found in one image, those with the highest scores first."""

    boxes: np.ndarray  # (n, 4)
    scores: np.ndarray  # (n,)
    classes: np.ndarray  # (n,)


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the intersection over union of each box of `one` (n, 4) with each of `other` (m, 4): (n, m)."""
    one, other = (boxes.astype(np.result_type(boxes, np.float32), copy=False) for boxes in (one, other))
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, :2] + one[:, None, 2:], other[None, :, :2] + other[None, :, 2:])
    common = (high - low).clip(0).prod(axis=2)
    union = one[:, 2:].prod(axis=1)[:, None] + other[:, 2:].prod(axis=1) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def suppress(boxes: np.ndarray, scores: np.ndarray, overlap: float = OVERLAP) -> np.ndarray:
    """Non-maximum suppression: return the indices of the boxes that stay, highest scores first.

    boxes (n, 4)   scores (n,)

    A box goes if its intersection over union with a box that stays, of a higher score, is above `overlap`. Of equal
    scores the first counts as the highest.
    """
    order, stay = np.argsort(-scores, kind="stable"), list[int]()
    near = overlaps(boxes, boxes) > overlap
    gone = np.zeros(len(boxes), bool)
    for i in order:
        if not gone[i]:
            stay.append(int(i))
            gone |= near[i]
    return np.array(stay, int)


def detections(y: np.ndarray, least: float = LEAST) -> list[Found]:
    """Return the objects found in each image, from the outputs y (B, H', W', C + 4) of one network.

    Each cell may give an object of each class whose score is at least `least`; then boxes are suppressed class by
    class. Boxes are cut to the image.
    """
    y = np.asarray(y, np.float64)
    logits, (rows, columns) = y[..., :-4] - PRIOR, y.shape[1:3]
    cells = np.stack(np.broadcast_arrays(np.arange(columns), np.arange(rows)[:, None]), axis=-1) + 0.5
    centres, sides = (cells + y[..., -4:-2]) * STRIDE, np.exp(y[..., -2:].clip(None, WIDEST)) * STRIDE
    low, high = ((centres + sign * sides / 2).clip(0, (columns * STRIDE, rows * STRIDE)) for sign in (-1, 1))
    boxes = np.concatenate([low, high - low], axis=-1)
    scores = 1 / (1 + np.exp(-logits.clip(-500, None)))
    return [_of_image(*each, least) for each in zip(scores, boxes, strict=True)]


def _of_image(scores: np.ndarray, boxes: np.ndarray, least: float) -> Found:
    """scores (H', W', C)   boxes (H', W', 4)"""
    row, column, kind = np.nonzero(scores >= least)
    score = scores[row, column, kind]
    first = np.argsort(-score, kind="stable")[:CANDIDATES]
    box, score, kind = boxes[row, column][first], score[first], kind[first]
    stay = np.zeros(len(score), bool)
    for each in np.unique(kind):
        of_kind = np.flatnonzero(kind == each)
        stay[of_kind[suppress(box[of_kind], score[of_kind])]] = True
    kept = np.flatnonzero(stay)[:MOST]
    return Found(box[kept], score[kept], kind[kept])
