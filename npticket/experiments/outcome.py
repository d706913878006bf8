"""The results of an experiment, finished or not: read from its directory, and looked up by series, round and step."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from npticket.experiments import measured, tables
from npticket.experiments.amounts import counted
from npticket.experiments.directory import read_recipe
from npticket.experiments.errors import NothingYetError, StoreError
from npticket.experiments.manifest import read_manifest
from npticket.experiments.parts import Experiment, Parts
from npticket.experiments.planning import planned_if_known, trained
from npticket.experiments.recipe import Recipe, reduced
from npticket.experiments.series import Key, Series
from npticket.experiments.table_checks import check_tables
from npticket.experiments.tables import Row, measured_columns
from npticket.reading import Json, reason
from npticket.task import Task

PATIENCE = ("patience {0}: runs ended after {0} validations without a new minimum of the validation loss, and were "
            "pruned or trained further as they were then")  # fmt: skip


AGAIN = "; the same command, run again, makes the tables anew from runs/"
NOTHING = "has no finished run yet: wait for it, or run the same command again"


class Unknown(KeyError):
    """A number that not all runs have, as it was not measured or their patience ran out before."""


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
            densities = [row["density"] for row in rows]  # trials differ where a threshold or whole units decide
            density = densities[0] if len(set(densities)) == 1 else float(np.mean(densities))
            points.append(Point(series, index, density, rows[0]["steps"], columns.pop("trial"), columns))
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


def read_outcome(folder: str | Path, parts: Parts) -> Outcome:
    """Read and check the results of an experiment in `folder`, finished or not; give them a title and a note.

    StoreError, naming the file, if there are none or they are damaged or contradict each other or the recipe.
    """
    recipe, folder = read_recipe(folder), Path(folder)
    task = (experiment := Experiment(recipe, parts)).task
    try:
        results = tables.read(folder / "results.csv", tables.result_columns(task))
        curves = tables.read(folder / "curves.csv", tables.curve_columns(task))
        there = {name: folder / f"{name}.csv" for name in recipe.series}
        rows = {name: measured.read(path) for name, path in there.items() if path.exists()}
        check_tables(experiment, results, curves, rows)
    except FileNotFoundError as error:
        if (folder / "runs").exists() and not any((folder / "runs").iterdir()):
            raise NothingYetError(f"{folder} {NOTHING}") from error
        raise StoreError(f"{error.filename} is missing: run the same command again to make it") from error
    except (OSError, ValueError) as error:
        why = reason(error)
        again = AGAIN * any((folder / "runs").glob("*.npz"))
        raise StoreError((why if str(folder) in why else f"{folder}: {why}") + again) from error
    finished, drawn = {*map(Key.of, results)}, {*map(Key.of, curves)}  # a kill may come between the two tables
    if (folder / "runs").exists():  # in what was published, many runs have no curves
        results = [row for row in results if Key.of(row) in drawn]
    elif lost := sorted(_tested(recipe, results) - drawn):
        raise StoreError(f"{folder}: curves.csv has nothing of {lost[0].file.removesuffix('.npz')}")
    curves = [row for row in curves if Key.of(row) in finished]
    data = (manifest := read_manifest(folder / "manifest.json"))["data"]
    title = f"{experiment.net.name} on {data['name']}" + (f" ({data['caveat']})" if data["caveat"] else "")
    if not results:
        raise NothingYetError(f"{folder} {NOTHING}")
    trials = len({row["trial"] for row in results})
    tf32 = "products in TF32" if any(machine.get("tf32") for machine in manifest["machines"]) else ""
    most = "at most " * bool(recipe.patience)
    size = f"{counted(trials, 'trial')} of {most}{counted(recipe.steps, 'step')}"
    few = f"at most {counted(recipe.evaluated, 'example')} of each split evaluated" if recipe.evaluated else ""
    patience = PATIENCE.format(recipe.patience) if recipe.patience else ""
    said = size, few, patience, reduced(recipe, parts.published), tf32, _unfinished(recipe, parts, results, rows)
    note = "; ".join(filter(None, said))
    return Outcome(recipe, manifest, results, curves, title, note, task, parts.series, rows)


def _tested(recipe: Recipe, results: Sequence[Row]) -> set[Key]:
    """The runs of which something must be in a published table of curves: those that came to the last test."""
    if not recipe.test_at or recipe.patience:
        return set()
    return {Key.of(row) for row in results if row["steps"] >= max(recipe.test_at)}


def _unfinished(recipe: Recipe, parts: Parts, results: Sequence[Row], measured: Mapping[str, Sequence[Row]]) -> str:
    """A phrase that says how many runs, and how many measures, are there, if some are missing; else ""."""
    planned = planned_if_known(recipe, parts.series)
    runs = set(trained(planned))
    there = {Key.of(row) for row in results}
    looks = {Key(name, row["round"], row["trial"]) for name, rows in measured.items() for row in rows}
    said = [f"{len(there.intersection(all_of)):,} of {counted(len(all_of), what)} are there"
            for there, all_of, what in ((there, runs, "run"), (looks, planned.keys() - runs, "measure"))
            if all_of - there]  # fmt: skip
    return f"unfinished: {', '.join(said)}" if said else ""


def _number(value: Json) -> float:
    return np.nan if value == "" else value
