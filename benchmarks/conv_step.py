"""One training step of the paper's convolutional networks, ours against PyTorch eager, with the same threads.

    python benchmarks/conv_step.py [--threads 1] [--pairs 5] [--nets conv_2 ...] [--json FILE]

A step is forward, backward and the network's optimizer (Conv-n: Adam, batch 60; Resnet-18: SGD with momentum, batch
128; VGG-19: the same, batch 64). Ours and PyTorch's (its default layout, and channels_last) take turns; ratios are
medians over rounds of time(PyTorch) / time(ours), so above 1 we are faster. The last columns say where our time goes.
Without PyTorch it prints our time only.
"""

import argparse
import json
import os
import platform
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--threads", type=int, default=1, help="of BLAS and of PyTorch")
parser.add_argument("--pairs", type=int, default=5)
parser.add_argument("--nets", nargs="+", default=["conv_2", "conv_4", "conv_6", "resnet_18", "vgg_19"])
parser.add_argument("--json", help="also write the figures to this file")
args = parser.parse_args()
for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = str(args.threads)  # before NumPy is imported

import numpy as np

from npticket import layers, nets
from npticket.engine import plan
from npticket.optimizers import SGD, Adam
from npticket.prune import dense_masks
from npticket.streams import TrainingStep, streams

try:
    import torch
    from torch_twin import Twin
except ImportError:
    torch = None

BATCH = {"resnet_18": 128, "vgg_19": 64}


def numpy_step(name: str, net: nets.Net, x: np.ndarray, labels: np.ndarray) -> Callable:
    theta = net.init(streams(0, [0], "init"))
    runner = plan(net, theta, dense_masks(theta), our_optimizer(name))
    return lambda: runner.step(x, labels, TrainingStep(0, [0], 0, 0))


def our_optimizer(name: str) -> Callable:
    if name.startswith("conv"):
        return partial(Adam, lr=2e-4)
    return partial(SGD, lr=0.01, momentum=0.9, weight_decay=1e-4)


def torch_step(name: str, net: nets.Net, x: np.ndarray, labels: np.ndarray, layout: str) -> Callable:
    torch.set_num_threads(args.threads)
    module = Twin(net, net.init(streams(0, [0], "init"))).module
    memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    module = module.to(memory_format=memory)
    images = torch.from_numpy(x[0]).permute(0, 3, 1, 2).contiguous(memory_format=memory)
    targets = torch.from_numpy(labels[0])
    if name.startswith("conv"):
        optimizer = torch.optim.Adam(module.parameters(), lr=2e-4, fused=True)
    else:
        optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(module(images), targets).backward()
        optimizer.step()

    return step


def seconds(step: Callable) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


class Shares:
    """Adds up where the time of our steps goes, by wrapping what they call."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self.undo: list[Callable] = []

    def watch(self, owner: object, name: str, label: str) -> None:
        real = getattr(owner, name)

        def timed(*arguments, **keywords):
            began = time.perf_counter()
            try:
                return real(*arguments, **keywords)
            finally:
                self.spent[label] += time.perf_counter() - began

        setattr(owner, name, timed)
        self.undo.append(lambda: setattr(owner, name, real))


def where_time_goes(step: Callable) -> dict[str, float]:
    """Fractions of a step spent in matrix products, columns, batch normalisation and the optimizer."""
    shares = Shares()
    shares.watch(layers.conv, "convolve", "conv")
    shares.watch(layers.conv, "weight_gradient", "conv")
    real = layers.conv.im2col

    def im2col(*arguments):
        inner = real(*arguments)
        while True:
            began = time.perf_counter()
            item = next(inner, None)
            shares.spent["columns"] += time.perf_counter() - began
            if item is None:
                return
            yield item

    layers.conv.im2col = im2col
    for name in ("_sum", "_affine"):
        shares.watch(layers.norm, name, "batch norm")
    for optimizer in (SGD, Adam):
        shares.watch(optimizer, "step", "optimizer")
    try:
        total = sum(seconds(step) for _ in range(2))
    finally:
        layers.conv.im2col = real
        for undo in shares.undo:
            undo()
    spent = {label: shares.spent[label] / total for label in ("columns", "batch norm", "optimizer")}
    return {"conv GEMM": (shares.spent["conv"] - shares.spent["columns"]) / total, **spent}


def main() -> None:
    version = torch.__version__ if torch else "not installed"
    print(f"{platform.machine()}, NumPy {np.__version__}, PyTorch {version}, {args.threads} thread(s); ms per step")
    print(f"{'':10}{'ours':>8}{'channels_last':>15}{'ratio':>7}{'default':>9}{'ratio':>7}   of our time")
    rows = []
    for name in args.nets:
        net, rng = getattr(nets, name)(), np.random.default_rng(0)
        batch = BATCH.get(name, 60)
        x = rng.random((1, batch, *net.input_shape), dtype=np.float32)
        labels = rng.integers(0, net.classes, (1, batch))
        steps = [numpy_step(name, net, x, labels)]
        if torch is not None:
            steps += [torch_step(name, net, x, labels, layout) for layout in ("channels_last", "default")]
        for step in steps:
            step()  # warm-up
        times = np.array([[seconds(step) for step in steps] for _ in range(args.pairs)])
        row = {"net": net.name, "batch": batch, "numpy_ms": 1e3 * float(np.median(times[:, 0]))}
        line = f"{net.name:10}{row['numpy_ms']:8.0f}"
        for i, layout in enumerate(("channels_last", "default")[: len(steps) - 1], start=1):
            row[f"{layout}_ms"] = 1e3 * float(np.median(times[:, i]))
            row[f"{layout}_ratio"] = float(np.median(times[:, i] / times[:, 0]))
            line += f"{row[f'{layout}_ms']:{15 if i == 1 else 9}.0f}{row[f'{layout}_ratio']:7.2f}"
        row["shares"] = where_time_goes(steps[0])
        line += "   " + ", ".join(f"{label} {share:.0%}" for label, share in row["shares"].items() if share > 0.005)
        print(line, flush=True)
        rows.append(row)
    if args.json:
        machine = {"machine": platform.platform(), "numpy": np.__version__, "torch": version, "threads": args.threads}
        with open(args.json, "w") as file:
            json.dump({"benchmark": "conv_step", **machine, "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
