"""Runs an experiment: a recipe in, a directory of results out.

Every run is a function of the recipe and its place, so results do not depend on which process trains it, or when.
"""

from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from npticket.datasets import Dataset, Shared
from npticket.experiments import announcements, machine, training
from npticket.experiments.checkpoints import Checkpoints, beside
from npticket.experiments.checks import check, check_data, data_within, sized
from npticket.experiments.cluster import Cluster
from npticket.experiments.directory import scratch
from npticket.experiments.errors import StoreError
from npticket.experiments.outcome import Outcome, read_outcome
from npticket.experiments.parts import Experiment, Parts
from npticket.experiments.planning import planned, steps_of, trained
from npticket.experiments.progress import Progress, Steps
from npticket.experiments.recipe import Recipe
from npticket.experiments.scheduler import Group, Scheduler
from npticket.experiments.store import Store
from npticket.experiments.training import Execution
from npticket.experiments.workers import Workers, threads_each
from npticket.files import naming
from npticket.train import DivergedError

LOST = 3  # the experiment fails when workers died so often without a run being finished in between


def run(
    recipe: Recipe, parts: Parts, folder: str | Path, data: Dataset, execution: Execution | None = None,
    say: bool = False, strict: bool = False,
) -> Outcome:  # fmt: skip
    """Train the runs of a recipe that are missing in `folder`, and return the whole outcome.

    With `say`, print what is left to train and how long that takes, then a line per complete round. Raises StoreError
    for a directory that holds something else or is in use or, if `strict`, has runs that were made by another machine,
    engine or library; RecipeError for a recipe that is not valid or does not suit the data; DataError if those of a
    measure are missing; DivergedError, once all other runs are trained, if the loss of one became NaN or infinite.
    """
    recipe, execution = sized(recipe, parts, data), execution or Execution()
    check(recipe, parts)
    experiment = Experiment(recipe, parts)
    check_data(experiment, data)  # before anything is written or trained
    files = Path(folder) / "runs"
    to_do = {key: run for key, run in planned(recipe, parts.series).items() if not (files / key.file).exists()}
    others = data_within(to_do, parts)
    there = {name: (Path(folder) / name).exists() for name in ("recipe.json", "results.csv", "runs")}
    if there["recipe.json"] and there["results.csv"] and not there["runs"]:
        raise StoreError(f"{folder} has results but no runs to go on from: it was published; choose another directory")
    described = machine.describe(data, execution.jobs, execution.array_module, execution.engine)
    with ExitStack() as stack:
        store = stack.enter_context(Store(folder, experiment, described, strict))
        scheduler = Scheduler(experiment, store, execution.keep_weights)
        if say:
            print(announcements.left(experiment, data, execution, scheduler, others), flush=True)
        del others  # a measure loads them itself, in the process that trains
        steps = {key: steps_of(recipe, run) for key, run in scheduler.runs.items()}
        finished = sum(count for key, count in steps.items() if key not in scheduler.missing)
        progress = stack.enter_context(Progress(sum(steps.values()), finished, "step"))
        checkpoints = beside(store.folder, recipe, described)
        stack.callback(lambda: checkpoints.close(is_finished=not scheduler.missing))
        _train(experiment, data, execution, scheduler, checkpoints, progress, say)
        store.check_given()
        if scheduler.failed:
            error, runs = next(iter(scheduler.failed.values())), trained(scheduler.runs)
            left = f"{len(scheduler.missing.intersection(runs))} of {len(runs)} runs are missing"
            raise DivergedError(f"{error}. {left} for it; all others are kept") from error
    return read_outcome(folder, parts)


def _train(
    experiment: Experiment,
    data: Dataset,
    execution: Execution,
    scheduler: Scheduler,
    checkpoints: Checkpoints,
    progress: Progress,
    say: bool,
) -> None:
    """Train all missing runs with workers, and with new workers if these die."""
    jobs, address = execution.jobs, execution.scheduler
    light = replace(experiment, parts=replace(experiment.parts, series={}, published={}))
    with ExitStack() as stack:
        is_shared = scheduler.missing and not address
        sent, steps = stack.enter_context(_shared(scheduler, data, jobs, progress)) if is_shared else (data, None)
        threads, lost = 1 if address else threads_each(jobs), 0
        call = partial(training.train_runs, light, sent, execution)
        call = partial(call, checkpoints=checkpoints, steps=steps, threads=threads)

        def forget(group: Group) -> None:
            checkpoints.remove(group)
            if steps is not None:
                steps.forget(group[0].file)

        note = partial(announcements.note, experiment, scheduler, progress, say)
        lock_step = execution.lock_step or execution.array_module != "numpy"
        while scheduler.missing:
            before = len(scheduler.missing)
            try:
                some = min(jobs, max(before, 2))  # no more processes than runs; but 2, if data are files
                with Cluster(call, address) if address else Workers(call, some) as workers:
                    scheduler.work_off(workers, lock_step, note, forget)
                    return
            except BrokenExecutor as error:  # a worker died; what it was doing is done again
                lost = lost + 1 if len(scheduler.missing) == before else 0
                if lost == LOST:
                    raise RuntimeError(
                        f"the processes died {LOST} times in a row ({error}); finished runs are kept. Is the memory "
                        "sufficient? Fewer jobs need less"
                    ) from error


@contextmanager
def _shared(
    scheduler: Scheduler, data: Dataset, jobs: int, progress: Progress
) -> Iterator[tuple[Dataset | Shared, Steps | None]]:
    """Give what workers on this machine share by files: the data if they are several, steps if there is a bar."""
    if jobs == 1 and not progress.is_shown:
        yield data, None
        return
    with scratch(scheduler.store.folder) as folder:
        sent: Dataset | Shared = data
        if jobs > 1:
            with naming(folder):
                sent = Shared(data, folder)
        steps = Steps(folder) if progress.is_shown else None
        if steps is not None:
            progress.follow(steps.taken)
        yield sent, steps
