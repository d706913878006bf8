"""One training step of LeNet-300-100 (batch 60, Adam, masks), ours against PyTorch eager, on one thread.

    python benchmarks/lenet_step.py [--pairs 15] [--block 40] [--json FILE]

All sides do the same work: gather 60 images as bytes, scale them, forward, softmax cross-entropy, backward, mask the
gradients, Adam (PyTorch: fused). The masks are those of a LeNet that was really pruned. Blocks of steps take turns in
one process; a ratio is the median over pairs of time(PyTorch) / time(ours), so above 1 we are faster.
Without PyTorch it prints our times only.
"""

from collections.abc import Callable
from functools import partial

import bench
import numpy as np

from npticket import datasets, nets
from npticket.datasets import Dataset
from npticket.engine import ENGINES, plan
from npticket.optimizers import Adam
from npticket.prune import density
from npticket.streams import TrainingStep
from npticket.tickets import Round

try:
    import torch
    import torch_lenet
except ImportError:
    torch = None

BATCH = 60
DENSITIES = (1, 0.8, 0.51, 0.21, 0.087, 0.036, 0.023, 0.012)
COLUMNS = {
    "density": ".1%", "plain_ms": ".3f", "fast_ms": ".3f", "torch_ms": ".3f", "plain_ratio": ".2f",
    "fast_ratio": ".2f", "fast_low": ".2f", "fast_high": ".2f",
}  # fmt: skip


def our_block(engine: str, ticket: Round, data: Dataset, order: np.ndarray, block: int) -> Callable[[], None]:
    """Return a function that takes `block` steps with one of our engines."""
    shown = data.floats(data.train.images[::50], np.float32)
    runner = plan(nets.lenet_300_100(), ticket.start, ticket.masks, partial(Adam, lr=bench.LR), engine, shown)
    train = data.seen(runner.see).train
    at = iter(range(10**9))

    def steps() -> None:
        for _ in range(block):
            i = next(at)
            index = order[None, i % len(order)]
            x = data.floats(train.images.take(index, axis=0), np.float32)
            runner.step(x, train.labels.take(index), TrainingStep(0, [0], 0, i))

    return steps


def torch_block(ticket: Round, data: Dataset, order: np.ndarray, block: int) -> Callable[[], None]:
    """Return a function that takes `block` steps with PyTorch."""
    training = torch_lenet.Training(
        nets.lenet_300_100(), ticket.start, ticket.masks, torch_lenet.Tensors(data), bench.LR
    )
    batches = torch.from_numpy(order)
    at = iter(range(10**9))

    def steps() -> None:
        for _ in range(block):
            training.step(batches[next(at) % len(batches)])

    return steps


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--block", type=int, default=40, help="steps in a turn")
    args = parser.parse_args()
    if args.quick:
        args.pairs, args.block = 2, 2
    data = datasets.mnist()
    tickets = bench.lenet_tickets(data, args.quick)
    examples = np.random.default_rng(0).permutation(len(data.train))
    order = examples[: len(examples) // BATCH * BATCH].reshape(-1, BATCH)
    table = bench.Table(f"a step of LeNet-300-100, batch {BATCH}, one thread", COLUMNS)
    for ticket in bench.at_densities(tickets, DENSITIES):
        sides = {engine: our_block(engine, ticket, data, order, args.block) for engine in ENGINES}
        if torch is not None:
            sides["torch"] = torch_block(ticket, data, order, args.block)
        taken = bench.take_turns(sides, args.pairs)
        row = {f"{side}_ms": 1e3 * float(np.median(seconds)) / args.block for side, seconds in taken.items()}
        for engine in ENGINES if torch is not None else ():
            found = bench.ratio(taken["torch"], taken[engine])
            row |= {f"{engine}_{name}": value for name, value in found.items()}
        table.add(density=density(ticket.masks).item(), **row)
    bench.save(args, data, {"steps": table})


if __name__ == "__main__":
    main()
