"""Predicting with a pruned LeNet-300-100 as `to_sparse` exports it, against the dense network, on one thread.

    python benchmarks/sparse_predict.py [--pairs 15] [--save]

The ratio is the time of the plain network, whose pruned weights are zeros among the others, by the time of the exported
ticket, so above 1 the ticket is faster. Both predict up to 1,000 images of MNIST's test set at a time. Bytes are those
of the ticket's file; `smaller` is how many times they go into an .npz file of all parameters. `labels` is the share of
the test images on which the two agree.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import bench
import numpy as np
import results

from npticket import datasets, nets
from npticket.export import to_sparse
from npticket.prune import density
from npticket.tickets import Round

DENSITIES = (1, 0.51, 0.21, 0.087, 0.036, 0.012, 0.005)
BATCHES = (1, 60, 1000, 10_000)
AT_ONCE = 1000
COLUMNS = {"density": ".1%", "batch": ",d", "dense_us": ",.0f", "sparse_us": ",.0f", "ratio": ".2f", "low": ".2f",
           "high": ".2f", "bytes": ",d", "smaller": ".1f", "labels": ".2%"}  # fmt: skip


def in_chunks(predict: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """Predict AT_ONCE images at a time."""
    return np.concatenate([predict(x[i : i + AT_ONCE]) for i in range(0, len(x), AT_ONCE)])


def file_size(write: Callable[[Path], None]) -> int:
    """How many bytes the file has that is written."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.npz"
        write(path)
        return path.stat().st_size


def compare(round: Round, images: np.ndarray, pairs: int, table: bench.Table) -> None:
    """Add a row for each batch size."""
    net, theta = nets.lenet_300_100(), round.end
    ticket = to_sparse(net, theta, round.masks)
    dense = lambda x: net.predict(theta, x[None])[0]  # noqa: E731
    few, all_of_them = file_size(ticket.save), file_size(lambda path: np.savez(path, theta=theta.flat))
    agree = (in_chunks(dense, images).argmax(axis=1) == ticket.predict(images).argmax(axis=1)).mean()
    for batch in BATCHES:
        x, repeats = images[:batch], max(1, 600 // batch)  # a turn of less than a millisecond says little
        taken = bench.take_turns(
            {
                "dense": lambda: [in_chunks(dense, x) for _ in range(repeats)],
                "sparse": lambda: [ticket.predict(x) for _ in range(repeats)],
            },
            pairs,
        )
        microseconds = {f"{side}_us": 1e6 * float(np.median(t)) / repeats for side, t in taken.items()}
        table.add(density=density(round.masks).item(), batch=len(x), **microseconds,
                  **bench.ratio(taken["dense"], taken["sparse"]), bytes=few, smaller=all_of_them / few,
                  labels=float(agree))  # fmt: skip


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    args = bench.parse(parser)
    if args.quick:
        args.pairs = 2
    data = datasets.mnist()
    images = data.floats(data.test.inputs, np.float32)
    tickets = bench.at_densities(bench.lenet_tickets(data, args.quick), DENSITIES)
    table = bench.Table("prediction", COLUMNS)
    for round in tickets:
        compare(round, images, args.pairs, table)
    results.save(args, data, {"prediction": table})


if __name__ == "__main__":
    main()
