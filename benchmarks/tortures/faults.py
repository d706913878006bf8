"""Writing that fails, anywhere: nothing that was kept is lost, nothing torn is ever read."""

import errno
import io
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count as counting
from pathlib import Path
from typing import Self
from unittest.mock import patch

import numpy as np

from npticket import files
from npticket.experiments import checkpoints, run, store
from npticket.experiments.errors import StoreError
from npticket.experiments.outcome import read_outcome
from npticket.papers import PARTS
from tortures import small

RATE = 0.05  # of the calls fail
RECIPE = replace(small.DENSE, series=("winning_ticket", "random_reinit", "one_shot", "weights"), steps=12, train_at=())


class Faults:
    """Lets calls that write fail, one in twenty: no space, a broken disk, or half of what there was to write."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.count = rng, 0

    def perhaps(self) -> None:
        """Raise an error now and then."""
        if self.rng.random() < RATE:
            self.count += 1
            number = (errno.ENOSPC, errno.EIO)[self.rng.integers(2)]
            raise OSError(number, os.strerror(number))

    @contextmanager
    def at_work(self) -> Iterator[Self]:
        """Break all writing of npticket's while the block lasts."""
        faults, fsync, replaced = self, os.fsync, os.replace

        class Raw(io.FileIO):
            def write(self, content: bytes) -> int:
                try:
                    faults.perhaps()
                except OSError:
                    super().write(memoryview(content)[: len(content) // 2])  # then it is full, in the middle
                    raise
                return super().write(content)

        def opened(path: str | int | Path, mode: str) -> io.BufferedIOBase:
            self.perhaps()
            return io.BufferedWriter(Raw(path, mode)) if mode in ("wb", "xb") else open(path, mode)

        def perhaps_fsync(number: int) -> None:
            self.perhaps()
            fsync(number)

        def perhaps_replace(source: str, goal: str) -> None:
            self.perhaps()
            replaced(source, goal)

        os.fsync, os.replace, files.open, checkpoints.open = perhaps_fsync, perhaps_replace, opened, opened
        try:
            yield self
        finally:
            os.fsync, os.replace = fsync, replaced
            del files.open, checkpoints.open


def faults(count: int, seed: int = 0) -> str:
    """Let `count` calls fail that write, and look after each at all that is there."""
    broken, errors, corrupt, lost, unnamed = Faults(np.random.default_rng(seed)), 0, 0, 0, 0
    data = small.data_for(RECIPE)
    with (
        tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings(),
        patch.multiple(checkpoints, EVERY=0.0, SHARE=0), patch.multiple(store, TABLES_EVERY=0.0, TABLES_SHARE=0),
    ):  # fmt: skip
        warnings.simplefilter("ignore", RuntimeWarning)  # of checkpoints that were not made
        reference = small.uninterrupted(RECIPE, Path(temporary) / "whole", data)
        right, i = small.content(Path(temporary) / "whole"), 0
        for i in counting():
            if broken.count >= count:
                break
            folder, kept, is_done = Path(temporary) / str(i), small.Content(), False
            while not is_done:
                try:
                    with broken.at_work():
                        run.run(RECIPE, PARTS, folder, data)
                    is_done = True
                except OSError as error:
                    errors, unnamed = errors + 1, unnamed + (error.filename is None)
                except StoreError:  # what is there was refused
                    corrupt += 1
                    break
                found = small.runs(folder)
                corrupt += sum(right.get(name) != digest for name, digest in found.items())
                corrupt += small.checkpoints(folder, reference)[1] + (not readable(folder))
                lost, kept = lost + len(kept.keys() - found.keys()), found
            lost += is_done and small.content(folder) != right
    return (
        f"faults: {corrupt} corrupt loads, {lost} lost rounds, {broken.count:,} calls that failed, {errors:,} of them "
        f"the end of the command ({unnamed} without a path); {i} experiments"
    )


def readable(folder: Path) -> bool:
    """Whether what is there can be shown, or is said not to be there yet."""
    try:
        read_outcome(folder, PARTS)
    except StoreError as error:
        return "is missing" in str(error) or "no finished run" in str(error) or "no recipe.json" in str(error)
    return True
