"""Dense networks of any size."""

import math
from collections.abc import Sequence
from itertools import pairwise

from npticket.layers import Chain, Dense, Flatten, ReLU
from npticket.nets.net import Net
from npticket.protocols import Layer


def mlp(hidden: Sequence[int], input_shape: Sequence[int] = (28, 28), classes: int = 10) -> Net:
    """Return a network of dense layers fc1, fc2 ... and out, with ReLUs between them, for inputs of any shape.

    `hidden` are the numbers of units of fc1, fc2 ...; if it is empty, the network is a linear model.
    """
    widths = [math.prod(input_shape), *hidden]
    layers: dict[str, Layer] = {"flatten": Flatten()}
    for i, (before, after) in enumerate(pairwise(widths), start=1):
        layers |= {f"fc{i}": Dense(before, after), f"relu{i}": ReLU()}
    layers["out"] = Dense(widths[-1], classes)
    return Net("-".join(map(str, ["MLP", *hidden])), Chain(**layers), tuple(input_shape), (classes,))
