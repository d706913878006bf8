"""A loop written by hand, kept and shown as an experiment is: a directory, a row a round, a verdict, figures."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from npticket.backend import to_host
from npticket.datasets import Dataset
from npticket.experiments import files, machine
from npticket.experiments.outcome import outcome
from npticket.experiments.parts import Experiment
from npticket.experiments.progress import Progress
from npticket.experiments.recipe import Recipe
from npticket.experiments.run import Means
from npticket.experiments.series import Key
from npticket.experiments.store import Store
from npticket.experiments.training import record
from npticket.params import Params
from npticket.record import Fit
from npticket.report import figures, tables
from npticket.report.paper import Library
from npticket.report.verdict import verdict


class Journal:
    """Keeps the rounds of a loop in `folder`, as the runner would keep those of `recipe`, whose series are shown.

    What an earlier experiment left there is moved aside. A context manager: on leaving, the tables are up to date.
    """

    def __init__(self, recipe: Recipe, library: Library, data: Dataset, folder: Path, means: Means) -> None:
        self.folder, self.recipe, self._library, self._data = folder, recipe, library, data
        experiment = Experiment(recipe, library.parts)
        self._task, net = experiment.task, experiment.net
        moved = files.set_aside(folder)
        size = Params.empty(net.body.layout, 1, bool).flat.size
        described = machine.describe(data, means.jobs, means.array_module, means.engine)
        self._store = Store(folder, recipe, self._task, described, size)
        self.progress = Progress(len(recipe.series) * recipe.trials * recipe.rounds)
        print(f"{net.name} on {data.name}{f' ({data.caveat})' * bool(data.caveat)} from {data.source}")
        print(f"{recipe.trials} trials, {recipe.rounds} rounds, {recipe.steps:,} steps each, seed {recipe.seed}")
        print(machine.blas_hint(), end="")
        if moved:
            print(f"Earlier results moved to {moved}")

    def __enter__(self) -> "Journal":
        self.progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.__exit__(kind, error, trace)
        self._store.close()

    def __len__(self) -> int:
        return len(self._store)

    def note(self, round: int, masks: Params, fits: Mapping[str, Fit]) -> None:
        """Keep what one round came to, by series, all trained under the same masks, and show it as a row."""
        masks = masks.like(to_host(masks.flat))
        for series, fit in fits.items():
            for t in range(masks.trials):
                self._store.add(Key(series, round, t), record(self._task, fit, t, masks.trial(t)))
        self._store.write_tables()
        found = outcome(self.folder, self._library.parts)
        if not round:
            self.progress.say(f"\n{tables.header(found, self.recipe.series)}")
        self.progress.say(tables.row(found, self.recipe.series, round))

    def conclude(self) -> None:
        """Say what was found, where it is, and draw it."""
        found, data = outcome(self.folder, self._library.parts), self._data
        print(f"\n{verdict(found)}")
        if data.caveat:
            print(f"All of this on {data.name}, {data.caveat}: no figure here is to be compared with the paper's.")
        print(f"Tables: {self.folder / 'results.csv'}, {self.folder / 'curves.csv'}")
        try:
            drawn = figures.draw(found, self.folder / "figures", self._library.plots(self.recipe))
            print("Figures: " + ", ".join(str(path) for path in drawn if path.suffix == ".png"), flush=True)
        except ImportError:
            print("Figures skipped: matplotlib is not installed (pip install matplotlib)", flush=True)
