"""Random streams that are a function of what they are for, so there is no generator state to keep.

Every number is drawn on the host by NumPy: the same seed is the same ticket on a CPU and on a GPU, in one process
or in many, whatever was drawn before.
"""

import operator
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np


def stream(seed: int, trial: int, purpose: str, round: int = 0, index: int = 0, order: int = 0) -> np.random.Generator:
    """Return the generator for one `purpose` ("init", "order", "reinit" ...) of one trial in one round.

    `index` tells apart several draws for the same purpose: the epoch of a minibatch order, the number of a
    reinitialisation. `order` is that of a `Place`. An order of 0 is left out of the key: the generator is the one
    that there would be without orders.
    """
    key = (trial, zlib.crc32(purpose.encode()), round, index, *([order] if order else []))
    return np.random.default_rng(np.random.SeedSequence(entropy=operator.index(seed), spawn_key=key))


def streams(seed: int, trials: Iterable[int], purpose: str, round: int = 0) -> list[np.random.Generator]:
    """Return one `stream` per trial."""
    return [stream(seed, trial, purpose, round) for trial in trials]


@dataclass(frozen=True)
class Place:
    """Where a training run stands among others: everything random in it is a function of this and of the step.

    `trials` says which trial each row of its parameters is: trial 3 draws the same alone and among others. Give runs
    from the same start in the same round different values of `order` to have them see different minibatches.
    """

    seed: int = 0
    trials: Sequence[int] = (0,)
    round: int = 0
    order: int = 0

    def rngs(self, purpose: str, index: int = 0) -> list[np.random.Generator]:
        """Return one generator per trial for a purpose; `index` as for `stream`."""
        return [stream(self.seed, trial, purpose, self.round, index, self.order) for trial in self.trials]

    def of(self, trials: Sequence[int]) -> "Place":
        """Return the same place for other trials."""
        return replace(self, trials=trials)


@dataclass(frozen=True)
class TrainingStep:
    """A step of training: layers are given it in place of None to train, and draw what is random from its `rngs`.

    `number` counts the steps taken before it, from 0.
    """

    place: Place
    number: int

    @cached_property
    def rngs(self) -> list[np.random.Generator]:
        """One generator per trial, made when first asked for; layers draw from them in order."""
        return self.place.rngs("layers", self.number)
