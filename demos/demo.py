"""What the demos share: flags, saving and showing rounds, and ending well. The four steps are in each demo."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from npticket import backend, figures, report, store
from npticket.datasets import DataError, Dataset
from npticket.engine import plan
from npticket.nets import Net
from npticket.params import Params
from npticket.progress import Progress
from npticket.prune import dense_masks
from npticket.streams import TrainingStep, streams
from npticket.train import DivergedError, evaluate
from npticket.workers import Training, default_jobs, one_blas_thread


class Demo:
    """One run of a demo: its arguments, network and data, and what was saved so far."""

    def __init__(
        self, args: argparse.Namespace, net: Net, data: Dataset, xp: ModuleType, test_at: Sequence[int]
    ) -> None:
        self.args, self.net, self.data, self.xp, self.test_at = args, net, data, xp, test_at
        self.saved = store.Store(args.out)
        self.progress = Progress(2 * args.trials * args.rounds)

    def initialise(self, purpose: str, round: int = 0) -> Params:
        """Draw initial parameters for all trials, on the host, and put them where they will be trained."""
        theta = self.net.init(streams(self.args.seed, range(self.args.trials), purpose, round))
        return theta.like(backend.to_device(theta.flat, self.xp))

    def print_header(self) -> None:
        """Head the table: of early stopping, or of the accuracy after the steps of `test_at`, where there are some."""
        print(f"\n{report.header_at(self.test_at) if self.test_at else report.HEADER}", flush=True)

    def note_round(self, round: int, masks: Params, ticket: Training, reinit: Training) -> None:
        """Wait for one round's two trainings, write them to the tables and show their row."""
        for series, training in ((store.WINNING_TICKET, ticket), (store.RANDOM_REINIT, reinit)):
            self.saved.add(series, round, masks, training.result())
        both = [
            store.summarise(self.saved.results, series)[-1] for series in (store.WINNING_TICKET, store.RANDOM_REINIT)
        ]
        at_steps = self.test_at
        self.progress.say(report.row_at(both[0], at_steps, self.saved.curves) if at_steps else report.table_row(*both))

    def estimate(self, optimizer: Callable, batch: int, validate_every: int) -> str:
        """Say how long all runs will take, from a few real steps and a piece of a validation."""
        with one_blas_thread():
            step, image = self._time(optimizer, batch)
        looked_at = self.args.steps // validate_every * len(self.data.validation)
        looked_at += 2 * len(self.data.test) + len(self.data.train)
        runs = 2 * self.args.trials * self.args.rounds
        minutes = runs * (self.args.steps * step + looked_at * image) / self.args.jobs / 60
        return f"about {minutes / 60:.1f} hours" if minutes >= 100 else f"about {max(1, round(minutes))} min"

    def _time(self, optimizer: Callable, batch: int) -> tuple[float, float]:
        """Seconds that a training step takes, and the evaluation of one image."""
        theta = self.initialise("init").trial(0)
        runner = plan(self.net, theta, dense_masks(theta), optimizer)
        dtype = theta.flat.dtype
        few, data = self.data.train.take(slice(0, batch)), self.data.to(self.xp)
        images = data.floats(backend.to_device(few.images[None], self.xp), dtype)
        labels = backend.to_device(few.labels[None], self.xp)
        runner.step(images, labels, TrainingStep(0, [0], 0, 0))
        began = time.perf_counter()
        for i in range(3):
            loss = runner.step(images, labels, TrainingStep(0, [0], 0, i))
        backend.to_host(loss)  # a GPU may still be at work
        step = (time.perf_counter() - began) / 3
        began = time.perf_counter()
        piece = data.validation.take(slice(0, 500))
        evaluate(runner.predict, data, piece, dtype)
        return step, (time.perf_counter() - began) / len(piece)


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
    net: Net,
    load: Callable[..., Dataset],
    find_winning_tickets: Callable[[Demo], None],
    figure: str,
    test_at: Sequence[int] = (),
) -> int:
    """Load the data, find winning tickets, say what was found and draw it; return the exit status.

    What counts is early stopping, or with `test_at` the test accuracy after those steps.
    """
    demo = None
    try:
        xp = backend.load(args.backend)
        data = load(args.data, seed=args.seed)
        demo = Demo(args, net, data, xp, test_at)
        title = f"{net.name} on {data.name}" + (f" ({data.caveat})" if data.caveat else "")
        print(f"{title} from {data.source}")
        print(f"{args.trials} trials, {args.rounds} rounds, {args.steps:,} steps each, seed {args.seed}")
        print(_faster_blas(), end="")
        if demo.saved.set_aside:
            print(f"Earlier results moved to {demo.saved.set_aside}")
        with demo.progress:
            find_winning_tickets(demo)
        _conclude(demo, title, figure)
    except KeyboardInterrupt:
        kept = demo is not None and demo.saved.results
        print(
            f"\nStopped. {f'The rounds shown above are in {args.out}' if kept else 'No round was finished.'}",
            flush=True,
        )
        return 130
    except BrokenPipeError:  # whoever read the output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (DataError, DivergedError, ImportError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _faster_blas() -> str:
    """A hint where OpenBLAS does not know a new CPU and leaves half of its speed unused."""
    try:
        from threadpoolctl import threadpool_info

        has_avx512 = " avx512f " in Path("/proc/cpuinfo").read_text()
    except (ImportError, OSError):
        return ""
    kernels = {pool.get("architecture") for pool in threadpool_info() if pool.get("internal_api") == "openblas"}
    if not has_avx512 or not kernels & {"Haswell", "Zen"}:
        return ""
    return "Hint: this CPU has AVX-512 and OpenBLAS does not use it; with OPENBLAS_CORETYPE=SkylakeX set, it does.\n"


def _conclude(demo: Demo, title: str, figure: str) -> None:
    saved, data = demo.saved, demo.data
    judge = report.verdict_at_the_end if demo.test_at else report.verdict
    print(f"\n{judge(saved.results)}")
    if data.caveat:
        print(f"All of this on {data.name}, {data.caveat}: no figure here is to be compared with the paper's.")
    print(f"Tables: {saved.folder / 'results.csv'}, {saved.folder / 'curves.csv'}")
    path = saved.folder / "figures" / f"{figure}.png"
    try:
        if demo.test_at:
            figures.fixed_steps(saved.results, saved.curves, demo.test_at, path, title)
        else:
            figures.early_stopping(saved.results, path, title)
        print(f"Figure: {path}")
    except ImportError:
        print("Figure skipped: matplotlib is not installed (pip install matplotlib)")
    sys.stdout.flush()
