"""VGGs for 32 x 32 x 3 images: Conv-2, Conv-4, Conv-6 (Frankle & Carbin 2019, Figure 2) and VGG-19 (appendix I.2)."""

from itertools import pairwise

from npticket.layers import AveragePool, BatchNorm, Chain, Conv2D, Dense, Dropout, Flatten, MaxPool, ReLU
from npticket.nets.net import Net
from npticket.protocols import Layer


def conv_2(classes: int = 10, dropout: float = 0.0) -> Net:
    """Conv-2: 4,300,992 weights, 38,592 of them in convolutions."""
    return _conv_net("Conv-2", (64,), classes, dropout)


def conv_4(classes: int = 10, dropout: float = 0.0) -> Net:
    """Conv-4: 2,425,024 weights, 259,776 of them in convolutions."""
    return _conv_net("Conv-4", (64, 128), classes, dropout)


def conv_6(classes: int = 10, dropout: float = 0.0) -> Net:
    """Conv-6: 2,261,184 weights, 1,144,512 of them in convolutions.

    The paper's Figure 2 prints 1.7M weights. Three 2 x 2 pools on 32 x 32 pixels leave 4 x 4 x 256 = 4,096 inputs for
    the first dense layer, which makes 2.26M; 1.7M would need 2,048. The tick labels of the paper's own Conv-6 plots
    fit a network half of whose weights are in convolutions, as here (51 %), and not one with two thirds (1.1M of 1.7M).
    """
    return _conv_net("Conv-6", (64, 128, 256), classes, dropout)


def _conv_net(name: str, widths: tuple[int, ...], classes: int, dropout: float) -> Net:
    """Pairs of 3 x 3 convolutions with 2 x 2 max-pooling, then dense layers of 256, 256 and `classes` units."""
    layers: dict[str, Layer] = {}
    for i, (channels, filters) in enumerate(pairwise([3, *(width for width in widths for _ in range(2))]), start=1):
        layers[f"conv{i}"] = Conv2D(channels, filters, padding=1)
        layers[f"relu{i}"] = ReLU()
        if i % 2 == 0:
            layers[f"pool{i // 2}"] = MaxPool(2)
    layers["flatten"] = Flatten()
    side = 32 >> len(widths)
    for i, inputs in enumerate((side * side * widths[-1], 256), start=1):
        layers[f"fc{i}"] = Dense(inputs, 256)
        layers[f"fc_relu{i}"] = ReLU()
        if dropout:
            layers[f"dropout{i}"] = Dropout(dropout)
    return Net(name, Chain(**layers, out=Dense(256, classes)), (32, 32, 3), (classes,))


def vgg_19(classes: int = 10, width: int = 64) -> Net:
    """VGG-19 (Simonyan & Zisserman 2015), with batch normalisation and one dense layer: 20,024,000 weights."""
    layers: dict[str, Layer] = {}
    channels, groups = 3, ((width, 2), (2 * width, 2), (4 * width, 4), (8 * width, 4), (8 * width, 4))
    for group, (filters, count) in enumerate(groups, start=1):
        for i in range(1, count + 1):
            layers[f"conv{group}_{i}"] = Conv2D(channels, filters, padding=1, bias=False)
            layers[f"norm{group}_{i}"] = BatchNorm(filters)
            layers[f"relu{group}_{i}"] = ReLU()
            channels = filters
        layers[f"pool{group}"] = MaxPool(2) if group < len(groups) else AveragePool(2)
    body = Chain(**layers, flatten=Flatten(), out=Dense(channels, classes))
    return Net("VGG-19", body, (32, 32, 3), (classes,))
