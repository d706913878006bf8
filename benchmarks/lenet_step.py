"""One training step of LeNet-300-100 (batch 60, Adam, masks), ours against PyTorch eager, on one thread.

    python benchmarks/lenet_step.py [--pairs 15] [--block 40] [--json FILE]

Both sides do the same work: gather 60 uint8 images, scale them, forward, softmax cross-entropy, backward, mask the
gradients, Adam (PyTorch: fused). Blocks of steps alternate in one process; the ratio is the median over pairs of
time(PyTorch) / time(ours), so above 1 we are faster. Without PyTorch it prints our time only.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from functools import partial

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = "1"  # before NumPy is imported

import numpy as np

from npticket import nets
from npticket.engine import plan
from npticket.optimizers import Adam
from npticket.params import Params
from npticket.prune import dense_masks, density, magnitude, prune_layerwise
from npticket.streams import TrainingStep, streams
from npticket.tickets import rewind

try:
    import torch
except ImportError:
    torch = None

BATCH, IMAGES, LR = 60, 55_000, 1.2e-3
ROUNDS = (0, 1, 3, 7, 15)  # of pruning 20 %: 100, 80, 51, 21 and 3.6 % of the weights


def numpy_step(theta: Params, masks: Params, images: np.ndarray, labels: np.ndarray, order: np.ndarray) -> Callable:
    """Return a function that takes step number i."""
    runner = plan(nets.lenet_300_100(), theta, masks, partial(Adam, lr=LR))

    def step(i: int) -> None:
        index = order[None, i % len(order)]
        x = np.multiply(images.take(index, axis=0), 1 / 255, dtype=np.float32)
        runner.step(x, labels.take(index), TrainingStep(0, [0], 0, i))

    return step


def torch_step(theta: Params, masks: Params, images: np.ndarray, labels: np.ndarray, order: np.ndarray) -> Callable:
    """Return a function that takes step number i."""
    torch.set_num_threads(1)
    linear = [torch.nn.Linear(i, o) for i, o in ((784, 300), (300, 100), (100, 10))]
    model = torch.nn.Sequential(linear[0], torch.nn.ReLU(), linear[1], torch.nn.ReLU(), linear[2])
    with torch.no_grad():
        for layer, name in zip(linear, ("fc1", "fc2", "out"), strict=True):
            layer.weight.copy_(torch.from_numpy(theta[f"{name}/W"][0].T.copy()))
            layer.bias.zero_()
    some_pruned = not masks.flat.all()
    keep = [torch.from_numpy(masks[f"{name}/W"][0].T.astype(np.float32)) for name in ("fc1", "fc2", "out")]
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=True)
    loss_function = torch.nn.CrossEntropyLoss()
    x_all = torch.from_numpy(images.reshape(len(images), -1))
    y_all, order = torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(order)

    def step(i: int) -> None:
        index = order[i % len(order)]
        x = x_all[index].to(torch.float32).mul_(1 / 255)
        optimizer.zero_grad(set_to_none=True)
        loss_function(model(x), y_all[index]).backward()
        if some_pruned:
            torch._foreach_mul_([layer.weight.grad for layer in linear], keep)
        optimizer.step()

    return step


def timed(step: Callable, first: int, block: int) -> float:
    """Seconds per step over a block of steps."""
    began = time.perf_counter()
    for i in range(first, first + block):
        step(i)
    return (time.perf_counter() - began) / block


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--block", type=int, default=40)
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    # Timing does not depend on what the pixels show; MNIST's are black for four fifths.
    images = rng.integers(1, 256, (IMAGES, 28, 28), dtype=np.uint8) * (rng.random((IMAGES, 28, 28)) < 0.2)
    labels = rng.integers(0, 10, IMAGES, dtype=np.uint8)
    order = rng.permutation(IMAGES)[: IMAGES // BATCH * BATCH].reshape(-1, BATCH)
    net = nets.lenet_300_100()
    theta0 = net.init(streams(0, [0], "init"))
    masks, rows = dense_masks(theta0), []
    torch_version = torch.__version__ if torch else "not installed"
    print(f"{platform.machine()}, NumPy {np.__version__}, PyTorch {torch_version}, 1 thread each; ms per step, medians")
    print(f"{'weights':>9}{'ours':>8}{'PyTorch':>9}{'ratio':>7}   (PyTorch / ours, quartiles)")
    for round in range(max(ROUNDS) + 1):
        if round in ROUNDS:
            sides = [numpy_step] + [torch_step] * (torch is not None)
            steps = [side(rewind(theta0, masks), masks, images, labels, order) for side in sides]
            for step in steps:
                timed(step, 0, args.block)  # warm-up
            times = np.array([[timed(s, p * args.block, args.block) for s in steps] for p in range(args.pairs)])
            row = {"density": density(masks).item(), "numpy_ms": 1e3 * float(np.median(times[:, 0]))}
            line = f"{row['density']:9.1%}{row['numpy_ms']:8.3f}"
            if torch is not None:
                low, middle, high = np.percentile(times[:, 1] / times[:, 0], [25, 50, 75])
                row |= {"torch_ms": 1e3 * float(np.median(times[:, 1])), "ratio": float(middle)}
                line += f"{row['torch_ms']:9.3f}{middle:7.2f}   ({low:.2f}-{high:.2f})"
            print(line, flush=True)
            rows.append(row)
        masks = prune_layerwise(magnitude(theta0), masks, net.rates)
    if args.json:
        machine = {"machine": platform.platform(), "numpy": np.__version__, "torch": torch_version, "threads": 1}
        with open(args.json, "w") as file:
            json.dump({"benchmark": "lenet_step", **machine, "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
