"""Checkpoints of the training runs that are going on, in files beside the finished ones: see npticket.checkpoint.

    .checkpoints/<runs that train together>/<start, masks and place>.npz

A file is complete or absent, and bound to its run and to the machine by what it says of both: a run is one machine's.
"""

import hashlib
import json
import shutil
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from tokenize import TokenError

import numpy as np

from npticket.backend import Json, to_host
from npticket.checkpoint import OpenCheckpoint, Snapshot
from npticket.experiments.growth import common
from npticket.experiments.json_files import StoreError
from npticket.experiments.machine import NO_BIT, fingerprint
from npticket.experiments.recipe import Recipe
from npticket.experiments.series import Key
from npticket.files import writing
from npticket.params import Params
from npticket.reading import BROKEN, reason
from npticket.streams import Place

EVERY = 30.0  # seconds between checkpoints, at least
SHARE = 100  # and as many times what the last one took: all cost less than 1 % of the run
MOST, LITTLE = 16, 1 << 26  # a file is not larger than as many copies of the parameters, and so many bytes more
UNREADABLE = (*BROKEN, AttributeError, TokenError)  # the last from an array's header that is cut off


@dataclass(frozen=True)
class Checkpoints:
    """All of an experiment, in `folder`; where that is not there, as on another machine of a cluster, none are made.

    `origin` says what all its runs have in common; there are at least `every` seconds from one to the next.
    """

    folder: Path
    origin: Mapping[str, Json]
    every: float

    def of(self, keys: Sequence[Key], how: Json) -> OpenCheckpoint:
        """Return what opens the checkpoints of runs that train together; `how` is what else they depend on."""
        origin = {**self.origin, "runs": [list(key) for key in keys], "how": how}
        return partial(File, self._of(keys), origin, self.every)

    def remove(self, keys: Sequence[Key]) -> None:
        """Forget those of runs that are finished."""
        shutil.rmtree(self._of(keys), ignore_errors=True)

    def close(self, is_finished: bool) -> None:
        """Forget all if the experiment is finished; leave no empty folder."""
        if is_finished:
            shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.rmdir()

    def _of(self, keys: Sequence[Key]) -> Path:
        return self.folder / _hexadecimal(json.dumps(keys).encode())


def beside(folder: Path, recipe: Recipe, described: Mapping[str, Json]) -> Checkpoints:
    """Return those of the experiment in `folder`, of which machine.describe gave the description.

    StoreError if their folder is a link: what is in it would be removed when it is not needed any more.
    """
    machine = {name: value for name, value in described["machine"].items() if name not in NO_BIT}
    there = folder.resolve() / ".checkpoints"
    if there.is_symlink():
        raise StoreError(f"{there} is a link, and should be a folder; remove it")
    there.mkdir(exist_ok=True)
    return Checkpoints(there, {"recipe": common(recipe), "data": described["data"]["sha256"], **machine}, EVERY)


class File:
    """The checkpoint of one training run: see npticket.checkpoint.Checkpoint."""

    def __init__(
        self, folder: Path, origin: Mapping[str, Json], every: float, start: Params, masks: Params, place: Place
    ) -> None:
        self._folder, self._common, self._every = folder, origin, every
        self._start, self._masks, self._place = start, masks, place
        self._next = time.monotonic() + every

    def load(self) -> Snapshot | None:
        """Return the snapshot that is there; ValueError names the file if it is damaged, or another run's."""
        if not self._folder.is_dir() or not self._path.is_file():
            return None
        try:
            if self._path.stat().st_size > MOST * self._start.flat.nbytes + LITTLE:
                raise ValueError("it is far too large")
            with _opened(self._path) as file:
                found = {name: file[name] for name in file}
            if found["sha256"].item() != _digest(found):
                raise ValueError("its checksum is that of something else")
            there = json.loads(found["origin"].item())
            other = [name for name, value in self._origin.items() if there[name] != value]
        except UNREADABLE as error:
            raise ValueError(f"{self._path} cannot be trusted ({reason(error, self._path)})") from error
        if other:
            raise ValueError(f"{self._path} belongs to a run with another {', another '.join(other)}")
        return {name: array for name, array in found.items() if name not in ("sha256", "origin")}

    def save(self, take: Callable[[], Snapshot]) -> None:
        """Keep a snapshot if it is time for it. If that fails it is warned of, and the run goes on."""
        if time.monotonic() < self._next:
            return
        began = time.monotonic()
        try:
            if self._folder.parent.is_dir():
                self._write(take())
        except (OSError, MemoryError) as error:
            warnings.warn(f"no checkpoint in {self._folder.parent}: {reason(error)}", RuntimeWarning, stacklevel=6)
        now = time.monotonic()
        self._next = now + max(self._every, SHARE * (now - began))

    def _write(self, snapshot: Snapshot) -> None:
        """Put a new file in the place of the last one, once it is on the disk and was found to be right."""
        content = {**snapshot, "origin": np.array(json.dumps(self._origin))}
        digest = _digest(content)
        self._folder.mkdir(exist_ok=True)
        for left in self._folder.glob(f".{self._path.name}.*.partial"):  # by a process that was killed
            left.unlink(missing_ok=True)
        with writing(self._path) as file:
            np.savez(file, allow_pickle=False, sha256=np.array(digest), **content)
            file.flush()
            with _opened(Path(file.name)) as written:
                if _digest(written) != digest:
                    raise OSError("what was written there is something else")

    @cached_property
    def _path(self) -> Path:
        run = [self._origin[name] for name in ("place", "start", "masks")]
        return self._folder / f"{_hexadecimal(json.dumps(run).encode())}.npz"

    @cached_property
    def _origin(self) -> dict[str, Json]:
        """What the snapshot is of, and what made it, as JSON gives it back."""
        place = [self._place.seed, list(self._place.trials), self._place.round, self._place.order]
        arrays = {"start": self._start, "masks": self._masks}
        digests = {name: _digest({name: to_host(params.flat)}) for name, params in arrays.items()}
        return json.loads(json.dumps({**self._common, "place": place, **digests, **fingerprint()}))


@contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """The arrays of a file, each read when it is asked for; ValueError if there is more in it than it is large.

    Unlike reading.read_npz, as these may be hundreds of megabytes, have booleans, and names that an optimizer chooses.
    """
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
            raise ValueError("it is compressed")
    with np.load(path, allow_pickle=False) as file:
        yield file


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of all arrays but the one that holds it, with their names, types and shapes."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        if name != "sha256":
            array = np.ascontiguousarray(arrays[name])
            total.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            total.update(array.reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def _hexadecimal(content: bytes) -> str:
    """A file name for what is described by `content`."""
    return hashlib.sha256(content).hexdigest()[:32]
