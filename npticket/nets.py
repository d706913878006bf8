"""The paper's networks, one short function each (Frankle & Carbin 2019, Figure 2)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npticket.backend import Array
from npticket.layers import Chain, Dense, Flatten, Layer, ReLU
from npticket.params import Params


@dataclass(frozen=True)
class Net:
    """A network as a function f(x; theta): it owns no arrays.

    `rates` names the prunable parameters and the fraction of survivors that each loses per round.
    """

    name: str
    body: Layer
    input_shape: tuple[int, ...]  # of one example, without trials and batch axes
    classes: int
    rates: Mapping[str, float]

    def init(self, rngs: Sequence[np.random.Generator], dtype: Any = np.float32) -> Params:
        """Step 1 of the paper: draw theta0, one generator per trial."""
        theta = Params.empty(self.body.layout, len(rngs), dtype)
        for t, rng in enumerate(rngs):
            for name, value in self.body.init(rng).items():
                theta[name][t] = value
        return theta

    def forward(self, theta: Params, x: Array) -> tuple[Array, Callable]:
        """Return logits (T, B, classes) and the backward pass.     x (T, B, *input_shape), or (1, B, ...) for all"""
        return self.body.forward(theta.tree, x)


def lenet_300_100() -> Net:
    """LeNet-300-100 for 28 x 28 images: 266,200 weights. Output layer pruned at half the rate of the others."""
    return Net(
        name="LeNet-300-100",
        body=Chain(
            flatten=Flatten(),
            fc1=Dense(784, 300),
            relu1=ReLU(),
            fc2=Dense(300, 100),
            relu2=ReLU(),
            out=Dense(100, 10),
        ),
        input_shape=(28, 28),
        classes=10,
        rates={"fc1/W": 0.2, "fc2/W": 0.2, "out/W": 0.1},
    )
