"""Find winning tickets in LeNet-300-100 on MNIST, by iterative magnitude pruning (Frankle & Carbin, ICLR 2019).

    python demos/lenet_mnist.py            2 to 3 minutes on two cores
    python demos/lenet_mnist.py --quick    20 seconds, to see it run
    python demos/lenet_mnist.py --paper    the paper's setting: hours

Prints one row per round, the winning ticket beside its control, and writes results.csv, curves.csv and a figure.
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from npticket import backend, datasets, figures, report, store
from npticket.layers import Chain, Dense, Flatten, ReLU
from npticket.nets import Net
from npticket.optimizers import Adam
from npticket.params import Params
from npticket.progress import Progress
from npticket.prune import dense_masks, magnitude, prune_layerwise
from npticket.streams import streams
from npticket.tickets import rewind
from npticket.train import DivergedError, fit
from npticket.workers import Training, Workers, default_jobs

LEARNING_RATE = 1.2e-3  # of Adam
BATCH = 60
VALIDATE_EVERY = 100
PRUNING_RATES = {"fc1/W": 0.2, "fc2/W": 0.2, "out/W": 0.1}  # of the survivors, per round

LENET = Net(
    name="LeNet-300-100",
    body=Chain(
        flatten=Flatten(),
        fc1=Dense(784, 300),
        relu1=ReLU(),
        fc2=Dense(300, 100),
        relu2=ReLU(),
        out=Dense(100, 10),
    ),
    input_shape=(28, 28),
    classes=10,
    rates=PRUNING_RATES,
)

SIZES = {  # round 0 is the dense network; round r has about 0.8^r of the weights
    "default": {"trials": 2, "rounds": 12, "steps": 5_000},
    "quick": {"trials": 2, "rounds": 5, "steps": 1_000},
    "paper": {"trials": 5, "rounds": 29, "steps": 50_000},  # down to 0.2 %
}


def find_winning_tickets(args: argparse.Namespace, data: datasets.Dataset, saved: store.Store) -> None:
    """Run the four steps of the paper, round after round, with the random reinitialisation as control."""
    train_trials = partial(
        fit,
        LENET,
        data=data,
        optimizer=partial(Adam, lr=LEARNING_RATE),
        steps=args.steps,
        batch=BATCH,
        validate_every=VALIDATE_EVERY,
        seed=args.seed,
    )

    def initialise(purpose: str, round: int = 0) -> Params:
        theta = LENET.init(streams(args.seed, range(args.trials), purpose, round))
        return theta.like(backend.to_device(theta.flat, args.xp))

    runs = 2 * args.trials * args.rounds
    with Progress(runs) as progress, Workers(train_trials, args.jobs, progress.advance) as workers:
        theta0 = initialise("init")  # 1. initialise
        masks = dense_masks(theta0)
        earlier = None  # the round before, whose control may still be under way
        for round in range(args.rounds):
            ticket = workers.start(rewind(theta0, masks), masks, round)  # 4. reset, and 2. train
            reinit = workers.start(rewind(initialise("reinit", round), masks), masks, round)  # the control
            if earlier:
                note_round(saved, progress, *earlier)  # was started before this round, so it is waited for first
            earlier = (round, masks, ticket, reinit)
            masks = prune_layerwise(magnitude(ticket.result().end), masks, PRUNING_RATES)  # 3. prune
        note_round(saved, progress, *earlier)


def note_round(saved: store.Store, progress: Progress, round: int, masks: Params, ticket: Training, reinit: Training):
    """Write one finished round to the tables and show its row."""
    for series, training in ((store.WINNING_TICKET, ticket), (store.RANDOM_REINIT, reinit)):
        saved.add(series, round, masks, training.result())
    rows = (store.summarise(saved.results, series)[-1] for series in (store.WINNING_TICKET, store.RANDOM_REINIT))
    progress.say(report.table_row(*rows))


def draw(saved: store.Store, title: str) -> None:
    """Draw the figure, or say why there is none."""
    path = saved.folder / "figures" / "lenet_mnist.png"
    try:
        figures.early_stopping(saved.results, path, title)
        print(f"Figure: {path}")
    except ImportError:
        print("Figure skipped: matplotlib is not installed (pip install matplotlib)")


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Winning tickets in LeNet-300-100 on MNIST.")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const="quick", help="about 20 seconds")
    size.add_argument("--paper", dest="size", action="store_const", const="paper", help="the paper's setting: hours")
    parser.add_argument("--out", type=Path, default=Path("runs/lenet-mnist"), help="where results go (%(default)s)")
    parser.add_argument("--trials", type=int, help="networks per series")
    parser.add_argument("--rounds", type=int, help="trainings per trial; the first one is the dense network")
    parser.add_argument("--steps", type=int, help=f"optimizer steps per training, of {BATCH} images each")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same tickets (%(default)s)")
    parser.add_argument("--data", type=Path, help="folder with the MNIST files (default: see README.md)")
    parser.add_argument("--jobs", type=int, help="processes (default: the number of cores)")
    parser.add_argument("--backend", choices=("numpy", "cupy"), default="numpy")
    args = parser.parse_args(argv)
    for name, value in SIZES[args.size or "default"].items():
        if getattr(args, name) is None:
            setattr(args, name, value)
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(args, name)}")
    if args.seed < 0:
        parser.error(f"--seed must not be negative, got {args.seed}")
    if args.jobs is None:
        args.jobs = 1 if args.backend == "cupy" else min(default_jobs(), 2 * args.trials)
    if args.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {args.jobs}")
    if args.jobs > 1 and args.backend == "cupy":
        parser.error("on a GPU all trials train in one process: use --jobs 1 with --backend cupy")
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    saved = None
    try:
        args.xp = backend.load(args.backend)
        data = datasets.mnist(args.data, seed=args.seed)
        saved = store.Store(args.out)
        caveat = f" ({data.caveat})" if data.caveat else ""
        print(f"{LENET.name} on {data.name}{caveat} from {data.source}")
        print(f"{args.trials} trials, {args.rounds} rounds, {args.steps:,} steps each, seed {args.seed}")
        if saved.set_aside:
            print(f"Earlier results moved to {saved.set_aside}")
        print(f"\n{report.HEADER}", flush=True)
        find_winning_tickets(args, data, saved)
        print(f"\n{report.verdict(saved.results)}")
        if caveat:
            print(f"All of this on the {data.caveat}: no figure here is to be compared with the paper's.")
        print(f"Tables: {saved.folder / 'results.csv'}, {saved.folder / 'curves.csv'}")
        draw(saved, f"{LENET.name} on {data.name}{caveat}")
        sys.stdout.flush()
    except KeyboardInterrupt:
        kept = f"The rounds shown above are in {args.out}" if saved and saved.results else "No round was finished."
        print(f"\nStopped. {kept}", flush=True)
        return 130
    except BrokenPipeError:  # whoever read the output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (datasets.DataError, DivergedError, ImportError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
