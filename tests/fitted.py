"""A small network and its data, and whether two fits are the same."""

import numpy as np

from npticket.datasets import Dataset, Split
from npticket.layers import Chain, Dense, Flatten
from npticket.nets import Net


def measured(result):
    """Everything in a fit but time, by name."""
    found = {"end": result.end.flat, "best": result.best.flat, "at_steps": result.at_steps}
    return found | result.curves | {name: value for name, value in result.results.items() if name != "seconds"}


def same(a, b):
    """Whether two fits agree bit for bit in everything but time."""
    a, b = measured(a), measured(b)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name], equal_nan=True) for name in a)


def small_net():
    return Net("small", Chain(flatten=Flatten(), fc=Dense(4, 2)), (2, 2), (2,))


def small_data(n=12):
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (n, 2, 2), dtype=np.uint8)
    split = Split(images, (images[:, 0, 0] > 128).astype(np.uint8))
    return Dataset("small", split, split, split, classes=2, source="a test")
