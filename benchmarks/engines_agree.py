"""Do the engines find the same tickets? Iterative pruning of LeNet-300-100 on MNIST, once with each, side by side.

    python benchmarks/engines_agree.py [--rounds 6] [--steps 2000] [--trials 3] [--save]

The fast engine adds up in another order than the layers do, so that in float32 the last bit of a sum differs, and
training enlarges that. Per round: how many of the parameters that survive with one were pruned with the other, and the
test accuracy at early stopping of both. The first row is the dense network, the next the first pruning. In float64 both
paths prune the same weights, which the tests check.
"""

from functools import partial
from itertools import islice

import bench
import numpy as np
import results

from npticket import datasets, nets
from npticket.datasets import Dataset
from npticket.engine import ENGINES
from npticket.optimizers import Adam
from npticket.params import Params
from npticket.prune import dense_masks, density
from npticket.streams import Place, streams
from npticket.task import CLASSIFY
from npticket.tickets import Round, find_tickets
from npticket.train import Setting, fit

COLUMNS = {"round": "d", "density": ".1%", "differ": ",d", "of": ",d", "share": ".2%", "fast_acc": ".2%",
           "plain_acc": ".2%"}  # fmt: skip


def pruned(engine: str, data: Dataset, trials: int, rounds: int, steps: int) -> list[tuple[Round, np.ndarray]]:
    """Return each round with its test accuracies at early stopping (T,)."""
    net, accuracies = nets.lenet_300_100(), []

    def train(start: Params, masks: Params) -> Params:
        setting = Setting(partial(Adam, lr=bench.LR), steps, engine=engine)
        found = fit(net, CLASSIFY, start, masks, data, setting, Place(trials=range(trials), round=len(accuracies)))
        accuracies.append(found["early_stop_test_acc"])
        return found.end

    theta0 = net.init(streams(0, range(trials), "init"))
    found = find_tickets(theta0, dense_masks(theta0), train=train, prune=bench.PRUNE)
    return list(zip(islice(found, rounds), accuracies, strict=False))


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=2000, help="per round")
    parser.add_argument("--trials", type=int, default=3)
    args = bench.parse(parser)
    if args.quick:
        args.rounds, args.steps, args.trials = 2, 3, 1
    data = datasets.mnist()
    runs = [pruned(engine, data, args.trials, args.rounds, args.steps) for engine in ENGINES]
    table = bench.Table(f"{args.trials} trials of {args.steps:,} steps", COLUMNS)
    for (fast, fast_acc), (plain, plain_acc) in zip(*runs, strict=True):
        differ = int(np.count_nonzero(fast.masks.flat & ~plain.masks.flat))
        of = int(np.count_nonzero(plain.masks.flat))
        row = {"round": fast.index, "density": density(fast.masks).mean(), "differ": differ, "of": of}
        table.add(**row, share=differ / of, fast_acc=fast_acc.mean(), plain_acc=plain_acc.mean())
    results.save(args, data, {"rounds": table})


if __name__ == "__main__":
    main()
