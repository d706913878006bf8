"""Which units of a network go together: what depends on a neuron or a filter, derived from the network's own layers.

A unit is an output of a dense layer or a filter of a convolution. Norms, pools, ReLUs and dropout hand it on; in a map
that is flattened it occurs once for each pixel; and where the outputs of two layers are added, the two units of a sum
are one. So a unit is written by one or more layers and read by others. To cut it is to take its columns from those that
write it, its values from norms, and its rows from those that read it. Inputs and outputs are units that are never cut.

For LeNet-300-100: fc1 writes 300 units that fc2 reads, fc2 100 that the output layer reads. In a residual network all
filters that end in one sum are one group (dependency graphs: Fang et al. 2023, DepGraph).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from npticket.backend import to_host
from npticket.layers import (
    AveragePool,
    BatchNorm,
    Chain,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    MaxPool,
    OneChannel,
    ReLU,
    Residual,
)
from npticket.params import Params, Shapes
from npticket.protocols import Layer, Net, UnsuitedError

KNOWN = (
    Chain, Residual, Dense, Conv2D, BatchNorm, Flatten, GlobalAveragePool, MaxPool, AveragePool, ReLU, Dropout,
    OneChannel,
)  # fmt: skip


@dataclass(frozen=True)
class Ends:
    """The numbers of the units that a layer with parameters reads (I,) and writes (O,); a norm writes what it reads.

    `pixels` is how many the layer's output has, and so how often it uses each weight for one example.
    """

    reads: np.ndarray
    writes: np.ndarray
    pixels: int = 1


@dataclass(frozen=True)
class Group:
    """Units that are ranked together: the numbers (n,) of those of one layer, or of `layers` that are added up."""

    layers: tuple[str, ...]
    units: np.ndarray


@dataclass(frozen=True)
class Units:
    """The units of a network, numbered from 0 to `count` - 1.

    `weights` and `norms` are its layers with parameters by name; `fixed` (count,) says which units are inputs or
    outputs of the network.
    """

    count: int
    weights: Mapping[str, Ends]
    norms: Mapping[str, Ends]
    fixed: np.ndarray

    @classmethod
    def of(cls, net: Net) -> "Units":
        """Derive a network's units; UnsuitedError for a layer that is not known, ValueError if layers do not fit."""
        wires = _Wires()
        inputs = wires.new(net.input_shape[-1])
        outputs, _ = wires.through(net.body, "", inputs, net.input_shape[:-1])
        one = wires.joined()
        layers = {name: Ends(one[e.reads], one[e.writes], e.pixels) for name, e in wires.ends.items()}
        norms = {name: ends for name, ends in layers.items() if name in wires.norms}
        fixed = np.ones(int(one.max()) + 1, bool)
        for name in layers.keys() - norms.keys():
            fixed[layers[name].writes] = False
        fixed[one[inputs]] = fixed[one[outputs]] = True
        return cls(len(fixed), {name: ends for name, ends in layers.items() if name not in norms}, norms, fixed)

    @property
    def groups(self) -> list[Group]:
        """All units that may be cut, by the layers that write them, in the order of these."""
        found: dict[int, list[str]] = {}
        for name, ends in self.weights.items():
            if not self.fixed[ends.writes].any():
                found.setdefault(int(ends.writes[0]), []).append(name)
        return [
            Group(tuple(names), np.unique(np.concatenate([self.weights[name].writes for name in names])))
            for names in found.values()
        ]


def weights_of(layer: str) -> str:
    """The name of a layer's weights: "fc1/W", and "W" where the network is one layer, without a name."""
    return f"{layer}/W".lstrip("/")


def multiply_adds(net: Net, masks: Params) -> np.ndarray:
    """Count the multiply-adds that surviving weights take for one example, per trial (T,).

    Each weight is used once for every pixel of its layer's output. Biases, norms and pools are not counted.
    """
    alive = [to_host(masks[weights_of(name)].reshape(masks.trials, -1).sum(axis=1)) * ends.pixels
             for name, ends in Units.of(net).weights.items()]  # fmt: skip
    return np.sum(alive, axis=0)


class _Wires:
    """Goes through the layers, gives each new unit a number, and notes which numbers mean the same unit."""

    def __init__(self) -> None:
        self.ends: dict[str, Ends] = {}
        self.norms: set[str] = set()
        self._one: list[int] = []  # union-find: for each number a lower one of the same unit, or itself

    def new(self, count: int) -> np.ndarray:
        self._one += range(len(self._one), len(self._one) + count)
        return np.arange(len(self._one) - count, len(self._one))

    def through(
        self, layer: Layer, name: str, x: np.ndarray, shape: tuple[int, ...]
    ) -> tuple[np.ndarray, tuple[int, ...]]:
        """Return what comes out of a layer as units of the last axis and the shape of the others, (H, W) or ()."""
        if type(layer) not in KNOWN:  # what is derived from a layer may do something else
            kind = type(layer).__name__
            raise UnsuitedError(f"which units {name} reads and writes is not known, as it is a {kind}")
        if isinstance(layer, Chain):
            for part, each in layer.layers.items():
                x, shape = self.through(each, f"{name}/{part}".lstrip("/"), x, shape)
        elif isinstance(layer, Residual):
            y, after = self.through(layer.body, f"{name}/body".lstrip("/"), x, shape)
            if layer.shortcut is not None:
                x, shape = self.through(layer.shortcut, f"{name}/shortcut".lstrip("/"), x, shape)
            if (len(x), shape) != (len(y), after):
                raise ValueError(f"{name} adds {len(y)} units of a map {after} to {len(x)} of a map {shape}")
            self._join(x, y)
        elif isinstance(layer, Dense | Conv2D | BatchNorm):
            return self._with_parameters(layer, name, x, shape)
        elif isinstance(layer, Flatten):
            x, shape = np.tile(x, math.prod(shape)), ()  # channels come last: all of a pixel, then of the next
        elif isinstance(layer, GlobalAveragePool):
            shape = ()
        elif isinstance(layer, OneChannel):
            x, shape = self.new(1), (*shape, len(x))
        elif isinstance(layer, MaxPool | AveragePool):
            shape = tuple((n + 2 * layer.padding - layer.size) // layer.stride + 1 for n in shape)
        return x, shape

    def _with_parameters(
        self, layer: Dense | Conv2D | BatchNorm, name: str, x: np.ndarray, shape: tuple[int, ...]
    ) -> tuple[np.ndarray, tuple[int, ...]]:
        local, axis = ("scale", 0) if isinstance(layer, BatchNorm) else ("W", -2)
        shapes: Shapes = layer.layout
        if len(x) != shapes[local][axis]:
            raise ValueError(f"{name} reads {shapes[local][axis]} units, and {len(x)} come in")
        if isinstance(layer, Conv2D):
            shape = tuple((n + 2 * layer.padding - shapes["W"][0]) // layer.stride + 1 for n in shape)
        if isinstance(layer, BatchNorm):
            self.norms.add(name)
        y = x if name in self.norms else self.new(shapes["W"][-1])
        self.ends[name] = Ends(x, y, math.prod(shape))
        return y, shape

    def _join(self, x: np.ndarray, y: np.ndarray) -> None:
        for pair in zip(x.tolist(), y.tolist(), strict=True):
            a, b = map(self._root, pair)
            self._one[max(a, b)] = min(a, b)

    def _root(self, unit: int) -> int:
        while self._one[unit] != unit:
            unit = self._one[unit]
        return unit

    def joined(self) -> np.ndarray:
        """Return a new number for each old one: the same for all that mean one unit, and without gaps."""
        return np.unique([self._root(unit) for unit in range(len(self._one))], return_inverse=True)[1]
