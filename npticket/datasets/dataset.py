"""A dataset as three splits of uint8 images, turned into floats only when a batch is made."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from npticket.backend import Array, array_module, to_device
from npticket.streams import stream


class DataError(ValueError):
    """Data that is missing, damaged or not what was asked for; the message says which and what to do."""


@dataclass(frozen=True)
class Split:
    """images (N, H, W) or (N, H, W, C) uint8     labels (N,) integer"""

    images: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Array) -> "Split":
        """The examples at `index`."""
        return Split(self.images[index], self.labels[index])


@dataclass(frozen=True)
class Dataset:
    """Train, validation and test splits; a uint8 pixel p enters the network as p * scale + shift, a float as it is.

    `source` says where the data came from; `caveat` is empty for the real thing, and otherwise a phrase that every
    table and figure made from this data must show.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int
    source: str
    caveat: str = ""
    scale: float = 1 / 255
    shift: float = 0.0

    def __post_init__(self) -> None:
        for what in ("train", "validation", "test"):
            _check(f"{self.name} {what}", getattr(self, what), self.classes)
        shapes = {what: getattr(self, what).images.shape[1:] for what in ("train", "validation", "test")}
        if len(set(shapes.values())) != 1:
            raise DataError(f"{self.name} has images of different shapes: {shapes}")

    def to(self, xp: ModuleType) -> "Dataset":
        """The same data as arrays of module `xp`, still uint8."""
        splits = (
            Split(to_device(s.images, xp), to_device(s.labels, xp)) for s in (self.train, self.validation, self.test)
        )
        return Dataset(self.name, *splits, self.classes, self.source, self.caveat, self.scale, self.shift)

    def seen(self, see: Callable[[Array], Array]) -> "Dataset":
        """The same data with the images of each split as `see` returns them."""
        splits = {what: getattr(self, what) for what in ("train", "validation", "test")}
        return replace(self, **{what: Split(see(split.images), split.labels) for what, split in splits.items()})

    def floats(self, images: Array, dtype: Any) -> Array:
        """Turn images into what the network is shown."""
        if images.dtype.kind == "f":
            return images.astype(dtype)
        x = array_module(images).multiply(images, self.scale, dtype=dtype)
        if self.shift:
            x += self.shift
        return x


def split_off(data: Split, count: int, seed: int) -> tuple[Split, Split]:
    """Return (rest, `count` randomly chosen examples), each in the original order; the choice is a function of seed."""
    if not 0 < count < len(data):
        raise DataError(f"cannot set aside {count} of {len(data)} examples")
    chosen = np.zeros(len(data), bool)
    chosen[stream(seed, 0, "split").permutation(len(data))[:count]] = True
    return data.take(~chosen), data.take(chosen)


def _check(what: str, split: Split, classes: int) -> None:
    images, labels = split.images, split.labels
    xp = array_module(images, labels)
    if images.ndim < 2 or labels.ndim != 1 or len(images) != len(labels):
        raise DataError(
            f"{what}: {images.shape} images do not go with {labels.shape} labels; expected (N, ...) and (N,)"
        )
    if not len(labels):
        raise DataError(f"{what} is empty")
    if labels.dtype.kind not in "iu":
        raise DataError(f"{what}: labels are {labels.dtype}, expected integers")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{what}: labels run from {labels.min()} to {labels.max()}, expected 0 to {classes - 1}")
    if images.dtype.kind == "f":
        if not xp.isfinite(images).all():
            raise DataError(f"{what}: there are images with NaN or infinite pixels")
    elif images.dtype != np.uint8:
        raise DataError(f"{what}: images are {images.dtype}, expected uint8 or floating point")
