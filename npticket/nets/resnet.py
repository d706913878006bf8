"""Residual networks for CIFAR-10 (He et al. 2016, section 4.2)."""

from npticket.layers import BatchNorm, Chain, Conv2D, Dense, GlobalAveragePool, ReLU, Residual
from npticket.nets.net import Net
from npticket.protocols import Layer

DEEPEST = 200  # n of the deepest network that He et al. trained, of 1,202 layers


def resnet(depth: int = 20, width: int = 16, classes: int = 10) -> Net:
    """A network of 6 n + 2 layers, `width` filters at first; where the map shrinks, a strided shortcut goes around."""
    n, left_over = divmod(depth - 2, 6)
    if left_over or not 1 <= n <= DEEPEST:
        raise ValueError(f"the depth of this residual network is 6 n + 2 (8, 14, 20 ... 1202), got {depth}")
    layers: dict[str, Layer] = {"conv": Conv2D(3, width, padding=1, bias=False), "norm": BatchNorm(width)}
    layers["relu"] = ReLU()
    channels = width
    for stage in range(3):
        for block in range(n):
            filters, stride = width << stage, 2 if stage and not block else 1
            layers[f"stage{stage + 1}_block{block + 1}"] = Chain(sum=_residual(channels, filters, stride), relu=ReLU())
            channels = filters
    body = Chain(**layers, pool=GlobalAveragePool(), out=Dense(channels, classes))
    return Net(f"ResNet-{depth}", body, (32, 32, 3), (classes,))


def resnet_18(classes: int = 10) -> Net:
    """What the paper calls Resnet-18: the 20-layer network for CIFAR-10, 270,896 weights.

    It is not the ImageNet network of that name, which has 11 million (Frankle & Carbin 2019, appendix I.3).
    """
    return resnet(depth=20, classes=classes)


def _residual(channels: int, filters: int, stride: int) -> Residual:
    """Two 3 x 3 convolutions with batch normalisation, around which x goes as it is, or through a strided 1 x 1 one."""
    body = Chain(
        conv1=Conv2D(channels, filters, stride=stride, padding=1, bias=False), norm1=BatchNorm(filters), relu=ReLU(),
        conv2=Conv2D(filters, filters, padding=1, bias=False), norm2=BatchNorm(filters),
    )  # fmt: skip
    if stride == 1 and channels == filters:
        return Residual(body)
    shortcut = Chain(conv=Conv2D(channels, filters, kernel=1, stride=stride, bias=False), norm=BatchNorm(filters))
    return Residual(body, shortcut)
