"""One training step of the paper's convolutional networks, ours against PyTorch eager, with the same threads.

    python benchmarks/conv_step.py [--threads 1] [--pairs 7] [--block 2] [--nets conv_2 ...] [--json FILE]

A step is forward, softmax cross-entropy, backward and the optimizer, in float32 (Conv-n: Adam, batch 60; Resnet-18: SGD
with momentum and weight decay, batch 128; VGG-19: the same, batch 64), from images in memory to changed weights. Blocks
of steps take turns in one process: the engine and the plain layers (with one thread only) against PyTorch with its
fused optimizers, in its default memory layout and in channels_last. A ratio is the median over pairs of time(PyTorch) /
time(engine), so above 1 we are faster. The first table says, before anything is timed, how far the gradients of one
step are from PyTorch's, in float64; the last where the engine's time goes, by module. Without PyTorch it prints our
times only.
"""

import cProfile
import pstats
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import bench
import numpy as np
from check_gradients import ENGINES, disagreements

from npticket import nets
from npticket.datasets import Dataset, Split
from npticket.loss import softmax_cross_entropy
from npticket.optimizers import SGD, Adam
from npticket.prune import dense_masks
from npticket.streams import Place, TrainingStep, streams

try:
    import torch
    from torch_twin import Twin
except ImportError:
    torch = None

NETS = "conv_2", "conv_4", "conv_6", "resnet_18", "vgg_19"
BATCH = {"resnet_18": 128, "vgg_19": 64}
LAYOUTS = "channels_last", "default"
COLUMNS = {
    "net": "", "batch": "d", "plain_ms": ".1f", "fast_ms": ".1f", "channels_last_ms": ".1f", "default_ms": ".1f",
    "plain_ratio": ".2f", "ratio": ".2f", "low": ".2f", "high": ".2f", "default_ratio": ".2f",
}  # fmt: skip
MODULES = (
    "winograd_rows", "winograd_whole", "two_by_two", "strided", "im2col", "winograd", "weights", "outputs", "maps",
    "layout", "optimizers",
)  # fmt: skip


def our_step(name: str, engine: str, images: Split, threads: int) -> Callable[[], Any]:
    """Return a function that takes a step on the whole of `images`."""
    net = getattr(nets, name)()
    theta = net.init(streams(0, [0], "init"))
    if name.startswith("conv"):
        optimizer = partial(Adam, lr=2e-4)
    else:
        optimizer = partial(SGD, lr=0.01, momentum=0.9, weight_decay=1e-4)
    options = {"threads": threads} if engine == "fast" else {}
    runner = ENGINES[engine](net, softmax_cross_entropy, theta, dense_masks(theta), optimizer, **options)
    return lambda: runner.step(images.inputs[None], images.targets[None], TrainingStep(Place(), 0))


def torch_step(name: str, layout: str, images: Split, threads: int) -> Callable[[], Any]:
    """The same with PyTorch, from the same weights."""
    torch.set_num_threads(threads)
    memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    net = getattr(nets, name)()
    module = Twin(net, net.init(streams(0, [0], "init"))).module.to(memory_format=memory)
    x = torch.from_numpy(images.inputs).permute(0, 3, 1, 2).contiguous(memory_format=memory)
    labels = torch.from_numpy(images.targets)
    if name.startswith("conv"):
        optimizer = torch.optim.Adam(module.parameters(), lr=2e-4, fused=True)
    else:
        optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(module(x), labels).backward()
        optimizer.step()

    return step


def repeat(step: Callable[[], Any], block: int) -> Callable[[], None]:
    """Return a function that takes `block` steps."""

    def steps() -> None:
        for _ in range(block):
            step()

    return steps


def measure(name: str, images: Split, args: Any) -> dict[str, Any]:
    """Time all sides; return a row of the table."""
    sides = {e: our_step(name, e, images, args.threads) for e in ENGINES if e == "fast" or args.threads == 1}
    if torch is not None:
        sides |= {layout: torch_step(name, layout, images, args.threads) for layout in LAYOUTS}
    taken = bench.take_turns({side: repeat(step, args.block) for side, step in sides.items()}, args.pairs)
    row = {f"{side}_ms": 1e3 * float(np.median(seconds)) / args.block for side, seconds in taken.items()}
    if torch is not None:
        row |= bench.ratio(taken["channels_last"], taken["fast"])
        row["default_ratio"] = bench.ratio(taken["default"], taken["fast"])["ratio"]
        if "plain" in taken:
            row["plain_ratio"] = bench.ratio(taken["channels_last"], taken["plain"])["ratio"]
    return {"net": name, "batch": len(images), **row}


def where_time_goes(name: str, images: Split) -> dict[str, float]:
    """Return by module of the engine the fraction of a step, on one thread, that its own lines take."""
    step = our_step(name, "fast", images, 1)
    step()
    profile = cProfile.Profile(builtins=False)  # what NumPy takes counts for the line that calls it
    profile.runcall(repeat(step, 3))
    spent = Counter()
    for (path, _, _), (_, _, seconds, _, _) in pstats.Stats(profile).stats.items():
        module = Path(path).stem
        spent[module if module in MODULES else "other"] += seconds
    return {module: seconds / spent.total() for module, seconds in spent.items()}


def random_images(count: int) -> Split:
    """Images and labels that any network is as fast with as with real ones."""
    rng = np.random.default_rng(0)
    return Split(rng.random((count, 32, 32, 3), dtype=np.float32), rng.integers(0, 10, count))


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--threads", type=int, default=1, choices=(1, 2), help="of ours and of PyTorch")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--block", type=int, default=2, help="steps in a turn")
    parser.add_argument("--nets", nargs="+", default=NETS, choices=NETS)
    args = parser.parse_args()
    if args.quick:
        args.pairs, args.block, args.nets = 2, 1, ["conv_2"]
    tables = {}
    if torch is not None:
        tables["gradients"] = bench.Table(
            "largest difference from PyTorch's gradients", {"net": "", "plain": ".1e", "fast": ".1e"}
        )
        for name in args.nets:
            tables["gradients"].add(net=name, **disagreements(getattr(nets, name)(), 4))
    tables["steps"] = bench.Table(f"a training step, {args.threads} thread(s)", COLUMNS)
    for name in args.nets:
        tables["steps"].add(**measure(name, random_images(4 if args.quick else BATCH.get(name, 60)), args))
    tables["shares"] = bench.Table(
        "where the engine's time goes, one thread", {"net": "", **dict.fromkeys([*MODULES, "other"], ".0%")}
    )
    for name in args.nets:
        tables["shares"].add(net=name, **where_time_goes(name, random_images(BATCH.get(name, 60))))
    shown = random_images(max(BATCH.values()))
    bench.save(args, Dataset("random", shown, shown, shown, 10, "drawn from seed 0"), tables)


if __name__ == "__main__":
    main()
