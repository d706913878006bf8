"""Scenes of several of MNIST's digits, with boxes around them: a small problem of object detection.

It needs no download. Scenes of each split are made of the digits of MNIST's own split alone.
"""

from pathlib import Path

import numpy as np

from npticket.datasets.annotations import BOX, CLASS, COLUMNS
from npticket.datasets.dataset import DataError, Dataset, Split
from npticket.datasets.mnist import mnist
from npticket.reading import shown
from npticket.streams import stream

SIDE, MOST = 64, 4  # pixels of a scene on a side, and digits in it
SMALLEST, LARGEST = 14, 40  # pixels of a digit's image, 28 in MNIST
TRIES = 20  # places that are tried for a digit; if it would overlap another in all, it is left out
INK = 32  # pixels at least so bright belong to a digit
COUNTS = (3_000, 300, 600)  # scenes for training, validation and testing
MOST_SCENES = 1_000_000  # which take 4 GB


def digit_scenes(
    folder: str | Path | None = None, seed: int = 0, counts: tuple[int, int, int] = COUNTS
) -> Dataset:  # fmt: skip
    """Return scenes of 64 x 64 pixels with one to four digits: targets (N, 4, 5) are a digit or -1, and x, y, w, h.

    Digits are scaled to 14 to 40 pixels, and do not overlap. `folder` is that of MNIST. `seed` chooses MNIST's
    validation images and draws the scenes; `counts` are the numbers of scenes for training, validation and testing.
    DataError unless these are three integers from 1 to a million.
    """
    if len(counts) != 3 or not all(type(count) is int and 0 < count <= MOST_SCENES for count in counts):
        raise DataError(f"counts are three integers from 1 to {MOST_SCENES:,}, of scenes for training, validation "
                        f"and testing, got {shown(counts)}")  # fmt: skip
    digits = mnist(folder, seed)
    splits = (digits.train, digits.validation, digits.test)
    rngs = [stream(seed, 0, "scenes", index=i) for i in range(3)]
    train, validation, test = (scenes(*each) for each in zip(splits, counts, rngs, strict=True))
    return Dataset("MNIST scenes", train, validation, test, None, digits.source, digits.caveat)


def scenes(digits: Split, count: int, rng: np.random.Generator) -> Split:
    """Draw scenes of these digits: images (N, 64, 64, 1) and targets (N, 4, 5)."""
    images, targets = np.zeros((count, SIDE, SIDE, 1), np.uint8), np.zeros((count, MOST, COLUMNS), np.float32)
    targets[..., CLASS] = -1
    for image, rows in zip(images[..., 0], targets, strict=True):
        taken = np.zeros((SIDE, SIDE), bool)
        for row in rows[: rng.integers(1, MOST + 1)]:
            which, size = rng.integers(len(digits)), int(rng.integers(SMALLEST, LARGEST + 1))
            drawn = resized(digits.inputs[which], size)
            top, left, bottom, right = extent(drawn >= INK)
            drawn = drawn[top:bottom, left:right]
            height, width = drawn.shape
            for _ in range(TRIES):
                y, x = rng.integers(SIDE - height + 1), rng.integers(SIDE - width + 1)
                there = slice(y, y + height), slice(x, x + width)
                if not taken[there].any():
                    image[there], taken[there] = drawn, True
                    row[CLASS], row[BOX] = digits.targets[which], (x, y, width, height)
                    break
    return Split(images, targets)


def resized(image: np.ndarray, size: int) -> np.ndarray:
    """Return a square image in uint8 scaled to `size` pixels on a side, by linear interpolation."""
    old = len(image)
    at = ((np.arange(size) + 0.5) * old / size - 0.5).clip(0, old - 1)
    low = at.astype(int).clip(0, old - 2)
    weights = np.zeros((size, old))
    weights[np.arange(size), low], weights[np.arange(size), low + 1] = 1 - (at - low), at - low
    return np.rint(weights @ image @ weights.T).astype(np.uint8)


def extent(ink: np.ndarray) -> tuple[int, int, int, int]:
    """Return top, left, bottom, right of what is True in a bool image; those of the whole image if nothing is."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        return 0, 0, *ink.shape
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
