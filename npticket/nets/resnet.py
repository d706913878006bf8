"""Residual networks (He et al. 2016): for CIFAR-10 (section 4.2), and for ImageNet (section 4.1, Table 1)."""

from collections.abc import Sequence

from npticket.layers import (
    BatchNorm,
    Chain,
    Conv2D,
    Dense,
    GlobalAveragePool,
    MaxPool,
    ReLU,
    Residual,
)
from npticket.nets.net import Net
from npticket.protocols import Layer

DEEPEST = 200  # n of the deepest network that He et al. trained, of 1,202 layers
LEAST = 4  # pixels: two strides leave one of so many
PLAIN = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}  # blocks in each stage, by depth; 10 and 14 are ours
BOTTLENECK = {14: (1, 1, 1, 1), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def resnet(depth: int = 20, width: int = 16, classes: int = 10, input_shape: Sequence[int] = (32, 32, 3)) -> Net:
    """Return the CIFAR-10 form, of depth 6 n + 2 and with `width`, 2 `width` and 4 `width` filters in its three stages.

    Where the map shrinks, the shortcut is a strided 1 x 1 convolution. ValueError for other depths and shapes.
    """
    n, left_over = divmod(depth - 2, 6)
    if left_over or not 1 <= n <= DEEPEST:
        raise ValueError(f"the depth of this residual network is 6 n + 2 (8, 14, 20 ... 1202), got {depth}")
    channels = (shape := _image(input_shape))[-1]
    layers: dict[str, Layer] = {"conv": Conv2D(channels, width, padding=1, bias=False), "norm": BatchNorm(width)}
    layers["relu"] = ReLU()
    channels = width
    for stage in range(3):
        for block in range(n):
            filters, stride = width << stage, 2 if stage and not block else 1
            body = two_convolutions(channels, filters, stride)
            layers[f"stage{stage + 1}_block{block + 1}"] = _around(body, channels, filters, stride)
            channels = filters
    whole = Chain(**layers, pool=GlobalAveragePool(), out=Dense(channels, classes))
    return Net(f"ResNet-{depth}", whole, shape, (classes,))


def resnet_18(classes: int = 10) -> Net:
    """What the paper calls Resnet-18: the 20-layer network for CIFAR-10, 270,896 weights.

    It is not the ImageNet network of that name, which has 11 million (Frankle & Carbin 2019, appendix I.3).
    """
    return resnet(depth=20, classes=classes)


def imagenet_resnet(
    depth: int = 50, width: int = 64, classes: int = 1000, input_shape: Sequence[int] = (224, 224, 3)
) -> Net:
    """The ImageNet form: a strided 7 x 7 convolution and a 3 x 3 pool, then four stages; ResNet-50 has 25.5 M weights.

    From depth 50 on (and at 14) a block is a bottleneck: 1 x 1, 3 x 3 and 1 x 1 convolutions, the last with four times
    as many filters. A strided block has its stride in the 3 x 3 one, as torchvision's have. Images may have any size
    from 4 x 4 on; the maps of the four stages are 1/4, 1/8, 1/16 and 1/32 of it. ValueError for other depths
    and shapes.
    """
    known = PLAIN | BOTTLENECK
    if depth not in known:
        raise ValueError(f"a residual network for ImageNet has a depth of {', '.join(map(str, sorted(known)))}, got "
                         f"{depth}")  # fmt: skip
    make, wider = (_bottleneck, 4) if depth in BOTTLENECK else (two_convolutions, 1)
    channels = (shape := _image(input_shape))[-1]
    layers: dict[str, Layer] = {"conv": Conv2D(channels, width, kernel=7, stride=2, padding=3, bias=False)}
    layers |= {"norm": BatchNorm(width), "relu": ReLU(), "pool": MaxPool(3, 2, 1)}
    channels = width
    for stage, blocks in enumerate(known[depth]):
        for block in range(blocks):
            filters, stride = width << stage, 2 if stage and not block else 1
            body = make(channels, filters, stride)
            layers[f"stage{stage + 1}_block{block + 1}"] = _around(body, channels, filters * wider, stride)
            channels = filters * wider
    whole = Chain(**layers, average=GlobalAveragePool(), out=Dense(channels, classes))
    return Net(f"ResNet-{depth} (ImageNet)", whole, shape, (classes,))


def _image(input_shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of an image; ValueError for another, as that of an image whose channels come first."""
    if len(input_shape) != 3 or min(input_shape[:2]) < LEAST or input_shape[2] < 1:
        raise ValueError(f"a residual network takes images (height, width, channels) of at least {LEAST} x {LEAST} "
                         f"pixels, got {list(input_shape)}")  # fmt: skip
    return tuple(input_shape)


def _around(body: Chain, channels: int, filters: int, stride: int) -> Chain:
    """A residual block with ReLU: the shortcut is x or, where shapes differ, a 1 x 1 convolution with batch norm."""
    if stride == 1 and channels == filters:
        return Chain(sum=Residual(body), relu=ReLU())
    shortcut = Chain(conv=Conv2D(channels, filters, kernel=1, stride=stride, bias=False), norm=BatchNorm(filters))
    return Chain(sum=Residual(body, shortcut), relu=ReLU())


def two_convolutions(channels: int, filters: int, stride: int = 1) -> Chain:
    """Two 3 x 3 convolutions with batch normalisation."""
    return Chain(
        conv1=Conv2D(channels, filters, stride=stride, padding=1, bias=False), norm1=BatchNorm(filters), relu=ReLU(),
        conv2=Conv2D(filters, filters, padding=1, bias=False), norm2=BatchNorm(filters),
    )  # fmt: skip


def _bottleneck(channels: int, filters: int, stride: int) -> Chain:
    """A 3 x 3 convolution between two of 1 x 1, the last with four times as many filters."""
    return Chain(
        conv1=Conv2D(channels, filters, kernel=1, bias=False), norm1=BatchNorm(filters), relu1=ReLU(),
        conv2=Conv2D(filters, filters, stride=stride, padding=1, bias=False), norm2=BatchNorm(filters), relu2=ReLU(),
        conv3=Conv2D(filters, 4 * filters, kernel=1, bias=False), norm3=BatchNorm(4 * filters),
    )  # fmt: skip
