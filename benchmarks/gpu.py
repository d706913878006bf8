"""Many networks at once on a GPU: networks x steps per second of npticket (CuPy) and PyTorch.

    python benchmarks/gpu.py --save                                  on a machine with a GPU, CuPy and PyTorch
    python benchmarks/gpu.py --backend numpy --quick                 tries the script itself on the CPU

LeNet-300-100 (batch 60, Adam, images as bytes on the device) for T = 1 ... 128 networks in lock-step, against PyTorch
eager, compiled, captured in a CUDA graph (T = 1 each) and vmap over stacked networks (the same T); Conv-2, Conv-6,
Resnet-18 and VGG-19 for T = 1 ... 8 against our own convolutions by windows alone, PyTorch eager and as a graph, with
the shares of our layers in the time at T = 1. TF32 is off on both sides, or with --tf32 on on both. Then: how far a
LeNet trained for 200 steps on the device is from one trained on the CPU, in float64, and how far the float32 losses
are; and the time that moving the bytes of an Adam step takes at the device's copying speed, below which no step of many
networks can go.
"""

import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any
from unittest import mock

import bench
import numpy as np
import results

from npticket import backend, datasets, nets
from npticket.datasets import Dataset
from npticket.engine.gpu import layers as fused
from npticket.engine.gpu.layers import fused_layers
from npticket.engine.gpu.lockstep import Gpu
from npticket.engine.plain import Plain
from npticket.layers import Chain, Residual
from npticket.loss import softmax_cross_entropy
from npticket.optimizers import SGD, Adam
from npticket.params import Params
from npticket.prune import dense_masks
from npticket.streams import Place, TrainingStep, streams

try:
    import torch
    import torch_stacked
except ImportError:
    torch = None

BATCH = {"lenet_300_100": 60, "conv_2": 60, "conv_6": 60, "resnet_18": 128, "vgg_19": 64}
CONVOLUTIONAL = list(BATCH)[1:]
MANY = {"lenet_300_100": (1, 2, 4, 8, 16, 32, 64, 128)} | dict.fromkeys(CONVOLUTIONAL, (1, 2, 4, 8))
SECONDS = 1.0  # per measurement
ADAM_PASSES = 7  # g, p, m and v are read, p, m and v written, at the very least


def optimizer(name: str) -> Callable[[Params], Any]:
    """The paper's optimizer for a network."""
    if name in ("resnet_18", "vgg_19"):
        return partial(SGD, lr=0.01, momentum=0.9, weight_decay=1e-4)
    return partial(Adam, lr={"conv_2": 2e-4, "conv_6": 3e-4}.get(name, bench.LR))


def our_step(
    name: str,
    trials: int,
    images: Any,
    labels: Any,
    xp: Any,
    dtype: type = np.float32,
    body: Callable[[Any], Any] = lambda same: same,
) -> Callable[[], Any]:
    """Return a function that takes a step of all networks and returns their losses (T,), on the device.

    What runs is `body` of the network's layers.
    """
    net = getattr(nets, name)()
    net = replace(net, body=body(net.body))
    theta = net.init(streams(0, range(trials), "init"), dtype)
    theta = theta.to(xp)
    engine = Plain if xp is np else Gpu
    runner = engine(net, softmax_cross_entropy, theta, dense_masks(theta), optimizer(name))
    orders = backend.to_device(batches(len(labels), trials, BATCH[name]), xp)
    at = count()

    def step() -> Any:
        i = next(at)
        index = orders[i % len(orders)]
        x = xp.multiply(images.take(index, axis=0), 1 / 255, dtype=dtype)
        return runner.step(x, labels.take(index), TrainingStep(Place(0, range(trials), 0), i))

    step.runner = runner  # type: ignore[attr-defined]
    return step


def batches(examples: int, trials: int, batch: int, steps: int = 100) -> np.ndarray:
    """Numbers of examples, (steps, T, batch)."""
    return np.random.default_rng(0).integers(0, examples, (steps, trials, batch))


def rate(step: Callable[[], Any], wait: Callable[[], Any], trials: int, seconds: float) -> float:
    """Networks x steps per second, after a warm-up; `wait` returns when the device has done all that it was given."""

    def several(steps: int) -> float:
        began = time.perf_counter()
        for _ in range(steps):
            step()
        wait()
        return time.perf_counter() - began

    several(3)
    at_once = 1 + int(seconds / 20 / (several(3) / 3))  # so that waiting, which empties the device, hardly counts
    steps, taken = 0, 0.0
    while taken < seconds:
        taken += several(at_once)
        steps += at_once
    return trials * steps / taken


def compare(name: str, many: Sequence[int], data: Any, xp: Any, wait: Callable, seconds: float) -> bench.Table:
    """Networks x steps per second for each T."""
    images, labels = data
    peers = torch_stacked.peers(name, BATCH[name], images.shape[1:], backend.tf32()) if torch is not None else {}
    by_windows = {"windows": ",.0f"} if name in CONVOLUTIONAL and xp is not np else {}
    columns = {"trials": "d", "ours": ",.0f", **by_windows, **dict.fromkeys(peers, ",.0f")}
    table = bench.Table(f"{name}: networks x steps per second", columns)
    for trials in many:
        row = {"ours": rate(our_step(name, trials, images, labels, xp), wait, trials, seconds)}
        if by_windows:
            with mock.patch.object(fused, "WINOGRAD_CHANNELS", math.inf):
                row["windows"] = rate(our_step(name, trials, images, labels, xp), wait, trials, seconds)
        for peer, make in peers.items():
            try:
                made = make(trials)
                if made is not None:
                    row[peer] = rate(*made, trials, seconds)
            except Exception as error:  # whatever a peer cannot do here, the others are measured
                row[f"{peer}_failed"] = f"{type(error).__name__}: {error}"
                print(f"{peer}, T = {trials}: {row[f'{peer}_failed']}", file=sys.stderr)
        table.add(trials=trials, **row)
    return table


def now(xp: Any) -> Any:
    """A point in the work of a device, or in time where there is none."""
    if not hasattr(xp, "cuda"):
        return time.perf_counter()
    event = xp.cuda.Event()
    event.record()
    return event


def seconds_between(first: Any, second: Any, xp: Any) -> float:
    """From one `now` to another, once the device has come so far."""
    return xp.cuda.get_elapsed_time(first, second) / 1e3 if hasattr(xp, "cuda") else second - first


class Timed:
    """A layer that notes in `spans` its kind, and when each of its passes began and ended."""

    def __init__(self, layer: Any, spans: list[tuple], xp: Any) -> None:
        self.layout, self.init = layer.layout, layer.init
        self._layer, self._spans, self._xp = layer, spans, xp

    def forward(self, p: Any, x: Any, step: Any = None) -> tuple[Any, Callable]:
        y, backward = self._time(self._layer.forward, p, x, step)
        return y, partial(self._time, backward)

    def _time(self, call: Callable[..., Any], *args: Any) -> Any:
        began = now(self._xp)
        result = call(*args)
        self._spans.append((type(self._layer).__name__, began, now(self._xp)))
        return result


def timed_layers(layer: Any, *args: Any) -> Any:
    """The same network, each of its layers timed."""
    if isinstance(layer, Chain):
        return Chain(**{name: timed_layers(part, *args) for name, part in layer.layers.items()})
    if isinstance(layer, Residual):
        shortcut = None if layer.shortcut is None else timed_layers(layer.shortcut, *args)
        return Residual(timed_layers(layer.body, *args), shortcut)
    return Timed(layer, *args)


def shares(name: str, data: Any, xp: Any, wait: Callable[[], Any], steps: int) -> bench.Table:
    """What part of a step of one network goes into each kind of layer, forward and backward; the rest is `other`."""
    spans: list[tuple] = []
    ready = (lambda body: body) if xp is np else fused_layers
    step = our_step(name, 1, *data, xp, body=lambda body: timed_layers(ready(body), spans, xp))
    step()
    spans.clear()
    began = now(xp)
    for _ in range(steps):
        step()
    ended = now(xp)
    wait()
    spent: Counter = Counter()
    for kind, first, second in spans:
        spent[kind] += seconds_between(first, second, xp)
    whole = seconds_between(began, ended, xp)
    table = bench.Table(f"{name}: where the time of a step goes, T = 1", {"part": "s", "share": ".0%"})
    for part, taken in [*spent.most_common(), ("other", whole - spent.total())]:
        table.add(part=part, share=taken / whole)
    return table


def agreement(data: Any, xp: Any, steps: int) -> bench.Table:
    """How far training on the device is from training on the CPU."""
    table = bench.Table(f"device and CPU after {steps} steps", {"dtype": "s", "parameters": ".1e", "losses": ".1e"})
    host = [backend.to_host(part) for part in data]
    for dtype in (np.float64, np.float32):
        sides = [our_step("lenet_300_100", 1, *given, dtype) for given in ((*data, xp), (*host, np))]
        losses = np.array([[backend.to_host(side()) for side in sides] for _ in range(steps)])
        ends = [backend.to_host(end(side.runner, dtype, module)) for side, module in zip(sides, (xp, np), strict=True)]
        apart = abs(losses[:, 0] - losses[:, 1]).max()
        table.add(dtype=np.dtype(dtype).name, parameters=float(abs(ends[0] - ends[1]).max()), losses=float(apart))
    return table


def end(runner: Any, dtype: type, xp: Any) -> Any:
    """What a runner has come to: parameters (T, P) of LeNet."""
    out = Params.empty(nets.lenet_300_100().body.layout, 1, dtype, xp)
    runner.read(out)
    return out.flat


def limit(xp: Any, wait: Callable[[], Any], seconds: float, size: int) -> bench.Table:
    """What copying `size` bytes says about the fastest possible Adam step of many LeNets, more than a cache holds."""
    source, target = (xp.zeros(size // 4, np.float32) for _ in range(2))
    copies = rate(lambda: xp.copyto(target, source), wait, 1, seconds)
    speed = 2 * size * copies
    parameters = nets.lenet_300_100().init(streams(0, [0], "init")).flat.size
    table = bench.Table("memory", {"gb_per_s": ",.0f", "networks_x_steps": ",.0f"})
    table.add(gb_per_s=speed / 1e9, networks_x_steps=speed / (4 * parameters * ADAM_PASSES))
    return table


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--backend", choices=("cupy", "numpy"), default="cupy", help="numpy tries the script itself")
    parser.add_argument("--tf32", action="store_true", help="float32 products in TF32, on both sides")
    args = bench.parse(parser)
    os.environ["CUPY_TF32"] = str(int(args.tf32))
    try:
        xp = backend.load(args.backend)
    except (ImportError, RuntimeError) as error:
        parser.error(f"{error}; --backend numpy tries the script on the CPU")
    wait = xp.cuda.Device().synchronize if args.backend == "cupy" else lambda: None
    seconds, shorter = (0.02, 2) if args.quick else (SECONDS, None)
    data = datasets.mnist()
    args.engine = f"{'plain' if xp is np else 'fast'}, {args.backend}"
    tables = {"memory": limit(xp, wait, seconds, (64 if args.quick else 1024) << 20)}
    for name in ("lenet_300_100",) if args.quick else BATCH:
        pixels = on_device(data if name.startswith("lenet") else _noise(), xp)
        tables[name] = compare(name, MANY[name][:shorter], pixels, xp, wait, seconds)
        tables[f"{name}_shares"] = shares(name, pixels, xp, wait, 3 if args.quick else 20)
        results.save(args, data, tables)  # what is there is kept, whatever comes
    tables["agreement"] = agreement(on_device(data, xp), xp, 5 if args.quick else 200)
    results.save(args, data, tables)


def on_device(data: Dataset, xp: Any) -> tuple[Any, Any]:
    """Training images as bytes, and labels."""
    return backend.to_device(data.train.inputs, xp), backend.to_device(data.train.targets, xp)


def _noise() -> Dataset:
    """As many images as CIFAR-10 has; what they show does not matter to the time."""
    rng = np.random.default_rng(0)
    split = datasets.Split(rng.integers(0, 256, (50_000, 32, 32, 3), np.uint8), rng.integers(0, 10, 50_000))
    return Dataset("noise", split, split.take(slice(9)), split.take(slice(9)), classes=10, source="drawn")


if __name__ == "__main__":
    main()
