"""Iterative pruning of LeNet-300-100 on MNIST from end to end, ours against PyTorch eager, on one thread.

    python benchmarks/imp_lenet.py [--rounds 21] [--steps 1000] [--engine fast] [--processes 1] [--peers ...] [--save]

20 rounds of pruning take 20 % of the hidden layers' weights and 10 % of the output layer's each, down to 1.2 %. All
sides take the same number of steps (batch 60, Adam) from the same theta0, look at the 5,000 validation images every
100 steps, make the same evaluations at the end of a round, and prune by the magnitudes that they trained themselves.
Rounds take turns: ours, the peers', the peers', ours ... Peers are PyTorch as it comes, and with subnormal numbers
taken for 0 ("flushed"). Ratios are time(peer) / time(ours), so above 1 we are faster. Of our time, val_s are
validations, end_s the evaluations at the end of a round, steps_s all else. Accuracies are those on the test set where
validation loss was lowest. With --processes 2 two such experiments run side by side, at any time both on the same side.
"""

import multiprocessing
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import bench
import numpy as np
import results
import sides

from npticket import datasets, nets
from npticket.engine import ENGINES
from npticket.optimizers import Adam
from npticket.params import Params
from npticket.prune import dense_masks, density
from npticket.streams import Place, streams
from npticket.task import CLASSIFY
from npticket.tickets import rewind
from npticket.train import Setting, fit

PEERS = ("torch", "flushed")
EVERY = 100  # steps between validations
NET = nets.lenet_300_100()
OPTIMIZER = partial(Adam, lr=bench.LR)


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
    """How a round went; of our seconds, also the parts."""

    seconds: float
    end: Params
    test_acc: float
    parts: dict[str, float]


def ours(job: Job) -> Done:
    """Train a round with npticket."""
    setting = Setting(OPTIMIZER, job.steps, validate_every=EVERY, engine=job.engine)
    place, start, looks = Place(job.seed, round=job.round), job.start, []

    def evaluate(*given: Any) -> Any:
        taken, found = bench.timed(lambda: CLASSIFY.evaluate(*given))
        looks.append(taken)
        return found

    task = replace(CLASSIFY, evaluate=evaluate)
    taken, found = bench.timed(lambda: fit(NET, task, start, job.masks, mnist(), setting, place))
    count = len(found.at_steps)
    parts = {"steps_s": taken - sum(looks), "val_s": sum(looks[:count]), "end_s": sum(looks[count:])}
    return Done(taken, found.end, found["early_stop_test_acc"].item(), parts)


def theirs(peer: str, job: Job) -> Done:
    """Train a round with PyTorch."""
    from sides.torch_fit import fit

    make, seed = (
        sides.installed([peer])[peer],
        1000 * job.seed + job.round,
    )  # its own order in each round, as on our side
    train = partial(fit, make, NET, job.start, job.masks, mnist(), OPTIMIZER, (job.steps, EVERY), seed)
    taken, found = bench.timed(train)
    return Done(taken, found.end, found.early_stop_test_acc, {})


mnist = cache(datasets.mnist)


def at_once(pools: Sequence[ProcessPoolExecutor], train: Callable[[Job], Done], jobs: Sequence[Job]) -> list[Done]:
    """Train every job, each in a process of its own, all at the same time."""
    futures = [pool.submit(train, job) for pool, job in zip(pools, jobs, strict=True)]
    return [future.result() for future in futures]


def prune_and_compare(args: Namespace, pools: Sequence[ProcessPoolExecutor]) -> bench.Table:
    """All sides' experiments, round by round; each row has the sums over the processes, and mean accuracies."""
    trains = {"ours": ours} | {peer: partial(theirs, peer) for peer in sides.installed(args.peers)}
    dense = dense_masks(NET.init(streams(0, [0], "init")))
    masks = {side: [dense] * args.processes for side in trains}
    for train in trains.values():  # warm-up
        at_once(pools, train, [Job(dense, p, 0, min(args.steps, 100), args.engine) for p in range(args.processes)])
    table = bench.Table(f"{args.rounds} rounds of {args.steps:,} steps, {args.processes} process(es)", columns(trains))
    for round in range(args.rounds):
        row = {"round": round, "density": density(masks["ours"][0]).item()}
        for side in list(trains) if round % 2 == 0 else reversed(trains):
            jobs = [Job(mask, p, round, args.steps, args.engine) for p, mask in enumerate(masks[side])]
            done = at_once(pools, trains[side], jobs)
            row[f"{side}_s"] = sum(one.seconds for one in done)
            row |= {part: sum(one.parts[part] for one in done) for part in done[0].parts}
            row[f"{side}_acc"] = float(np.mean([one.test_acc for one in done]))
            masks[side] = [bench.PRUNE(one.end, job.masks) for one, job in zip(done, jobs, strict=True)]
        table.add(**row, **ratios(row))
    return table


def columns(trains: Iterable[str]) -> dict[str, str]:
    """Of the table of rounds."""
    peers = [side for side in trains if side != "ours"]
    seconds = ["ours_s", "steps_s", "val_s", "end_s", *(f"{peer}_s" for peer in peers)]
    accuracies = dict.fromkeys((f"{side}_acc" for side in trains), ".2%")
    return (
        {"round": "d", "density": ".1%"} | dict.fromkeys([*seconds, *map("{}/ours".format, peers)], ".2f") | accuracies
    )


def total(rows: list[dict[str, float]]) -> dict[str, float]:
    """Seconds of all rounds, and their ratios."""
    sums = {name: sum(row[name] for row in rows) for name in rows[0] if name.endswith("_s")}
    return sums | ratios(sums)


def ratios(row: dict[str, float]) -> dict[str, float]:
    """Of the peers' seconds to ours."""
    return {f"{peer}/ours": row[f"{peer}_s"] / row["ours_s"] for peer in PEERS if f"{peer}_s" in row}


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=21, help="the first is dense")
    parser.add_argument("--steps", type=int, default=1000, help="per round")
    parser.add_argument("--engine", choices=ENGINES, default="fast")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS, help="those that are installed")
    args = bench.parse(parser)
    if args.quick:
        args.rounds, args.steps = 2, 20
    with ExitStack() as stack:
        fresh = [ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) for _ in range(args.processes)]
        rounds = prune_and_compare(args, [stack.enter_context(pool) for pool in fresh])
    sums = total(rounds.rows)
    in_all = bench.Table("in all", dict.fromkeys(sums, ".2f"))
    in_all.add(**sums)
    results.save(args, mnist(), {"rounds": rounds, "total": in_all}, args.processes)


if __name__ == "__main__":
    main()
