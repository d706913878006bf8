"""LeNets (LeCun et al. 1998) as papers on pruning have them: LeNet-300-100 and LeNet-5, for 28 x 28 images."""

from collections.abc import Sequence

from npticket.layers import Chain, Conv2D, Dense, Flatten, MaxPool, OneChannel, ReLU
from npticket.nets.net import Net


def lenet_300_100(hidden: Sequence[int] = (300, 100), std: float | None = None) -> Net:
    """LeNet-300-100 (Frankle & Carbin 2019, Figure 2): 266,200 weights.

    For the paper's sweeps (appendices G.5 and G.6): other numbers of `hidden` units, weights drawn from N(0, std^2).
    """
    first, second = hidden
    body = Chain(
        flatten=Flatten(), fc1=Dense(784, first, std), relu1=ReLU(), fc2=Dense(first, second, std), relu2=ReLU(),
        out=Dense(second, 10, std),
    )  # fmt: skip
    return Net(f"LeNet-{first}-{second}", body, (28, 28), (10,))


def lenet_5(filters: Sequence[int] = (20, 50), hidden: int = 500) -> Net:
    """LeNet-5 in the form of Caffe, which Han et al. 2015 prune: 430,500 weights, and a ReLU after fc1 alone."""
    first, second = filters
    body = Chain(
        channel=OneChannel(), conv1=Conv2D(1, first, 5), pool1=MaxPool(2), conv2=Conv2D(first, second, 5),
        pool2=MaxPool(2), flatten=Flatten(), fc1=Dense(16 * second, hidden), relu1=ReLU(), out=Dense(hidden, 10),
    )  # fmt: skip
    return Net("LeNet-5", body, (28, 28), (10,))
