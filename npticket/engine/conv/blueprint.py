"""Recognises the convolutional networks that the engine can run, and describes them in the engine's own units.

Such a unit is a convolution with all that follows it directly; it is not what npticket.units calls one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from npticket.engine.conv.layout import Size
from npticket.layers import (
    AveragePool,
    BatchNorm,
    Chain,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePool,
    Layer,
    MaxPool,
    ReLU,
    Residual,
)
from npticket.protocols import Net, UnsuitedError

KNOWN = (AveragePool, BatchNorm, Chain, Conv2D, Dense, Flatten, GlobalAveragePool, MaxPool, ReLU, Residual)

L = TypeVar("L", BatchNorm, ReLU)
Named = tuple[str, Layer]  # where its parameters are, "block/conv/", and a layer


@dataclass(eq=False)
class Unit:
    """A convolution, whose parameters' names begin with `prefix`, and what follows it directly.

    It reads the map of the unit `source`, or if that is None the images, and its output has `size` (height, width). If
    it ends a residual block, the output of the unit `shortcut` is added to it, or the map of the unit `around`. After
    `relu` and `pooled`, where these are asked for, this is the unit's map.
    """

    prefix: str
    conv: Conv2D
    source: "Unit | None"
    size: Size
    norm: tuple[str, BatchNorm] | None = None
    relu: bool = False
    pooled: bool = False
    shortcut: "Unit | None" = None
    around: "Unit | None" = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(kernel, kernel, input channels, filters)."""
        return self.conv.layout["W"]

    @property
    def has_bias(self) -> bool:
        """Whether the convolution adds a bias."""
        return "b" in self.conv.layout

    @property
    def map_size(self) -> Size:
        """Height and width of its map."""
        return _halved(self.size) if self.pooled else self.size


@dataclass
class Blueprint:
    """A network: `units` in order, each shortcut before the units that it goes around, and then `tail`, by name.

    Between them the last map is averaged, or else flattened, and the tail's layers are of vectors. With `as_map` it
    stays a map, and the tail is one convolution.
    """

    units: list[Unit]
    averaged: bool
    tail: dict[str, Layer]
    as_map: bool = False


def recognise(body: Layer, input_shape: tuple[int, ...]) -> Blueprint:
    """Return the blueprint of a network for images of `input_shape`; UnsuitedError if it is of another kind."""
    if type(body) is not Chain or len(input_shape) != 3:
        raise UnsuitedError("expected a chain of layers for images")
    layers = list(_flat("", body))
    last = [layers.pop()] if isinstance(layers[-1][1], Conv2D) else []
    is_one = layers and isinstance(layers[0][1], Conv2D)
    units = _units(layers, None, (input_shape[0], input_shape[1]), blocks=True) if is_one else []
    if not units or units[0].shape[0] != 3:
        raise UnsuitedError("expected a 3 x 3 convolution with padding 1 first")
    size, as_map, tail = units[-1].map_size, bool(last) and not layers, layers[1:] + last
    head = layers[0][1] if layers else None
    averaged = isinstance(head, GlobalAveragePool) or (isinstance(head, AveragePool) and (head.size, head.size) == size)
    if not (averaged or as_map or isinstance(head, Flatten)):
        raise UnsuitedError(f"{type(head).__name__} cannot follow a map of {_by(size)}")
    refused = () if as_map else (Conv2D, Residual, BatchNorm)
    if any("/" in name[:-1] or isinstance(layer, refused) for name, layer in tail):
        raise UnsuitedError("expected plain layers of vectors after the maps, or one convolution")
    return Blueprint(units, averaged, {name[:-1]: layer for name, layer in tail}, as_map)


def supports(net: Net) -> bool:
    """Whether the convolutional engine can run a network."""
    try:
        recognise(net.body, net.input_shape)
    except UnsuitedError:
        return False
    return True


def _flat(prefix: str, chain: Layer) -> Iterator[Named]:
    if type(chain) is not Chain:
        raise UnsuitedError("expected a chain of layers")
    for name, layer in chain.layers.items():
        if isinstance(layer, KNOWN) and type(layer) not in KNOWN:
            raise UnsuitedError(f"{type(layer).__name__} may do something else than what it is derived from")
        if isinstance(layer, Chain):
            yield from _flat(f"{prefix}{name}/", layer)
        else:
            yield f"{prefix}{name}/", layer


def _units(layers: list[Named], source: Unit | None, size: Size, blocks: bool = False) -> list[Unit]:
    """Take all units off `layers`, to the end; or all units and blocks, as long as there are some."""
    units: list[Unit] = []
    while layers and (not blocks or isinstance(layers[0][1], Conv2D | Residual)):
        if blocks and isinstance(layers[0][1], Residual):
            units += _block(layers, source, size)
        else:
            units.append(_unit(layers, source, size))
        source, size = units[-1], units[-1].map_size
    return units


def _block(layers: list[Named], source: Unit | None, size: Size) -> list[Unit]:
    """Take a block, with the ReLU of its sum, off the beginning of `layers`."""
    prefix, residual = layers.pop(0)
    assert isinstance(residual, Residual)
    ways = ("body", residual.body), ("shortcut", residual.shortcut)
    body, shortcut = (_units(list(_flat(f"{prefix}{name}/", way)) if way else [], source, size) for name, way in ways)
    if not body or len(shortcut) > 1 or any(unit.relu or unit.pooled for unit in (body[-1], *shortcut)):
        raise UnsuitedError("expected convolutions to be summed, with one at most in the shortcut")
    if shortcut and shortcut[0].shape[0] != 1:
        raise UnsuitedError("expected a 1 x 1 convolution in the shortcut")
    if body[-1].size != (shortcut[0].size if shortcut else size):
        raise UnsuitedError("expected both ways through a block to come to maps of one size")
    body[-1].shortcut, body[-1].around = (shortcut[0], None) if shortcut else (None, source)
    body[-1].relu = _take(layers, ReLU) is not None
    return shortcut + body


def _unit(layers: list[Named], source: Unit | None, size: Size) -> Unit:
    """Take a unit that reads a map of `size` off the beginning of `layers`."""
    prefix, conv = layers.pop(0)
    if not isinstance(conv, Conv2D):
        raise UnsuitedError("expected a convolution at the beginning of each unit")
    unit = Unit(prefix, conv, source, (size[0] // conv.stride, size[1] // conv.stride))
    unit.norm = _take(layers, BatchNorm)
    unit.relu = _take(layers, ReLU) is not None
    if layers and isinstance(pool := layers[0][1], MaxPool) and pool.tiles and pool.size == 2:
        layers.pop(0)
        unit.pooled = True
    _check_sizes(unit, size)
    return unit


def _take(layers: list[Named], kind: type[L]) -> tuple[str, L] | None:
    """Take a layer off the beginning of `layers` if it is of that kind; None otherwise."""
    if layers and isinstance(layer := layers[0][1], kind):
        return layers.pop(0)[0], layer
    return None


def _check_sizes(unit: Unit, size: Size) -> None:
    """Raise UnsuitedError unless the memory layout fits the map before a unit, its output, and the map after it."""
    kernel, stride = unit.shape[0], unit.conv.stride
    if (kernel, unit.conv.padding) not in ((3, 1), (1, 0)) or stride not in (1, 2):
        raise UnsuitedError("expected kernels 3 x 3 with padding 1 or 1 x 1 without, and a stride of 1 or 2")
    if unit.has_bias and (kernel == 1 or stride == 2 or size == (2, 2)):
        raise UnsuitedError("expected no bias in strided and 1 x 1 convolutions, nor in any of 2 x 2 maps")
    for shrinks in (False, stride == 2, unit.pooled):
        if shrinks and (size[0] % 2 or size[1] % 2):
            raise UnsuitedError(f"a map of {_by(size)} cannot be halved")
        size = _halved(size) if shrinks else size
        if (size[0] % 4 or size[1] % 4) and size != (2, 2):
            raise UnsuitedError(f"expected maps of 2 x 2 or a multiple of 4 x 4, not {_by(size)}")


def _halved(size: Size) -> Size:
    return size[0] // 2, size[1] // 2


def _by(size: Size) -> str:
    return f"{size[0]} x {size[1]}"
