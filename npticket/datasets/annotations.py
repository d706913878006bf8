"""Boxes around objects in images: one image's annotations, from files of any format, and the targets made of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from npticket.datasets.dataset import DataError
from npticket.reading import Json, shown

LARGEST = 1 << 16  # pixels on a side
FARTHEST = 1e9  # pixels that a box may lie away from the image
CLASS, BOX, COLUMNS = 0, slice(1, 5), 5  # columns of the targets of object detection: a class, -1 for none; x, y, w, h


@dataclass(frozen=True)
class Annotated:
    """One image's objects: the names of their classes, and boxes (n, 4) in pixels: left, top, width, height.

    Boxes are cut to the image. `skipped` counts those left out because they have no area in it; `crowds` those left
    out because COCO marks them as many objects in one box: `left_out` says both in words.
    """

    file: str
    size: tuple[int, int]  # width, height
    names: tuple[str, ...]
    boxes: np.ndarray
    skipped: int = 0
    crowds: int = 0


def as_targets(images: Iterable[Annotated], classes: Sequence[str], scale: float = 1.0) -> np.ndarray:
    """Return targets (N, M, 5) in float32, M being the most objects of an image: a class, and x, y, w, h times `scale`.

    An image with fewer objects ends with rows of class -1. DataError for an object whose class is not in `classes`.
    """
    images = list(images)
    targets = np.zeros((len(images), max((len(each.names) for each in images), default=0) or 1, COLUMNS), np.float32)
    targets[..., CLASS] = -1
    for row, each in zip(targets, images, strict=True):
        if unknown := set(each.names) - set(classes):
            raise DataError(f"{each.file} has a {shown(min(unknown))}; expected {', '.join(classes)}")
        row[: len(each.names), CLASS] = [classes.index(name) for name in each.names]
        row[: len(each.names), BOX] = each.boxes * scale
    return targets


def left_out(images: Iterable[Annotated]) -> str:
    """Return in words how many boxes were left out of `images`, " (2 boxes without an area left out)"; "" if none.

    It belongs behind the source of a dataset that is made of them, which is shown wherever the data are named.
    """
    images = list(images)
    boxes, crowds = (sum(getattr(each, what) for each in images) for what in ("skipped", "crowds"))
    said = [f"{boxes:,} {'box' if boxes == 1 else 'boxes'} without an area"] if boxes else []
    said += [f"{crowds:,} {'crowd' if crowds == 1 else 'crowds'}"] if crowds else []
    return f" ({' and '.join(said)} left out)" if said else ""


def checked_side(size: Json) -> int:
    """Return a width or height in pixels, or raise ValueError."""
    if type(size) is not int or not 1 <= size <= LARGEST:
        raise ValueError(f"an image is 1 to {LARGEST:,} pixels wide and high, got {shown(size)}")
    return size


def checked_name(name: str) -> str:
    """Return the name of an image's file, which has no folder, or raise ValueError."""
    if name in ("", "..") or Path(name).name != name or "\\" in name or not name.isprintable():
        raise ValueError(f"an image is named without a folder, got {shown(name)}")
    return name


def checked_box(values: Json) -> list[float]:
    """Return four numbers, or raise ValueError."""
    good = isinstance(values, list) and len(values) == 4
    if not good or not all(type(v) in (int, float) and abs(v) < FARTHEST for v in values):
        raise ValueError(f"a box is four numbers, got {shown(values)}")
    return values


def annotated(
    file: str, size: tuple[int, int], objects: Sequence[tuple[str, Sequence[float]]], crowds: int = 0
) -> Annotated:
    """Return an image's annotations; `objects` are names of classes with left, top, right and bottom in pixels."""
    corners = np.array([sides for _, sides in objects], float).reshape(-1, 2, 2).clip(0, size)
    sides = corners[:, 1] - corners[:, 0]
    good = (sides > 0).all(axis=1)
    names = tuple(name for (name, _), kept in zip(objects, good, strict=True) if kept)
    boxes = np.concatenate([corners[:, 0], sides], axis=1)[good]
    return Annotated(file, size, names, boxes, int((~good).sum()), crowds)
