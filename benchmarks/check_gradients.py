"""The gradients of whole networks against PyTorch's autograd, on the same weights and data, in float64.

    python benchmarks/check_gradients.py [--batch 4]

Prints, per network, the largest difference of any gradient, relative to the largest value of its parameter's gradient,
for the plain layers and for the convolutional engine; exits with status 1 if one exceeds 1e-8.
"""

import argparse
import sys
from typing import Any

import numpy as np

from npticket import nets
from npticket.engine.conv import ConvEngine, supports
from npticket.engine.plain import Plain
from npticket.loss import softmax_cross_entropy
from npticket.optimizers import SGD
from npticket.params import Params
from npticket.prune import dense_masks
from npticket.streams import Place, TrainingStep, streams

LIMIT = 1e-8
ENGINES = {"plain": Plain, "fast": ConvEngine}


def disagreements(net: nets.Net, batch: int) -> dict[str, float]:
    """Return by engine the largest relative difference over all parameters."""
    import torch
    from sides.torch_twin import Twin

    rng = np.random.default_rng(0)
    theta = net.init(streams(0, [0], "init"), np.float64)
    x, labels = rng.normal(size=(1, batch, *net.input_shape)), rng.integers(0, *net.output_shape, (1, batch))
    twin = Twin(net, theta)
    tensor = torch.from_numpy(x[0])
    logits = twin.module(tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor)
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels[0])).backward()

    def worst(ours: Params) -> float:
        errors = []
        for name, _, _ in twin.pairs:
            theirs = twin.gradient(name).reshape(ours[name][0].shape)
            errors.append(abs(ours[name][0] - theirs).max() / max(abs(theirs).max(), 1e-300))
        return float(np.max(errors))  # NaN, if there is one

    return {
        name: worst(gradients(engine, net, theta, x, labels))
        for name, engine in ENGINES.items()
        if engine is Plain or supports(net)
    }


def gradients(engine: Any, net: nets.Net, theta: Params, x: np.ndarray, labels: np.ndarray) -> Params:
    """How far a step of gradient descent with rate 1 goes: the same way for every engine."""
    runner = engine(net, softmax_cross_entropy, theta, dense_masks(theta), lambda masks: SGD(masks, lr=1.0))
    runner.step(x, labels, TrainingStep(Place(), 0))
    end = theta.copy()
    runner.read(end)
    return theta.like(theta.flat - end.flat)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--batch", type=int, default=4)
    args = parser.parse_args()
    failed = False
    for make in (nets.lenet_300_100, nets.conv_2, nets.conv_4, nets.conv_6, nets.resnet_18, nets.vgg_19):
        net = make()
        errors = disagreements(net, args.batch)
        failed |= not all(error < LIMIT for error in errors.values())
        print(f"{net.name:15}" + "".join(f"{name:>8} {error:.1e}" for name, error in errors.items()), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
