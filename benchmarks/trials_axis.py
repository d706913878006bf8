"""What the trials axis costs a single network: LeNet's step as the layers take it, with T = 1, and without the axis.

    python benchmarks/trials_axis.py [--pairs 30] [--block 40] [--json FILE]

Both sides make the same calls in the same order, on arrays (1, B, ...) and (B, ...), and must come to the same
parameters bit for bit. The ratio is time(without) / time(with the axis): at 1 it costs nothing.
"""

from collections.abc import Callable

import bench
import numpy as np

from npticket import datasets, nets
from npticket.engine.plain import Plain
from npticket.optimizers import Adam
from npticket.prune import dense_masks
from npticket.streams import TrainingStep, streams

BATCH = 60
LAYERS = ("fc1", "fc2", "out")


class WithoutAxis:
    """LeNet-300-100 and Adam as in npticket.layers, npticket.loss and npticket.optimizers, for arrays without T."""

    def __init__(self, flat: np.ndarray, shapes: dict[str, tuple[int, ...]]) -> None:
        self.p, self.g, self.m, self.v = flat.copy(), np.zeros_like(flat), np.zeros_like(flat), np.zeros_like(flat)
        self.steps, first = 0, 0
        self.theta, self.grads = {}, {}
        for name, shape in shapes.items():
            size = int(np.prod(shape))
            for views, whole in ((self.theta, self.p), (self.grads, self.g)):
                views[name] = whole[first : first + size].reshape(shape)
            first += size

    def step(self, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Take a step; return the loss before it.     x (B, 28, 28)   labels (B,)"""
        h = [x.reshape(len(x), -1)]
        for name in LAYERS:
            z = h[-1] @ self.theta[f"{name}/W"]
            z += self.theta[f"{name}/b"]
            h.append(z if name == "out" else np.maximum(z, np.zeros(z.shape[1:], z.dtype)))
        log_p = h[-1] - h[-1].max(axis=-1, keepdims=True)
        log_p -= np.log(np.exp(log_p).sum(axis=-1, keepdims=True))
        hit = labels[:, None] == np.arange(log_p.shape[-1])
        loss = np.where(hit, log_p, 0).sum() / -len(x)
        dz = (np.exp(log_p) - hit) / len(x)
        for i in reversed(range(len(LAYERS))):
            np.matmul(h[i].T, dz, out=self.grads[f"{LAYERS[i]}/W"])
            dz.sum(axis=0, keepdims=True, out=self.grads[f"{LAYERS[i]}/b"])
            if i:
                dz = (dz @ self.theta[f"{LAYERS[i]}/W"].T) * (h[i] > 0)
        self._adam()
        return loss

    def _adam(self, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        m, v, g, t = self.m, self.v, self.g, self.steps + 1
        c1, c2 = 1 - beta1**t, 1 - beta2**t
        r = ((1 - beta2) / c2) ** 0.5
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
    args = parser.parse_args()
    if args.quick:
        args.pairs, args.block = 2, 2
    data, net = datasets.mnist(), nets.lenet_300_100()
    theta = net.init(streams(0, [0], "init"))
    having = Plain(net, theta, dense_masks(theta), lambda masks: Adam(masks, lr=bench.LR))
    lacking = WithoutAxis(theta.flat[0], theta.shapes)
    order = np.random.default_rng(0).integers(0, len(data.train), (args.block, BATCH))
    batches = [(data.floats(data.train.images[i], np.float32), data.train.labels[i]) for i in order]

    def turn(step: Callable) -> Callable[[], None]:
        return lambda: [step(x, labels) for x, labels in batches] and None

    sides = {
        "with": turn(lambda x, labels: having.step(x[None], labels[None], TrainingStep(0, [0], 0, 0))),
        "without": turn(lacking.step),
    }
    taken = bench.take_turns(sides, args.pairs)
    if having.theta.flat[0].tobytes() != lacking.p.tobytes():
        raise AssertionError("the two sides did not take the same steps")
    columns = {"with_ms": ".3f", "without_ms": ".3f", "ratio": ".3f", "low": ".3f", "high": ".3f"}
    table = bench.Table(f"a step of LeNet-300-100, batch {BATCH}, T = 1", columns)
    times = {f"{side}_ms": 1e3 * float(np.median(seconds)) / args.block for side, seconds in taken.items()}
    table.add(**times, **bench.ratio(taken["without"], taken["with"]))
    bench.save(args, data, {"steps": table})


if __name__ == "__main__":
    main()
