"""One directory per experiment: what was asked, what it ran on, and every finished run in a file of its own.

    recipe.json   manifest.json   results.csv   curves.csv   runs/<series>-round<r>-trial<t>.npz

A file is complete or absent. The tables are made from the runs, so an experiment that was killed goes on from these,
and one of which more is asked, too.
"""

import hashlib
import io
import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from npticket.backend import Array, Json
from npticket.experiments import tables
from npticket.experiments.files import StoreError, check_run, lock, read_json, read_manifest, write, write_json
from npticket.experiments.growth import refusal
from npticket.experiments.recipe import Recipe, from_json, in_full, to_json
from npticket.experiments.series import Key
from npticket.reading import UnreadableError, read_npz
from npticket.task import Task

TABLES_EVERY = 10.0  # seconds between writings of the tables, at least: they grow with every run
TABLES_SHARE = 50  # and as many times what the last writing took
MOST_VALUES = 8 << 20  # bytes of a list: a million numbers


class Store(AbstractContextManager["Store"]):
    """The directory of one experiment, locked against other processes until `close`.

    One that is there already goes on, with the same recipe or with more trials, rounds or series: see `growth`.
    `manifest` describes this machine and the data, `size` counts a network's parameters; a run is as `check_run` says.
    """

    def __init__(self, folder: str | Path, recipe: Recipe, task: Task, manifest: Mapping[str, Json], size: int) -> None:
        self.folder, self._task, self._size = Path(folder), task, size
        self._order = {series: i for i, series in enumerate(recipe.series)}
        self._next_tables = 0.0
        (self.folder / "runs").mkdir(parents=True, exist_ok=True)
        self._lock = lock(self.folder / ".lock")
        try:
            same = self._asks_for(recipe)
            self._describe(manifest)
            self._runs = {key: _light(self.load(key)) for key in self._present()}
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
        """Say whether the run is there and has the array `what`."""
        return what in self._runs.get(key, {})

    def digest(self, key: Key, what: str) -> bytes:
        """Return what tells the masks or next_masks of a run from others, without reading them again."""
        return self._runs[key][what]

    def add(self, key: Key, run: Mapping[str, Array]) -> None:
        """Keep a finished run, and now and then bring the tables up to date."""
        path = self.folder / "runs" / key.file
        run = {name: np.asarray(value) for name, value in run.items()}
        check_run(path, run, self._size, self._task)
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **run)
        write(path, file.getvalue())
        self._runs[key] = _light(run)
        if time.monotonic() > self._next_tables:
            self.write_tables()

    def load(self, key: Key) -> dict[str, np.ndarray]:
        """Read a run from its file; StoreError names the file if it is not what a run should be."""
        path = self.folder / "runs" / key.file
        numbers, curves = tables.result_columns(self._task)[len(tables.WHO) :], tables.curves_measured(self._task)
        most = dict.fromkeys(("at_steps", "chosen", *curves), MOST_VALUES) | dict.fromkeys(numbers, 8)
        try:
            run = read_npz(path, most | {"masks": self._size, "next_masks": self._size, "end": 8 * self._size})
        except (OSError, UnreadableError) as error:
            raise StoreError(f"{error}; delete it to train this run again") from error
        check_run(path, run, self._size, self._task)
        return run

    def write_tables(self) -> None:
        """Write results.csv and curves.csv from all runs, ordered by round, series and trial."""
        began = time.monotonic()
        keys = sorted(self._runs, key=lambda key: (key.round, self._order.get(key.series, -1), key.trial))
        results = tables.text(tables.result_columns(self._task), map(self.result, keys))
        curves = tables.text(tables.curve_columns(self._task), (row for key in keys for row in self._curve(key)))
        write(self.folder / "results.csv", results.encode())
        write(self.folder / "curves.csv", curves.encode())
        now = time.monotonic()
        self._next_tables = now + max(TABLES_EVERY, TABLES_SHARE * (now - began))

    def close(self, *_: object) -> None:
        """Bring the tables and the manifest up to date and let other processes in."""
        if not self._lock.closed:
            with self._lock:
                self.write_tables()
                self._note_chosen()

    __exit__ = close

    def _note_chosen(self) -> None:
        """Note in the manifest what engines chose by timing, in words, and in how many runs."""
        texts = Counter(text for run in self._runs.values() for text in run.get("chosen", np.array([])).tolist())
        path = self.folder / "manifest.json"
        there = read_json(path)
        if there.get("chosen", {}) != texts:
            write_json(path, there | {"chosen": dict(sorted(texts.items()))})

    def result(self, key: Key) -> dict[str, Json]:
        """Return a run's row of results.csv."""
        run = self._runs[key]
        return key._asdict() | {name: run[name].item() for name in tables.result_columns(self._task)[len(tables.WHO) :]}

    def _curve(self, key: Key) -> list[dict[str, Json]]:
        columns = {"step": "at_steps"} | {name: name for name in tables.curves_measured(self._task)}
        values = zip(*(self._runs[key][name].tolist() for name in columns.values()), strict=True)
        rows = ({name: "" if v != v else v for name, v in zip(columns, row, strict=True)} for row in values)
        return [key._asdict() | row for row in rows]

    def _present(self) -> list[Key]:
        keys = []
        for path in sorted((self.folder / "runs").glob("*.npz")):
            named = re.fullmatch(r"(.+)-round(\d+)-trial(\d+)", path.stem)
            key = Key(named[1], int(named[2]), int(named[3])) if named else None
            if key is None or key.file != path.name:
                raise StoreError(f"{path} is not named like a run, <series>-round<r>-trial<t>.npz; move it away")
            keys.append(key)
        return keys

    def _asks_for(self, recipe: Recipe) -> bool:
        """Say whether recipe.json is there and asks for the same; StoreError if it cannot grow to that."""
        path = self.folder / "recipe.json"
        if not path.exists():
            if self._present():
                raise StoreError(f"{self.folder} has runs but no recipe.json; choose another directory")
            return False
        there = from_json(read_json(path))
        if refused := refusal(there, recipe):
            raise StoreError(f"{self.folder} {refused}")
        return in_full(there) == in_full(recipe)

    def _describe(self, manifest: Mapping[str, Json]) -> None:
        """Note this machine; results go on on another one, but only with the same data, wherever these come from."""
        path, now = self.folder / "manifest.json", json.loads(json.dumps(manifest))
        there = read_manifest(path) if path.exists() else {"data": now["data"], "machines": []}
        if there["data"] | {"source": ""} != now["data"] | {"source": ""}:
            raise StoreError(f"{self.folder} was made from other data: {there['data']} there, {now['data']} now")
        if now["machine"] not in there["machines"]:
            there["machines"].append(now["machine"])
            write_json(path, there)


def _light(run: Mapping[str, np.ndarray]) -> dict[str, Json]:
    """A run with digests in the place of its large arrays, which stay on the disk."""
    large = {"masks", "next_masks", "end"} & run.keys()
    return {**run, **{name: hashlib.sha256(run[name].data).digest() for name in large}}
