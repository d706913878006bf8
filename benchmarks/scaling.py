"""What LeNet-300-100's training costs as density, width, batch and the number of trials change, on one thread.

    python benchmarks/scaling.py [--only rounds width batch memory] [--peers torch ...] [--pairs 15] [--save]

rounds   a round of pruning at real tickets of falling density: steps of batch 60 and a validation on 5,000 images every
         100 of them, by the plain engine, the fast one and the peers
width    a dense step with one to four times as many hidden units
batch    a dense step with batches of 15 to 1,000
memory   the most that NumPy holds while T trials train in lock-step, by its own account (tracemalloc), data apart; but
         for one trial the fast engine makes a copy of the images, 52 MiB, in the order in which it reads pixels

Times are milliseconds per step, ratios time(peer) / time(fast), so above 1 we are faster. Without peers it prints our
times only.
"""

import tracemalloc
from collections.abc import Sequence
from functools import partial
from itertools import islice

import bench
import results
import sides
from sides.ours import minibatches

from npticket import datasets, nets
from npticket.datasets import Dataset
from npticket.engine import ENGINES
from npticket.optimizers import Adam
from npticket.params import Params
from npticket.prune import dense_masks, density
from npticket.streams import streams
from npticket.task import CLASSIFY
from npticket.tickets import Round
from npticket.train import Setting, fit

DENSITIES = tuple(0.8**r for r in (0, 3, 7, 11, 15, 17, 20, 24))
WIDTHS, BATCHES, TRIALS = (1, 2, 3, 4), (15, 60, 240, 1000), (1, 2, 5, 10)
PEERS = ("torch", "flushed", "compiled", "jax")
MEMORY = {"trials": "d", "parameters_mib": ".1f", "plain_mib": ".1f", "fast_mib": ".1f"}
OPTIMIZER = partial(Adam, lr=bench.LR)


class Sides:
    """Both our engines and the peers, training the same network on the same data in turns."""

    def __init__(self, data: Dataset, peers: sides.Makers, pairs: int) -> None:
        self._data, self._peers, self._pairs = data, peers, pairs
        self.columns = bench.columns([*ENGINES, *peers])

    def compare(
        self, net: nets.Net, start: Params, masks: Params, batch: int = 60, steps: int = 40, validate: bool = False
    ) -> dict[str, float]:
        """Return medians of milliseconds per step, of turns of `steps` steps and perhaps a validation, and ratios."""
        trainings = sides.trainings(self._peers, net, start, masks, self._data, OPTIMIZER)
        order = list(islice(minibatches(len(self._data.train), batch), steps * (1 + self._pairs)))
        turns = {name: sides.turn(training, order, steps, validate) for name, training in trainings.items()}
        return bench.compare(bench.take_turns(turns, self._pairs), steps)


def rounds(against: Sides, tickets: list[Round]) -> bench.Table:
    """A round against density."""
    table = bench.Table("a step with its share of validation, against density", {"density": ".1%"} | against.columns)
    for ticket in tickets:
        row = against.compare(nets.lenet_300_100(), ticket.start, ticket.masks, steps=100, validate=True)
        table.add(density=density(ticket.masks).item(), **row)
    return table


def width(against: Sides, widths: Sequence[int]) -> bench.Table:
    """A dense step against the number of hidden units."""
    table = bench.Table("a dense step, against width", {"hidden": "", "parameters": ",d"} | against.columns)
    for times in widths:
        net = nets.lenet_300_100((300 * times, 100 * times))
        theta = net.init(streams(0, [0], "init"))
        row = against.compare(net, theta, dense_masks(theta), steps=40 // times)
        table.add(hidden=f"{300 * times}-{100 * times}", parameters=theta.flat.shape[1], **row)
    return table


def batch(against: Sides, sizes: Sequence[int]) -> bench.Table:
    """A dense step against the batch."""
    net = nets.lenet_300_100()
    theta = net.init(streams(0, [0], "init"))
    table = bench.Table("a dense step, against batch", {"batch": ",d"} | against.columns)
    for size in sizes:
        row = against.compare(net, theta, dense_masks(theta), batch=size, steps=max(4, min(40, 2400 // size)))
        table.add(batch=size, **row)
    return table


def memory(data: Dataset, counts: Sequence[int]) -> bench.Table:
    """Peak memory of a short training run against the number of trials."""
    net = nets.lenet_300_100()
    table = bench.Table("peak memory of training in lock-step", MEMORY)
    for trials in counts:
        theta = net.init(streams(0, range(trials), "init"))
        row = {f"{engine}_mib": peak(net, theta, data, engine) / 2**20 for engine in ENGINES}
        table.add(trials=trials, parameters_mib=theta.flat.nbytes / 2**20, **row)
    return table


def peak(net: nets.Net, theta: Params, data: Dataset, engine: str) -> int:
    """The most bytes that a short `fit` held at a time."""
    tracemalloc.start()
    fit(net, CLASSIFY, theta, dense_masks(theta), data, Setting(OPTIMIZER, steps=5, engine=engine))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def main() -> None:
    tables = ("rounds", "width", "batch", "memory")
    parser = bench.parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=tables, default=tables)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=("torch", "flushed"), help="if installed")
    parser.add_argument("--pairs", type=int, default=15)
    args = bench.parse(parser)
    if args.quick:
        args.pairs = 1
    few = slice(2 if args.quick else None)
    data = datasets.mnist()
    against = Sides(data, sides.installed(args.peers), args.pairs)
    makers = {
        "rounds": lambda: rounds(against, bench.at_densities(bench.lenet_tickets(data, args.quick), DENSITIES)),
        "width": lambda: width(against, WIDTHS[few]),
        "batch": lambda: batch(against, BATCHES[few]),
        "memory": lambda: memory(data, TRIALS[few]),
    }
    results.save(args, data, {name: makers[name]() for name in args.only})


if __name__ == "__main__":
    main()
