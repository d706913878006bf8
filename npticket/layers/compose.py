"""Layers made of layers."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from npticket.backend import Array
from npticket.params import Tree
from npticket.protocols import Backward, Layer
from npticket.streams import TrainingStep

V = TypeVar("V")


class Chain:
    """One named layer after another: Chain(fc1=Dense(784, 300), relu1=ReLU(), out=Dense(300, 10)).

    Its backward pass can be called once, as it drops each layer's cache after use. ValueError without layers,
    and for a name with a slash, which stands between the names of a layer and of its parameter.
    """

    def __init__(self, **layers: Layer) -> None:
        if not layers:
            raise ValueError("a chain needs at least one layer")
        if wrong := [name for name in layers if "/" in name]:
            raise ValueError(f"a layer's name has no slash, got {wrong[0]}")
        self.layers = layers
        self.layout = joined({name: layer.layout for name, layer in layers.items()})
        with_parameters = [i for i, layer in enumerate(layers.values()) if layer.layout]
        self.first = with_parameters[0] if with_parameters else len(layers)  # no layer before it needs a backward pass

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return joined({name: layer.init(rng) for name, layer in self.layers.items()})

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        backwards = []
        for name, layer in self.layers.items():
            x, layer_backward = layer.forward(p.get(name, {}), x, step)
            backwards.append((name, layer_backward))

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array | None:
            if not backwards:
                raise RuntimeError("this backward pass has been used up; call forward again")
            last = 0 if need_dx else self.first
            while len(backwards) > last:
                name, layer_backward = backwards.pop()  # so each layer's cache is freed as soon as it was used
                dy = layer_backward(dy, grad.get(name, {}), need_dx or len(backwards) > last)
            backwards.clear()
            return dy if need_dx else None

        return x, backward


def predict(layer: Layer, p: Tree, x: Array) -> Array:
    """Return the output of `forward` alone; in a chain, each layer's cache is freed before the next layer runs."""
    if type(layer) is not Chain:  # a class derived from it may do something else
        return layer.forward(p, x)[0]
    for name, part in layer.layers.items():
        x = predict(part, p.get(name, {}), x)
    return x


class Residual:
    """y = body(x) + shortcut(x) (He et al. 2016); without a `shortcut` it is x. ValueError if the shapes differ."""

    def __init__(self, body: Layer, shortcut: Layer | None = None) -> None:
        self.body, self.shortcut = body, shortcut
        self._parts = {"body": body} | ({} if shortcut is None else {"shortcut": shortcut})
        self.layout = joined({name: layer.layout for name, layer in self._parts.items()})

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return joined({name: layer.init(rng) for name, layer in self._parts.items()})

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        y, body_backward = self.body.forward(p.get("body", {}), x, step)
        around, backwards = x, {"body": body_backward}
        if self.shortcut is not None:
            around, backwards["shortcut"] = self.shortcut.forward(p.get("shortcut", {}), x, step)
        if y.shape[1:] != around.shape[1:]:  # x may be one for all trials
            raise ValueError(f"the two paths of a residual block have shapes {y.shape[1:]} and {around.shape[1:]}")

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array | None:
            parts = {
                name: part_backward(dy, grad.get(name, {}), need_dx)
                for name, part_backward in backwards.items()
                if need_dx or self._parts[name].layout  # else nothing needs this part's gradients
            }
            return parts["body"] + parts.get("shortcut", dy) if need_dx else None

        return y + around, backward


def joined(parts: Mapping[str, Mapping[str, V]]) -> dict[str, V]:
    """Put each part's name before the names within it: {"fc1": {"W": ...}} -> {"fc1/W": ...}."""
    return {f"{name}/{local}": value for name, part in parts.items() for local, value in part.items()}
