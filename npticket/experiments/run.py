"""A recipe in, a directory of results out: trials x series x rounds of training runs, resumed, side by side.

Every run is a function of the recipe and its place, so the results do not depend on who trained what, or when.
"""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from npticket.datasets import Dataset
from npticket.datasets.shared import Shared
from npticket.experiments import machine, training
from npticket.experiments.cluster import Cluster
from npticket.experiments.outcome import outcome
from npticket.experiments.parts import Parts, check, make_net, make_task
from npticket.experiments.progress import Progress, percent
from npticket.experiments.recipe import Recipe, RecipeError
from npticket.experiments.schedule import Schedule
from npticket.experiments.series import Key
from npticket.experiments.store import Store
from npticket.experiments.tables import Outcome
from npticket.experiments.training import How
from npticket.experiments.workers import Workers, default_jobs
from npticket.task import Task, misfit
from npticket.train import DivergedError

LOST = 3  # times that all workers may be lost without a run being finished in between
Say = Callable[[str], None]


@dataclass(frozen=True)
class Means:
    """What an experiment is run with, on which its results do not depend.

    Runs go to `jobs` processes, or to the dask `scheduler` at an address. With `lock_step`, and always on a GPU, the
    trials of all series of a round train together in one process, as far as memory suffices.
    """

    jobs: int = 1
    scheduler: str = ""
    array_module: str = "numpy"
    engine: str = "fast"
    lock_step: bool = False


def run(
    recipe: Recipe, parts: Parts, folder: str | Path, data: Dataset, means: Means | None = None, say: Say | None = None
) -> Outcome:
    """Train what is missing in `folder` and return the whole outcome.

    `say` gets a line for every round of a series that is complete. Raises StoreError for a directory that holds
    something else or is in use, RecipeError, DivergedError.
    """
    means = means or Means()
    check(recipe, parts)
    _check_data(recipe, parts, data)
    task, net = make_task(recipe, parts), make_net(recipe, parts)
    size = sum(int(np.prod(shape)) for shape in net.body.layout.values())
    described = machine.describe(data, means.jobs, means.array_module, means.engine)
    with ExitStack() as stack:
        store = stack.enter_context(Store(folder, recipe, task, described, size))
        schedule = Schedule(recipe, parts, store)
        schedule.check_masks()
        total, missing = len(schedule.runs), len(schedule.missing)
        progress = stack.enter_context(Progress(total, total - missing))
        failed = _train(recipe, parts, data, means, schedule, partial(_note, recipe, task, store, progress, say))
        schedule.check_masks()
        if failed:
            raise DivergedError(
                f"{failed[0]}. {len(schedule.missing)} of {total} runs are missing for it; all others are kept"
            ) from failed[0]
    return outcome(folder, parts)


def _train(
    recipe: Recipe, parts: Parts, data: Dataset, means: Means, schedule: Schedule, note: Callable[[Key], None]
) -> list[DivergedError]:
    """Work off the schedule with workers, and with new ones if they die; return what diverging runs said."""
    jobs, scheduler = means.jobs, means.scheduler
    threads = 1 if scheduler else max(1, default_jobs() // jobs)
    how = How(means.array_module, means.engine, threads)
    with ExitStack() as stack:
        sent: Dataset | Shared = data
        if jobs > 1 and not scheduler:  # processes of this machine share one copy of the data
            sent = Shared(data, stack.enter_context(_folder_for_data(schedule.folder)))
        call = partial(training.train_runs, recipe, replace(parts, series={}, published={}), sent, how)
        lost, failed = 0, list[DivergedError]()
        while schedule.missing:
            before = len(schedule.missing)
            try:
                with Cluster(call, scheduler) if scheduler else Workers(call, jobs) as workers:
                    return schedule.work_off(workers, means.lock_step or means.array_module != "numpy", note)
            except BrokenExecutor as error:  # a worker died; what it was doing is done again
                lost = lost + 1 if len(schedule.missing) == before else 0
                if lost == LOST:
                    raise RuntimeError(
                        f"the processes died {LOST} times in a row ({error}); finished runs are kept. Is the memory "
                        "sufficient? Fewer jobs need less"
                    ) from error
    return failed


def _check_data(recipe: Recipe, parts: Parts, data: Dataset) -> None:
    """Raise RecipeError if network or batch do not go with the data: before anything is written or trained."""
    wrong = misfit(make_net(recipe, parts), make_task(recipe, parts), data)
    if wrong:
        raise RecipeError(wrong)
    if recipe.batch > len(data.train):
        raise RecipeError(f"a batch of {recipe.batch} does not fit into {len(data.train)} training examples")


@contextmanager
def _folder_for_data(folder: Path) -> Iterator[Path]:
    """A folder inside the experiment's, which is locked: what a killed process left there is cleared away."""
    shared = folder / ".data"
    shutil.rmtree(shared, ignore_errors=True)
    shared.mkdir()
    try:
        yield shared
    finally:
        shutil.rmtree(shared, ignore_errors=True)


def _note(recipe: Recipe, task: Task, store: Store, progress: Progress, say: Say | None, key: Key) -> None:
    """Show the latest result, and a line once all trials of a round are there."""
    column, measure = f"early_stop_test_{task.headline.name}", task.headline
    rows = [row for row in store.results() if (row["series"], row["round"]) == (key.series, key.round)]
    latest = next(row for row in rows if row["trial"] == key.trial)
    progress.advance(f"{key.series} {percent(latest['density'])}: {measure.text(latest[column])}")
    if say is not None and len(rows) == recipe.trials:
        stop, best = (np.mean([row[name] for row in rows]) for name in ("early_stop_step", column))
        line = f"{key.series:20} {percent(latest['density']):>8}   early stop {stop:9,.0f}"
        line += f"   test {measure.words} {measure.text(best)}"
        progress.say(line) if say is print else say(line)
