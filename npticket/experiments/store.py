"""One directory per experiment: what was asked, what it ran on, and every finished run in a file of its own.

    recipe.json   manifest.json   results.csv   curves.csv   <series>.csv   runs/<series>-round<r>-trial<t>.npz

A file is complete or absent; run files say where they belong: see `run_files`. The tables are made from the run files,
<series>.csv from those of measures. So an experiment that was killed, or that is to have more trials, rounds or series,
goes on from the run files. A run that is being trained has a checkpoint in .checkpoints/.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from npticket.backend import Array
from npticket.experiments import directory, measured, tables
from npticket.experiments.errors import StoreError
from npticket.experiments.growth import begun, refusal
from npticket.experiments.json_files import write_json
from npticket.experiments.machine import MACHINE
from npticket.experiments.manifest import Manifest
from npticket.experiments.measured import ROWS
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned
from npticket.experiments.recipe import Recipe, in_full, to_json
from npticket.experiments.run_files import ORIGIN, RunFiles, digest, named
from npticket.experiments.series import Key, Measure, Run
from npticket.files import put_off, write
from npticket.reading import Json

TABLES_EVERY, TABLES_SHARE = 10.0, 50  # seconds between two writings of the tables, or so many times the last one


class Store(AbstractContextManager["Store"]):
    """The directory of one experiment, locked against other processes until `close`.

    One that is there already goes on, with the same recipe or with more trials, rounds or series: see `growth`.
    `manifest` is what machine.describe returned; what a run holds, `check_run` says. `difference` says in what this
    machine differs from those that made the runs, "" if in nothing; with `strict` a difference is a StoreError. So is
    a directory that holds something else, is in use, or has damaged files.
    """

    def __init__(
        self, folder: str | Path, experiment: Experiment, manifest: Mapping[str, Json], strict: bool = False
    ) -> None:
        recipe, self._task = experiment.recipe, experiment.task
        self.folder, self.runs = Path(folder), planned(recipe, experiment.parts.series)
        self._order = {series: i for i, series in enumerate(recipe.series)}
        self._next_tables, self._is_behind = 0.0, False  # when the tables may be written again; whether they lack runs
        directory.check_free(self.folder, {key.series for key, run in self.runs.items() if isinstance(run, Measure)})
        (self.folder / "runs").mkdir(parents=True, exist_ok=True)
        self._lock = directory.lock(self.folder / ".lock")
        try:
            directory.clear(self.folder)
            same = self._asks_for(recipe)
            self._manifest = Manifest(self.folder / "manifest.json", manifest)
            self._files = RunFiles(self.folder / "runs", experiment, self._manifest.data["sha256"], self.runs)
            self._runs = {key: _light(*self._files.read(key)) for key in self._files.present()}
            self.check_given()
            self._check_columns({})
            self.difference = self._manifest.difference(self._makers())
            if strict and self.difference:
                raise StoreError(f"{self.folder}: {self.difference}. --strict refuses to mix them")
            self._manifest.write({self._manifest.here: (), **self._makers()}, self._chosen())
            if not same:  # only now that nothing else is wrong: a directory that has grown cannot be asked for less
                write_json(self.folder / "recipe.json", to_json(recipe))
        except BaseException:
            self._lock.close()
            raise

    def __contains__(self, key: Key) -> bool:
        return key in self._runs

    def __len__(self) -> int:
        return len(self._runs)

    def holds(self, key: Key, what: str) -> bool:
        """Whether the run is there and has the array `what`."""
        return what in self._runs.get(key, {})

    def digest(self, key: Key, what: str) -> str:
        """Return the SHA-256 of a run's masks, next_masks or end, taken when it was read."""
        return self._runs[key][what]

    def add(self, key: Key, run: Mapping[str, Array]) -> None:
        """Write a finished run to its file, and now and then the tables; a worker adds its machine's details to it."""
        arrays = {name: np.asarray(value) for name, value in run.items() if name != MACHINE}
        machine = self._manifest.made_on(json.loads(str(run.get(MACHINE, "{}"))))
        self._check_columns({key: arrays[ROWS]} if ROWS in arrays else {})
        if machine not in (makers := self._makers()):
            self._manifest.write({machine: (), **makers}, self._chosen())
        needed = self.runs[key].given if key in self.runs else {}
        given = {name: self.digest(*stored) for name, stored in needed.items() if self.holds(*stored)}
        self._runs[key] = _light(arrays, self._files.write(key, arrays, given, machine))
        self._is_behind = True
        if time.monotonic() > self._next_tables:
            with put_off():
                self.write_tables()

    def due(self) -> float | None:
        """In how many seconds the tables are to be written; None if they have all runs."""
        return max(0.0, self._next_tables - time.monotonic()) if self._is_behind else None

    def _check_columns(self, more: Mapping[Key, np.ndarray]) -> None:
        """Raise StoreError unless all measures of a series, with `more` that are to be added, have the same columns."""
        try:
            measured.check_columns({key: run[ROWS] for key, run in self._runs.items() if ROWS in run} | {**more})
        except ValueError as error:
            raise StoreError(f"{self.folder}: {error}; delete the files of one kind to make them again") from error

    def load(self, key: Key) -> dict[str, np.ndarray]:
        """Read a run from its file; StoreError names the file if it is damaged or belongs elsewhere."""
        return self._files.read(key)[0]

    def check_given(self) -> None:
        """Raise StoreError for a run that was made from other arrays than the runs before it have now."""
        for key, there in self._runs.items():
            run, noted = self.runs.get(key), there[ORIGIN]["given"]
            for name, stored in run.given.items() if run else ():
                found = {noted[name]} if name in noted else set[str]()
                if name == "masks" and not (isinstance(run, Run) and run.own_masks):
                    found.add(there["masks"])
                if self.holds(*stored) and found - {self.digest(*stored)}:
                    said = f"has other {name} than {stored.key.file} left; delete it, and what follows it"
                    raise StoreError(f"{self._files.path(key)} {said}, to train these runs again")

    def write_tables(self) -> None:
        """Write curves.csv, a table for each series of measures, and results.csv, by round, series and trial.

        results.csv comes last, so that it never has a run that curves.csv lacks; then the manifest, which counts runs.
        """
        began = time.monotonic()
        self._next_tables = began + TABLES_EVERY  # if this fails
        everything = sorted(self._runs, key=lambda key: (key.round, self._order.get(key.series, -1), key.trial))
        keys = [key for key in everything if not self.holds(key, ROWS)]
        curves = (row for key in keys for row in self._curve(key))
        rows = {key: self._runs[key][ROWS] for key in everything if self.holds(key, ROWS)}
        texts = {"curves": tables.text(tables.curve_columns(self._task), curves)}
        for series in {key.series for key in rows}:
            texts[series] = measured.text({key: array for key, array in rows.items() if key.series == series})
        texts["results"] = tables.text(tables.result_columns(self._task), map(self.result, keys))
        for name, text in texts.items():
            write(self.folder / f"{name}.csv", text.encode())
        self._manifest.write(self._makers(), self._chosen())
        now, self._is_behind = time.monotonic(), False
        self._next_tables = now + max(TABLES_EVERY, TABLES_SHARE * (now - began))

    def close(self, *_: object) -> None:
        """Write the tables and the manifest, and give up the lock."""
        if not self._lock.closed:
            with self._lock:
                self.write_tables()

    __exit__ = close

    def _makers(self) -> dict[str, list[Key]]:
        """The runs that each machine made."""
        makers: dict[str, list[Key]] = {}
        for key, run in self._runs.items():
            makers.setdefault(run[ORIGIN]["machine"], []).append(key)
        return makers

    def _chosen(self) -> Counter[str]:
        """What engines chose by timing, as texts, each with the number of runs in which they did."""
        return Counter(text for run in self._runs.values() for text in run.get("chosen", np.array([])).tolist())

    def result(self, key: Key) -> dict[str, Json]:
        """Return a run's row of results.csv."""
        run = self._runs[key]
        columns = tables.result_columns(self._task)[len(tables.WHO) :]
        return key._asdict() | {name: tables.cell(run[name].item()) for name in columns}

    def _curve(self, key: Key) -> list[dict[str, Json]]:
        columns = {"step": "at_steps"} | {name: name for name in tables.curves_measured(self._task)}
        values = zip(*(self._runs[key][name].tolist() for name in columns.values()), strict=True)
        rows = (dict(zip(columns, map(tables.cell, row), strict=True)) for row in values)
        return [key._asdict() | row for row in rows]

    def _asks_for(self, recipe: Recipe) -> bool:
        """Whether recipe.json is there and is the same recipe; StoreError if the directory cannot grow to `recipe`."""
        path = self.folder / "recipe.json"
        if not path.exists():
            if any((self.folder / "runs").glob("*.npz")):
                raise StoreError(f"{self.folder} has runs but no recipe.json; choose another directory")
            return False
        there = directory.recipe_at(path)
        if refused := refusal(begun(there, [*filter(None, map(named, (self.folder / "runs").glob("*.npz")))]), recipe):
            raise StoreError(f"{self.folder} {refused}")
        return in_full(there) == in_full(recipe)


def _light(run: Mapping[str, np.ndarray], origin: Mapping[str, Json]) -> dict[str, Json]:
    """A run with digests in the place of its large arrays, which stay on the disk."""
    large = {"masks", "next_masks", "end"} & run.keys()
    return {**run, **{name: digest(run[name]) for name in large}, ORIGIN: origin}
