"""What is measured of a training run, and its early-stopping iteration, found after the fact.

The early-stopping iteration is the step of minimum validation loss (Frankle & Carbin 2019, section 1, footnote 2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from npticket.params import Params, stack
from npticket.protocols import Engine
from npticket.task import Measured, Task


@dataclass(frozen=True)
class Fit:
    """What came out of training T networks with V validations on the way; `fit["val_loss"]` takes a measure by name.

    `end` are the parameters at the end, `best` those at early stopping. For a task that measures loss and acc there are
    the curves train_loss (the mean over the steps since the validation before), val_loss, val_acc, test_loss and
    test_acc, (T, V) each, NaN where the test set was not looked at; and the results early_stop_step,
    early_stop_val_loss, early_stop_test_acc, final_test_acc, final_train_acc, best_train_acc, the highest of all times
    that the training set was looked at, ... and seconds, (T,) each: the wall time of the lock-step run divided by T.
    """

    end: Params
    best: Params
    at_steps: np.ndarray  # (V,)
    curves: Measured
    results: Measured

    def __getitem__(self, name: str) -> np.ndarray:
        for measured in (self.curves, self.results):
            if name in measured:
                return measured[name]
        raise KeyError(f"nothing called {name!r} was measured; there are {', '.join((*self.curves, *self.results))}")


def join_trials(parts: Sequence[Fit]) -> Fit:
    """Join fits of different trials, made with the same steps, into one with all of them, in order."""
    curves, results = (
        {name: np.concatenate([getattr(part, what)[name] for part in parts]) for name in getattr(parts[0], what)}
        for what in ("curves", "results")
    )
    end, best = (stack([getattr(part, what) for part in parts]) for what in ("end", "best"))
    return Fit(end, best, parts[0].at_steps, curves, results)


class Record:
    """The curves of a run, and each trial's parameters at its lowest validation loss so far."""

    def __init__(self, task: Task, start: Params, at_steps: list[int]) -> None:
        self.at_steps = at_steps
        names = ["train_loss", *(f"{when}_{name}" for when in ("val", "test") for name in task.names)]
        self._curves = {name: np.full((start.trials, len(at_steps)), np.nan) for name in names}
        self._lowest, self._stop, self._count = np.full(start.trials, np.inf), np.zeros(start.trials, int), 0
        self.best = start.copy()
        self._present = start.copy()

    def add(self, engine: Engine, found: Measured) -> None:
        """Note what the next validation found; of equal losses the first is the best."""
        for name, values in found.items():
            self._curves[name][:, self._count] = values
        better = np.flatnonzero(found["val_loss"] < self._lowest)
        if better.size:
            engine.read(self._present)
            self._lowest[better], self._stop[better] = found["val_loss"][better], self._count
            for t in better:
                self.best.flat[t] = self._present.flat[t]
        self._count += 1

    def fit(
        self, end: Params, stopped: Measured, tested: Measured, trained: Sequence[Measured], seconds: np.ndarray
    ) -> Fit:
        """Put everything together: also what `best` gives on the test set, and what the training set gave, last `end`.

        Of the loss the lowest is the best, of every other measure the highest.
        """
        at_steps = np.array(self.at_steps)
        for name, values in tested.items():
            self._curves[name][:, -1] = values
        for name, values in named("test", stopped).items():
            self._curves[name][np.arange(end.trials), self._stop] = values
        results = {"early_stop_step": at_steps[self._stop], "early_stop_val_loss": self._lowest, "seconds": seconds}
        results |= named("early_stop_test", stopped) | named("final", {**tested, **trained[-1]})
        for name in trained[-1]:
            best = min if name == "train_loss" else max
            results[f"best_{name}"] = np.array(list(map(best, *(one[name] for one in trained), trained[-1][name])))
        return Fit(end, self.best, at_steps, self._curves, results)


def named(when: str, measured: Measured) -> dict[str, np.ndarray]:
    """Put when it was measured before the names of measures: val_loss."""
    return {f"{when}_{name}": values for name, values in measured.items()}
