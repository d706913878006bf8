"""A recipe in, a directory of results out: trials x series x rounds of training runs, resumed, side by side.

The trunk of a trial is a chain, round after round; what hangs on a round starts as soon as the round before is there.
Every run is a function of the recipe and its place, so the results do not depend on who trained what, or when.
"""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from npticket import manifest, runs
from npticket.datasets import Dataset
from npticket.datasets.shared import Shared
from npticket.progress import Progress
from npticket.recipe import Recipe, RecipeError, from_json, make_net, to_json
from npticket.recipes import reduced
from npticket.report import percent
from npticket.store import Key, Store, StoreError, read
from npticket.tables import Outcome
from npticket.train import DivergedError
from npticket.workers import Cluster, Workers, default_jobs

LOST = 3  # times that all workers may be lost without a run being finished in between
Group = tuple[Key, ...]  # what one call trains, all of the same round and length


def run(
    recipe: Recipe,
    folder: str | Path,
    data: Dataset,
    *,
    jobs: int = 1,
    scheduler: str = "",
    array_module: str = "numpy",
    engine: str = "fast",
    lock_step: bool = False,
    say: Callable[[str], None] | None = None,
) -> Outcome:
    """Train what is missing in `folder` and return the whole outcome.

    Runs go to `jobs` processes, or to the dask `scheduler` at an address. With `lock_step`, and always on a GPU, the
    trials of all series of a round train together in one process, as far as memory suffices. `say` gets a line for
    every round of a series that is complete. Raises StoreError for a directory that holds something else or is in use,
    RecipeError, DivergedError.
    """
    runs.check_series(recipe)
    _check_data(recipe, data)
    size = sum(int(np.prod(shape)) for shape in make_net(recipe).body.layout.values())
    described = manifest.describe(data, jobs, array_module, engine)
    lock_step = lock_step or array_module != "numpy"
    with ExitStack() as stack:
        store = stack.enter_context(Store(folder, to_json(recipe), described, size))
        wanted = runs.keys(recipe)
        missing = {
            key for key in wanted if not all(store.holds(key, what) for what in ("masks", *runs.keeps(recipe, key)))
        }
        _check_masks(recipe, store)
        progress = stack.enter_context(Progress(len(wanted), len(wanted) - len(missing)))
        sent: Dataset | Shared = data
        if jobs > 1 and not scheduler:  # processes of this machine share one copy of the data
            sent = Shared(data, stack.enter_context(_folder_for_data(store.folder)))
        threads = 1 if scheduler else max(1, default_jobs() // jobs)
        call = partial(runs.train_run, recipe, sent, array_module=array_module, engine=engine, threads=threads)
        lost, failed = 0, []
        while missing:
            before = len(missing)
            try:
                with Cluster(call, scheduler) if scheduler else Workers(call, jobs) as workers:
                    note = partial(_note, recipe, store, progress, say)
                    failed = _work_off(recipe, missing, store, workers, lock_step, note)
                break
            except BrokenExecutor as error:  # a worker died; what it was doing is done again
                lost = lost + 1 if len(missing) == before else 0
                if lost == LOST:
                    raise RuntimeError(
                        f"the processes died {LOST} times in a row ({error}); finished runs are kept. Is the memory "
                        "sufficient? Fewer jobs need less"
                    ) from error
        _check_masks(recipe, store)
        if failed:
            raise DivergedError(
                f"{failed[0]}. {len(missing)} of {len(wanted)} runs are missing for it; all others are kept"
            ) from failed[0]
    return outcome(folder)


def outcome(folder: str | Path) -> Outcome:
    """Read what an experiment left in `folder`, with its title and what must be said beside every result."""
    asked, described, results, curves = read(folder)
    recipe = from_json(asked)
    data = described["data"]
    title = f"{make_net(recipe).name} on {data['name']}" + (f" ({data['caveat']})" if data["caveat"] else "")
    if not results:
        raise StoreError(f"{folder} has no finished run yet: run the same command again")
    trials = len({row["trial"] for row in results})
    note = f"{trials} trial{'s' * (trials != 1)} of {recipe.steps:,} steps"
    tf32 = "products in TF32" if any(machine.get("tf32") for machine in described["machines"]) else ""
    return Outcome(asked, described, results, curves, title, "; ".join(filter(None, (note, reduced(recipe), tf32))))


def _check_data(recipe: Recipe, data: Dataset) -> None:
    """Raise RecipeError if network or batch do not go with the data: before anything is written or trained."""
    net = make_net(recipe)
    shape = data.train.images.shape[1:]
    if (shape, data.classes) != (net.input_shape, net.classes):
        raise RecipeError(
            f"{data.name} has images of {shape} in {data.classes} classes, {net.name} takes {net.input_shape} in "
            f"{net.classes}"
        )
    if recipe.batch > len(data.train):
        raise RecipeError(f"a batch of {recipe.batch} does not fit into {len(data.train)} training examples")


def _check_masks(recipe: Recipe, store: Store) -> None:
    """Raise StoreError for a run with other masks than the run before it left, as if that had been made anew since."""
    for key in store:
        needed, what = runs.needs(recipe, key).get("masks", (None, ""))
        if what == "next_masks" and not key.series.startswith("random_mask") and store.holds(needed, what):
            left, right = store.digest(needed, what), store.digest(key, "masks")
            if left != right:
                raise StoreError(
                    f"{store.folder / 'runs' / key.file} has other masks than {needed.file} left; delete it, and what "
                    "follows it, to train these runs again"
                )


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


def _work_off(
    recipe: Recipe,
    missing: set[Key],
    store: Store,
    workers: Workers | Cluster,
    lock_step: bool,
    note: Callable[[Key], None],
) -> list[DivergedError]:
    """Train all missing runs, those first on which others wait; each is taken off `missing` once it is in the store.

    A run that diverges stops only those that need it. Returns what such runs said; raises BrokenExecutor if a worker
    is lost.
    """
    running: dict[Future, Group] = {}
    hopeless: set[Key] = set()
    alone: set[Key] = set()  # one of the group that they were in diverges
    failed: list[DivergedError] = []
    while True:
        ready = missing - hopeless - {key for group in running.values() for key in group}
        for group in _groups(recipe, ready, store, lock_step, alone):
            if len(running) >= workers.jobs:
                break
            given = [_given(recipe, store, key) for key in group]
            running[workers.submit(keys=list(group), given=given)] = group
        if not running:
            return failed
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        lost = None
        for future in done:  # all that is finished is kept before anything is said of what is not
            group = running.pop(future)
            try:
                results = future.result()
            except DivergedError as error:
                if len(group) > 1:
                    alone.update(group)
                else:
                    hopeless.update(group)
                    failed.append(error)
                continue
            except workers.lost as error:
                lost = error
                continue
            for key, result in zip(group, results, strict=True):
                store.add(key, result)
                missing.discard(key)
                note(key)
        if lost is not None:
            raise BrokenExecutor(str(lost)) from lost


def _groups(recipe: Recipe, missing: set[Key], store: Store, lock_step: bool, alone: set[Key]) -> list[Group]:
    """What of `missing` can be trained now, in the order in which it should be."""
    order = (runs.REWIND_POINT, *recipe.series)

    def rank(key: Key) -> tuple:
        series, round, trial = key
        return series not in (runs.REWIND_POINT, *runs.CHAINS), round, order.index(series), trial

    groups: dict[object, list[Key]] = {}
    for key in sorted(missing, key=rank):
        if all(store.holds(needed, what) for needed, what in runs.needs(recipe, key).values()):
            together = lock_step and key not in alone
            groups.setdefault((key.round, *runs.length(recipe, key)) if together else key, []).append(key)
    return [tuple(keys) for keys in groups.values()]


def _given(recipe: Recipe, store: Store, key: Key) -> dict[str, np.ndarray]:
    """What a run takes from earlier ones."""
    return {name: store.load(needed)[what] for name, (needed, what) in runs.needs(recipe, key).items()}


def _note(recipe: Recipe, store: Store, progress: Progress, say: Callable[[str], None] | None, key: Key) -> None:
    """Show the latest result, and a line once all trials of a round are there."""
    rows = [row for row in store.results() if (row["series"], row["round"]) == (key.series, key.round)]
    latest = next(row for row in rows if row["trial"] == key.trial)
    progress.advance(f"{key.series} {percent(latest['density'])}: {latest['early_stop_test_acc']:.2%}")
    if say is not None and len(rows) == recipe.trials:
        stop, acc = (np.mean([row[name] for row in rows]) for name in ("early_stop_step", "early_stop_test_acc"))
        line = f"{key.series:20} {percent(latest['density']):>8}   early stop {stop:9,.0f}   test accuracy {acc:.2%}"
        progress.say(line) if say is print else say(line)
