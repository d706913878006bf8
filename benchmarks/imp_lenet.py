"""Iterative pruning of LeNet-300-100 on MNIST from end to end, ours against PyTorch eager, on one thread.

    python benchmarks/imp_lenet.py [--rounds 21] [--steps 1000] [--engine fast] [--processes 1] [--json FILE]

20 rounds of pruning take 20 % of the hidden layers' weights and 10 % of the output layer's each, down to 1.2 %. Both
sides take the same number of steps (batch 60, Adam) from the same theta0, look at the 5,000 validation images every
100 steps, make the same evaluations at the end of a round, and prune by the magnitudes that they trained themselves.
Rounds take turns: ours, PyTorch's, PyTorch's, ours ... The ratio is time(PyTorch) / time(ours), so above 1 we are
faster. Accuracies are those on the test set where validation loss was lowest. With --processes 2 two such experiments
run side by side, at any time both on the same side. Without PyTorch it prints our time only.
"""

import multiprocessing
from argparse import Namespace
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache, partial
from typing import NamedTuple

import bench
import numpy as np

from npticket import datasets, nets
from npticket.engine import ENGINES
from npticket.optimizers import Adam
from npticket.params import Params
from npticket.prune import dense_masks, density
from npticket.streams import Place, streams
from npticket.task import CLASSIFY
from npticket.tickets import rewind
from npticket.train import Setting, fit

try:
    import torch_lenet
except ImportError:
    torch_lenet = None

EVERY = 100  # steps between validations
NET = nets.lenet_300_100()
COLUMNS = {"round": "d", "density": ".1%", "ours_s": ".2f", "torch_s": ".2f", "ratio": ".2f", "ours_acc": ".2%",
           "torch_acc": ".2%"}  # fmt: skip


class Job(NamedTuple):
    """One round of one experiment."""

    masks: Params
    seed: int
    round: int
    steps: int
    engine: str

    @property
    def start(self) -> Params:
        """Step 4: the survivors are back at theta0."""
        return rewind(NET.init(streams(self.seed, [0], "init")), self.masks)


class Done(NamedTuple):
    """How a round went."""

    seconds: float
    end: Params
    test_acc: float


def ours(job: Job) -> Done:
    """Train a round with npticket."""
    setting = Setting(partial(Adam, lr=bench.LR), job.steps, validate_every=EVERY, engine=job.engine)
    place = Place(job.seed, round=job.round)
    taken, found = bench.timed(lambda: fit(NET, CLASSIFY, job.start, job.masks, mnist(), setting, place))
    return Done(taken, found.end, found["early_stop_test_acc"].item())


def theirs(job: Job) -> Done:
    """Train a round with PyTorch."""
    train = partial(torch_lenet.fit, NET, job.start, job.masks, tensors(), lr=bench.LR)
    seed = 1000 * job.seed + job.round  # an order of the minibatches for each round, as on our side
    taken, found = bench.timed(lambda: train(steps=job.steps, validate_every=EVERY, seed=seed))
    return Done(taken, found.end, found.early_stop_test_acc)


mnist = cache(datasets.mnist)


@cache
def tensors() -> "torch_lenet.Tensors":
    """The data as PyTorch wants them, once per process."""
    return torch_lenet.Tensors(mnist())


def at_once(pools: Sequence[ProcessPoolExecutor], train: Callable[[Job], Done], jobs: Sequence[Job]) -> list[Done]:
    """Train every job, each in a process of its own, all at the same time."""
    futures = [pool.submit(train, job) for pool, job in zip(pools, jobs, strict=True)]
    return [future.result() for future in futures]


def prune_and_compare(args: Namespace, pools: Sequence[ProcessPoolExecutor]) -> bench.Table:
    """Both experiments, round by round; each row has the sums over the processes, and mean accuracies."""
    sides: dict[str, Callable[[Job], Done]] = {"ours": ours} | ({"torch": theirs} if torch_lenet else {})
    dense = dense_masks(NET.init(streams(0, [0], "init")))
    masks = {side: [dense] * args.processes for side in sides}
    for train in sides.values():  # warm-up
        at_once(pools, train, [Job(dense, p, 0, min(args.steps, 100), args.engine) for p in range(args.processes)])
    table = bench.Table(f"{args.rounds} rounds of {args.steps:,} steps, {args.processes} process(es)", COLUMNS)
    for round in range(args.rounds):
        row = {"round": round, "density": density(masks["ours"][0]).item()}
        for side in list(sides) if round % 2 == 0 else reversed(sides):
            jobs = [Job(mask, p, round, args.steps, args.engine) for p, mask in enumerate(masks[side])]
            done = at_once(pools, sides[side], jobs)
            row[f"{side}_s"] = sum(one.seconds for one in done)
            row[f"{side}_acc"] = float(np.mean([one.test_acc for one in done]))
            masks[side] = [bench.PRUNE(one.end, job.masks) for one, job in zip(done, jobs, strict=True)]
        table.add(**row, **_ratio(row))
    return table


def total(rows: list[dict]) -> dict[str, float]:
    """Seconds of all rounds, and their ratio."""
    sums = {name: sum(row[name] for row in rows) for name in ("ours_s", "torch_s") if name in rows[0]}
    return sums | _ratio(sums)


def _ratio(row: dict[str, float]) -> dict[str, float]:
    return {"ratio": row["torch_s"] / row["ours_s"]} if "torch_s" in row else {}


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=21, help="the first is dense")
    parser.add_argument("--steps", type=int, default=1000, help="per round")
    parser.add_argument("--engine", choices=ENGINES, default="fast")
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.steps = 2, 20
    with ExitStack() as stack:
        fresh = [ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) for _ in range(args.processes)]
        rounds = prune_and_compare(args, [stack.enter_context(pool) for pool in fresh])
    in_all = bench.Table("in all", {name: COLUMNS[name] for name in ("ours_s", "torch_s", "ratio")})
    in_all.add(**total(rounds.rows))
    bench.save(args, mnist(), {"rounds": rounds, "total": in_all}, args.processes)


if __name__ == "__main__":
    main()
