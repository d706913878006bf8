"""One training step of LeNet-300-100 (batch 60, Adam, masks), ours against PyTorch eager, on one thread.

    python benchmarks/lenet_step.py [--pairs 15] [--block 40] [--json FILE]

All sides do the same work: gather 60 images as bytes, scale them, forward, softmax cross-entropy, backward, mask the
gradients, Adam (PyTorch: fused). The masks are those of a LeNet that was really pruned. Blocks of steps take turns in
one process; a ratio is the median over pairs of time(PyTorch) / time(ours), so above 1 we are faster.
Without PyTorch it prints our times only.
"""

from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Any

import bench
import numpy as np
import our_lenet

from npticket import datasets, nets
from npticket.engine import ENGINES
from npticket.prune import density

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


def turn(training: Any, batches: Sequence[Any], block: int) -> Callable[[], None]:
    """Return a function that takes the next `block` steps."""
    at = cycle(batches)

    def steps() -> None:
        for index in islice(at, block):
            training.step(index)

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
    net, order = nets.lenet_300_100(), list(islice(our_lenet.minibatches(len(data.train), BATCH), 900))
    tensors = torch_lenet.Tensors(data) if torch is not None else None
    table = bench.Table(f"a step of LeNet-300-100, batch {BATCH}, one thread", COLUMNS)
    for ticket in bench.at_densities(tickets, DENSITIES):
        given = (net, ticket.start, ticket.masks)
        sides = {e: turn(our_lenet.Training(*given, data, bench.LR, e), order, args.block) for e in ENGINES}
        if torch is not None:
            training = torch_lenet.Training(*given, tensors, bench.LR)
            sides["torch"] = turn(training, [torch.from_numpy(index) for index in order], args.block)
        taken = bench.take_turns(sides, args.pairs)
        row = {f"{side}_ms": 1e3 * float(np.median(seconds)) / args.block for side, seconds in taken.items()}
        for engine in ENGINES if torch is not None else ():
            found = bench.ratio(taken["torch"], taken[engine])
            row |= {f"{engine}_{name}": value for name, value in found.items()}
        table.add(density=density(ticket.masks).item(), **row)
    bench.save(args, data, {"steps": table})


if __name__ == "__main__":
    main()
