"""Runs an experiment: a recipe in, a directory of results out; and reads that directory back.

Every run is a function of the recipe and its place, so results do not depend on which process trains it, or when.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from npticket.datasets import Dataset, Shared
from npticket.experiments import announcements, machine, measured, tables, training
from npticket.experiments.amounts import counted
from npticket.experiments.checkpoints import Checkpoints, beside
from npticket.experiments.checks import check, check_data, sized
from npticket.experiments.cluster import Cluster
from npticket.experiments.directory import read_recipe, scratch
from npticket.experiments.json_files import StoreError
from npticket.experiments.manifest import read_manifest
from npticket.experiments.parts import Experiment, Parts
from npticket.experiments.planning import planned_if_known, steps_of, trained
from npticket.experiments.progress import Progress, Steps
from npticket.experiments.recipe import Recipe, reduced
from npticket.experiments.scheduler import Group, Scheduler
from npticket.experiments.series import Key
from npticket.experiments.store import Store
from npticket.experiments.table_checks import check_tables
from npticket.experiments.training import Means
from npticket.experiments.workers import Workers, threads_each
from npticket.files import naming
from npticket.reading import reason
from npticket.train import DivergedError

PATIENCE = ("patience {0}: runs ended after {0} validations without a new minimum of the validation loss, and were "
            "pruned or trained on as they were then")  # fmt: skip
LOST = 3  # the experiment fails when workers died so often without a run being finished in between


def run(
    recipe: Recipe, parts: Parts, folder: str | Path, data: Dataset, means: Means | None = None, say: bool = False,
    strict: bool = False,
) -> tables.Outcome:  # fmt: skip
    """Train the runs of a recipe that are missing in `folder`, and return the whole outcome.

    With `say`, print what is left to train and how long that takes, then a line per complete round. Raises StoreError
    for a directory that holds something else or is in use or, if `strict`, has runs that were made by another machine,
    engine or library; RecipeError for a recipe that is not valid or does not suit the data; DivergedError, once all
    other runs are trained, if the loss of one became NaN or infinite.
    """
    recipe, means = sized(recipe, parts, data), means or Means()
    check(recipe, parts)
    experiment = Experiment(recipe, parts)
    check_data(experiment, data)  # before anything is written or trained
    there = {name: (Path(folder) / name).exists() for name in ("recipe.json", "results.csv", "runs")}
    if there["recipe.json"] and there["results.csv"] and not there["runs"]:
        raise StoreError(f"{folder} has results but no runs to go on from: it was published; choose another directory")
    described = machine.describe(data, means.jobs, means.array_module, means.engine)
    with ExitStack() as stack:
        store = stack.enter_context(Store(folder, experiment, described, strict))
        scheduler = Scheduler(experiment, store, means.keep_weights)
        if say:
            print(announcements.left(experiment, data, means, scheduler), flush=True)
        steps = {key: steps_of(recipe, run) for key, run in scheduler.runs.items()}
        finished = sum(count for key, count in steps.items() if key not in scheduler.missing)
        progress = stack.enter_context(Progress(sum(steps.values()), finished, "step"))
        checkpoints = beside(store.folder, recipe, described)
        stack.callback(lambda: checkpoints.close(is_finished=not scheduler.missing))
        _train(experiment, data, means, scheduler, checkpoints, progress, say)
        store.check_given()
        if scheduler.failed:
            error, runs = next(iter(scheduler.failed.values())), trained(scheduler.runs)
            left = f"{len(scheduler.missing.intersection(runs))} of {len(runs)} runs are missing"
            raise DivergedError(f"{error}. {left} for it; all others are kept") from error
    return outcome(folder, parts)


def _train(
    experiment: Experiment,
    data: Dataset,
    means: Means,
    scheduler: Scheduler,
    checkpoints: Checkpoints,
    progress: Progress,
    say: bool,
) -> None:
    """Train all missing runs with workers, and with new workers if these die."""
    jobs, address = means.jobs, means.scheduler
    means = replace(means, threads=1 if address else threads_each(jobs))
    light = replace(experiment, parts=replace(experiment.parts, series={}, published={}))
    with ExitStack() as stack:
        sent, steps = (data, None) if address else stack.enter_context(_shared(scheduler, data, jobs, progress))
        call, lost = partial(training.train_runs, light, sent, means, checkpoints=checkpoints, steps=steps), 0

        def forget(group: Group) -> None:
            checkpoints.remove(group)
            if steps is not None:
                steps.forget(group[0].file)

        note = partial(announcements.note, experiment, scheduler, progress, say)
        lock_step = means.lock_step or means.array_module != "numpy"
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


def outcome(folder: str | Path, parts: Parts) -> tables.Outcome:
    """Read and check the results of an experiment in `folder`, finished or not; give them a title and a note.

    StoreError, naming the file, if there are none or they are damaged or contradict each other or the recipe.
    """
    recipe, folder = read_recipe(folder), Path(folder)
    task = (experiment := Experiment(recipe, parts)).task
    try:
        results = tables.read(folder / "results.csv", tables.result_columns(task))
        curves = tables.read(folder / "curves.csv", tables.curve_columns(task))
        there = {name: folder / f"{name}.csv" for name in recipe.series}
        rows = {name: measured.read(path) for name, path in there.items() if path.exists()}
        check_tables(experiment, results, curves, rows)
    except FileNotFoundError as error:
        if (folder / "runs").exists() and not any((folder / "runs").iterdir()):
            raise StoreError(f"{folder} has no finished run yet: wait for it, or run the same command again") from error
        raise StoreError(f"{error.filename} is missing: run the same command again to make it") from error
    except (OSError, ValueError) as error:
        why = reason(error)
        raise StoreError(why if str(folder) in why else f"{folder}: {why}") from error
    finished, drawn = {*map(Key.of, results)}, {*map(Key.of, curves)}  # a kill may come between the two tables
    if (folder / "runs").exists():  # in what was published, many runs have no curves
        results = [row for row in results if Key.of(row) in drawn]
    elif recipe.test_at and not recipe.patience and (lost := sorted(finished - drawn)):  # what was tested is published
        raise StoreError(f"{folder}: curves.csv has nothing of {lost[0].file.removesuffix('.npz')}")
    curves = [row for row in curves if Key.of(row) in finished]
    data = (manifest := read_manifest(folder / "manifest.json"))["data"]
    title = f"{experiment.net.name} on {data['name']}" + (f" ({data['caveat']})" if data["caveat"] else "")
    if not results:
        raise StoreError(f"{folder} has no finished run yet: wait for it, or run the same command again")
    trials = len({row["trial"] for row in results})
    tf32 = "products in TF32" if any(machine.get("tf32") for machine in manifest["machines"]) else ""
    most = "at most " * bool(recipe.patience)
    size = f"{counted(trials, 'trial')} of {most}{counted(recipe.steps, 'step')}"
    few = f"at most {counted(recipe.evaluated, 'example')} of each split evaluated" if recipe.evaluated else ""
    patience = PATIENCE.format(recipe.patience) if recipe.patience else ""
    said = size, few, patience, reduced(recipe, parts.published), tf32, _unfinished(recipe, parts, results)
    note = "; ".join(filter(None, said))
    return tables.Outcome(recipe, manifest, results, curves, title, note, task, parts.series, rows)


def _unfinished(recipe: Recipe, parts: Parts, results: Sequence[tables.Row]) -> str:
    """A phrase that says how many runs are there, if some are missing; else ""."""
    runs = trained(planned_if_known(recipe, parts.series))
    there = len({Key.of(row) for row in results}.intersection(runs))
    return f"unfinished: {there:,} of {counted(len(runs), 'run')} are there" if there < len(runs) else ""
