"""What an experiment leaves behind: results.csv and curves.csv, complete at any moment, and how to read them."""

import csv
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from npticket.params import Params
from npticket.prune import density

RESULTS = (
    "trial", "series", "round", "density", "early_stop_step", "early_stop_val_loss", "early_stop_test_acc",
    "final_test_acc", "final_train_acc", "steps", "seconds",
)  # fmt: skip
CURVES = ("trial", "series", "round", "step", "train_loss", "val_loss", "val_acc", "test_acc")

WINNING_TICKET = "winning_ticket"
RANDOM_REINIT = "random_reinit"


class Store:
    """The two tables of one experiment in `folder`; every `add` leaves complete files.

    What an earlier experiment left there is moved into a subfolder `earlier-<time>`, never overwritten.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.results: list[dict[str, Any]] = []
        self.curves: list[dict[str, Any]] = []
        self.set_aside = self._set_aside()

    def add(self, series: str, round: int, masks: Params, fit: Any) -> None:
        """Append a round of one series: `fit` is a train.Fit whose trials have the numbers 0, 1, ..."""
        densities = density(masks)
        steps = int(fit.at_steps[-1])
        for t in range(masks.trials):
            run = {"trial": t, "series": series, "round": round}
            measured = {name: getattr(fit, name)[t].item() for name in RESULTS if hasattr(fit, name)}
            self.results.append(run | measured | {"density": densities[t].item(), "steps": steps})
            for v, step in enumerate(fit.at_steps):
                curves = {name: getattr(fit, name)[t, v].item() for name in CURVES[4:]}
                if np.isnan(curves["test_acc"]):
                    curves["test_acc"] = ""
                self.curves.append(run | {"step": int(step)} | curves)
        _write(self.folder / "results.csv", RESULTS, self.results)
        _write(self.folder / "curves.csv", CURVES, self.curves)

    def _set_aside(self) -> Path | None:
        """Move tables and figures of an earlier experiment out of the way; return where to, or None."""
        old = [self.folder / name for name in ("results.csv", "curves.csv", "figures") if (self.folder / name).exists()]
        if not old:
            return None
        name = time.strftime("earlier-%Y%m%d-%H%M%S", time.localtime(old[0].stat().st_mtime))
        goal = next(g for n in count() if not (g := self.folder / (f"{name}-{n}" if n else name)).exists())
        goal.mkdir()
        for path in old:
            path.replace(goal / path.name)
        return goal


@dataclass(frozen=True)
class Point:
    """One series at one round, over its trials. Steps are numbers of updates, accuracies fractions in [0, 1]."""

    series: str
    round: int
    density: float
    early_stop_step: np.ndarray  # (trials,)
    early_stop_test_acc: np.ndarray  # (trials,)
    final_test_acc: np.ndarray  # (trials,)
    steps: int

    @property
    def trials(self) -> int:
        """How many trials there are."""
        return len(self.early_stop_step)

    @property
    def cut_short(self) -> bool:
        """Whether in some trial the lowest validation loss was the last one seen: it might have fallen further."""
        return bool((self.early_stop_step >= self.steps).any())


def summarise(results: Sequence[Mapping[str, Any]], series: str) -> list[Point]:
    """Gather the rows of one series into one Point per round, trials in order."""
    points = []
    for index in sorted({row["round"] for row in results if row["series"] == series}):
        rows = sorted(
            (row for row in results if row["series"] == series and row["round"] == index), key=lambda row: row["trial"]
        )
        names = ("early_stop_step", "early_stop_test_acc", "final_test_acc")
        columns = (np.array([row[name] for row in rows]) for name in names)
        points.append(Point(series, index, rows[0]["density"], *columns, steps=rows[0]["steps"]))
    return points


def accuracy_at(step: int, curves: Sequence[Mapping[str, Any]], series: str) -> dict[int, np.ndarray]:
    """Gather the test accuracy after `step` steps, (trials,), by round; KeyError if it was not looked at then."""
    found: dict[int, dict[int, float]] = {}
    for row in curves:
        if row["series"] == series:
            trials = found.setdefault(row["round"], {})
            if row["step"] == step and row["test_acc"] != "":
                trials[row["trial"]] = row["test_acc"]
    counts = {round: len(trials) for round, trials in found.items()}
    if not all(counts.values()):
        raise KeyError(f"the test set was not looked at after {step:,} steps of {series}")
    return {round: np.array([trials[t] for t in sorted(trials)]) for round, trials in sorted(found.items())}


def read_results(path: str | Path) -> list[dict[str, Any]]:
    """Read results.csv back, numbers as numbers; ValueError names the file if its columns or values are not right."""
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != RESULTS:
            raise ValueError(f"{path} has the columns {reader.fieldnames}, expected {', '.join(RESULTS)}")
        integers = {"trial", "round", "early_stop_step", "steps"}
        try:
            return [
                {
                    name: text if name == "series" else int(text) if name in integers else float(text)
                    for name, text in row.items()
                }
                for row in reader
            ]
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}") from error


def _write(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a CSV file that is complete under its name, or not there at all."""
    partial = path.with_suffix(".partial")
    with open(partial, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
