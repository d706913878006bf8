"""What a demo needs besides the four steps: flags, a journal that keeps and prints its rounds, and a conclusion."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from npticket import backend
from npticket.cli.arguments import all_data_in, path
from npticket.cli.process import prepare_streams, status_of
from npticket.datasets import Dataset
from npticket.engine import ENGINES
from npticket.experiments import directory, machine, store, training, workers
from npticket.experiments.amounts import counted
from npticket.experiments.bounds import MOST, MOST_SEED, wrong_jobs, wrong_size
from npticket.experiments.evaluation import affordable, said
from npticket.experiments.outcome import read_outcome
from npticket.experiments.parts import Experiment, load_data
from npticket.experiments.progress import Progress
from npticket.experiments.recipe import Recipe, scaled
from npticket.experiments.series import Key
from npticket.papers import LIBRARY, PARTS
from npticket.params import Params
from npticket.record import Fit
from npticket.report import figures, tables

Args = Sequence[str] | None  # None: the arguments of the process
Sizes = Mapping[str, Mapping[str, int]]  # trials, rounds and steps by size: default, quick, paper


def arguments(parser: ArgumentParser, sizes: Callable[[Namespace], Sizes], out: str, argv: Args) -> Namespace:
    """Add the flags that all demos have, parse `argv`, and fill in what was not given.

    `sizes(args)` gives the numbers for each size; `out` is the default folder, perhaps with fields like {net}.
    """
    prepare_streams()
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const="quick", help="to see it run")
    size.add_argument("--paper", dest="size", action="store_const", const="paper", help="the paper's setting: long")
    parser.add_argument("--out", type=path, help=f"where results go ({out})")
    parser.add_argument("--trials", type=int, help="networks per series")
    parser.add_argument("--rounds", type=int, help="trainings per trial; the first one is the dense network")
    parser.add_argument("--steps", type=int, help="optimizer steps per training")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same tickets (%(default)s)")
    parser.add_argument("--data", type=path, help="folder with the data (default: see README.md)")
    parser.add_argument("--jobs", type=int, help="processes (default: the number of cores)")
    parser.add_argument("--backend", choices=("numpy", "cupy"), default="numpy")
    parser.add_argument("--engine", choices=ENGINES, default="fast", help="plain: the readable layers (%(default)s)")
    args = parser.parse_args(argv)
    args.out = args.out or Path(out.format(**vars(args)))
    for name, value in sizes(args)[args.size or "default"].items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if args.jobs is None:
        args.jobs = 1 if args.backend == "cupy" else min(workers.default_jobs(), 2 * max(1, args.trials))
    wrongs = [wrong_size(f"--{name}", getattr(args, name), most) for name, most in MOST.items() if name in args]
    wrongs += [wrong_size("--seed", args.seed, MOST_SEED, 0), wrong_jobs(args.jobs, args.backend)]
    for wrong in filter(None, wrongs):
        parser.error(wrong)
    return args


def smaller(recipe: Recipe, args: Namespace) -> Recipe:
    """Return a recipe in the size that the arguments ask for, with its first two series; RecipeError if too large."""
    sizes = {name: getattr(args, name) for name in ("trials", "rounds", "seed")}
    return replace(scaled(recipe, args.steps), series=recipe.series[:2], train_at=(), **sizes)


class Journal:
    """Keeps the rounds of a demo's own loop in `args.out`, as `npticket run` would keep them, and prints them.

    `recipe` is the one it was given, but evaluates fewer examples if all would take longer than training.
    """

    def __init__(self, recipe: Recipe, data: Dataset, args: Namespace) -> None:
        self.recipe, self._data, self._folder = affordable(recipe, data), data, args.out
        experiment, moved = Experiment(self.recipe, PARTS), directory.set_aside(args.out)
        self._task, net = experiment.task, experiment.net
        described = machine.describe(data, args.jobs, args.backend, args.engine)
        self.store = store.Store(args.out, experiment, described)
        self.progress = Progress(len(recipe.series) * recipe.trials * recipe.rounds)
        print(f"{net.name} on {data.name}{f' ({data.caveat})' * bool(data.caveat)} from {data.source}")
        sizes = (counted(getattr(recipe, f"{what}s"), what) for what in ("trial", "round", "step"))
        print(f"{', '.join(sizes)} each, seed {recipe.seed}")
        print(f"{said(self.recipe, recipe)}{machine.blas_hint()}", end="")
        if moved:
            print(f"Earlier results moved to {moved}")

    def close(self) -> None:
        """Write the tables and give up the lock."""
        with self.progress:
            self.store.close()

    def note(self, round: int, masks: Params, fits: Mapping[str, Fit]) -> None:
        """Keep the fits of one round, by series, all trained under the same masks, and print them as a row."""
        masks = masks.to(np)
        for series, fit in fits.items():
            for t in range(masks.trials):
                self.store.add(Key(series, round, t), training.record(self._task, fit, t, masks.trial(t)))
        self.store.write_tables()
        found = read_outcome(self._folder, PARTS)
        if not round:
            self.progress.say(f"\n{tables.header(found, self.recipe.series)}")
        self.progress.say(tables.row(found, self.recipe.series, round))

    def conclude(self) -> None:
        """Print the verdict and where the results are, and draw the figures."""
        found, data = read_outcome(self._folder, PARTS), self._data
        print(f"\n{tables.verdict(found)}")
        if data.caveat:
            print(f"All of this on {data.name}, {data.caveat}: no figure here is to be compared with the paper's.")
        print(f"Tables: {self._folder / 'results.csv'}, {self._folder / 'curves.csv'}")
        try:
            drawn = figures.draw(found, self._folder / "figures", LIBRARY.plots(self.recipe))
            print("Figures: " + ", ".join(str(path) for path in drawn if path.suffix == ".png"), flush=True)
        except ModuleNotFoundError as error:
            if error.name != "matplotlib":
                raise
            print("Figures skipped: matplotlib is not installed (pip install matplotlib)", flush=True)


def run(args: Namespace, recipe: Recipe, find_winning_tickets: Callable[[Dataset, Journal], None]) -> int:
    """Load the data of a paper's recipe, call `find_winning_tickets(data, journal)`, and conclude.

    The journal's recipe is the paper's in the size that `args` ask for, with its first two series. Returns the exit
    status.
    """
    journals: list[Journal] = []

    def work() -> int:
        backend.load(args.backend)
        asked = smaller(recipe, args)
        with all_data_in(args.data):
            data = load_data(asked, PARTS, args.data)
            with closing(Journal(asked, data, args)) as journal:
                journals.append(journal)
                find_winning_tickets(data, journal)
            journal.conclude()
        return 0

    def stopped() -> None:
        kept = any(len(journal.store) for journal in journals)
        where = f"The rounds shown above are in {args.out}" if kept else "No round was finished."
        print(f"\nStopped. {where}", flush=True)

    return status_of(work, stopped)
