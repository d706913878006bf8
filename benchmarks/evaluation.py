"""Evaluating LeNet-300-100 on MNIST's 5,000 validation images, ours against PyTorch eager, on one thread.

    python benchmarks/evaluation.py [--pairs 15] [--json FILE]

Loss and accuracy of the dense network and of real tickets: the plain engine, the fast one as `npticket.train.fit` has
it evaluate, and PyTorch in inference mode, with floats made beforehand and the number of images at a time that is best
for it here. Ratios are time(PyTorch) / time(fast), so above 1 we are faster. Without PyTorch it prints our times only.
"""

from functools import partial
from typing import Any

import bench
import numpy as np
import our_lenet

from npticket import datasets, nets
from npticket.engine import ENGINES
from npticket.prune import density

try:
    import torch_lenet
except ImportError:
    torch_lenet = None

DENSITIES = (1, 0.51, 0.21, 0.087, 0.036, 0.012)
CHUNKS = (100, 250, 500, 1000, 5000)
COLUMNS = {"density": ".1%", "plain_ms": ".2f", "fast_ms": ".2f", "torch_ms": ".2f", "ratio": ".2f", "low": ".2f",
           "high": ".2f"}  # fmt: skip


def best_chunk(training: Any, pairs: int) -> tuple[int, bench.Table]:
    """Return how many images at a time PyTorch likes best, and the times of all choices."""
    turns = {str(chunk): partial(training.validate, chunk) for chunk in CHUNKS}
    table = bench.Table("PyTorch, dense network", {"images_at_a_time": ",d", "torch_ms": ".2f"})
    for chunk, times in bench.take_turns(turns, pairs).items():
        table.add(images_at_a_time=int(chunk), torch_ms=1e3 * float(np.median(times)))
    return min(table.rows, key=lambda row: row["torch_ms"])["images_at_a_time"], table


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    args = parser.parse_args()
    if args.quick:
        args.pairs = 1
    data, net = datasets.mnist(), nets.lenet_300_100()
    tickets = bench.at_densities(bench.lenet_tickets(data, args.quick), DENSITIES)
    tables = {}
    if torch_lenet:
        tensors = torch_lenet.Tensors(data)
        peer = partial(torch_lenet.Training, net, data=tensors, lr=bench.LR)
        chunk, tables["chunks"] = best_chunk(peer(tickets[0].start, tickets[0].masks), args.pairs)
    table = tables["evaluation"] = bench.Table("evaluation", COLUMNS)
    for ticket in tickets:
        turns = {
            engine: our_lenet.Training(net, ticket.end, ticket.masks, data, bench.LR, engine).validate
            for engine in reversed(ENGINES)
        }
        if torch_lenet:
            turns["torch"] = partial(peer(ticket.end, ticket.masks).validate, chunk)
        taken = bench.take_turns(turns, args.pairs)
        row = {f"{side}_ms": 1e3 * float(np.median(times)) for side, times in taken.items()}
        row |= bench.ratio(taken["torch"], taken["fast"]) if torch_lenet else {}
        table.add(density=density(ticket.masks).item(), **row)
    bench.save(args, data, tables)


if __name__ == "__main__":
    main()
