"""LeNet-300-100 (LeCun et al. 1998; Frankle & Carbin 2019, Figure 2)."""

from collections.abc import Sequence

from npticket.layers import Chain, Dense, Flatten, ReLU
from npticket.nets.net import Net


def lenet_300_100(hidden: Sequence[int] = (300, 100), std: float | None = None) -> Net:
    """LeNet-300-100 for 28 x 28 images: 266,200 weights.

    For the paper's sweeps (appendices G.5 and G.6): other numbers of `hidden` units, weights drawn from N(0, std^2).
    """
    first, second = hidden
    body = Chain(
        flatten=Flatten(), fc1=Dense(784, first, std), relu1=ReLU(), fc2=Dense(first, second, std), relu2=ReLU(),
        out=Dense(second, 10, std),
    )  # fmt: skip
    return Net(f"LeNet-{first}-{second}", body, (28, 28), (10,))
