"""Which input scaling reproduces the paper's dense LeNet-300-100?  Prints a table.

    python benchmarks/input_scaling.py [--trials 5] [--steps 20000] [--jobs 2]

The paper does not say how MNIST's pixels enter the network. Its dense network reaches 98.0 % on the test set at
early stopping, near step 4,500 (Frankle & Carbin 2019, Figure 1, read by eye).
"""

import argparse
import dataclasses
from functools import partial

from npticket import datasets, nets
from npticket.optimizers import Adam
from npticket.prune import dense_masks
from npticket.streams import streams
from npticket.train import fit
from npticket.workers import Workers

SCALINGS = {
    "p / 255": {"scale": 1 / 255, "shift": 0.0},
    "(p / 255 - 0.1307) / 0.3081": {"scale": 1 / 255 / 0.3081, "shift": -0.1307 / 0.3081},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    data, net = datasets.mnist(), nets.lenet_300_100()
    theta0 = net.init(streams(0, range(args.trials), "init"))
    print(f"{data.name} {data.caveat}, {args.trials} trials of {args.steps:,} steps; mean (min-max)")
    print(f"{'network input':30}{'early stop at step':>26}{'test acc there':>26}{'at the end':>26}")
    for name, scaling in SCALINGS.items():
        train = partial(
            fit, net, data=dataclasses.replace(data, **scaling), optimizer=partial(Adam, lr=1.2e-3), steps=args.steps
        )
        with Workers(train, args.jobs) as workers:
            result = workers.start(theta0, dense_masks(theta0), round=0).result()
        columns = [
            f"{values.mean():{form}} ({values.min():{form}}-{values.max():{form}})"
            for values, form in (
                (result.early_stop_step, ",.0f"),
                (result.early_stop_test_acc, ".2%"),
                (result.final_test_acc, ".2%"),
            )
        ]
        print(f"{name:30}" + "".join(f"{column:>26}" for column in columns), flush=True)


if __name__ == "__main__":
    main()
