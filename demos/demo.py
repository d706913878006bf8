"""What the demos share: flags, saving and showing rounds, and ending well. The four steps are in each demo."""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from npticket import backend, estimate, experiment, figures, manifest, report, runs, store, tables
from npticket.datasets import DataError, Dataset
from npticket.engine import ENGINES
from npticket.nets import Net
from npticket.params import Params
from npticket.progress import Progress
from npticket.recipe import Recipe, scaled, to_json
from npticket.store import StoreError
from npticket.streams import streams
from npticket.train import DivergedError
from npticket.workers import Training, default_jobs


class Demo:
    """One run of a demo: its arguments, recipe, network and data, and what was saved so far."""

    def __init__(self, args: argparse.Namespace, recipe: Recipe, net: Net, data: Dataset, xp: ModuleType) -> None:
        self.args, self.recipe, self.net, self.data, self.xp = args, recipe, net, data, xp
        self.progress = Progress(2 * args.trials * args.rounds)
        self.set_aside = store.set_aside(args.out)
        described = manifest.describe(data, args.jobs, args.backend, args.engine)
        self.saved = store.Store(args.out, to_json(recipe), described, self.initialise("init").flat.shape[1])

    def initialise(self, purpose: str, round: int = 0) -> Params:
        """Draw initial parameters for all trials, on the host, and put them where they will be trained."""
        theta = self.net.init(streams(self.args.seed, range(self.args.trials), purpose, round))
        return theta.like(backend.to_device(theta.flat, self.xp))

    def print_header(self) -> None:
        """Head the table: of early stopping, or of the accuracy after certain steps, where the recipe names some."""
        test_at = self.recipe.test_at
        print(f"\n{report.header_at(test_at) if test_at else report.HEADER}", flush=True)

    def note_round(self, round: int, masks: Params, ticket: Training, reinit: Training) -> None:
        """Wait for one round's two trainings, save them and show their row."""
        masks = masks.like(backend.to_host(masks.flat))
        for series, training in ((tables.WINNING_TICKET, ticket), (tables.RANDOM_REINIT, reinit)):
            result = training.result()
            for t in range(masks.trials):
                self.saved.add(store.Key(series, round, t), runs.record(result, t, masks))
        self.saved.write_tables()
        both = [
            tables.summarise(self.saved.results(), series)[-1]
            for series in (tables.WINNING_TICKET, tables.RANDOM_REINIT)
        ]
        if self.recipe.test_at:
            curves = tables.read_curves(self.saved.folder / "curves.csv")
            self.progress.say(report.row_at(both[0], self.recipe.test_at, curves))
        else:
            self.progress.say(report.table_row(*both))

    def estimate(self, optimizer: Callable, batch: int, validate_every: int) -> str:
        """Say how long all runs will take."""
        looked_at = estimate.looked_at(
            self.args.steps, validate_every, len(self.recipe.test_at), train=len(self.data.train)
        )
        step, image = estimate.step_and_image(self.net, optimizer, batch, self.xp, self.args.engine)
        seconds = self.args.steps * step + looked_at * image
        return f"about {estimate.words(2 * self.args.trials * self.args.rounds * seconds / self.args.jobs)}"


def parse(
    parser: argparse.ArgumentParser,
    sizes: Callable[[argparse.Namespace], dict[str, dict[str, int]]],
    out: str,
    argv: list[str] | None,
) -> argparse.Namespace:
    """Add the flags that all demos have, parse, and fill in what was not given.

    `sizes(args)` has the numbers of trials, rounds and steps by size; `out` is a folder, with fields like {net}.
    """
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const="quick", help="to see it run")
    size.add_argument("--paper", dest="size", action="store_const", const="paper", help="the paper's setting: long")
    parser.add_argument("--out", type=Path, help=f"where results go ({out})")
    parser.add_argument("--trials", type=int, help="networks per series")
    parser.add_argument("--rounds", type=int, help="trainings per trial; the first one is the dense network")
    parser.add_argument("--steps", type=int, help="optimizer steps per training")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same tickets (%(default)s)")
    parser.add_argument("--data", type=Path, help="folder with the data (default: see README.md)")
    parser.add_argument("--jobs", type=int, help="processes (default: the number of cores)")
    parser.add_argument("--backend", choices=("numpy", "cupy"), default="numpy")
    parser.add_argument("--engine", choices=ENGINES, default="fast", help="plain: the readable layers (%(default)s)")
    args = parser.parse_args(argv)
    if args.out is None:
        args.out = Path(out.format(**vars(args)))
    for name, value in sizes(args)[args.size or "default"].items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if args.jobs is None:
        args.jobs = 1 if args.backend == "cupy" else min(default_jobs(), 2 * max(1, args.trials))
    for name in ("trials", "rounds", "steps", "jobs"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(args, name)}")
    if args.seed < 0:
        parser.error(f"--seed must not be negative, got {args.seed}")
    if args.jobs > 1 and args.backend == "cupy":
        parser.error("on a GPU all trials train in one process: use --jobs 1 with --backend cupy")
    return args


def run(
    args: argparse.Namespace,
    paper: Recipe,
    net: Net,
    load: Callable[..., Dataset],
    find_winning_tickets: Callable[[Demo], None],
) -> int:
    """Load the data, find winning tickets, say what was found and draw it; return the exit status.

    `paper` is the experiment in full, which the arguments make smaller. What counts is early stopping, or the test
    accuracy after certain steps if the paper's experiment looks at some.
    """
    demo = None
    try:
        xp = backend.load(args.backend)
        data = load(args.data, seed=args.seed)
        recipe = replace(
            scaled(paper, args.steps),
            trials=args.trials,
            rounds=args.rounds,
            seed=args.seed,
            series=(tables.WINNING_TICKET, tables.RANDOM_REINIT),
        )
        demo = Demo(args, recipe, net, data, xp)
        title = f"{net.name} on {data.name}" + (f" ({data.caveat})" if data.caveat else "")
        print(f"{title} from {data.source}")
        print(f"{args.trials} trials, {args.rounds} rounds, {args.steps:,} steps each, seed {args.seed}")
        print(manifest.blas_hint(), end="")
        if demo.set_aside:
            print(f"Earlier results moved to {demo.set_aside}")
        with demo.saved, demo.progress:
            find_winning_tickets(demo)
        _conclude(demo)
    except KeyboardInterrupt:
        kept = demo is not None and len(demo.saved)
        print(
            f"\nStopped. {f'The rounds shown above are in {args.out}' if kept else 'No round was finished.'}",
            flush=True,
        )
        return 130
    except BrokenPipeError:  # whoever read the output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (DataError, DivergedError, StoreError, ImportError, RuntimeError, MemoryError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _conclude(demo: Demo) -> None:
    found = experiment.outcome(demo.saved.folder)
    judge = report.verdict_at_the_end if demo.recipe.test_at else report.verdict
    print(f"\n{judge(found.results)}")
    if demo.data.caveat:
        print(
            f"All of this on {demo.data.name}, {demo.data.caveat}: no figure here is to be compared with the paper's."
        )
    print(f"Tables: {demo.saved.folder / 'results.csv'}, {demo.saved.folder / 'curves.csv'}")
    try:
        drawn = figures.draw(found, demo.saved.folder / "figures")
        print("Figures: " + ", ".join(str(path) for path in drawn if path.suffix == ".png"))
    except ImportError:
        print("Figures skipped: matplotlib is not installed (pip install matplotlib)")
    sys.stdout.flush()
