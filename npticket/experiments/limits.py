"""Checks of measured values: could this training run have measured them? Files are checked, and tables.

A value out of its measure's range, a step that the run does not have, or two numbers that contradict each other were
not measured by it: they are another run's, or were edited. Methods return a message, or "" if nothing is wrong.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from npticket.experiments.parts import Experiment
from npticket.experiments.series import REWIND_POINT, Key, Length, Measure, Run, all_series
from npticket.experiments.tables import INTEGERS, WHO, Row, cell, curves_measured, result_columns
from npticket.params import Params, Shapes, unpack
from npticket.prune import density
from npticket.reading import Json, shown
from npticket.task import Metric, Task
from npticket.train import Setting


def foreign(key: Key, experiment: Experiment) -> str:
    """Return a message if a recipe does not ask for a run's series, trial or round; "" if it does.

    Whether the series trains that round is not checked: a user's own loop may have put more runs into the store.
    """
    recipe = experiment.recipe
    if key.series not in all_series(recipe):
        return f"the recipe does not ask for the series {key.series!r}"
    for what, number, count in (("trial", key.trial, recipe.trials), ("round", key.round, recipe.rounds)):
        if not 0 <= number < count:
            return f"the recipe has {count} {what}{'s' * (count > 1)}, from 0 on, and no {what} {number}"
    return ""


@dataclass(frozen=True)
class Limits:
    """What a run with this setting can have measured."""

    setting: Setting
    task: Task
    at_steps: Mapping[int, int] = field(init=False)  # by step, which validation it is, from 0
    ranges: Mapping[str, tuple[float, float]] = field(init=False)  # by column, the least and the largest value

    def __post_init__(self) -> None:
        columns = (*result_columns(self.task)[len(WHO) :], *curves_measured(self.task))
        ranges = {name: _range(name, self.task) for name in columns if name not in INTEGERS}
        object.__setattr__(self, "at_steps", {step: v for v, step in enumerate(self.setting.at_steps)})
        object.__setattr__(self, "ranges", ranges)

    def wrong_run(self, run: Mapping[str, np.ndarray], layout: Shapes) -> str:
        """Check the arrays of a run, whose types and shapes are right; `layout` has the shapes of its parameters."""
        result = {name: cell(run[name].item()) for name in result_columns(self.task)[len(WHO) :]}
        return self.wrong_result(result) or next(filter(None, self._contradictions(run, result, layout)), "")

    def _contradictions(self, run: Mapping[str, np.ndarray], result: Row, layout: Shapes) -> Iterator[str]:
        dense = density(unpack(run["masks"], Params.empty(layout, 1, bool)))[0]
        if result["density"] != dense:
            yield f"density is {result['density']}, that of its masks {dense}"
        if run["at_steps"].tolist() != (steps := [*self.at_steps][: self.had(result)]):
            yield f"at_steps are not the recipe's {len(steps)}, up to {steps[-1]}"
            return
        stop = int(np.argmin(run["val_loss"]))
        if self.at_steps[result["early_stop_step"]] != stop or result["early_stop_val_loss"] != run["val_loss"][stop]:
            yield f"early_stop_step {result['early_stop_step']} is not where val_loss is lowest"
        looked = np.isin(run["at_steps"], [*self.setting.test_at, self.setting.steps, result["early_stop_step"]])
        for name in curves_measured(self.task):
            values = run[name]
            if name.startswith("test_"):
                if (np.isnan(values) == looked).any():
                    yield f"{name} is not there, or there alone, where the test set was looked at"
                for when, v in (("early_stop", stop), ("final", -1)):
                    if (known := result.get(f"{when}_{name}", "")) != "" and known != values[v]:
                        yield f"{when}_{name} is not what {name} says"
                values = values[looked]
            for value in (values.min(), values.max()):
                yield self._out_of_range(name, float(value))

    def had(self, row: Row) -> int:
        """Return how many validations a run had, by its row of results.csv: all, or until it ran out of patience."""
        most = len(self.at_steps)
        return min(most, self.at_steps[row["early_stop_step"]] + 1 + (self.setting.patience or most))

    def wrong_result(self, row: Row) -> str:
        """Check a row of results.csv."""
        if row["steps"] != self.setting.steps:
            return f"steps are {row['steps']}, the recipe has {self.setting.steps}"
        if row["early_stop_step"] not in self.at_steps:
            return f"early_stop_step {row['early_stop_step']} is no step of a validation"
        stopped = self.had(row) < len(self.at_steps)
        for name in filter(row.__contains__, self.ranges):
            if why := self._unknown(name, stopped):
                if row[name] != "":
                    return f"{name} is {row[name]}, expected nothing: {why}"
            elif wrong := self._out_of_range(name, row[name]):
                return wrong
            elif name.startswith("best_") and self.setting.train_at_end:
                final = row.get(name.replace("best_", "final_"), row[name])
                if _metric(name, self.task).is_worse(row[name], final):
                    return f"{name} {row[name]} is worse than the final {final}"
        return ""

    def _unknown(self, name: str, stopped: bool) -> str:
        """The reason why a result is not known, of a run that ran out of patience (`stopped`) or not; "" if it is."""
        if stopped and name.startswith(("final_", "best_")):
            return "the run ran out of patience before its end"
        at_end, ever = self.setting.train_at_end, self.setting.train_at_end or self.setting.train_at
        never = [start for start, looked in (("final_train_", at_end), ("best_", ever)) if not looked]
        return "the recipe does not look at the training set then" if name.startswith((*never,)) else ""

    def wrong_validation(self, row: Row, result: Row | None) -> str:
        """Check a row of curves.csv, also against the same run's row of results.csv, if that is there."""
        step = row["step"]
        if step not in self.at_steps:
            return f"step {step} is no step of a validation"
        if result and self.at_steps[step] >= self.had(result):
            return f"the run ran out of patience before step {step}"
        must = step == self.setting.steps or step in self.setting.test_at
        for name in curves_measured(self.task):
            if row[name] == "":
                if must:
                    return f"{name} is empty at step {step}, where the test set was looked at"
            elif wrong := self._out_of_range(name, row[name]):
                return wrong
        return _disagreement(result, row) if result else ""

    def _out_of_range(self, name: str, value: Json) -> str:
        least, most = self.ranges[name]
        if value != "" and least <= value <= most and math.isfinite(value):
            return ""
        expected = f"{least:g} to {most:g}" if math.isfinite(most) else "a finite number"
        return f"{name} is {shown(value)}, expected {expected}"


class AllLimits:
    """The limits of each run of an experiment; runs that are not in `planned` have the recipe's length."""

    def __init__(self, experiment: Experiment, planned: Mapping[Key, Run | Measure]) -> None:
        self._experiment, self._planned, self._of_length = experiment, planned, cache(self._made)

    def __getitem__(self, key: Key) -> Limits:
        run = self._planned.get(key)
        rewound = self._experiment.recipe.rewind_step if key.series == REWIND_POINT else None
        return self._of_length(run.length if isinstance(run, Run) else Length(steps=rewound))

    def _made(self, length: Length) -> Limits:
        return Limits(self._experiment.setting("plain", 1, length), self._experiment.task)


def _range(name: str, task: Task) -> tuple[float, float]:
    """The least and the largest value of a column."""
    if name in ("density", "seconds"):
        return 0.0, 1.0 if name == "density" else math.inf
    return (metric := _metric(name, task)).least, metric.most


def _metric(name: str, task: Task) -> Metric:
    """The metric that a column shows: that whose name it ends with."""
    return max((m for m in task.metrics if name.endswith(f"_{m.name}")), key=lambda m: len(m.name))


def _disagreement(result: Row, row: Row) -> str:
    """Return a message if a validation differs from its run's results; published curves are rounded."""
    step, early = row["step"], result["early_stop_val_loss"]
    stopped = step == result["early_stop_step"]
    if row["val_loss"] < min(_both(early)) or (stopped and row["val_loss"] not in _both(early)):
        return f"val_loss {row['val_loss']} at step {step} does not go with early_stop_val_loss {early}"
    for when, at in (("early_stop", result["early_stop_step"]), ("final", result["steps"])):
        for name in row if step == at else ():
            if name.startswith("test_") and row[name] not in _both(known := result.get(f"{when}_{name}", row[name])):
                return f"{name} {row[name]} at step {step} is not {when}_{name} {known}"
    return ""


def _both(value: float) -> tuple[float, float]:
    """A number, and the same as it is rounded in published curves."""
    return value, float(f"{value:.5g}")
