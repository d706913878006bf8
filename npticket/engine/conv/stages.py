"""A convolutional network taken apart into the stages that the engine knows, or not."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from npticket.layers import (
    AveragePool,
    BatchNorm,
    Chain,
    Conv2D,
    Flatten,
    GlobalAveragePool,
    Layer,
    MaxPool,
    ReLU,
    Residual,
)

Named = tuple[str, Any]  # where its parameters are, "block/conv/", and a layer


class UnknownStageError(ValueError):
    """A network is not of the kind that the convolutional engine runs."""


@dataclass
class Step:
    """A convolution and what follows it directly."""

    conv: Named
    norm: Named | None = None
    relu: bool = False
    pooled: bool = False


@dataclass
class Block:
    """Steps around which their input goes, as it is or through one more; the sum may be rectified."""

    body: list[Step]
    shortcut: Step | None
    relu: bool


@dataclass
class Stages:
    """`steps` on maps; then the maps are averaged or flattened; then `tail`, layers of vectors, if there are any."""

    steps: list[Step | Block] = field(default_factory=list)
    averaged: bool = False
    tail: dict[str, Layer] = field(default_factory=dict)


def take_apart(body: Any, input_shape: tuple[int, ...]) -> Stages:
    """Return the stages of a network for images of `input_shape`; UnknownStageError if it is of another kind."""
    if not isinstance(body, Chain) or len(input_shape) != 3 or input_shape[0] != input_shape[1]:
        raise UnknownStageError("expected a chain of layers for square images")
    layers, stages = list(_flat("", body)), Stages()
    if not layers or not _is_plain(layers[0][1]):
        raise UnknownStageError("expected a 3 x 3 convolution with padding 1 first")
    size = input_shape[0]
    while layers and isinstance(layers[0][1], Conv2D | Residual):
        stage, layers = (_block if isinstance(layers[0][1], Residual) else _step)(layers)
        size = _size_after(stage, size)
        stages.steps.append(stage)
    head = layers.pop(0)[1] if layers else None
    stages.averaged = isinstance(head, GlobalAveragePool) or (isinstance(head, AveragePool) and head.size == size)
    if not stages.averaged and not isinstance(head, Flatten):
        raise UnknownStageError(f"{type(head).__name__} cannot follow a map of {size} x {size}")
    if any("/" in name[:-1] or isinstance(layer, Conv2D | Residual | BatchNorm) for name, layer in layers):
        raise UnknownStageError("expected plain layers of vectors after the maps")
    stages.tail = {name[:-1]: layer for name, layer in layers}
    return stages


def supports(net: Any) -> bool:
    """Whether the convolutional engine can run a network."""
    try:
        take_apart(net.body, net.input_shape)
    except UnknownStageError:
        return False
    return True


def _flat(prefix: str, chain: Chain) -> Iterator[Named]:
    for name, layer in chain.layers.items():
        if isinstance(layer, Chain):
            yield from _flat(f"{prefix}{name}/", layer)
        else:
            yield f"{prefix}{name}/", layer


def _step(layers: list[Named]) -> tuple[Step, list[Named]]:
    """A step at the beginning of `layers`, and what is left of them."""
    step, layers = Step(layers[0]), layers[1:]
    if layers and isinstance(layers[0][1], BatchNorm):
        step.norm, layers = layers[0], layers[1:]
    if layers and isinstance(layers[0][1], ReLU):
        step.relu, layers = True, layers[1:]
    if layers and isinstance(layers[0][1], MaxPool) and layers[0][1].size == 2:
        step.pooled, layers = True, layers[1:]
    return step, layers


def _block(layers: list[Named]) -> tuple[Block, list[Named]]:
    """A block at the beginning of `layers`, and what is left of them."""
    (prefix, residual), *layers = layers
    body, shortcut = _steps(f"{prefix}body/", residual.body), _steps(f"{prefix}shortcut/", residual.shortcut)
    if not body or len(shortcut) > 1 or any(step.relu or step.pooled for step in (body[-1], *shortcut)):
        raise UnknownStageError("expected convolutions to be summed, with one at most in the shortcut")
    if shortcut and _kernel(shortcut[0]) != 1:
        raise UnknownStageError("expected a 1 x 1 convolution in the shortcut")
    relu = bool(layers) and isinstance(layers[0][1], ReLU)
    return Block(body, shortcut[0] if shortcut else None, relu), layers[relu:]


def _steps(prefix: str, chain: Layer | None) -> list[Step]:
    """The steps of a chain that consists of nothing else."""
    if chain is None:
        return []
    if not isinstance(chain, Chain):
        raise UnknownStageError("expected a chain of layers")
    layers, steps = list(_flat(prefix, chain)), []
    while layers:
        if not isinstance(layers[0][1], Conv2D):
            raise UnknownStageError("expected a convolution at the beginning of each step")
        step, layers = _step(layers)
        steps.append(step)
    return steps


def _size_after(stage: Step | Block, size: int) -> int:
    if isinstance(stage, Step):
        return _conv_size(stage, size)
    inner = size
    for step in stage.body:
        inner = _conv_size(step, inner)
    if inner != (size if stage.shortcut is None else _conv_size(stage.shortcut, size)):
        raise UnknownStageError("expected both ways through a block to come to maps of one size")
    return inner


def _conv_size(step: Step, size: int) -> int:
    """The size of the map after a step, which the engine's memory layout must fit, as must the one before pooling."""
    conv = step.conv[1]
    if (_kernel(step), conv.padding) not in ((3, 1), (1, 0)) or conv.stride not in (1, 2):
        raise UnknownStageError("expected kernels 3 x 3 with padding 1 or 1 x 1 without, and a stride of 1 or 2")
    if "b" in conv.layout and (_kernel(step) == 1 or conv.stride == 2 or size == 2):
        raise UnknownStageError("expected no bias in strided and 1 x 1 convolutions, nor in any of 2 x 2 maps")
    for shrinks in (False, conv.stride == 2, step.pooled):
        if shrinks and size % 2:
            raise UnknownStageError(f"a map of {size} x {size} cannot be halved")
        size = size // 2 if shrinks else size
        if size % 4 and size != 2:
            raise UnknownStageError(f"expected maps of 2 x 2 or a multiple of 4 x 4, not {size} x {size}")
    return size


def _kernel(step: Step) -> int:
    return step.conv[1].layout["W"][0]


def _is_plain(layer: Any) -> bool:
    return isinstance(layer, Conv2D) and (layer.layout["W"][0], layer.padding, layer.stride) == (3, 1, 1)
