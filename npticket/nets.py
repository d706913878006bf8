"""The paper's networks, one short function each (Frankle & Carbin 2019, Figure 2)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npticket.backend import Array
from npticket.layers import (
    AveragePool,
    BatchNorm,
    Chain,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    Layer,
    MaxPool,
    ReLU,
    Residual,
    predict,
)
from npticket.params import Params
from npticket.prune import magnitude, prune_globally, prune_layerwise
from npticket.streams import TrainingStep


@dataclass(frozen=True)
class Net:
    """A network as a function f(x; theta): it owns no arrays.

    `rates` names the prunable parameters and the fraction of survivors that goes per round: of each parameter on its
    own, or, with `pruned_globally`, of all of them ranked together, at the one rate that all have then.
    """

    name: str
    body: Layer
    input_shape: tuple[int, ...]  # of one example, without trials and batch axes
    classes: int
    rates: Mapping[str, float]
    pruned_globally: bool = False

    def __post_init__(self) -> None:
        unknown = [name for name in self.rates if name not in self.body.layout]
        if unknown:
            raise ValueError(f"{self.name} has a pruning rate for {', '.join(unknown)} but no such parameter")
        if self.pruned_globally and len(set(self.rates.values())) != 1:
            raise ValueError(f"{self.name} is pruned globally, so all its rates must be the same, got {self.rates}")

    def init(self, rngs: Sequence[np.random.Generator], dtype: Any = np.float32) -> Params:
        """Step 1 of the paper: draw theta0, one generator per trial."""
        theta = Params.empty(self.body.layout, len(rngs), dtype)
        for t, rng in enumerate(rngs):
            for name, value in self.body.init(rng).items():
                theta[name][t] = value
        return theta

    def forward(self, theta: Params, x: Array, step: TrainingStep | None = None) -> tuple[Array, Callable]:
        """Return logits (T, B, classes) and the backward pass.     x (T, B, *input_shape), or (1, B, ...) for all

        With `step` the network is in training, which matters to batch normalisation and dropout; without, it predicts.
        """
        return self.body.forward(theta.tree, x, step)

    def predict(self, theta: Params, x: Array) -> Array:
        """Return the logits that `forward` would return, in less memory: without a way back."""
        return predict(self.body, theta.tree, x)

    def prune(self, end: Params, masks: Params) -> Params:
        """Step 3 of the paper: return the masks without the smallest weights of `end`, as this network prescribes."""
        if self.pruned_globally:
            return prune_globally(magnitude(end), masks, next(iter(self.rates.values())), self.rates)
        return prune_layerwise(magnitude(end), masks, self.rates)


def lenet_300_100(hidden: Sequence[int] = (300, 100), std: float | None = None) -> Net:
    """LeNet-300-100 for 28 x 28 images: 266,200 weights. Output layer pruned at half the rate of the others.

    For the paper's sweeps (appendices G.5 and G.6): other numbers of `hidden` units, weights drawn from N(0, std^2).
    """
    first, second = hidden
    return Net(
        name=f"LeNet-{first}-{second}",
        body=Chain(
            flatten=Flatten(),
            fc1=Dense(784, first, std),
            relu1=ReLU(),
            fc2=Dense(first, second, std),
            relu2=ReLU(),
            out=Dense(second, 10, std),
        ),
        input_shape=(28, 28),
        classes=10,
        rates={"fc1/W": 0.2, "fc2/W": 0.2, "out/W": 0.1},
    )


def conv_2(classes: int = 10, dropout: float = 0.0) -> Net:
    """Conv-2 for 32 x 32 x 3 images: 4,300,992 weights, 38,592 of them in convolutions."""
    return _conv_net("Conv-2", (64,), conv_rate=0.1, classes=classes, dropout=dropout)


def conv_4(classes: int = 10, dropout: float = 0.0) -> Net:
    """Conv-4 for 32 x 32 x 3 images: 2,425,024 weights, 259,776 of them in convolutions."""
    return _conv_net("Conv-4", (64, 128), conv_rate=0.1, classes=classes, dropout=dropout)


def conv_6(classes: int = 10, dropout: float = 0.0) -> Net:
    """Conv-6 for 32 x 32 x 3 images: 2,261,184 weights, 1,144,512 of them in convolutions.

    The paper's Figure 2 prints 1.7M weights. Three 2 x 2 pools on 32 x 32 pixels leave 4 x 4 x 256 = 4,096 inputs for
    the first dense layer, which makes 2.26M; 1.7M would need 2,048. The tick labels of the paper's own Conv-6 plots
    fit a network half of whose weights are in convolutions, as here (51 %), and not one with two thirds (1.1M of 1.7M).
    """
    return _conv_net("Conv-6", (64, 128, 256), conv_rate=0.15, classes=classes, dropout=dropout)


def resnet(depth: int = 20, width: int = 16, classes: int = 10) -> Net:
    """The residual network for CIFAR-10 of He et al. 2016, section 4.2: 6 n + 2 layers, `width` filters at first.

    Where the map shrinks, a strided 1 x 1 convolution makes the shortcut. Convolutions are pruned globally, but for
    the shortcuts' and without the output layer (Frankle & Carbin 2019, section 4).
    """
    n, left_over = divmod(depth - 2, 6)
    if left_over or n < 1:
        raise ValueError(f"the depth of this residual network is 6 n + 2 (8, 14, 20 ...), got {depth}")
    layers: dict[str, Layer] = {
        "conv": Conv2D(3, width, padding=1, bias=False),
        "norm": BatchNorm(width),
        "relu": ReLU(),
    }
    channels = width
    for stage in range(3):
        for block in range(n):
            filters, stride = width << stage, 2 if stage and not block else 1
            layers[f"stage{stage + 1}_block{block + 1}"] = Chain(
                sum=_residual(channels, filters, stride),
                relu=ReLU(),
            )
            channels = filters
    body = Chain(**layers, pool=GlobalAveragePool(), out=Dense(channels, classes))
    return _pruned_globally(f"ResNet-{depth}", body, classes)


def resnet_18(classes: int = 10) -> Net:
    """What the paper calls Resnet-18: the 20-layer network for CIFAR-10, 270,896 weights.

    It is not the ImageNet network of that name, which has 11 million (Frankle & Carbin 2019, appendix I.3).
    """
    return resnet(depth=20, classes=classes)


def vgg_19(classes: int = 10, width: int = 64) -> Net:
    """VGG-19 for 32 x 32 x 3 images, with batch normalisation and one dense layer: 20,024,000 weights.

    Convolutions are pruned globally, without the output layer (Frankle & Carbin 2019, section 4 and appendix I.2).
    """
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
    return _pruned_globally("VGG-19", body, classes)


def _conv_net(name: str, widths: Sequence[int], conv_rate: float, classes: int, dropout: float) -> Net:
    """Pairs of 3 x 3 convolutions with 2 x 2 max-pooling, then dense layers of 256, 256 and `classes` units."""
    layers: dict[str, Layer] = {}
    rates = {}
    channels, side, count = 3, 32, 0
    for group, filters in enumerate(widths, start=1):
        for _ in range(2):
            count += 1
            layers[f"conv{count}"] = Conv2D(channels, filters, padding=1)
            layers[f"relu{count}"] = ReLU()
            rates[f"conv{count}/W"] = conv_rate
            channels = filters
        layers[f"pool{group}"] = MaxPool(2)
        side //= 2
    layers["flatten"] = Flatten()
    for i, inputs in enumerate((side * side * channels, 256), start=1):
        layers[f"fc{i}"] = Dense(inputs, 256)
        layers[f"fc_relu{i}"] = ReLU()
        rates[f"fc{i}/W"] = 0.2
        if dropout:
            layers[f"dropout{i}"] = Dropout(dropout)
    rates["out/W"] = 0.1
    return Net(name, Chain(**layers, out=Dense(256, classes)), (32, 32, 3), classes, rates)


def _residual(channels: int, filters: int, stride: int) -> Residual:
    """Two 3 x 3 convolutions with batch normalisation, around which x goes as it is, or through a strided 1 x 1 one."""
    body = Chain(
        conv1=Conv2D(channels, filters, stride=stride, padding=1, bias=False),
        norm1=BatchNorm(filters),
        relu=ReLU(),
        conv2=Conv2D(filters, filters, padding=1, bias=False),
        norm2=BatchNorm(filters),
    )
    if stride == 1 and channels == filters:
        return Residual(body)
    shortcut = Chain(conv=Conv2D(channels, filters, kernel=1, stride=stride, bias=False), norm=BatchNorm(filters))
    return Residual(body, shortcut)


def _pruned_globally(name: str, body: Chain, classes: int) -> Net:
    """All convolutions together lose 20 % per round; shortcuts and the output layer are left alone."""
    prunable = [n for n in body.layout if n.endswith("/W") and n != "out/W" and "/shortcut/" not in n]
    return Net(name, body, (32, 32, 3), classes, dict.fromkeys(prunable, 0.2), pruned_globally=True)
