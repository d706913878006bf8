"""Run files, which say to which experiment and run they belong and carry a checksum over every byte.

The archive's comment, the last 64 bytes of a file, is the SHA-256 of all bytes before it. Its array `origin` is JSON:
the digest of the experiment; series, round and trial; under `given` the digests of what the run took over from other
runs; and the digest of the machine that made it.
"""

import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from npticket.experiments import measured
from npticket.experiments.directory import RUN
from npticket.experiments.errors import StoreError
from npticket.experiments.growth import canonical, common
from npticket.experiments.limits import AllLimits, foreign
from npticket.experiments.measured import ROWS
from npticket.experiments.parts import Experiment
from npticket.experiments.recipe import Recipe
from npticket.experiments.run_contents import check_run
from npticket.experiments.series import Key, Measure, Run
from npticket.experiments.tables import WHO, curves_measured, result_columns
from npticket.files import write
from npticket.reading import Json, UnreadableError, read_npz, reason

ORIGIN = "origin"  # its name among a run's arrays
KINDS = {"experiment": str, "series": str, "round": int, "trial": int, "given": dict, "machine": str}
MOST_VALUES = 8 << 20  # bytes of a list: a million numbers
SEAL = 64  # bytes of a SHA-256 in hexadecimal digits

Origin = Mapping[str, Json]


def named(path: Path) -> Key | None:
    """Return the run that a file is named after, or None."""
    parts = RUN.fullmatch(path.name)
    key = Key(parts[1], int(parts[2]), int(parts[3])) if parts else None
    return key if key and key.file == path.name else None


class RunFiles:
    """The run files in `folder`, of an experiment on the data with the SHA-256 `data`; `planned` are its runs now."""

    def __init__(self, folder: Path, experiment: Experiment, data: str, planned: Mapping[Key, Run | Measure]) -> None:
        self._folder, self._experiment = folder, experiment
        self._which = experiment_digest(experiment.recipe, data)
        self._limits, self._most = AllLimits(experiment, planned), _most(experiment)

    def path(self, key: Key) -> Path:
        """Return where the file of a run is, or would be."""
        return self._folder / key.file

    def present(self) -> Iterable[Key]:
        """Yield the runs whose files are there; StoreError names one that is no run, or one of another recipe."""
        for path in sorted(self._folder.glob("*.npz")):
            if (key := named(path)) is None:
                raise StoreError(f"{path} is not named like a run, <series>-round<r>-trial<t>.npz; move it away")
            if wrong := foreign(key, self._experiment):
                raise StoreError(f"{path} is no run of this experiment: {wrong}; move it away")
            yield key

    def read(self, key: Key) -> tuple[dict[str, np.ndarray], Origin]:
        """Return a run and its origin; StoreError if it is damaged or belongs elsewhere."""
        path = self.path(key)
        try:
            if not is_sealed(path):
                raise ValueError("it was changed since it was written")
            run = read_npz(path, self._most)
            if ORIGIN not in run:
                raise ValueError("it does not say where it belongs")
            origin = _origin(run.pop(ORIGIN))
        except UnreadableError as error:
            raise StoreError(f"{error}; delete it to train this run again") from error
        except (OSError, ValueError, RecursionError) as error:
            is_whole = isinstance(error, OSError) and not isinstance(error, FileNotFoundError | IsADirectoryError)
            again = "" if is_whole else "; delete it to train this run again"  # a file without permission may be good
            raise StoreError(f"{path} cannot be read ({reason(error, path)}){again}") from error
        if wrong := _misplaced(origin, self._which, key):
            raise StoreError(f"{path} {wrong}; move it away, to train this run again")
        self._check(key, run)
        return run, origin

    def write(self, key: Key, run: Mapping[str, np.ndarray], given: Mapping[str, str], machine: str) -> Origin:
        """Write a run with its origin, and return that. StoreError if the run does not hold what it should."""
        self._check(key, run)
        origin = {"experiment": self._which, **key._asdict(), "given": dict(given), "machine": machine}
        write(self.path(key), packed(run, origin))
        return origin

    def _check(self, key: Key, run: Mapping[str, np.ndarray]) -> None:
        check_run(self.path(key), run, self._experiment.net.body.layout, self._limits[key])


def _most(experiment: Experiment) -> dict[str, int]:
    """Return how many bytes each array in a file may have, by name."""
    size, task = sum(map(math.prod, experiment.net.body.layout.values())), experiment.task
    lists = dict.fromkeys(("at_steps", "chosen", ORIGIN, *curves_measured(task)), MOST_VALUES)
    numbers = dict.fromkeys(result_columns(task)[len(WHO) :], 8)
    return lists | numbers | {ROWS: measured.MOST, "masks": size, "next_masks": size, "end": 8 * size}


def experiment_digest(recipe: Recipe, data: str) -> str:
    """Return the digest of an experiment: of its data and of what its recipe keeps when trials or rounds are added."""
    return digest({"recipe": common(recipe), "data": data})


def digest(value: Json) -> str:
    """Return the SHA-256 of an array's bytes, or of JSON in which 1 and 1.0 are the same."""
    if isinstance(value, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(value).data).hexdigest()
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def packed(run: Mapping[str, np.ndarray], origin: Origin) -> bytes:
    """Return the content of a run's file."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **run, **{ORIGIN: np.array(json.dumps(origin))})
    content = file.getvalue()[:-2] + SEAL.to_bytes(2, "little")  # an archive ends with the length of its comment
    return content + hashlib.sha256(content).hexdigest().encode()


def is_sealed(path: Path) -> bool:
    """Whether a file has the bytes with which it was packed, by its checksum."""
    total, left = hashlib.sha256(), path.stat().st_size - SEAL
    with open(path, "rb") as file:
        while left > 0 and (part := file.read(min(left, 1 << 20))):
            total.update(part)
            left -= len(part)
        return file.read(SEAL) == total.hexdigest().encode()


def _origin(array: np.ndarray) -> Origin:
    """The origin in a run's file; ValueError if it is not one."""
    found = json.loads(str(array))
    if not isinstance(found, dict) or {name: type(value) for name, value in found.items()} != KINDS:
        raise ValueError("its origin is none")
    if not all(isinstance(digest, str) for digest in found["given"].values()):
        raise ValueError("its origin is none")
    return found


def _misplaced(origin: Origin, experiment: str, key: Key) -> str:
    """Return why a run with this origin does not belong where it lies, or ""."""
    if origin["experiment"] != experiment:
        return "is of another experiment, with another recipe or other data"
    at = Key(origin["series"], origin["round"], origin["trial"])
    return "" if at == key else f"is a copy of {at.file}, or that under another name"
