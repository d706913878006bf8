"""Evaluating LeNet-300-100 on MNIST's 5,000 validation images, ours against PyTorch and JAX, on one thread.

    python benchmarks/evaluation.py [--pairs 15] [--save]

Loss and accuracy of the dense network and of real tickets: the plain engine, the fast one as `npticket.train.fit` has
it evaluate, and peers with floats made beforehand and the number of images at a time that is best for each here
(PyTorch in inference mode). Ratios are time(peer) / time(fast), so above 1 we are faster. Without peers it prints our
times only.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import bench
import numpy as np
import results
import sides

from npticket import datasets, nets
from npticket.engine import ENGINES
from npticket.optimizers import Adam
from npticket.prune import density
from npticket.tickets import Round

DENSITIES = (1, 0.51, 0.21, 0.087, 0.036, 0.012)
CHUNKS = (100, 250, 500, 1000, 5000)


def best_chunk(validate: Callable[[int], Any], pairs: int, table: bench.Table, peer: str) -> int:
    """Return how many images at a time a peer likes best; add the times of all choices to the table."""
    turns = {str(chunk): partial(validate, chunk) for chunk in CHUNKS}
    times = {int(chunk): float(np.median(taken)) for chunk, taken in bench.take_turns(turns, pairs).items()}
    for chunk, seconds in times.items():
        table.add(peer=peer, images_at_a_time=chunk, ms=1e3 * seconds)
    return min(times, key=lambda chunk: times[chunk])


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    args = bench.parse(parser)
    if args.quick:
        args.pairs = 1
    data, net, optimizer = datasets.mnist(), nets.lenet_300_100(), partial(Adam, lr=bench.LR)
    tickets = bench.at_densities(bench.lenet_tickets(data, args.quick), DENSITIES)
    peers = sides.installed(["torch", "jax"])

    def validations(ticket: Round) -> dict[str, Callable[..., Any]]:
        trainings = sides.trainings(peers, net, ticket.end, ticket.masks, data, optimizer)
        return {name: training.validate for name, training in trainings.items()}

    columns = {"peer": "s", "images_at_a_time": ",d", "ms": ".2f"}
    chunks = bench.Table("how many images at a time peers like best, dense network", columns)
    dense = validations(tickets[0])
    best = {peer: best_chunk(dense[peer], args.pairs, chunks, peer) for peer in peers}
    columns = {"density": ".1%"} | bench.columns([*ENGINES, *peers], digits=2)
    table = bench.Table("evaluation", columns)
    for ticket in tickets:
        turns = {n: partial(call, best[n]) if n in best else call for n, call in validations(ticket).items()}
        table.add(density=density(ticket.masks).item(), **bench.compare(bench.take_turns(turns, args.pairs)))
    results.save(args, data, {"chunks": chunks, "evaluation": table})


if __name__ == "__main__":
    main()
