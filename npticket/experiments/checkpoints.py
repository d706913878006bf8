"""Checkpoints of training runs that are not finished, as files in the experiment's directory: see npticket.checkpoint.

    .checkpoints/<hash of the runs that train together>/<hash of start, masks and place>.npz

A file is complete or absent. It says of which run and machine it is, and only that run on that machine goes on from it.
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

from npticket.backend import to_host
from npticket.checkpoint import OpenCheckpoint, Snapshot
from npticket.experiments.errors import StoreError
from npticket.experiments.growth import common
from npticket.experiments.machine import NO_BIT, fingerprint
from npticket.experiments.recipe import Recipe
from npticket.experiments.series import Key
from npticket.files import writing
from npticket.params import Params
from npticket.reading import BROKEN, Json, reason
from npticket.streams import Place

EVERY = 30.0  # seconds between checkpoints, at least
SHARE = 100  # and at least so many times as long as the last one took: all cost less than 1 % of the run
MOST, LITTLE = 16, 1 << 26  # a file is at most as large as so many copies of the parameters, and so many bytes more
UNREADABLE = (*BROKEN, AttributeError, TokenError)  # the last from an array's header that is cut off


@dataclass(frozen=True)
class Checkpoints:
    """All checkpoints of an experiment, in `folder`; if that does not exist, as on a cluster's other machines, none.

    `origin` says what all its runs have in common; a run writes one every `every` seconds at most.
    """

    folder: Path
    origin: Mapping[str, Json]
    every: float

    def of(self, keys: Sequence[Key], how: Json) -> OpenCheckpoint:
        """Return the function that opens the checkpoint of runs that train together; `how` is all they depend on."""
        origin = {**self.origin, "runs": [list(key) for key in keys], "how": how}
        return partial(File, self._of(keys), origin, self.every)

    def remove(self, keys: Sequence[Key]) -> None:
        """Delete the checkpoints of runs that are finished."""
        shutil.rmtree(self._of(keys), ignore_errors=True)

    def close(self, is_finished: bool) -> None:
        """Delete all checkpoints if the experiment is finished, and the folder if it is empty."""
        if is_finished:
            shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.rmdir()

    def _of(self, keys: Sequence[Key]) -> Path:
        return self.folder / _hexadecimal(json.dumps(keys).encode())


def beside(folder: Path, recipe: Recipe, described: Mapping[str, Json]) -> Checkpoints:
    """Return the checkpoints of the experiment in `folder`; `described` is what machine.describe returned.

    StoreError if their folder is a link, as its content is deleted when it is not needed any more.
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

    def __str__(self) -> str:
        return str(self._path)

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
        """Keep a snapshot if enough time has passed. If that fails, a warning is given and the run goes on."""
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
        """Replace the last file by a new one, after that was written and read back."""
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
        """What says of which run and machine the snapshot is, in the form in which JSON gives it back."""
        place = [self._place.seed, list(self._place.trials), self._place.round, self._place.order]
        arrays = {"start": self._start, "masks": self._masks}
        digests = {name: _digest({name: to_host(params.flat)}) for name, params in arrays.items()}
        return json.loads(json.dumps({**self._common, "place": place, **digests, **fingerprint()}))


@contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """The arrays of a file, each read when it is asked for; ValueError if they are larger than the file.

    reading.read_npz is not used: these may have hundreds of megabytes, and names that an optimizer chooses.
    """
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
            raise ValueError("it is compressed")
    with np.load(path, allow_pickle=False) as file:
        yield file


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of all arrays, with their names, types and shapes, except the array that holds it."""
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
