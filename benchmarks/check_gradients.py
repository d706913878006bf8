"""The gradient of each whole network against PyTorch's autograd, on the same weights and data, in float64.

    python benchmarks/check_gradients.py [--batch 4]

Prints, per network, the largest difference of any gradient relative to the largest value of its parameter's gradient;
exits with status 1 if one exceeds 1e-8.
"""

import argparse
import sys

import numpy as np
import torch
from torch_twin import Twin

from npticket import nets
from npticket.loss import softmax_cross_entropy
from npticket.streams import TrainingStep, streams

LIMIT = 1e-8


def worst_disagreement(net: nets.Net, batch: int) -> tuple[float, str]:
    """Largest relative difference over all parameters, and the name of the parameter that has it."""
    rng = np.random.default_rng(0)
    theta = net.init(streams(0, [0], "init"), np.float64)
    x, labels = rng.normal(size=(1, batch, *net.input_shape)), rng.integers(0, net.classes, (1, batch))
    twin = Twin(net, theta)
    tensor = torch.from_numpy(x[0])
    logits = twin.module(tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor)
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels[0])).backward()
    grads = theta.like(np.zeros_like(theta.flat))
    ours, backward = net.forward(theta, x, TrainingStep(0, [0], 0, 0))
    backward(softmax_cross_entropy(ours, labels)[1], grads.tree, need_dx=False)
    errors = {}
    for name, _, _ in twin.pairs:
        theirs = twin.gradient(name).reshape(grads[name][0].shape)
        errors[name] = abs(grads[name][0] - theirs).max() / max(abs(theirs).max(), 1e-300)
    # A bias before batch normalisation would have gradient 0; none of the networks has one.
    name = max(errors, key=lambda n: np.nan_to_num(errors[n], nan=np.inf))
    return float(errors[name]), name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=4)
    args = parser.parse_args()
    failed = False
    for make in (nets.lenet_300_100, nets.conv_2, nets.conv_4, nets.conv_6, nets.resnet_18, nets.vgg_19):
        net = make()
        error, name = worst_disagreement(net, args.batch)
        failed |= not error < LIMIT
        print(f"{net.name:15}{error:10.1e}  ({name})", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
