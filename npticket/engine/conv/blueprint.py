"""What a convolutional network consists of, in the units that the engine knows, or that it is of another kind."""

from collections.abc import Iterator
from dataclasses import dataclass, field

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
from npticket.protocols import Net

KNOWN = (AveragePool, BatchNorm, Chain, Conv2D, Dense, Flatten, GlobalAveragePool, MaxPool, ReLU, Residual)

Named = tuple[str, Layer]  # where its parameters are, "block/conv/", and a layer


class NotSupported(ValueError):
    """A network is not of the kind that the convolutional engine runs."""


@dataclass
class Unit:
    """A convolution, whose parameters' names begin with `prefix`, and what follows it directly."""

    prefix: str
    conv: Conv2D
    norm: tuple[str, BatchNorm] | None = None
    relu: bool = False
    pooled: bool = False

    @property
    def kernel(self) -> int:
        """1 or 3."""
        return self.conv.layout["W"][0]

    @property
    def has_bias(self) -> bool:
        """Whether the convolution adds a bias."""
        return "b" in self.conv.layout


@dataclass
class Block:
    """Units around which their input goes, as it is or through one more; the sum may be rectified."""

    body: list[Unit]
    shortcut: Unit | None
    relu: bool


@dataclass
class Blueprint:
    """For images of `size` x `size`: `units` on maps; these averaged or flattened; `tail`, layers of vectors."""

    size: int
    units: list[Unit | Block] = field(default_factory=list)
    averaged: bool = False
    tail: dict[str, Layer] = field(default_factory=dict)

    @property
    def convolutions(self) -> Iterator[Unit]:
        """All units, those of blocks too, shortcuts after the units that they go around."""
        for unit in self.units:
            yield from [unit] if isinstance(unit, Unit) else [*unit.body, *filter(None, [unit.shortcut])]


def recognise(body: Layer, input_shape: tuple[int, ...]) -> Blueprint:
    """Return the blueprint of a network for images of `input_shape`; NotSupported if it is of another kind."""
    if type(body) is not Chain or len(input_shape) != 3 or input_shape[0] != input_shape[1]:
        raise NotSupported("expected a chain of layers for square images")
    layers, blueprint, size = list(_flat("", body)), Blueprint(input_shape[0]), input_shape[0]
    while layers and isinstance(layers[0][1], Conv2D | Residual):
        unit, layers = _block_or_unit(layers)
        size = _size_after(unit, size)
        blueprint.units.append(unit)
    first = blueprint.units[0] if blueprint.units else None
    if not isinstance(first, Unit) or (first.kernel, first.conv.stride) != (3, 1):
        raise NotSupported("expected a 3 x 3 convolution with padding 1 first")
    head = layers.pop(0)[1] if layers else None
    blueprint.averaged = isinstance(head, GlobalAveragePool) or (isinstance(head, AveragePool) and head.size == size)
    if not blueprint.averaged and not isinstance(head, Flatten):
        raise NotSupported(f"{type(head).__name__} cannot follow a map of {size} x {size}")
    if any("/" in name[:-1] or isinstance(layer, Conv2D | Residual | BatchNorm) for name, layer in layers):
        raise NotSupported("expected plain layers of vectors after the maps")
    blueprint.tail = {name[:-1]: layer for name, layer in layers}
    return blueprint


def supports(net: Net) -> bool:
    """Say whether the convolutional engine can run a network."""
    try:
        recognise(net.body, net.input_shape)
    except NotSupported:
        return False
    return True


def _flat(prefix: str, chain: Chain) -> Iterator[Named]:
    for name, layer in chain.layers.items():
        if isinstance(layer, KNOWN) and type(layer) not in KNOWN:
            raise NotSupported(f"{type(layer).__name__} may do something else than what it is derived from")
        if isinstance(layer, Chain):
            yield from _flat(f"{prefix}{name}/", layer)
        else:
            yield f"{prefix}{name}/", layer


def _block_or_unit(layers: list[Named]) -> tuple[Unit | Block, list[Named]]:
    """Return the unit or block at the beginning of `layers`, and what is left of them."""
    (prefix, residual), *rest = layers
    if not isinstance(residual, Residual):
        return _unit(layers)
    body, shortcut = _units(f"{prefix}body/", residual.body), _units(f"{prefix}shortcut/", residual.shortcut)
    if not body or len(shortcut) > 1 or any(unit.relu or unit.pooled for unit in (body[-1], *shortcut)):
        raise NotSupported("expected convolutions to be summed, with one at most in the shortcut")
    if shortcut and shortcut[0].kernel != 1:
        raise NotSupported("expected a 1 x 1 convolution in the shortcut")
    relu = bool(rest) and isinstance(rest[0][1], ReLU)
    return Block(body, shortcut[0] if shortcut else None, relu), rest[relu:]


def _unit(layers: list[Named]) -> tuple[Unit, list[Named]]:
    (prefix, conv), *layers = layers
    if not isinstance(conv, Conv2D):
        raise NotSupported("expected a convolution at the beginning of each unit")
    unit = Unit(prefix, conv)
    if layers and isinstance(norm := layers[0][1], BatchNorm):
        unit.norm, layers = (layers[0][0], norm), layers[1:]
    if layers and isinstance(layers[0][1], ReLU):
        unit.relu, layers = True, layers[1:]
    if layers and isinstance(pool := layers[0][1], MaxPool) and pool.size == 2:
        unit.pooled, layers = True, layers[1:]
    return unit, layers


def _units(prefix: str, chain: Layer | None) -> list[Unit]:
    """Return the units of a chain that consists of nothing else."""
    if chain is None:
        return []
    if type(chain) is not Chain:
        raise NotSupported("expected a chain of layers")
    layers, units = list(_flat(prefix, chain)), []
    while layers:
        unit, layers = _unit(layers)
        units.append(unit)
    return units


def _size_after(unit: Unit | Block, size: int) -> int:
    if isinstance(unit, Unit):
        return _unit_size(unit, size)
    inner = size
    for part in unit.body:
        inner = _unit_size(part, inner)
    if inner != (size if unit.shortcut is None else _unit_size(unit.shortcut, size)):
        raise NotSupported("expected both ways through a block to come to maps of one size")
    return inner


def _unit_size(unit: Unit, size: int) -> int:
    """Return the size of the map after a unit, which the memory layout must fit, as must the one before pooling."""
    stride = unit.conv.stride
    if (unit.kernel, unit.conv.padding) not in ((3, 1), (1, 0)) or stride not in (1, 2):
        raise NotSupported("expected kernels 3 x 3 with padding 1 or 1 x 1 without, and a stride of 1 or 2")
    if unit.has_bias and (unit.kernel == 1 or stride == 2 or size == 2):
        raise NotSupported("expected no bias in strided and 1 x 1 convolutions, nor in any of 2 x 2 maps")
    for shrinks in (False, stride == 2, unit.pooled):
        if shrinks and size % 2:
            raise NotSupported(f"a map of {size} x {size} cannot be halved")
        size = size // 2 if shrinks else size
        if size % 4 and size != 2:
            raise NotSupported(f"expected maps of 2 x 2 or a multiple of 4 x 4, not {size} x {size}")
    return size
