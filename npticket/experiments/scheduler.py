"""The order of runs: each run or measure can begin once the runs that it takes something from are in the store."""

from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import suppress
from dataclasses import replace

from npticket.experiments.cluster import Cluster
from npticket.experiments.errors import RecipeError, StoreError
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned, taken_along
from npticket.experiments.series import Key, Measure, Run
from npticket.experiments.store import Store
from npticket.experiments.training import Asked
from npticket.experiments.workers import Workers
from npticket.files import put_off
from npticket.train import DivergedError

Group = list[Key]  # runs that train together


class Scheduler:
    """All `runs` of an experiment, and those `missing` in its store, or without an array that other runs need.

    A run keeps also what others would need in one more round, so that it need not be trained again when more rounds
    are asked for; with `keep_weights` its end as well. StoreError if finished runs would have to be trained again, for
    an array that they did not keep, where they might end otherwise than those that go on from them.
    """

    def __init__(self, experiment: Experiment, store: Store, keep_weights: bool = False) -> None:
        recipe, known = experiment.recipe, experiment.parts.series
        self.runs, self.store, self._experiment = store.runs, store, experiment
        self._needed = taken_along(self.runs)
        self._later: dict[Key, set[str]] = {}
        with suppress(RecipeError):  # of more rounds than there may be
            more = replace(recipe, rounds=recipe.rounds + 1)
            self._later = taken_along(planned(more, known))
        self._kept = {key: ["end"] if keep_weights and isinstance(run, Run) else [] for key, run in self.runs.items()}
        needed = {key: ("masks", *self._needed[key], *self._kept[key]) for key in self.runs}
        self.missing = {key for key, names in needed.items() if not all(store.holds(key, what) for what in names)}
        if store.difference and (again := sum(key in store for key in self.missing)):
            said = f"{store.difference}. {again} of them did not keep what is asked for now. Made again here"
            raise StoreError(f"{said} they might end otherwise, and others not fit them: choose another directory")
        self.failed: dict[Key, DivergedError] = {}

    def work_off(
        self, workers: Workers | Cluster, lock_step: bool, note: Callable[[Key], None], forget: Callable[[Group], None]
    ) -> None:
        """Train all missing runs, those first for which others wait; with `lock_step`, those of one round together.

        A run that diverges is noted in `failed`; runs that need it are not trained. `note(key)` is called for each run
        that was stored, `forget(group)` when runs that trained together are finished. BrokenExecutor if a worker dies.
        """
        running: dict[Future, Group] = {}
        while True:
            ready = self.missing - set(self.failed) - {key for group in running.values() for key in group}
            for group in self._groups(ready, lock_step):
                if len(running) >= workers.jobs:
                    break
                running[workers.submit(asked=[self._ask(key) for key in group])] = group
            if not running:
                return
            done = self._finished(running)
            lost: BaseException | None = None
            failed: Exception | None = None
            for future in done:  # all finished runs are stored before an error of another is raised
                group = running.pop(future)
                try:
                    for key, result in zip(group, future.result(), strict=True):
                        if isinstance(result, DivergedError):
                            self.failed[key] = result
                            continue
                        self.store.add(key, result)
                        self.missing.discard(key)
                        note(key)
                    forget(group)
                except workers.lost as error:
                    lost = error
                except Exception as error:
                    failed = failed or error
            if failed is not None:
                raise failed
            if lost is not None:
                raise BrokenExecutor(str(lost)) from lost

    def _finished(self, running: Collection[Future]) -> set[Future]:
        """Wait until some are done, and write the tables meanwhile when they are due; return which are done."""
        while not (done := wait(running, self.store.due(), FIRST_COMPLETED).done):
            with put_off():
                self.store.write_tables()
        return done

    def _groups(self, missing: set[Key], lock_step: bool) -> list[Group]:
        """The groups of `missing` runs that can be trained now, in order; without `lock_step` each run by itself."""
        groups: dict[object, Group] = {}
        for key, run in sorted(self.runs.items(), key=lambda item: (not self._needed[item[0]], item[0].round)):
            if key in missing and all(self.store.holds(*stored) for stored in run.given.values()):
                if not lock_step or isinstance(run, Measure):
                    groups[key] = [key]
                else:
                    groups.setdefault((run.round, run.order, run.length), []).append(key)
        return list(groups.values())

    def _ask(self, key: Key) -> Asked:
        """The request for a run, with the arrays that it takes over from others."""
        run = self.runs[key]
        given = {name: self.store.load(stored.key)[stored.what] for name, stored in run.given.items()}
        stream = self._experiment.parts.series[key.series].stream or key.series
        keep = frozenset(self._needed[key].union(self._later.get(key, ()), self._kept[key]))
        return Asked(key, run, given, keep, stream)
