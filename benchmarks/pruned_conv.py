"""What pruning saves in a step of Conv-2, whose first dense layer holds 98 % of the weights, and what it could save.

    python benchmarks/pruned_conv.py [--pairs 12] [--save]

The fast engine's steps (batch 60, Adam, one thread) with the smallest initial weights of each layer pruned at the
paper's rates, in turns; "dense/this" is the median over turns. Then the first dense layer's three products, as dense
ones, and the optimizer at each density, as parts of the dense step: what no sparse product can save more than.
"""

from functools import partial
from typing import Any

import bench
import numpy as np
import results
from conv_step import random_data

from npticket import nets
from npticket.datasets import Dataset
from npticket.engine import plan
from npticket.engine.optimizers import packed
from npticket.optimizers import Adam
from npticket.params import Params
from npticket.prune import Evidence, Layerwise, Rule, dense_masks, density, magnitude
from npticket.streams import Place, TrainingStep, streams
from npticket.task import CLASSIFY
from npticket.tickets import rewind

BATCH, LAYER = 60, "fc1"
ROUNDS = (0, 4, 7, 10, 14)  # of pruning: to 100, 41, 21, 11 and 5 % of the weights
RULE = Rule(magnitude, Layerwise({"conv*/W": 0.1, "fc*/W": 0.2, "out/W": 0.1}))
ADAM = partial(Adam, lr=2e-4)


def masks_after(rounds: int, theta: Params) -> Params:
    masks = dense_masks(theta)
    for _ in range(rounds):
        masks = RULE.judge(Evidence(rewind(theta, masks), masks))
    return masks


def step_of(net: Any, theta: Params, masks: Params, data: Dataset) -> Any:
    """A training step by the fast engine."""
    engine = plan(net, CLASSIFY, rewind(theta, masks), masks, ADAM, "fast")
    given = data.train.inputs[None], data.train.targets[None], TrainingStep(Place(0, [0], 0), 0)
    return partial(engine.step, *given)


def optimizer_step(theta: Params, masks: Params) -> Any:
    """A step of the optimizer alone, of survivors where that is faster."""
    theta, grads = rewind(theta, masks), rewind(theta, masks)
    return partial(packed(ADAM, masks).step, theta, grads)


def products(weight: np.ndarray) -> Any:
    """A layer's forward product and those of both gradients, for a minibatch."""
    rng = np.random.default_rng(0)
    x, dy = (rng.random((BATCH, count), dtype=np.float32) for count in weight.shape)
    out = [np.empty(shape, np.float32) for shape in (dy.shape, x.shape, weight.shape)]

    def multiply() -> None:
        for a, b, product in zip((x, dy, x.T), (weight, weight.T, dy), out, strict=True):
            np.dot(a, b, out=product)

    return multiply


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--pairs", type=int, default=12, help="turns of each side")
    args = bench.parse(parser)
    pairs, rounds = (1, ROUNDS[:2]) if args.quick else (args.pairs, ROUNDS)
    net, data = nets.conv_2(), random_data(BATCH)
    theta = net.init(streams(0, [0], "init"))
    masks = {count: masks_after(count, theta) for count in rounds}
    turns = {f"step {count}": step_of(net, theta, masks[count], data) for count in rounds}
    turns |= {f"optimizer {count}": optimizer_step(theta, masks[count]) for count in rounds}
    taken = bench.take_turns(turns | {"products": products(theta[f"{LAYER}/W"][0])}, pairs)
    dense = taken["step 0"]
    columns = {"density": ".1%", "fast_ms": ".1f", "dense/this": ".2f"}
    steps = bench.Table("a step of Conv-2", columns)
    shares = []
    for count in rounds:
        remain = float(density(masks[count])[0])
        step = taken[f"step {count}"]
        compared = {"dense/this": bench.ratio(dense, step)["ratio"]}
        steps.add(density=remain, fast_ms=1e3 * float(np.median(step)), **compared)
        shares.append(("optimizer", remain, taken[f"optimizer {count}"]))
    parts = bench.Table("parts of the dense step", {"part": "s", "density": ".1%", "share": ".0%"})
    for part, remain, spent in [*shares, (f"{LAYER}: its three products", 1.0, taken["products"])]:
        parts.add(part=part, density=remain, share=bench.ratio(spent, dense)["ratio"])
    results.save(args, data, {"steps": steps, "parts": parts})


if __name__ == "__main__":
    main()
