"""SIGKILL at any moment: whoever goes on ends with the same bits."""

import os
import signal
import tempfile
import time
import traceback
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npticket import checkpoint, train
from npticket.experiments import checkpoints, run, training
from npticket.experiments.recipe import Recipe
from npticket.experiments.run import Execution
from npticket.papers import PARTS
from tortures import small

EVERY = 0.0  # seconds between checkpoints: one after every step
PAUSE = {1: 0.6, 2: 2.0}  # seconds until a kill, on average, by jobs: to start processes takes more than one
LIMIT = 120.0  # seconds that one attempt may take
train_runs = training.train_runs


class Case(NamedTuple):
    """A recipe, and how it is worked off."""

    recipe: Recipe
    execution: Execution


CASES = (
    Case(small.DENSE, Execution(jobs=1)), Case(small.CONV, Execution(jobs=1, lock_step=True)),
    Case(small.DENSE, Execution(jobs=2, lock_step=True)), Case(small.CONV, Execution(jobs=2)),
)  # fmt: skip


def eagerly(log: Path, *arguments: object, **named: object) -> object:
    """Train as ever, in whatever process, but with many checkpoints, and note in `log` who went on from one."""

    def resume(given: object, engine: object, record: object, first_step: int) -> int:
        step = checkpoint.resume(given, engine, record, first_step)
        if step > first_step:
            with open(log, "a") as file:
                file.write(f"{step}\n")
        return step

    checkpoints.SHARE, train.resume = 0, resume
    return train_runs(*arguments, **named)


def attempt(case: Case, recipe: Recipe, folder: Path, log: Path) -> int:
    """Go on in `folder`, in a process of its own; return its number."""
    if number := os.fork():
        return number
    status = 1
    try:
        said = os.open(folder.with_suffix(".said"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(said, 1)
        os.dup2(said, 2)
        checkpoints.EVERY, training.train_runs = EVERY, partial(eagerly, log)
        run.run(recipe, PARTS, folder, small.data_for(recipe), case.execution)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def ended(number: int, seconds: float) -> int | None:
    """Kill the process after so many seconds; return its status if it ended by itself."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        there, status = os.waitpid(number, os.WNOHANG)
        if there:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(number, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    return None if status == -signal.SIGKILL else status


def kills(count: int, seed: int = 0) -> str:
    """Kill small experiments that grow, `count` times in all, and compare what is left with what it should be.

    More often, up to ten times, if no kill has left a checkpoint to compare.
    """
    rng, total, resumed, finished, differences, seen = np.random.default_rng(seed), 0, 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        right: dict[str, tuple[small.Content, small.Reference]] = {}
        for recipe in {case.recipe.name: case.recipe for case in CASES}.values():
            reference = small.uninterrupted(recipe, base / recipe.name, small.data_for(recipe))
            right[recipe.name] = small.content(base / recipe.name), reference
        while total < (count if seen else 10 * count):
            case, folder, log = CASES[finished % len(CASES)], base / f"{finished}", base / f"{finished}.log"
            stages, log_length = small.grown(case.recipe), 0
            log.touch()
            was_killed = False
            while stages:
                goes_on = total < (count if seen else 10 * count)
                killed_after = rng.exponential(PAUSE[case.execution.jobs]) if goes_on else LIMIT
                status = ended(attempt(case, stages[0], folder, log), killed_after)
                if status is None and not goes_on:
                    raise AssertionError(f"it did not end in {LIMIT:.0f} s")
                if status:
                    raise AssertionError(folder.with_suffix(".said").read_text())
                length = log.stat().st_size
                resumed += was_killed and length > log_length
                log_length, was_killed = length, status is None
                total += was_killed
                there, wrong = small.checkpoints(folder, right[case.recipe.name][1])
                seen, differences = seen + there, differences + wrong
                if not was_killed or (len(stages) > 1 and rng.random() < 0.2):  # it may grow before it is finished
                    del stages[0]
            expected, found = right[case.recipe.name][0], small.content(folder)
            differences += sum(expected.get(name) != found.get(name) for name in {*expected, *found})
            differences += sum(1 for _ in folder.rglob(".checkpoints")) + sum(1 for _ in folder.rglob("*.partial"))
            finished += 1
    return (
        f"kills: {differences} differences, {total:,} kills of which {resumed:,} within a training run that went on "
        f"from its checkpoint; {finished} experiments, dense and convolutional, {seen:,} checkpoints compared"
    )
