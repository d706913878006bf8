"""Dense networks of any size."""

from collections.abc import Sequence
from itertools import pairwise

from npticket.layers import Chain, Dense, Flatten, ReLU
from npticket.nets.net import Net
from npticket.protocols import Layer


def mlp(inputs: int, hidden: Sequence[int], outputs: int) -> Net:
    """Dense layers fc1, fc2 ... and out, with a ReLU between each two, for arrays of `inputs` features.

    Without `hidden` units it is a linear model.
    """
    layers: dict[str, Layer] = {"flatten": Flatten()}
    for i, (before, after) in enumerate(pairwise([inputs, *hidden]), start=1):
        layers |= {f"fc{i}": Dense(before, after), f"relu{i}": ReLU()}
    layers["out"] = Dense([inputs, *hidden][-1], outputs)
    return Net("-".join(map(str, ["MLP", *hidden])), Chain(**layers), (inputs,), (outputs,))
