"""What the trials axis costs a single network: a step of LeNet with T = 1 and without the axis.

    python benchmarks/trials_axis.py [--pairs 30] [--block 40] [--save]

The step is written down once, without layers, and run on arrays (1, B, ...) and (B, ...); then once more by the plain
engine, whose layers make the same calls. All must come to the same parameters bit for bit. The ratios are
time(without the axis) / time: at 1 nothing is lost.
"""

from collections.abc import Callable

import bench
import numpy as np
import results

from npticket import datasets, nets
from npticket.engine.plain import Plain
from npticket.loss import softmax_cross_entropy
from npticket.optimizers import FLUSH_EVERY, Adam, flush
from npticket.prune import dense_masks
from npticket.streams import Place, TrainingStep, streams

BATCH = 60
LAYERS = ("fc1", "fc2", "out")


class WrittenDown:
    """LeNet-300-100 and Adam as in npticket.layers, npticket.loss and npticket.optimizers, without layers.

    `axes` stand in front of the others of all arrays: (1,) or none.
    """

    def __init__(self, flat: np.ndarray, shapes: dict[str, tuple[int, ...]], axes: tuple[int, ...]) -> None:
        self.p = flat.reshape(*axes, -1).copy()
        self.g, self.m, self.v = (np.zeros_like(self.p) for _ in range(3))
        self.steps, first = 0, 0
        self.theta, self.grads = {}, {}
        for name, shape in shapes.items():
            size = int(np.prod(shape))
            for views, whole in ((self.theta, self.p), (self.grads, self.g)):
                views[name] = whole[..., first : first + size].reshape(*axes, *shape)
            first += size

    def step(self, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Take a step; return the loss before it.     x (..., B, 28, 28)   labels (..., B)"""
        h = [x.reshape(*x.shape[:-2], -1)]
        for name in LAYERS:
            z = h[-1] @ self.theta[f"{name}/W"]
            z += self.theta[f"{name}/b"]
            h.append(z if name == "out" else np.maximum(z, np.zeros(z.shape[-1:], z.dtype)))
        log_p = h[-1] - h[-1].max(axis=-1, keepdims=True)
        log_p -= np.log(np.exp(log_p).sum(axis=-1, keepdims=True))
        hit = labels[..., None] == np.arange(log_p.shape[-1])
        loss = np.where(hit, log_p, 0).sum(axis=(-2, -1)) / -BATCH
        dz = (np.exp(log_p) - hit) / BATCH
        for i in reversed(range(len(LAYERS))):
            np.matmul(h[i].swapaxes(-1, -2), dz, out=self.grads[f"{LAYERS[i]}/W"])
            dz.sum(axis=-2, keepdims=True, out=self.grads[f"{LAYERS[i]}/b"])
            if i:
                dz = (dz @ self.theta[f"{LAYERS[i]}/W"].swapaxes(-1, -2)) * (h[i] > 0)
        self._adam()
        return loss

    def _adam(self, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        m, v, g, t = self.m, self.v, self.g, self.steps + 1
        c1, c2 = 1 - beta1**t, 1 - beta2**t
        r = ((1 - beta2) / c2) ** 0.5
        if self.steps % FLUSH_EVERY == 0:
            flush(m)
        m *= beta1
        m += g
        v *= beta2
        g *= g
        v += g
        np.sqrt(v, out=g)
        g += eps / r
        np.divide(m, g, out=g)
        g *= bench.LR * (1 - beta1) / (c1 * r)
        self.p -= g
        self.steps = t


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--block", type=int, default=40, help="steps in a turn")
    args = bench.parse(parser)
    if args.quick:
        args.pairs, args.block = 2, 2
    data, net = datasets.mnist(), nets.lenet_300_100()
    theta = net.init(streams(0, [0], "init"))
    layers = Plain(net, softmax_cross_entropy, theta, dense_masks(theta), lambda masks: Adam(masks, lr=bench.LR))
    having, lacking = (WrittenDown(theta.flat, theta.shapes, axes) for axes in ((1,), ()))
    order = np.random.default_rng(0).integers(0, len(data.train), (args.block, BATCH))
    batches = [(data.floats(data.train.inputs[i], np.float32), data.train.targets[i]) for i in order]

    def turn(step: Callable) -> Callable[[], None]:
        return lambda: [step(x, labels) for x, labels in batches] and None

    sides = {
        "without": turn(lacking.step),
        "with": turn(lambda x, labels: having.step(x[None], labels[None])),
        "layers": turn(lambda x, labels: layers.step(x[None], labels[None], TrainingStep(Place(), 0))),
    }
    taken = bench.take_turns(sides, args.pairs)
    if not having.p.tobytes() == lacking.p.tobytes() == layers.theta.flat.tobytes():
        raise AssertionError("the sides did not take the same steps")
    columns = {"step": "s", "ms": ".3f", "ratio": ".3f", "low": ".3f", "high": ".3f"}
    table = bench.Table(f"a step of LeNet-300-100, batch {BATCH}, T = 1", columns)
    for side, seconds in taken.items():
        ms = 1e3 * float(np.median(seconds)) / args.block
        table.add(step=side, ms=ms, **bench.ratio(taken["without"], seconds))
    results.save(args, data, {"steps": table})


if __name__ == "__main__":
    main()
