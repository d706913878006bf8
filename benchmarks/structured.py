"""What pruning does to time: single weights, whole units, and the network without them, of three networks.

    python benchmarks/structured.py [--nets lenet conv_2 resnet_8] [--densities 0.3 0.1] [--pairs 15] [--save]

Four networks take turns: the dense one; one of whose weights some are left, anywhere; one that has as many in each
layer, in whole units; and the last one shrunk, without the units that are gone. Masks are random, as time does not
depend on which go. A ratio is the median over pairs of time(dense) / time(network), so above 1 it is faster than the
dense one, PyTorch's dense network, too, which stands beside them. The first table is of training steps by the fast
engine, which leaves out dead units of dense networks and packs weights that are left; the second of predictions by the
plain layers, for which a weight that is 0 is a weight. `parameters` and `multiply_adds` are those that are there, zeros
included. LeNet is shown MNIST, as black pixels cost less in training, convolutions random images. Densities are those
of the recipes filters-lenet, filters-conv2 and filters-resnet8, whose accuracies `time_figure.py` draws against these
times; in the results each network has a place of its own.
"""

from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import bench
import numpy as np
import results
import sides

from npticket import datasets, nets
from npticket.datasets import Dataset, Split
from npticket.export import shrink
from npticket.nets import Net
from npticket.optimizers import Adam
from npticket.params import Params
from npticket.prune import dense_masks, density, prune_layerwise, random_scores
from npticket.scopes import ByUnits
from npticket.streams import streams
from npticket.tickets import rewind
from npticket.units import multiply_adds

NETS = {  # with a learning rate for Adam
    "lenet": (nets.lenet_300_100, 1.2e-3),
    "resnet_8": (partial(nets.resnet, 8, 8), 1e-3),
    "conv_2": (nets.conv_2, 2e-4),
}
DENSITIES = {
    "lenet": (0.676, 0.462, 0.318, 0.219, 0.151, 0.105),
    "conv_2": (0.317, 0.1),
    "resnet_8": (0.568, 0.316, 0.193),
}
BATCH, BATCHES = 60, (1, 60, 1000)
TURN = 0.02  # seconds that a turn of predictions by the dense network takes at least: of less, clocks say little
Networks = Mapping[str, tuple[Net, Params, Params]]  # by kind: network, start, masks


def networks(net: Net, goal: float) -> Networks:
    """Return the four networks, with about so many of the weights left."""
    theta = net.init(streams(0, [0], "init"))
    dense, scores = dense_masks(theta), random_scores(theta, streams(0, [0], "mask"))
    units = _nearest(lambda rate: ByUnits(net, {"out/W": 0, "*/W": rate})(scores, dense), goal)
    weights = prune_layerwise(scores, dense, {name: 1 - units[name].mean() for name in theta.weights})
    small, start = shrink(net, theta, units)
    masked = {"dense": dense, "weights": weights, "units": units}
    found = {kind: (net, rewind(theta, masks), masks) for kind, masks in masked.items()}
    return found | {"shrunk": (small, start, dense_masks(start))}


def _nearest(pruned: Callable[[float], Params], goal: float) -> Params:
    """Masks of about this density: the more goes, the fewer weights are left."""
    low, high = 0.0, 0.999
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if density(pruned(middle)).item() > goal else (low, middle)
    return pruned(high)


def examples(name: str, net: Net, count: int) -> Dataset:
    """MNIST's for LeNet; for a convolutional network, which is as fast with any, random ones."""
    if name == "lenet":
        return datasets.mnist()
    rng = np.random.default_rng(0)
    split = Split(rng.random((count, *net.input_shape), dtype=np.float32), rng.integers(0, 10, count))
    return Dataset("random", split, split, split, 10, "drawn from seed 0", caveat="random images")


def rows(taken: Mapping[str, np.ndarray], repeats: int, of: Networks) -> Iterator[dict[str, Any]]:
    """One row for each network: the time of one of a turn's repeats, against that of the dense one."""
    for kind, seconds in taken.items():
        net, _, masks = of["dense" if kind == "torch" else kind]
        size = {"parameters": masks.flat.shape[1], "multiply_adds": int(multiply_adds(net, dense_masks(masks))[0])}
        whole = sum(of["dense"][2][name].size for name in masks.weights)
        left = sum(int(masks[name].sum()) for name in masks.weights) / whole
        yield {"kind": kind, "density": left, **size, "microseconds": 1e6 * float(np.median(seconds)) / repeats,
               **bench.ratio(taken["dense"], seconds)}  # fmt: skip


def steps(name: str, of: Networks, data: Dataset, args: Namespace, peers: sides.Makers) -> Iterator[dict[str, Any]]:
    """Time training steps."""
    optimizer = partial(Adam, lr=NETS[name][1])
    order = [np.arange(args.batch)]
    training = {kind: sides.trainings({}, *each, data, optimizer, engines=("fast",))["fast"]
                for kind, each in of.items()}  # fmt: skip
    training |= {peer: make(*of["dense"], data, optimizer) for peer, make in peers.items()}
    turns = {kind: sides.turn(each, order, args.block) for kind, each in training.items()}
    yield from rows(bench.take_turns(turns, args.pairs), args.block, of)


def predictions(of: Networks, x: np.ndarray, args: Namespace, peers: sides.Makers) -> Iterator[dict[str, Any]]:
    """Time predictions of a batch."""
    net, theta, _ = of["dense"]
    calls = {kind: partial(small.predict, start, x[None]) for kind, (small, start, _) in of.items()}
    if "torch" in peers:
        calls["torch"] = _torch(net, theta, x)
    repeats = max(1, round(TURN / min(bench.timed(calls["dense"])[0] for _ in range(3))))
    turns = {kind: partial(_repeat, call, repeats) for kind, call in calls.items()}
    yield from rows(bench.take_turns(turns, args.pairs), repeats, of)


def _repeat(call: Callable[[], Any], repeats: int) -> None:
    for _ in range(repeats):
        call()


def _torch(net: Net, theta: Params, x: np.ndarray) -> Callable[[], Any]:
    """The same dense network in PyTorch, with images channels last."""
    import torch
    from sides.torch_twin import Twin

    module, images = Twin(net, theta).module.eval(), torch.from_numpy(x)
    if images.ndim == 4:
        module, images = module.to(memory_format=torch.channels_last), images.permute(0, 3, 1, 2)
    return torch.inference_mode()(lambda: module(images))


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS))
    parser.add_argument("--densities", nargs="+", type=float, help="of all networks, instead of each one's own")
    parser.add_argument("--peers", nargs="*", choices=("torch",), default=("torch",), help="those that are installed")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--block", type=int, default=5, help="steps in a turn")
    args = bench.parse(parser)
    args.batch, batches = BATCH, BATCHES
    if args.quick:
        args.nets, args.densities, args.pairs, args.block = ["lenet"], [0.2], 2, 1
        args.batch, batches = 4, (1, 4)
    peers = sides.installed(args.peers)
    columns = {"net": "", "kind": "", "density": ".1%", "parameters": ",d", "multiply_adds": ",d",
               "microseconds": ",.0f", "ratio": ".2f", "low": ".2f", "high": ".2f"}  # fmt: skip
    for name in args.nets:
        found = [networks(NETS[name][0](), goal) for goal in args.densities or DENSITIES[name]]
        data = examples(name, found[0]["dense"][0], max(batches))
        tables = {"steps": bench.Table(f"a training step, batch {args.batch}, one thread", columns)}
        for of in found:
            for row in steps(name, of, data, args, peers):
                tables["steps"].add(net=name, batch=args.batch, **row)
        tables["predictions"] = bench.Table("a prediction, one thread", {"batch": ",d"} | columns)
        inputs = data.train.inputs * np.float32(data.scale)
        for of in found:
            for batch in batches:
                for row in predictions(of, inputs[:batch], args, peers):
                    tables["predictions"].add(net=name, batch=batch, **row)
        args.chosen["nets"] = [name]
        results.save(args, data, tables)


if __name__ == "__main__":
    main()
