"""Which input scaling reproduces the paper's dense networks?

    python benchmarks/input_scaling.py [--net conv_2] [--trials 5] [--steps 20000] [--jobs 2] [--save]
    python benchmarks/tables.py --into docs/results/input_scaling.md

The paper does not say how pixels enter the network. Read by eye, its dense LeNet-300-100 reaches 98.0 % on MNIST's test
set at early stopping, near step 4,500 (Frankle & Carbin 2019, Figure 1), its Conv-2 65.7 % on CIFAR-10's, near step
2,300 (Figure 5). Printed are mean, least and most over the trials of the early-stopping step, the test accuracy there,
and the test accuracy at the end.
"""

import dataclasses
from functools import partial

import bench
import results

from npticket import datasets, nets
from npticket.datasets import cifar
from npticket.experiments.workers import Workers
from npticket.optimizers import Adam
from npticket.prune import dense_masks
from npticket.record import join_trials
from npticket.streams import Place, streams
from npticket.task import CLASSIFY
from npticket.train import Setting, fit

SCALINGS = {
    "p / 255": {"scale": 1 / 255, "shift": 0.0},
    "mean 0, std 1": {"scale": 1 / 255 / 0.3081, "shift": -0.1307 / 0.3081},  # (p / 255 - 0.1307) / 0.3081
}
OF_CIFAR = {**SCALINGS, "mean 0, std 1": {"scale": 1 / 255 / cifar.STD, "shift": -cifar.MEAN / cifar.STD}}
NETS = {  # data, scalings, Adam's learning rate in the paper
    "lenet_300_100": (datasets.mnist, SCALINGS, bench.LR),
    "conv_2": (datasets.cifar10, OF_CIFAR, 2e-4),
}
MEASURED = {"stop": ("early_stop_step", ",.0f"), "test_acc": ("early_stop_test_acc", ".2%"),
            "end_acc": ("final_test_acc", ".2%")}  # fmt: skip


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--net", choices=NETS, default="lenet_300_100", help="LeNet on MNIST, Conv-2 on CIFAR-10")
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, default=2)
    args = bench.parse(parser)
    args.chosen.pop("jobs", None)  # as many processes as there are give the same figures
    if args.quick:
        args.trials, args.steps, args.jobs = 1, 20, 1
    load, scalings, lr = NETS[args.net]
    data, net = load(), getattr(nets, args.net)()
    theta0 = net.init(streams(0, range(args.trials), "init"))
    columns = {f"{name}{part}": form for name, (_, form) in MEASURED.items() for part in ("", "_least", "_most")}
    table = bench.Table(f"{args.trials} trials of {args.steps:,} steps", {"network_input": ""} | columns)
    for name, scaling in scalings.items():
        scaled, setting = dataclasses.replace(data, **scaling), Setting(partial(Adam, lr=lr), args.steps)
        with Workers(partial(fit, net, CLASSIFY, data=scaled, setting=setting), args.jobs) as workers:
            runs = [
                workers.submit(start=theta0.trial(t), masks=dense_masks(theta0.trial(t)), place=Place(trials=[t]))
                for t in range(args.trials)
            ]
            result = join_trials([run.result() for run in runs])
        row = {}
        for measure, (field, _) in MEASURED.items():
            values = result[field]
            row |= {measure: values.mean().item(), f"{measure}_least": values.min().item()}
            row |= {f"{measure}_most": values.max().item()}
        table.add(network_input=name, **row)
    results.save(args, data, {"scalings": table}, args.jobs)


if __name__ == "__main__":
    main()
