"""What is measured of a training run, and its early-stopping iteration, found after the fact.

The early-stopping iteration is the step of minimum validation loss (Frankle & Carbin 2019, section 1, footnote 2).
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np

from npticket.backend import Array, array_module, to_device, to_host
from npticket.params import Params, stack
from npticket.protocols import Engine
from npticket.streams import Place
from npticket.task import Measured, Task, named


@dataclass(frozen=True)
class Fit:
    """What came out of training T networks, with V validations on the way; `fit["val_loss"]` is a measure by name.

    `end` are the parameters at the end, `best` those at early stopping. For a task that measures loss and acc there are
    the curves train_loss (the mean over the steps since the last validation), val_loss, val_acc, test_loss and
    test_acc, (T, V) each, NaN where the test set was not measured; and the results early_stop_step,
    early_stop_val_loss, early_stop_test_acc, final_test_acc, final_train_acc, best_train_acc (the best of all that were
    measured on the training set) ... and seconds (the wall time of the lock-step run divided by T), (T,) each.

    Of a trial that ran out of patience, `end` is from that step; later curves, final_... and best_... are NaN.
    """

    end: Params
    best: Params
    at_steps: np.ndarray  # (V,)
    curves: Measured
    results: Measured
    diverged: Mapping[int, str] = field(default_factory=dict)  # by row of a trial whose loss is not finite: the message

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
    firsts = accumulate((part.end.trials for part in parts), initial=0)
    diverged = {i + t: said for i, part in zip(firsts, parts, strict=False) for t, said in part.diverged.items()}
    return Fit(end, best, parts[0].at_steps, curves, results, diverged)


class DivergedError(ArithmeticError):
    """The loss of one or more trials became NaN or infinite; `fit.diverged` says of which, and `fit` has the others."""

    def __init__(self, said: str, fit: Fit | None = None) -> None:
        super().__init__(said)
        self.fit = fit


class Record:
    """What was measured of a run so far, and each trial's parameters at its lowest validation loss.

    `losses` are the training losses since the last validation, (T,) each, kept on the device, as reading one would wait
    for the GPU. `trained` are the measurements on the training set, one for each step in `train_at`. Trials that
    `diverged` go on as NaN, which does not touch the others. Trials that `has_stopped` (T,) names are out of patience:
    after `patience` validations without a new minimum they are trained on in lock-step, but no more is noted of them.
    """

    def __init__(
        self, task: Task, start: Params, at_steps: list[int], train_at: Sequence[int] = (), patience: int | None = None
    ) -> None:
        self.at_steps = at_steps
        self._train_at = set(train_at)
        self._began = time.perf_counter()
        self._patience = patience or math.inf
        self.has_stopped = np.zeros(start.trials, bool)
        self._ends_of_stopped = start.copy() if patience else None
        self.losses: list[Array] = []
        self.trained: list[Measured] = []
        self._trained = {f"train_{metric.name}": metric for metric in task.metrics}
        names = ["train_loss", *(f"{when}_{name}" for when in ("val", "test") for name in task.names)]
        self._curves = {name: np.full((start.trials, len(at_steps)), np.nan) for name in names}
        self._lowest = np.full(start.trials, np.inf)
        self._best_at = np.zeros(start.trials, int)  # at which validation the loss was lowest
        self._count = 0  # validations so far
        self.best = start.copy()
        self._present = start.copy()
        self.diverged: dict[int, str] = {}  # by the trial's row: the message

    def note_diverged(self, what: str, losses: np.ndarray, step: int, place: Place) -> None:
        """Note the trials that diverged, whose losses (S, T) of the S steps up to `step` are not all finite."""
        for row, t in np.argwhere(~np.isfinite(losses) & ~self.has_stopped).tolist():
            said = f"the {what} loss of trial {place.trials[t]} became {losses[row, t]} in round {place.round} at step "
            self.diverged.setdefault(t, f"{said}{step - len(losses) + row + 1}: try a smaller learning rate")

    def add(self, engine: Engine, found: Measured) -> None:
        """Note what a validation measured, and the parameters of trials with a new minimum of the validation loss."""
        for name, values in found.items():
            self._curves[name][:, self._count] = self._unless_stopped(values)
        better = np.flatnonzero((found["val_loss"] < self._lowest) & ~self.has_stopped)
        if better.size:
            engine.read(self._present)
            self._lowest[better] = found["val_loss"][better]
            self._best_at[better] = self._count
            for t in better:
                self.best.flat[t] = self._present.flat[t]
        now = self.are_out_of_patience(self.at_steps[self._count], self._best_at) & ~self.has_stopped
        self._count += 1
        if self._ends_of_stopped is not None and now.any():
            engine.read(self._present)
            for t in np.flatnonzero(now):
                self._ends_of_stopped.flat[t] = self._present.flat[t]
            self.has_stopped |= now

    @property
    def is_over(self) -> bool:
        """Whether every trial has diverged or is out of patience."""
        return all(self.has_stopped[t] or t in self.diverged for t in range(len(self.has_stopped)))

    def unknown(self, when: str) -> Measured:
        """Return NaN for each measure of the split `when`: what is noted once all trials are out of patience."""
        return {name.replace("train", when, 1): np.full(len(self.has_stopped), np.nan) for name in self._trained}

    def are_out_of_patience(self, step: int, best_at: np.ndarray) -> np.ndarray:
        """Which trials have waited too long since validation `best_at` (T,); at the end of training nobody has."""
        return (sum(at <= step for at in self.at_steps) > best_at + self._patience) & (step < self.at_steps[-1])

    def _unless_stopped(self, values: np.ndarray) -> np.ndarray:
        """What was measured, NaN for trials that are out of patience."""
        return np.where(self.has_stopped, np.nan, values)

    def state(self) -> dict[str, np.ndarray]:
        """Return all of it as arrays for a checkpoint, of the shapes that `state_layout` says."""
        trials, dtype = self.best.flat.shape[0], self.best.flat.dtype
        losses = to_host(array_module(*self.losses).stack(self.losses)) if self.losses else np.empty((0, trials), dtype)
        trained = np.array([[looked[name] for name in self._trained] for looked in self.trained], float)
        return {
            "best": to_host(self.best.flat), "lowest": self._lowest, "stop": self._best_at,
            "curves": np.stack([*self._curves.values()]), "losses": losses,
            "trained": trained.reshape(len(self.trained), len(self._trained), trials),
            "seconds": np.array(time.perf_counter() - self._began),
        } | ({"left": to_host(self._ends_of_stopped.flat)} if self._ends_of_stopped is not None else {})  # fmt: skip

    def state_layout(self, step: int, first_step: int) -> dict[str, tuple[tuple[int, ...], str]]:
        """Return the shape, and the kind of number, of each array of the state of a run `step` steps after theta0."""
        trials = self.best.trials
        last = max(first_step, *(at for at in [first_step, *self.at_steps] if at <= step))
        looked = sum(first_step < at <= step for at in self._train_at)
        return {
            "best": (self.best.flat.shape, "f"), "lowest": ((trials,), "f"), "stop": ((trials,), "i"),
            "curves": ((len(self._curves), trials, len(self.at_steps)), "f"), "losses": ((step - last, trials), "f"),
            "trained": ((looked, len(self._trained), trials), "f"), "seconds": ((), "f"),
        } | ({"left": (self.best.flat.shape, "f")} if self._ends_of_stopped is not None else {})  # fmt: skip

    def restore(self, step: int, state: Mapping[str, np.ndarray]) -> None:
        """Go on from the state of a run at this step."""
        xp = array_module(self.best.flat)
        self.best.flat[...] = to_device(state["best"], xp)
        self._lowest[...] = state["lowest"]
        self._best_at[...] = state["stop"]
        self._count = sum(at <= step for at in self.at_steps)
        if self._ends_of_stopped is not None:
            self._ends_of_stopped.flat[...] = to_device(state["left"], xp)
            self.has_stopped = self.are_out_of_patience(step, self._best_at)
        for curve, values in zip(self._curves.values(), state["curves"], strict=True):
            curve[...] = values
        self.losses = [to_device(losses, xp) for losses in state["losses"]]
        self.trained = [dict(zip(self._trained, looked, strict=True)) for looked in state["trained"]]
        self._began -= float(state["seconds"])

    def finished(self, end: Params, test_at_best: Measured, test_at_end: Measured) -> Fit:
        """Return the fit of a run that is over, from what `best` and `end` give on the test set.

        The last in `trained` was measured at `end`. Of trials out of patience, `end` is overwritten by their parameters
        when they stopped, and what was measured at the end by NaN.
        """
        at_steps = np.array(self.at_steps)
        if self._ends_of_stopped is not None:
            for t in np.flatnonzero(self.has_stopped):
                end.flat[t] = self._ends_of_stopped.flat[t]
        seconds = np.full(end.trials, (time.perf_counter() - self._began) / end.trials)
        for name, values in test_at_end.items():
            self._curves[name][:, -1] = self._unless_stopped(values)
        for name, values in named("test", test_at_best).items():
            self._curves[name][np.arange(end.trials), self._best_at] = values
        results = {"early_stop_step": at_steps[self._best_at], "early_stop_val_loss": self._lowest, "seconds": seconds}
        results |= named("early_stop_test", test_at_best)
        at_end = named("final", {**test_at_end, **self.trained[-1]})
        for name, metric in self._trained.items():
            at_end[f"best_{name}"] = metric.best(np.array([looked[name] for looked in self.trained]))
        results |= {name: self._unless_stopped(values) for name, values in at_end.items()}
        return Fit(end, self.best, at_steps, self._curves, results, self.diverged)
