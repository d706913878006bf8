"""VGG-19 for CIFAR-10, with batch normalisation (Simonyan & Zisserman 2015; Frankle & Carbin 2019, appendix I.2)."""

from npticket.layers import AveragePool, BatchNorm, Chain, Conv2D, Dense, Flatten, MaxPool, ReLU
from npticket.nets.net import Net
from npticket.protocols import Layer


def vgg_19(classes: int = 10, width: int = 64) -> Net:
    """VGG-19 for 32 x 32 x 3 images, with batch normalisation and one dense layer: 20,024,000 weights."""
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
