"""A small one-stage detector without anchors, after FCOS (Tian et al. 2019): one prediction for each 8 x 8 pixels."""

from npticket.layers import BatchNorm, Chain, Conv2D, Dense, GlobalAveragePool, Layer, ReLU, Residual
from npticket.nets.net import Net
from npticket.nets.resnet import two_convolutions

STRIDE = 8  # pixels from cell to cell


def detector(height: int = 128, width: int = 160, channels: int = 3, classes: int = 3, filters: int = 15) -> Net:
    """Return a detector for images of this size, which are multiples of 8: three strided convolutions, two blocks.

    Its outputs (height / 8, width / 8, classes + 4) are for each cell a logit for each class, and four numbers for the
    object's box: see npticket.detection. By default there are 150,675 weights; a cell sees 79 x 79 pixels. ValueError
    for other sizes.
    """
    if min(height, width) < STRIDE or height % STRIDE or width % STRIDE:
        raise ValueError(f"a detector's images are multiples of {STRIDE} pixels high and wide, got {height} x {width}")
    body = Chain(**_backbone(channels, classes, filters), out=Conv2D(4 * filters, classes + 4, kernel=1))
    return Net("detector", body, (height, width, channels), (height // STRIDE, width // STRIDE, classes + 4))


def detector_backbone(
    height: int = 64, width: int = 64, channels: int = 3, classes: int = 20, filters: int = 15
) -> Net:
    """Return a classifier of images with which a detector is pre-trained: all its layers, by name, but the last.

    In place of that, the map is averaged and a dense layer gives a logit for each class.
    """
    body = Chain(**_backbone(channels, classes, filters), pool=GlobalAveragePool(), out=Dense(4 * filters, classes))
    return Net("detector's backbone", body, (height, width, channels), (classes,))


def _backbone(channels: int, classes: int, filters: int) -> dict[str, Layer]:
    if min(channels, classes, filters) < 1:
        raise ValueError(f"expected sizes of at least 1, got {channels} channels, {classes} classes, {filters} filters")
    sizes = (channels, filters, 2 * filters, 4 * filters)
    layers: dict[str, Layer] = {}
    for i in (1, 2, 3):
        layers |= {f"conv{i}": Conv2D(sizes[i - 1], sizes[i], stride=2, padding=1, bias=False),
                   f"norm{i}": BatchNorm(sizes[i]), f"relu{i}": ReLU()}  # fmt: skip
    for block in ("block1", "block2"):
        layers[block] = Chain(sum=Residual(two_convolutions(sizes[3], sizes[3])), relu=ReLU())
    return layers
