"""From a network's layers to those that have kernels, joined with the ReLU behind them."""

from typing import Any

from npticket import layers
from npticket.engine.gpu.activation import ReLU
from npticket.engine.gpu.conv import Conv2D
from npticket.engine.gpu.dense import Dense
from npticket.engine.gpu.norm import BatchNorm
from npticket.engine.gpu.pool import MaxPool

WITH_RELU = {layers.Dense: Dense, layers.Conv2D: Conv2D, layers.BatchNorm: BatchNorm}


def fused(layer: Any, relu: bool = False) -> Any:
    """The same network with the same parameters, at its end a ReLU if asked for; unknown layers stay what they are."""
    kind = type(layer)
    if kind is layers.Chain:
        return _fused_chain(layer)
    if kind is layers.Residual:
        return layers.Residual(fused(layer.body), None if layer.shortcut is None else fused(layer.shortcut))
    if kind in WITH_RELU:
        return WITH_RELU[kind](layer, relu)
    if kind is layers.MaxPool:
        return MaxPool(layer.size)
    return ReLU() if kind is layers.ReLU else layer


def _fused_chain(chain: layers.Chain) -> layers.Chain:
    rest, found = list(chain.layers.items()), {}
    while rest:
        name, layer = rest.pop(0)
        relu = bool(rest) and type(rest[0][1]) is layers.ReLU and _ends_with_offset(layer)
        found[name] = fused(layer, relu)
        if relu:
            rest.pop(0)
    return layers.Chain(**found)


def _ends_with_offset(layer: Any) -> bool:
    """Whether the last thing that a layer does is to add an offset, to which the ReLU can be joined."""
    return type(layer) in WITH_RELU and not {"b", "shift"}.isdisjoint(layer.layout)
