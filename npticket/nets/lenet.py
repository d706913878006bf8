"""LeNets (LeCun et al. 1998) as papers on pruning have them: LeNet-300-100 and LeNet-5, for images of any size."""

import math
from collections.abc import Callable, Sequence
from functools import partial

from npticket.layers import Chain, Conv2D, Dense, Flatten, MaxPool, OneChannel, ReLU
from npticket.nets.net import Net
from npticket.protocols import Layer


def lenet_300_100(
    hidden: Sequence[int] = (300, 100), std: float | None = None, input_shape: Sequence[int] = (28, 28),
    classes: int = 10,
) -> Net:  # fmt: skip
    """LeNet-300-100 (Frankle & Carbin 2019, Figure 2): 266,200 weights.

    The paper's sweeps (appendices G.5 and G.6) take other numbers of `hidden` units, and initial weights from
    N(0, std^2) instead of Glorot's (None).
    """
    _check("LeNet-300-100", "hidden units", hidden)
    body = lenet_body(partial(Dense, std=std), math.prod(input_shape), hidden, classes)
    return Net("LeNet-{}-{}".format(*hidden), body, tuple(input_shape), (classes,))


def lenet_body(
    dense: Callable[[int, int], Layer], inputs: int = 28 * 28, hidden: Sequence[int] = (300, 100), classes: int = 10
) -> Chain:
    """Return the layers of LeNet-300-100, with `dense(inputs, outputs)` as its dense layers."""
    first, second = hidden
    return Chain(
        flatten=Flatten(), fc1=dense(inputs, first), relu1=ReLU(), fc2=dense(first, second), relu2=ReLU(),
        out=dense(second, classes),
    )  # fmt: skip


def lenet_5(
    filters: Sequence[int] = (20, 50), hidden: int = 500, input_shape: Sequence[int] = (28, 28), classes: int = 10
) -> Net:
    """LeNet-5 in the form of Caffe, which Han et al. 2015 prune: 430,500 weights, and a ReLU after fc1 alone.

    For images (H, W) or (H, W, C) whose sides are multiples of 4, from 16 on.
    """
    _check("LeNet-5", "filters", filters)
    if len(input_shape) not in (2, 3):
        raise ValueError(f"LeNet-5 takes images (H, W) or (H, W, C), got inputs of shape {tuple(input_shape)}")
    first, second = filters
    height, width, channels = *input_shape[:2], *(input_shape[2:] or (1,))
    if height % 4 or width % 4 or min(height, width) < 16:  # two 2 x 2 pools of what 5 x 5 convolutions leave
        raise ValueError(f"LeNet-5 takes images whose sides are multiples of 4, from 16 on, got {height} x {width}")
    inputs = (height // 4 - 3) * (width // 4 - 3) * second
    body = Chain(
        **({} if input_shape[2:] else {"channel": OneChannel()}),
        conv1=Conv2D(channels, first, 5), pool1=MaxPool(2), conv2=Conv2D(first, second, 5),
        pool2=MaxPool(2), flatten=Flatten(), fc1=Dense(inputs, hidden), relu1=ReLU(), out=Dense(hidden, classes),
    )  # fmt: skip
    return Net("LeNet-5", body, tuple(input_shape), (classes,))


def _check(name: str, what: str, sizes: Sequence[int]) -> None:
    if len(sizes) != 2:
        raise ValueError(f"{name} takes two numbers of {what}, got {tuple(sizes)}")
