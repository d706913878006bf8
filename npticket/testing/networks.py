"""hypothesis strategies for small networks, dense, convolutional and residual."""

from itertools import pairwise

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from npticket.layers import (
    AveragePool,
    BatchNorm,
    Chain,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePool,
    MaxPool,
    ReLU,
    Residual,
)
from npticket.nets import Net, resnet
from npticket.protocols import Layer
from npticket.streams import streams


@st.composite
def nets(draw: st.DrawFn) -> Net:
    """A dense network for images of 2 x 3 pixels with one or two hidden layers."""
    hidden = draw(st.lists(st.integers(1, 5), min_size=1, max_size=2))
    widths = [6, *hidden, 3]
    layers: dict[str, Layer] = {"flatten": Flatten()}
    for i, (inputs, outputs) in enumerate(pairwise(widths), start=1):
        layers[f"fc{i}"] = Dense(inputs, outputs)
        if i <= len(hidden):
            layers[f"relu{i}"] = ReLU()
    return Net("small", Chain(**layers), (2, 3), (3,))


@st.composite
def convolutions(draw: st.DrawFn, channels: int, filters: int, stride: int = 1) -> Chain:
    """A convolution, perhaps with batch normalisation, perhaps with a ReLU."""
    size = draw(st.integers(1, 3))
    padding = draw(st.integers((size - 1) // 2, size - 1))
    layers: dict[str, Layer] = {"conv": Conv2D(channels, filters, size, stride, padding, bias=draw(st.booleans()))}
    if draw(st.booleans()):
        layers["norm"] = BatchNorm(filters)
    if draw(st.booleans()):
        layers["relu"] = ReLU()
    return Chain(**layers)


@st.composite
def convolutional_nets(draw: st.DrawFn) -> Net:
    """Convolutions, some strided, perhaps residual blocks, a pool that may leave out pixels, and dense layers."""
    height, width = draw(st.tuples(st.integers(5, 7), st.integers(5, 7)))
    pools: list[Layer] = [MaxPool(2), MaxPool(1), AveragePool(2), ReLU()]
    shortcuts: list[Layer] = [Conv2D(3, 3, 1, 2), Chain(c=Conv2D(3, 3, 1, 2))]
    first, filters = draw(convolutions(2, 3, draw(st.integers(1, 2)))), draw(st.integers(1, 4))
    layers: dict[str, Layer] = {"first": first}
    if draw(st.booleans()):
        layers["block"] = Residual(Chain(conv=Conv2D(3, 3, padding=1), norm=BatchNorm(3)))
        layers["around"] = Residual(Conv2D(3, 3, padding=1, stride=2), draw(st.sampled_from(shortcuts)))
        layers["relu"] = ReLU()
    layers["second"] = draw(convolutions(3, filters))
    layers["pool"] = draw(st.sampled_from(pools))
    layers["global"] = GlobalAveragePool()
    layers |= {"fc": Dense(filters, 5), "fc_relu": ReLU(), "out": Dense(5, 4)}
    net = Net("random", Chain(**layers), (height, width, 2), (4,))
    try:
        maps, _ = Chain(**dict(list(layers.items())[:-4])).forward(
            net.init(streams(0, [0], "init")).tree, np.zeros((1, 1, height, width, 2), np.float32)
        )
    except ValueError:
        assume(False)  # a map became smaller than a window
    assume(maps.size)  # or than a square
    return net


@st.composite
def unit_nets(draw: st.DrawFn) -> Net:
    """Networks with few units: dense; convolutions with biases, a pool and a flattened map; or residual with norms."""
    width, kind = draw(st.integers(1, 4)), draw(st.sampled_from(["dense", "conv", "residual"]))
    if kind == "dense":
        return draw(nets())
    if kind == "residual":
        net = resnet(draw(st.sampled_from([8, 14])), width, classes=3)
        return Net("small residual", net.body, (8, 8, 3), (3,))
    pools: list[Layer] = [MaxPool(2), AveragePool(2)]
    pad = draw(st.integers(0, 1))
    side = (6 + 2 * pad - 2) // 2  # 3 x 3 and then 1 x 1 windows on 6 x 6 pixels, pooled
    body = Chain(
        conv1=Conv2D(2, width, padding=pad), relu1=ReLU(), conv2=Conv2D(width, width + 1, kernel=1),
        norm=BatchNorm(width + 1), relu2=ReLU(), pool=draw(st.sampled_from(pools)),
        flatten=Flatten(), fc=Dense(side * side * (width + 1), 4), relu3=ReLU(), out=Dense(4, 3),
    )  # fmt: skip
    return Net("small conv", body, (6, 6, 2), (3,))
