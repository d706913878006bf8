"""How far a training step is from what this core can do: its products at their best rate, its optimizer from L2.

    python benchmarks/limits.py [--pairs 7] [--save]

The first table has what the core can do: the best rate of any of some matrix products, and how fast an array that fits
in L2 is added to another. The second has, for each step, the multiplications that the engine cannot do without (of
LeNet those by often lit pixels; of convolutions the products of Winograd's tiles and the transforms) at that rate,
the passes of the optimizer over the weights that are left at that speed, and the time of a step over their sum. What a
step does besides (rectify, pool, normalise, pick survivors, read maps from memory) is not in the limit.
"""

import math
from collections.abc import Iterator
from functools import partial

import bench
import numpy as np
import results
import sides
from conv_step import BATCH, random_data, trainings
from sides.ours import minibatches

from npticket import datasets, nets
from npticket.engine.conv.blueprint import recognise
from npticket.engine.products import LIT
from npticket.layers import Dense
from npticket.optimizers import Adam
from npticket.prune import density

PRODUCTS = ((1, 1024, 1024, 1024), (1, 60, 494, 300), (36, 240, 64, 64), (36, 512, 32, 32), (1, 64, 512, 512))
ACCESSES = {"Adam": 24, "SGD": 17}  # numbers read and written for each weight, in ten passes and in seven
DENSITIES = (1, 0.21, 0.036)


def products_per_second() -> float:
    """Multiplications and additions, of the fastest of some stacks of products."""
    rng, best = np.random.default_rng(0), 0.0
    for stack, m, k, n in PRODUCTS:
        a, b = (rng.standard_normal((stack, *shape), dtype=np.float32) for shape in ((m, k), (k, n)))
        out = np.empty((stack, m, n), np.float32)
        taken = [bench.timed(partial(np.matmul, a, b, out=out))[0] for _ in range(50)]
        best = max(best, 2 * stack * m * k * n / float(np.median(taken)))
    return best


def bytes_per_second() -> float:
    """Of a += b, both half a MiB: two reads and a write for each number."""
    a, b = np.ones((2, 1 << 17), np.float32)
    return 3 * a.nbytes / float(np.median([bench.timed(partial(np.add, a, b, out=a))[0] for _ in range(300)]))


def multiplications(net: nets.Net, batch: int) -> Iterator[int]:
    """Yield those of a step of a convolutional network, a part each: forward, and twice as many backward."""
    blueprint = recognise(net.body, net.input_shape)
    for unit in blueprint.units:
        kernel, _, c, k = unit.shape
        pixels = batch * math.prod(unit.size)
        if unit.size == (2, 2) and kernel == 3:
            yield 3 * 4 * pixels * c * k  # four taps of nine meet a pixel
        elif unit.source and kernel == 3 and unit.size == unit.source.map_size:
            tiles = pixels // 16
            yield 3 * 36 * tiles * c * k
            yield tiles * (840 * c + 600 * k)  # npticket/engine/conv/winograd.py, with matrices of 6 x 6, 6 x 4, 4 x 6
        else:
            yield (3 if unit.source else 2) * kernel**2 * pixels * c * k
    yield from (
        3 * batch * math.prod(layer.layout["W"]) for layer in blueprint.tail.values() if isinstance(layer, Dense)
    )


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--nets", nargs="+", default=["conv_2", "resnet_18"])
    args = bench.parse(parser)
    if args.quick:
        args.pairs, args.nets = 1, []
    rate, speed = products_per_second(), bytes_per_second()
    core = bench.Table("what the core can do, one thread", {"GFLOP/s": ".0f", "GB/s from L2": ".0f"})
    core.add(**{"GFLOP/s": rate / 1e9, "GB/s from L2": speed / 1e9})
    forms = {"step ms": ".2f", "products ms": ".2f", "optimizer ms": ".2f", "step/limit": ".2f"}
    table = bench.Table("a step and its limit", {"net": "", "density": ".1%", **forms})

    def add(net: str, left: float, taken: np.ndarray, work: int, accesses: float) -> None:
        step, products, optimizer = float(np.median(taken)), 2 * work / rate, 4 * accesses / speed
        row = 1e3 * step, 1e3 * products, 1e3 * optimizer, step / (products + optimizer)
        table.add(net=net, density=left, **dict(zip(forms, row, strict=True)))

    data, net = datasets.mnist(), nets.lenet_300_100()
    often = int((np.count_nonzero(data.sample(np.float32).reshape(-1, 784), axis=0) >= LIT * 1000).sum())
    for ticket in bench.at_densities(bench.lenet_tickets(data, args.quick), DENSITIES):
        given = net, ticket.start, ticket.masks, data, partial(Adam, lr=bench.LR)
        training = sides.trainings({}, *given, engines=("fast",))["fast"]
        order = [batch for batch, _ in zip(minibatches(len(data.train), 60), range(900), strict=False)]
        taken = bench.take_turns({"fast": sides.turn(training, order, 40)}, 3 * args.pairs)["fast"] / 40
        work = 60 * (2 * often * 300 + 3 * 300 * 100 + 3 * 100 * 10)
        left = density(ticket.masks).item()
        add("LeNet", left, taken, work, ACCESSES["Adam"] * left * 266_200)
    for name in args.nets:
        images, one = random_data(BATCH.get(name, 60)), getattr(nets, name)()
        turn = sides.turn(trainings(name, images, {}, 1, ("fast",))["fast"], [np.arange(len(images.train))], 2)
        taken = bench.take_turns({"fast": turn}, args.pairs)["fast"] / 2
        weights = ACCESSES["Adam" if name.startswith("conv") else "SGD"] * sum(map(math.prod, one.body.layout.values()))
        add(name, 1.0, taken, sum(multiplications(one, len(images.train))), weights)
    results.save(args, data, {"core": core, "limits": table})


if __name__ == "__main__":
    main()
