"""One directory per experiment: what was asked, what it ran on, and every finished run in a file of its own.

    recipe.json   manifest.json   results.csv   curves.csv   runs/<series>-round<r>-trial<t>.npz

A file is complete or absent. The runs are the truth and the tables are made from them, so an experiment that was
killed goes on from its finished runs, and ends with the tables that it would have had.
"""

import hashlib
import io
import json
import os
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from npticket import tables

TABLES_EVERY = 10.0  # seconds between writings of the tables: they grow with every run, the runs' files do not
_CURVES = tables.CURVES[4:]
_MEASURED = tables.RESULTS[tables.RESULTS.index("density") :]
_OWN = ("recipe.json", "manifest.json", "results.csv", "curves.csv", "runs", "figures", "claims.json")


class StoreError(ValueError):
    """A directory that cannot be used; the message says which file is wrong and what to do."""


class Key(NamedTuple):
    """What tells a run from the others of its experiment."""

    series: str
    round: int
    trial: int

    @property
    def file(self) -> str:
        """The name of the run's file."""
        return f"{self.series}-round{self.round:02}-trial{self.trial}.npz"


class Store:
    """The directory of one experiment, locked against other processes until `close`.

    `asked` is the recipe as JSON; a directory of another one is refused. `manifest` describes this machine and the
    data. `size` is the number of parameters of a network. A run is a mapping of arrays: see `check_run`.
    """

    def __init__(self, folder: str | Path, asked: Mapping[str, Any], manifest: Mapping[str, Any], size: int) -> None:
        self.folder = Path(folder)
        self.size = size
        (self.folder / "runs").mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self.folder / ".lock")
        try:
            self._ask(asked)
            self._describe(manifest)
            self._runs = {key: _light(self.load(key)) for key in self._present()}
        except BaseException:
            self._lock.close()
            raise
        self._order = {series: i for i, series in enumerate(asked["series"])}
        self._written = 0.0

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __contains__(self, key: Key) -> bool:
        return key in self._runs

    def __iter__(self) -> Iterator[Key]:
        return iter(self._runs)

    def __len__(self) -> int:
        return len(self._runs)

    def holds(self, key: Key, what: str) -> bool:
        """Whether the run is there and has the array `what`."""
        return key in self._runs and what in self._runs[key]["holds"]

    def digest(self, key: Key, what: str) -> bytes:
        """What tells the masks or next_masks of a run from others, without reading them again."""
        return self._runs[key][what]

    def add(self, key: Key, run: Mapping[str, Any]) -> None:
        """Keep a finished run, and now and then bring the tables up to date."""
        path = self.folder / "runs" / key.file
        run = {name: np.asarray(value) for name, value in run.items()}
        check_run(path, run, self.size)
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **run)
        write(path, file.getvalue())
        self._runs[key] = _light(run)
        if time.monotonic() - self._written > TABLES_EVERY:
            self.write_tables()

    def load(self, key: Key) -> dict[str, np.ndarray]:
        """Read a run from its file; StoreError names the file if it is not what a run should be."""
        path = self.folder / "runs" / key.file
        try:
            with np.load(path, allow_pickle=False) as file:
                run = {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError, LookupError, TypeError, AttributeError, RuntimeError, zlib.error,
                zipfile.BadZipFile) as error:  # fmt: skip
            raise StoreError(f"{path} cannot be read ({error}); delete it to train this run again") from error
        check_run(path, run, self.size)
        return run

    def write_tables(self) -> None:
        """Write results.csv and curves.csv from all runs, ordered by round, series and trial."""
        keys = sorted(self._runs, key=lambda key: (key.round, self._order.get(key.series, -1), key.trial))
        results = [self._result(key) for key in keys]
        curves = [row for key in keys for row in self._curve(key)]
        write(self.folder / "results.csv", tables.text(tables.RESULTS, results).encode())
        write(self.folder / "curves.csv", tables.text(tables.CURVES, curves).encode())
        self._written = time.monotonic()

    def results(self) -> list[dict[str, Any]]:
        """The rows of results.csv so far, in no particular order."""
        return [self._result(key) for key in self._runs]

    def close(self) -> None:
        """Bring the tables up to date and let other processes in."""
        if not self._lock.closed:
            try:
                self.write_tables()
            finally:
                self._lock.close()

    def _result(self, key: Key) -> dict[str, Any]:
        run = self._runs[key]
        return _who(key) | {name: run[name].item() for name in _MEASURED}

    def _curve(self, key: Key) -> list[dict[str, Any]]:
        run, who = self._runs[key], _who(key)
        curves = []
        for v, step in enumerate(run["at_steps"].tolist()):
            values = {name: run[name][v].item() for name in _CURVES}
            if np.isnan(values["test_acc"]):
                values["test_acc"] = ""
            curves.append(who | {"step": step} | values)
        return curves

    def _present(self) -> list[Key]:
        keys = []
        for path in sorted((self.folder / "runs").glob("*.npz")):
            try:
                series, round, trial = path.stem.rsplit("-", 2)
                key = Key(series, int(round.removeprefix("round")), int(trial.removeprefix("trial")))
            except ValueError:
                key = None
            if key is None or key.file != path.name:
                raise StoreError(f"{path} is not named like a run, <series>-round<r>-trial<t>.npz; move it away")
            keys.append(key)
        return keys

    def _ask(self, asked: Mapping[str, Any]) -> None:
        path = self.folder / "recipe.json"
        if not path.exists():
            if self._present():
                raise StoreError(f"{self.folder} has runs but no recipe.json; choose another directory")
            write_json(path, asked)
            return
        there, now = read_json(path), json.loads(json.dumps(asked))
        different = [
            f"{name}: {there.get(name, '(nothing)')!r} there, {now.get(name, '(nothing)')!r} now"
            for name in dict.fromkeys((*there, *now))
            if there.get(name) != now.get(name)
        ]
        if different:
            raise StoreError(
                f"{self.folder} holds another experiment: {'; '.join(different)}. Choose another directory, "
                "or ask for the same again to go on"
            )

    def _describe(self, manifest: Mapping[str, Any]) -> None:
        """Note this machine; results go on on another one, but only with the same data."""
        path = self.folder / "manifest.json"
        now = json.loads(json.dumps(manifest))
        there = read_json(path) if path.exists() else {"data": now["data"], "machines": []}
        if not isinstance(there.get("data"), dict) or not isinstance(there.get("machines"), list):
            raise StoreError(f"{path} does not describe data and machines; delete it to have it written again")
        if {k: v for k, v in there["data"].items() if k != "source"} != {
            k: v for k, v in now["data"].items() if k != "source"
        }:
            raise StoreError(f"{self.folder} was made from other data: {there['data']} there, {now['data']} now")
        if now["machine"] not in there["machines"]:
            there["machines"].append(now["machine"])
            write_json(path, there)


def read(folder: str | Path) -> tuple[dict, dict, list[dict], list[dict]]:
    """Return recipe, manifest, rows of results and rows of curves of a directory; StoreError says what is wrong."""
    folder = Path(folder)
    if not (folder / "recipe.json").is_file():
        raise StoreError(f"{folder} is not an experiment's directory: it has no recipe.json")
    try:
        rows = tables.read_results(folder / "results.csv"), tables.read_curves(folder / "curves.csv")
    except FileNotFoundError as error:
        raise StoreError(f"{error.filename} is missing: run the same command again to make it") from error
    except ValueError as error:
        raise StoreError(str(error)) from error
    return read_json(folder / "recipe.json"), read_json(folder / "manifest.json"), *rows


def check_run(path: Path, run: Mapping[str, np.ndarray], size: int) -> None:
    """Raise StoreError, naming `path`, if `run` is not what a run should be.

    It has masks, packed bits of `size` parameters; at_steps, train_loss, val_loss, val_acc and test_acc (V,); scalars
    as in results.csv; and perhaps next_masks, which only shrink, and end (size,).
    """

    def need(holds: bool, what: str) -> None:
        if not holds:
            raise StoreError(f"{path}: {what}; delete it to train this run again")

    needed = {"masks", "at_steps", *_CURVES, *_MEASURED}
    lacking, extra = needed - run.keys(), run.keys() - needed - {"next_masks", "end"}
    need(not lacking and not extra, f"lacks {sorted(lacking)}" if lacking else f"has the unknown {sorted(extra)}")
    for name in _MEASURED:
        kind = "i" if name in tables.INTEGERS else "f"
        need(run[name].shape == () and run[name].dtype.kind == kind, f"{name} is not a single {kind} number")
    validations = run["at_steps"].shape
    need(len(validations) == 1 and run["at_steps"].dtype.kind == "i", "at_steps is not a list of integers")
    need(bool((np.diff(run["at_steps"]) > 0).all()), "at_steps does not grow")
    for name in _CURVES:
        need(run[name].shape == validations and run[name].dtype.kind == "f", f"{name} does not go with at_steps")
        need(name == "test_acc" or bool(np.isfinite(run[name]).all()), f"{name} is not finite")
    for name in ("masks", "next_masks"):
        if name in run:
            packed = run[name]
            need(packed.dtype == np.uint8 and packed.shape == (-(-size // 8),), f"{name} are not {size} packed bits")
            need(not np.unpackbits(packed)[size:].any(), f"{name} have bits beyond {size}")
    if "next_masks" in run:
        need(not (run["next_masks"] & ~run["masks"]).any(), "next_masks bring a pruned weight back")
    if "end" in run:
        end = run["end"]
        need(end.shape == (size,) and end.dtype in (np.float32, np.float64), f"end is not {size} floats")
        need(bool(np.isfinite(end).all()), "end is not finite")
        need(not end[~np.unpackbits(run["masks"])[:size].astype(bool)].any(), "end is not 0 where pruned")


def set_aside(folder: str | Path) -> Path | None:
    """Move what an earlier experiment left in `folder` into a subfolder `earlier-<time>`; return it, or None."""
    folder = Path(folder)
    old = [folder / name for name in _OWN if (folder / name).exists()]
    if not old:
        return None
    lock = _lock(folder / ".lock")  # not under the feet of a process that is at work there
    name = time.strftime("earlier-%Y%m%d-%H%M%S", time.localtime(old[0].stat().st_mtime))
    goal = next(g for n in count() if not (g := folder / (f"{name}-{n}" if n else name)).exists())
    goal.mkdir()
    for path in old:
        path.replace(goal / path.name)
    lock.close()
    return goal


def write(path: Path, content: bytes) -> None:
    """Write a file that is complete under its name, or not there at all."""
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON that people can read."""
    write(path, (json.dumps(value, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; StoreError names the file if it is none."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise StoreError(f"{path} holds no JSON object with named fields")
    return value


def _who(key: Key) -> dict[str, Any]:
    return {"trial": key.trial, "series": key.series, "round": key.round}


def _light(run: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """A run without its large arrays, which stay on the disk; of masks, a digest."""
    digests = {name: hashlib.sha256(run[name]).digest() for name in ("masks", "next_masks") if name in run}
    return {name: value for name, value in run.items() if name != "end"} | digests | {"holds": set(run)}


def _lock(path: Path) -> io.TextIOWrapper:
    """Hold the directory for this process; the system lets go of it when the process ends, however it ends."""
    file = open(path, "a")  # noqa: SIM115 - stays open as long as the store does
    try:
        _lock_file(file)
    except OSError as error:
        file.close()
        raise StoreError(f"another process is at work in {path.parent}; wait for it, or choose another") from error
    return file


def _lock_file(file: io.TextIOWrapper) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
