"""Whether steps stay as fast as they begin: LeNet-300-100 over 20,000 steps, by engine, optimizer and density.

    python benchmarks/late_steps.py [--steps 20000] [--save]

Moments and probabilities decay until they are subnormal, with which a processor may need a hundred times as long. Each
case is trained once; a row compares the median time of a step in twenty stretches with that of the first of them. The
machine's own moods are in these ratios too: `noise` is the widest ratio between two neighbouring stretches.
"""

import time
from collections.abc import Iterator
from itertools import count, islice

import bench
import numpy as np
import results

from npticket import datasets, nets
from npticket.datasets import Dataset, epoch_order
from npticket.engine import plan
from npticket.optimizers import SGD, Adam
from npticket.protocols import MakeOptimizer
from npticket.prune import density
from npticket.streams import Place, TrainingStep
from npticket.task import CLASSIFY
from npticket.tickets import Round

STRETCHES, BATCH = 20, 60
OPTIMIZERS: dict[str, MakeOptimizer] = {
    "adam": lambda masks: Adam(masks, lr=bench.LR),
    "momentum": lambda masks: SGD(masks, lr=0.05, momentum=0.9),
    "decay": lambda masks: SGD(masks, lr=0.05, momentum=0.9, weight_decay=1e-4),
}


def stretches(data: Dataset, ticket: Round, engine: str, optimizer: MakeOptimizer, steps: int) -> np.ndarray:
    """Return the median seconds of a step in each stretch of a training run."""
    net, place = nets.lenet_300_100(), Place()
    shown = data.sample(np.float32)
    made = plan(net, CLASSIFY, ticket.start, ticket.masks, optimizer, engine, shown, 1)
    taken = np.empty(steps)
    for step, (inputs, targets) in enumerate(islice(minibatches(data.prepared(made.prepare), place), steps)):
        began = time.perf_counter()
        made.step(inputs, targets, TrainingStep(place, step))
        taken[step] = time.perf_counter() - began
    return np.median(taken.reshape(STRETCHES, -1), axis=1)


def minibatches(data: Dataset, place: Place) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield inputs and targets, epoch after epoch."""
    for epoch in count():
        for examples in epoch_order(len(data.train), BATCH, place, epoch).swapaxes(0, 1):
            inputs = data.train.inputs.take(examples, axis=0)
            yield data.floats(inputs, np.float32), data.train.targets.take(examples, axis=0)


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--steps", type=int, default=20_000, help="of each training run, a multiple of twenty")
    args = bench.parse(parser)
    steps, data = 40 if args.quick else args.steps, datasets.mnist()
    tickets = bench.lenet_tickets(data, args.quick)
    columns = {"engine": "", "optimizer": "", "density": ".1%", "first_ms": ".3f", "last/first": ".2f",
               "slowest/first": ".2f", "noise": ".2f"}  # fmt: skip
    table = bench.Table("Steps, late against early", columns)
    for engine in ("fast", "plain"):
        for name, optimizer in OPTIMIZERS.items():
            for ticket in (tickets[0], tickets[-1] if args.quick else tickets[15]):
                ms = 1e3 * stretches(data, ticket, engine, optimizer, steps)
                noise = np.exp(abs(np.diff(np.log(ms))).max())
                table.add(engine=engine, optimizer=name, density=density(ticket.masks).item(), first_ms=ms[0],
                          stretches_ms=ms.tolist(), noise=noise,
                          **{"last/first": ms[-1] / ms[0], "slowest/first": ms.max() / ms[0]})  # fmt: skip
    results.save(args, data, {"late": table})


if __name__ == "__main__":
    main()
