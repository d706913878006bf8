"""The two tables of an experiment, results.csv and curves.csv: their columns, and how they are read and summarised.

A row of results is one training run; its rows of curves are the run's validations. `series` says what was trained:
the winning ticket or one of its controls. Several draws of one control are numbered, random_reinit, random_reinit_2,
and summarised together.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = (
    "trial", "series", "round", "density", "early_stop_step", "early_stop_val_loss", "early_stop_test_acc",
    "final_test_acc", "final_train_acc", "steps", "seconds",
)  # fmt: skip
CURVES = ("trial", "series", "round", "step", "train_loss", "val_loss", "val_acc", "test_acc")
INTEGERS = {"trial", "round", "early_stop_step", "steps", "step"}

WINNING_TICKET = "winning_ticket"
RANDOM_REINIT = "random_reinit"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Point:
    """One series at one round, over its n runs: trials, times the draws of a control.

    Steps are numbers of updates, accuracies and densities fractions in [0, 1], losses means per example.
    """

    series: str
    round: int
    density: float
    steps: int
    trial: np.ndarray  # (n,)
    early_stop_step: np.ndarray  # (n,)
    early_stop_val_loss: np.ndarray  # (n,)
    early_stop_test_acc: np.ndarray  # (n,)
    final_test_acc: np.ndarray  # (n,)
    final_train_acc: np.ndarray  # (n,)

    @property
    def trials(self) -> int:
        """How many trials there are."""
        return len(set(self.trial.tolist()))

    @property
    def cut_short(self) -> bool:
        """Whether in some run the lowest validation loss was the last one seen: it might have fallen further."""
        return bool((self.early_stop_step >= self.steps).any())


@dataclass(frozen=True)
class Outcome:
    """Everything that one experiment left behind.

    `recipe` is what was asked and `manifest` what it ran on, both as their JSON says. `title` names network and data;
    `note` is a phrase that every table and figure must show: trials and steps, what was run smaller than in the
    paper, what the data are not.
    """

    recipe: Mapping[str, Any]
    manifest: Mapping[str, Any]
    results: Sequence[Row]
    curves: Sequence[Row]
    title: str
    note: str

    @property
    def series(self) -> list[str]:
        """What was trained, without the numbers of draws, in the order of the recipe."""
        present = {family(row["series"]) for row in self.results}
        return [name for name in dict.fromkeys(map(family, self.recipe["series"])) if name in present]


def family(series: str) -> str:
    """The name without the number of the draw: random_reinit of random_reinit_2."""
    return re.sub(r"^(random_[a-z]+)_\d+$", r"\1", series)


def summarise(results: Iterable[Row], series: str) -> list[Point]:
    """Gather the rows of one series, all its draws, into one Point per round; runs in order of draw, then trial."""
    rounds: dict[int, list[Row]] = {}
    for row in results:
        if family(row["series"]) == series:
            rounds.setdefault(row["round"], []).append(row)
    points = []
    for index, rows in sorted(rounds.items()):
        rows.sort(key=lambda row: (row["series"], row["trial"]))
        columns = {
            name: np.array([row[name] for row in rows])
            for name in ("trial", *RESULTS[RESULTS.index("early_stop_step") : RESULTS.index("steps")])
        }
        points.append(Point(series, index, rows[0]["density"], rows[0]["steps"], **columns))
    return points


def curve(curves: Iterable[Row], series: str, round: int, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps (V,) and the values (n, V) of one column of a series in one round; NaN where it is empty."""
    runs: dict[tuple[str, int], list[Row]] = {}
    for row in curves:
        if family(row["series"]) == series and row["round"] == round:
            runs.setdefault((row["series"], row["trial"]), []).append(row)
    if not runs:
        raise KeyError(f"there are no curves of {series} in round {round}")
    ordered = [sorted(rows, key=lambda row: row["step"]) for _, rows in sorted(runs.items())]
    values = [[np.nan if row[column] == "" else row[column] for row in rows] for rows in ordered]
    return np.array([row["step"] for row in ordered[0]]), np.array(values)


def accuracy_at(step: int, curves: Iterable[Row], series: str) -> dict[int, np.ndarray]:
    """Gather the test accuracy after `step` steps, (n,), by round; KeyError if it was not looked at then."""
    found: dict[int, dict[tuple[str, int], float]] = {}
    for row in curves:
        if family(row["series"]) == series:
            runs = found.setdefault(row["round"], {})
            if row["step"] == step and row["test_acc"] != "":
                runs[row["series"], row["trial"]] = row["test_acc"]
    if not all(found.values()):
        raise KeyError(f"the test set was not looked at after {step:,} steps of {series}")
    return {round: np.array([runs[key] for key in sorted(runs)]) for round, runs in sorted(found.items())}


def text(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """The rows as CSV, floats in full precision."""
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def read_results(path: str | Path) -> list[dict[str, Any]]:
    """Read results.csv back, numbers as numbers; ValueError names the file if its columns or values are not right."""
    return _read(path, RESULTS)


def read_curves(path: str | Path) -> list[dict[str, Any]]:
    """Read curves.csv back; `test_acc` is "" where the test set was not looked at."""
    return _read(path, CURVES)


def _read(path: str | Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != columns:
            raise ValueError(f"{path} has the columns {reader.fieldnames}, expected {', '.join(columns)}")
        try:
            return [{name: _value(name, value) for name, value in row.items()} for row in reader]
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}") from error


def _value(name: str, text: str) -> Any:
    if name == "series" or (name == "test_acc" and text == ""):
        return text
    return int(text) if name in INTEGERS else float(text)
