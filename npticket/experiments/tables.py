"""The two tables of an experiment, results.csv and curves.csv: their columns, and how they are read and summarised.

A row of results is one training run, a row of curves one validation of a run; columns are called val_loss, test_acc ...
Cells are empty if nothing was measured, or if patience ran out (final_..., best_...). `steps` are those a run may take.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from npticket.backend import Json
from npticket.experiments.recipe import Recipe
from npticket.experiments.series import Series
from npticket.reading import check_size, shown
from npticket.task import Task

LARGEST, MOST = 1 << 30, 10**12  # bytes of a table, at most; its integers are lower than MOST
WHO = ("trial", "series", "round")
INTEGERS = {"trial", "round", "early_stop_step", "steps", "step"}

Row = Mapping[str, Json]


class Unknown(KeyError):
    """A number that not all runs have, as it was not measured or their patience ran out before."""


def measured_columns(task: Task) -> tuple[str, ...]:
    """Return the columns of results.csv that were measured at early stopping and at the end."""
    names = [metric.name for metric in task.metrics[1:] or task.metrics]
    when = ("early_stop_test", "final_test", "final_train", "best_train")
    return ("early_stop_step", "early_stop_val_loss", *(f"{w}_{name}" for w in when for name in names))


def result_columns(task: Task) -> tuple[str, ...]:
    """Return all columns of results.csv."""
    return (*WHO, "density", *measured_columns(task), "steps", "seconds")


def curves_measured(task: Task) -> tuple[str, ...]:
    """Return the columns of curves.csv that are measured at validations."""
    names = [metric.name for metric in task.metrics[1:]]
    tested = [f"test_{name}" for name in names or task.names]
    return ("train_loss", "val_loss", *(f"val_{name}" for name in names), *tested)


def curve_columns(task: Task) -> tuple[str, ...]:
    """Return all columns of curves.csv."""
    return (*WHO, "step", *curves_measured(task))


@dataclass(frozen=True)
class Point:
    """One series at one round, over its n runs (trials x draws); point[name] is a column (n,), Unknown if not whole."""

    series: str
    round: int
    density: float
    steps: int
    trial: np.ndarray  # (n,)
    columns: Mapping[str, np.ndarray]  # (n,) each

    def __getitem__(self, name: str) -> np.ndarray:
        if np.isnan(values := self.columns[name]).any():
            raise Unknown(f"{name} is not known of all runs of {self.series}: nobody looked, or patience ran out")
        return values

    @property
    def trials(self) -> int:
        """How many trials there are."""
        return len(set(self.trial.tolist()))

    def per_trial(self, values: np.ndarray) -> np.ndarray:
        """Return the mean of the values of runs (n,) over the draws of each trial: (T,), in order of trial."""
        return np.array([values[self.trial == trial].mean() for trial in np.unique(self.trial)])

    @property
    def cut_short(self) -> np.ndarray:
        """Which runs (n,) had their lowest validation loss in the last tenth of their steps: it might fall further."""
        return self["early_stop_step"] > 0.9 * self.steps


@dataclass(frozen=True)
class Outcome:
    """All results of one experiment.

    `manifest` describes its data and machines, `title` names network and data; `note` is a phrase that every table and
    figure must show: trials and steps, what was smaller than in the paper. `known` are all series by name; `measured`
    has the rows of series of measures, with trial and round.
    """

    recipe: Recipe
    manifest: Mapping[str, Json]
    results: Sequence[Row]
    curves: Sequence[Row]
    title: str
    note: str
    task: Task
    known: Mapping[str, Series]
    measured: Mapping[str, Sequence[Row]] = field(default_factory=dict)

    @property
    def series(self) -> list[str]:
        """The series of which there are results, without further draws, in the recipe's order; the dense one first."""
        present = {self.line(row["series"]) for row in self.results}
        return [name for name in dict.fromkeys(map(self.line, self.recipe.series)) if name in present]

    def line(self, series: str) -> str:
        """Return the series of which this is a draw: "random_reinit" for "random_reinit_2"."""
        return (self.known[series].draw_of if series in self.known else "") or series

    def points(self, series: str) -> list[Point]:
        """Return the results of a series and its draws, a Point for each round; its runs by draw, then trial."""
        points = []
        for (index,), rows in self._rows(self.results, series, "round"):
            names = ("trial", *measured_columns(self.task))
            columns = {name: np.array([_number(row[name]) for row in rows]) for name in names}
            points.append(Point(series, index, rows[0]["density"], rows[0]["steps"], columns.pop("trial"), columns))
        return points

    def curve(self, series: str, round: int, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the steps (V,) that all runs have, and the values (n, V) of a column of a series; NaN if empty."""
        runs = self._rows((row for row in self.curves if row["round"] == round), series, "series", "trial")
        if not runs:
            raise KeyError(f"there are no curves of {series} in round {round}")
        by_step = [{row["step"]: _number(row[column]) for row in rows} for _, rows in runs]
        steps = sorted(set.intersection(*map(set, by_step)))
        return np.array(steps), np.array([[values[step] for step in steps] for values in by_step])

    def tested_at(self, step: int, series: str) -> dict[int, np.ndarray]:
        """Return the headline measure on the test set after `step` steps, (n,) by round; Unknown if a run lacks it."""
        column, found = f"test_{self.task.headline.name}", dict[int, np.ndarray]()
        counts = {round: len(rows) for (round,), rows in self._rows(self.results, series, "round")}
        for (round,), rows in self._rows(self.curves, series, "round"):
            found[round] = np.array([row[column] for row in rows if row["step"] == step and row[column] != ""])
            if found[round].size < max(1, counts.get(round, 0)):
                raise Unknown(f"the test set was not looked at after {step:,} steps of {series}, or not in all runs")
        return found

    def _rows(self, table: Iterable[Row], series: str, *by: str) -> list[tuple[tuple, list[Row]]]:
        """The rows of a series and its other draws, by round, draw and trial, put together by some of their columns."""
        found, draws = dict[tuple, list[Row]](), {name: i for i, name in enumerate(self.recipe.series)}
        mine = (row for row in table if self.line(row["series"]) == series)
        for row in sorted(mine, key=lambda row: (row["round"], draws.get(row["series"], -1), row["trial"])):
            found.setdefault(tuple(row[name] for name in by), []).append(row)
        return list(found.items())


def cell(value: Json) -> Json:
    """Return a value as it is in a table: "" for NaN."""
    return "" if value != value else value


def _number(value: Json) -> float:
    return np.nan if value == "" else value


def text(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """Return rows as CSV, floats in full precision."""
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def read(path: str | Path, columns: Sequence[str]) -> list[dict[str, Json]]:
    """Read a table back, numbers as numbers; ValueError names the file if its columns or values are not right."""
    check_size(path, LARGEST)
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        try:
            heads = next(reader, [])
            if heads != list(columns):
                raise ValueError(f"it has the columns {shown(heads)}, expected {', '.join(columns)}")
            return [_row(columns, row) for row in reader]
        except (ValueError, csv.Error) as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}") from error


def _row(columns: Sequence[str], texts: Sequence[str]) -> dict[str, Json]:
    if len(texts) != len(columns):
        raise ValueError(f"it has {len(texts)} values, expected {len(columns)}")
    return {name: _value(name, text) for name, text in zip(columns, texts, strict=True)}


def _value(name: str, text: str) -> Json:
    if name == "series" or (name.startswith(("test_", "final_", "best_")) and text == ""):  # nobody looked
        return text
    with suppress(ValueError):
        value = int(text) if name in INTEGERS else float(text)
        if 0 <= value < MOST if name in INTEGERS else math.isfinite(value):
            return value
    raise ValueError(f"{name} is {shown(text)}, expected {'an integer' if name in INTEGERS else 'a number'}")
