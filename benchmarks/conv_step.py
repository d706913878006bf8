"""One training step of the paper's convolutional networks, ours against PyTorch and JAX, with the same threads.

    python benchmarks/conv_step.py [--threads 1] [--peers torch ...] [--nets conv_2 ...] [--pairs 7] [--save]

A step is forward, softmax cross-entropy, backward and the optimizer, in float32 (Conv-n: Adam, batch 60; Resnet-18: SGD
with momentum and weight decay, batch 128; VGG-19: the same, batch 64), from images in memory to changed weights. Blocks
of steps take turns in one process: the engine and the plain layers (with one thread only) against PyTorch eager with
channels_last ("torch") and its default layout ("nchw"), compiled, and JAX. A ratio is the median over pairs of
time(peer) / time(engine), so above 1 we are faster. The first table says, before anything is timed, how far the
gradients of one step are from PyTorch's, in float64; the last where the engine's time goes, by module. Without peers it
prints our times only.
"""

import cProfile
import pstats
from argparse import Namespace
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import bench
import numpy as np
import results
import sides
from check_gradients import disagreements

from npticket import nets
from npticket.datasets import Dataset, Split
from npticket.engine import ENGINES, conv
from npticket.optimizers import SGD, Adam
from npticket.prune import dense_masks
from npticket.streams import streams

NETS = "conv_2", "conv_4", "conv_6", "resnet_18", "vgg_19"
PEERS = ("torch", "nchw", "compiled", "jax")
BATCH = {"resnet_18": 128, "vgg_19": 64}
MODULES = sorted(file.stem for file in Path(conv.__file__).parent.glob("[!_]*.py"))


def trainings(name: str, data: Dataset, *given: Any) -> dict[str, Any]:
    """The sides that train one of the networks, dense; `given` are peers, threads and engines."""
    net = getattr(nets, name)()
    theta = net.init(streams(0, [0], "init"))
    if name.startswith("conv"):
        optimizer = partial(Adam, lr=2e-4)
    else:
        optimizer = partial(SGD, lr=0.01, momentum=0.9, weight_decay=1e-4)
    peers, *rest = given
    return sides.trainings(peers, net, theta, dense_masks(theta), data, optimizer, *rest)


def measure(name: str, data: Dataset, peers: sides.Makers, args: Namespace) -> dict[str, Any]:
    """Time all sides; return a row of the table."""
    batch = np.arange(len(data.train))
    turns = {
        side: sides.turn(training, [batch], args.block)
        for side, training in trainings(name, data, peers, args.threads, engines(args.threads)).items()
    }
    row = bench.compare(bench.take_turns(turns, args.pairs), args.block)
    return {"net": name, "batch": len(batch), **row}


def engines(threads: int) -> tuple[str, ...]:
    """Plain layers have no threads of their own."""
    return ENGINES if threads == 1 else ("fast",)


def where_time_goes(name: str, data: Dataset) -> dict[str, float]:
    """Return by module of the engine the fraction of a step, on one thread, that its own lines take."""
    training = trainings(name, data, {}, 1, ("fast",))["fast"]
    turn = sides.turn(training, [np.arange(len(data.train))], 3)
    turn(1)
    profile = cProfile.Profile(builtins=False)  # what NumPy takes counts for the line that calls it
    profile.runcall(turn)
    spent: Counter = Counter()
    for (path, _, _), (_, _, seconds, _, _) in pstats.Stats(profile).stats.items():
        module = Path(path).stem
        spent[module if module in MODULES else "other"] += seconds
    return {module: seconds / spent.total() for module, seconds in spent.items()}


def random_data(count: int) -> Dataset:
    """Images and labels that any network is as fast with as with real ones."""
    rng = np.random.default_rng(0)
    split = Split(rng.random((count, 32, 32, 3), dtype=np.float32), rng.integers(0, 10, count))
    return Dataset("random", split, split, split, 10, "drawn from seed 0", caveat="noise")


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--threads", type=int, default=1, choices=(1, 2), help="of each side")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS, help="those that are installed")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--block", type=int, default=2, help="steps in a turn")
    parser.add_argument("--nets", nargs="+", default=NETS, choices=NETS)
    args = bench.parse(parser)
    if args.quick:
        args.pairs, args.block, args.nets = 2, 1, ["conv_2"]
    peers, tables = sides.installed(args.peers), {}
    if "torch" in peers:
        tables["gradients"] = bench.Table(
            "largest difference from PyTorch's gradients", {"net": "", "plain": ".1e", "fast": ".1e"}
        )
        for name in args.nets:
            tables["gradients"].add(net=name, **disagreements(getattr(nets, name)(), 4))
    columns = {"net": "", "batch": "d"} | bench.columns([*engines(args.threads), *peers], digits=1)
    tables["steps"] = bench.Table(f"a training step, {args.threads} thread(s)", columns)
    for name in args.nets:
        tables["steps"].add(**measure(name, random_data(4 if args.quick else BATCH.get(name, 60)), peers, args))
    tables["shares"] = bench.Table(
        "where the engine's time goes, one thread", {"net": "", **dict.fromkeys([*MODULES, "other"], ".0%")}
    )
    for name in args.nets:
        tables["shares"].add(net=name, **where_time_goes(name, random_data(BATCH.get(name, 60))))
    results.save(args, random_data(max(BATCH.values())), tables)


if __name__ == "__main__":
    main()
