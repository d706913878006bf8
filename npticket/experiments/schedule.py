"""Who trains when: every run as soon as those that it takes something from are in the store."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait

from npticket.experiments.cluster import Cluster
from npticket.experiments.parts import Parts
from npticket.experiments.recipe import Recipe
from npticket.experiments.series import REWIND_POINT, Key, kept, planned
from npticket.experiments.store import Store, StoreError
from npticket.experiments.training import Asked
from npticket.experiments.workers import Workers
from npticket.train import DivergedError


class Schedule:
    """All runs of an experiment, and which of them are missing in its store."""

    def __init__(self, recipe: Recipe, parts: Parts, store: Store) -> None:
        self.runs = planned(recipe, parts.series)
        self._keep = kept(self.runs)
        self._store, self._parts = store, parts
        self.folder = store.folder
        self.missing = {
            key for key in self.runs if not all(store.holds(key, what) for what in ("masks", *self._keep[key]))
        }
        self._order = (REWIND_POINT, *recipe.series)
        self._alone: set[Key] = set()  # one of the group that they were in diverges
        self._hopeless: set[Key] = set()
        self._failed: list[DivergedError] = []

    def check_masks(self) -> None:
        """Raise StoreError for a run under other masks than it was given, as if these had been made anew since."""
        for key, run in self.runs.items():
            given = run.given.get("masks")
            if given is None or run.own_masks or key not in self._store or not self._store.holds(*given):
                continue
            if self._store.digest(*given) != self._store.digest(key, "masks"):
                raise StoreError(
                    f"{self.folder / 'runs' / key.file} has other masks than {given.key.file} left; delete it, "
                    "and what follows it, to train these runs again"
                )

    def work_off(self, workers: Workers | Cluster, lock_step: bool, note: Callable[[Key], None]) -> list[DivergedError]:
        """Train all missing runs, those first on which others wait; each is no longer missing once it is in the store.

        With `lock_step`, runs of one round and length train together. A run that diverges stops only those that need
        it. Returns what such runs said; raises BrokenExecutor if a worker is lost.
        """
        running: dict[Future, list[Key]] = {}
        while True:
            ready = self.missing - self._hopeless - {key for group in running.values() for key in group}
            for group in self._groups(ready, self._alone if lock_step else ready):
                if len(running) >= workers.jobs:
                    break
                running[workers.submit(asked=[self._ask(key) for key in group])] = group
            if not running:
                return self._failed
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            lost: BaseException | None = None
            for future in done:  # all that is finished is kept before anything is said of what is not
                try:
                    self._take(running.pop(future), future, note)
                except workers.lost as error:
                    lost = error
            if lost is not None:
                raise BrokenExecutor(str(lost)) from lost

    def _take(self, group: list[Key], future: Future, note: Callable[[Key], None]) -> None:
        """Keep what a group of runs left; raises whatever else but divergence went wrong."""
        try:
            results = future.result()
        except DivergedError as error:
            if len(group) > 1:
                self._alone.update(group)
            else:
                self._hopeless.update(group)
                self._failed.append(error)
            return
        for key, result in zip(group, results, strict=True):
            self._store.add(key, result)
            self.missing.discard(key)
            note(key)

    def _groups(self, missing: set[Key], alone: set[Key]) -> list[list[Key]]:
        """What of `missing` can be trained now, in the order in which it should be; `alone` not with others."""

        def rank(key: Key) -> tuple:
            return not self._keep[key], key.round, self._order.index(key.series), key.trial

        groups: dict[object, list[Key]] = {}
        for key in sorted(missing, key=rank):
            run = self.runs[key]
            if all(self._store.holds(*stored) for stored in run.given.values()):
                length = run.round, run.first_step, run.steps, run.rate_at
                groups.setdefault(key if key in alone else length, []).append(key)
        return list(groups.values())

    def _ask(self, key: Key) -> Asked:
        """A run with the arrays that it takes along."""
        run = self.runs[key]
        given = {name: self._store.load(stored.key)[stored.what] for name, stored in run.given.items()}
        return Asked(key, run, given, frozenset(self._keep[key]), self._parts.series[key.series].stream or key.series)
