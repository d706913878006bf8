"""From a network's layers to those that have kernels, joined with the ReLU behind them."""

from npticket import layers
from npticket.engine.gpu.activation import ReLU
from npticket.engine.gpu.conv import Conv2D
from npticket.engine.gpu.dense import Dense
from npticket.engine.gpu.norm import BatchNorm
from npticket.engine.gpu.pool import MaxPool
from npticket.protocols import Layer

WITH_RELU = (layers.Dense, layers.Conv2D, layers.BatchNorm)
KNOWN = (*WITH_RELU, layers.Chain, layers.Residual, layers.MaxPool, layers.ReLU)


def fused_layers(layer: Layer, relu: bool = False) -> Layer:
    """The same network with the same parameters, at its end a ReLU if asked for; unknown layers stay what they are."""
    if type(layer) not in KNOWN:  # what is derived from one of these may do something else
        return layer
    match layer:
        case layers.Chain():
            return _fused_chain(layer)
        case layers.Residual(body=body, shortcut=shortcut):
            return layers.Residual(fused_layers(body), None if shortcut is None else fused_layers(shortcut))
        case layers.Dense():
            return Dense(layer, relu)
        case layers.Conv2D():
            return Conv2D(layer, relu)
        case layers.BatchNorm():
            return BatchNorm(layer, relu)
        case layers.MaxPool(size=size):
            return MaxPool(size)
        case layers.ReLU():
            return ReLU()
    return layer


def _fused_chain(chain: layers.Chain) -> layers.Chain:
    rest, found = list(chain.layers.items()), dict[str, Layer]()
    while rest:
        name, layer = rest.pop(0)
        relu = bool(rest) and type(rest[0][1]) is layers.ReLU and _ends_with_offset(layer)
        found[name] = fused_layers(layer, relu)
        if relu:
            rest.pop(0)
    return layers.Chain(**found)


def _ends_with_offset(layer: Layer) -> bool:
    """Whether the last thing that a layer does is to add an offset, to which the ReLU can be joined."""
    return type(layer) in WITH_RELU and not {"b", "shift"}.isdisjoint(layer.layout)
