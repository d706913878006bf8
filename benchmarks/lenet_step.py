"""One training step of LeNet-300-100 (batch 60, Adam, masks), ours against PyTorch and JAX, on one thread.

    python benchmarks/lenet_step.py [--peers torch jax ...] [--pairs 15] [--block 40] [--late 2000] [--save]

All sides do the same work: gather 60 images as bytes, scale them, forward, softmax cross-entropy, backward, mask the
gradients, Adam. The masks are those of a LeNet that was really pruned. Blocks of steps take turns in one process, from
the first step on, and once more after 2,000 steps of training: by then the moments of weights that seldom get a
gradient are subnormal numbers, which slow PyTorch down. A ratio is the median over pairs of time(peer) / time(engine),
so above 1 the engine is faster. Without peers it prints our times only.
"""

from functools import partial
from itertools import islice

import bench
import results
import sides
from sides.ours import minibatches

from npticket import datasets, nets
from npticket.engine import ENGINES
from npticket.optimizers import Adam
from npticket.prune import density

BATCH = 60
DENSITIES = (1, 0.8, 0.51, 0.21, 0.087, 0.036, 0.023, 0.012)
PEERS = ("torch", "flushed", "compiled", "jax")


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS, help="those that are installed")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--block", type=int, default=40, help="steps in a turn")
    parser.add_argument("--late", type=int, default=2000, help="steps before it is measured again")
    parser.add_argument("--densities", nargs="+", type=float, default=DENSITIES)
    args = bench.parse(parser)
    if args.quick:
        args.pairs, args.block, args.late = 2, 2, 8
    data = datasets.mnist()
    tickets = bench.lenet_tickets(data, args.quick)
    net, optimizer = nets.lenet_300_100(), partial(Adam, lr=bench.LR)
    early = (1 + args.pairs) * args.block  # steps of the first measurement, with the turns to warm up
    order = list(islice(minibatches(len(data.train), BATCH), max(early, args.late) + early))
    peers = sides.installed(args.peers)
    table = bench.Table(
        f"a step of LeNet-300-100, batch {BATCH}, one thread",
        {"density": ".1%", "after": ",d"} | bench.columns([*ENGINES, *peers]),
    )
    for ticket in bench.at_densities(tickets, args.densities):
        trainings = sides.trainings(peers, net, ticket.start, ticket.masks, data, optimizer)
        turns = {name: sides.turn(training, order, args.block) for name, training in trainings.items()}
        for after, missing in ((0, 0), (args.late, max(0, args.late - early))):
            for steps in turns.values():
                steps(missing)
            row = bench.compare(bench.take_turns(turns, args.pairs), args.block)
            table.add(density=density(ticket.masks).item(), after=after, **row)
    results.save(args, data, {"steps": table})


if __name__ == "__main__":
    main()
