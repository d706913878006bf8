"""The parameters of the classifier, and what follows from them: how examples are split, how long and how to train."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from typing import TypeGuard

import numpy as np

from npticket.datasets import Dataset, Split
from npticket.optimizers import SGD, Adam
from npticket.protocols import MakeOptimizer, Net
from npticket.train import Setting

MOST_EPOCHS = 1_000_000  # what a validation after each gives is kept
BATCH = 200  # examples of a minibatch, at most, if batch_size is "auto"


def _is_integer(value: object) -> TypeGuard[Integral]:
    """Whether a value is an integer; True and False, which Python counts among them, are mistakes in a parameter."""
    return isinstance(value, Integral) and not isinstance(value, bool)


@dataclass(eq=False, repr=False)
class Parameters:
    """The parameters of LotteryTicketClassifier, which describes them, with their defaults."""

    hidden_layer_sizes: int | Sequence[int] = (100,)
    net: Net | None = None
    rounds: int = 10
    prune_rate: float = 0.2
    rewind_step: int = 0
    density: float | None = None
    tolerance: float | None = None
    patience: int | None = None
    solver: str = "adam"
    learning_rate_init: float = 0.001
    momentum: float = 0.9
    batch_size: int | str = "auto"
    max_iter: int = 200
    validation_fraction: float = 0.1
    random_state: int | np.random.RandomState | None = None

    @property
    def _is_validated(self) -> bool:
        return self.patience is not None or self.tolerance is not None

    def _check(self) -> None:
        """Raise ValueError for a parameter of a wrong type or out of range; a few are checked where they are used."""
        least = {"rounds": 0, "rewind_step": 0, "max_iter": 1, "patience": 1, "batch_size": 1}
        said = {"patience": None, "batch_size": "auto", "density": None, "tolerance": None}  # are allowed, too
        for name in (*least, "prune_rate", "density", "tolerance", "momentum"):
            value = getattr(self, name)
            if name in said and value == said[name]:
                continue
            if name in least and not (_is_integer(value) and int(value) >= least[name]):
                raise ValueError(f"{name} must be an integer, at least {least[name]}, got {value!r}")
            if name not in least and not (isinstance(value, Real) and 0 <= float(value) < 1):
                raise ValueError(f"{name} must be a fraction, at least 0 and below 1, got {value!r}")
        if self.max_iter > MOST_EPOCHS:
            raise ValueError(f"max_iter must be at most {MOST_EPOCHS:,}, got {self.max_iter!r}")
        if isinstance(self.random_state, bool) or (_is_integer(self.random_state) and int(self.random_state) < 0):
            raise ValueError(f"random_state must be at least 0, a RandomState or None, got {self.random_state!r}")
        if self.solver not in ("adam", "sgd"):
            raise ValueError(f"solver must be 'adam' or 'sgd', got {self.solver!r}")
        for name, below in (("learning_rate_init", math.inf), ("validation_fraction", 1)):
            value = getattr(self, name)
            if not (isinstance(value, Real) and 0 < float(value) < below):
                raise ValueError(f"{name} must be a number above 0 and below {below}, got {value!r}")
        if self.net is not None and not isinstance(self.net, Net):
            raise ValueError(f"net must be a network, such as those of npticket.nets, got {self.net!r}")

    def _sizes(self) -> list[int]:
        """Return how many units each hidden layer has."""
        sizes = np.atleast_1d(np.array(self.hidden_layer_sizes, object)).tolist()
        if not all(_is_integer(size) and int(size) >= 1 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be integers, at least 1, got {self.hidden_layer_sizes!r}")
        return sizes

    def _setting(self, n: int) -> Setting:
        """Return how to train on n examples: in equal minibatches, with a validation after each epoch."""
        batch = n // -(-n // BATCH) if isinstance(self.batch_size, str) else min(self.batch_size, n)
        steps = self.max_iter * (n // batch)
        if self.rewind_step >= steps:
            raise ValueError(f"rewind_step must be below the {steps} steps of a run, got {self.rewind_step}")
        make: MakeOptimizer = partial(Adam, lr=self.learning_rate_init)
        if self.solver == "sgd":
            make = partial(SGD, lr=self.learning_rate_init, momentum=self.momentum)
        return Setting(make, steps, batch, n // batch, self.rewind_step, patience=self.patience)

    def _split(self, x: np.ndarray, codes: np.ndarray, weights: np.ndarray | None, seed: int) -> Dataset:
        """Return the data; if validation examples are not needed, the split has one example, also trained on."""
        from sklearn.model_selection import train_test_split

        classes = int(codes.max()) + 1 if weights is None else None
        every = Split(x, codes if weights is None else np.stack([codes, weights], axis=1))
        train, held = every, every.take(slice(1))
        if self._is_validated:
            train, held = map(
                every.take,
                train_test_split(
                    np.arange(len(x)), test_size=self.validation_fraction, stratify=codes, random_state=seed % 2**32
                ),
            )
        return Dataset("X", train, held, held, classes, "fit")
