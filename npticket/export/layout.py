"""Parameters by PyTorch's names and in its layouts, out and in, as NumPy arrays and without PyTorch.

| ours            |                | PyTorch's        |                |
|-----------------|----------------|------------------|----------------|
| fc1/W           | (I, O)         | fc1.weight       | (O, I)         |
| conv1/W         | (K, K, C, O)   | conv1.weight     | (O, C, K, K)   |
| fc1/b, conv1/b  | (1, O), (1, 1, 1, O) | fc1.bias, conv1.bias | (O,)   |
| norm/scale, norm/shift | (C,)    | norm.weight, norm.bias | (C,)     |
| norm/running_mean, norm/running_var | (C,) | norm.running_mean, norm.running_var | (C,) |

Images and maps are (B, H, W, C) here and (B, C, H, W) there. So a flattened map has its features in another order, and
a layer that reads it, usually a dense one, has its inputs in that order.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from npticket.backend import Array
from npticket.export.checks import check_ticket
from npticket.layers import (
    AveragePool,
    BatchNorm,
    Chain,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePool,
    MaxPool,
    OneChannel,
    Residual,
)
from npticket.params import Params
from npticket.protocols import Layer, Net, UnsuitedError
from npticket.tickets import rewind
from npticket.units import KNOWN

NORM = {"scale": "weight", "shift": "bias", "running_mean": "running_mean", "running_var": "running_var"}
ALL = slice(None)
COUNTER = "num_batches_tracked"  # of PyTorch's batch normalisation; nothing here depends on it


@dataclass(frozen=True)
class Turn:
    """How one parameter of one trial becomes PyTorch's `name`: by another order of inputs, and then of axes."""

    name: str
    order: np.ndarray | slice
    axes: tuple[int, ...]
    shape: tuple[int, ...]

    def out(self, ours: np.ndarray) -> np.ndarray:
        """Return PyTorch's array, in new memory."""
        return ours[self.order].transpose(self.axes).reshape(self.shape).copy()

    def back(self, theirs: np.ndarray, ours: np.ndarray) -> None:
        """Write PyTorch's array into ours."""
        turned = theirs.reshape([ours.shape[axis] for axis in self.axes])
        ours[self.order] = turned.transpose(np.argsort(self.axes))


def turns(net: Net) -> dict[str, Turn]:
    """Return how each parameter of a network is turned, by our names.

    UnsuitedError for a layer that units.KNOWN does not name, or where a map and a flattened one are added together.
    """
    found: dict[str, Turn] = {}
    _through(net.body, "", net.input_shape, np.arange(net.input_shape[-1]), found)
    return {name: found[name] for name in net.body.layout}


def _through(
    layer: Layer, name: str, shape: tuple[int, ...], order: np.ndarray, found: dict[str, Turn]
) -> tuple[tuple[int, ...], np.ndarray]:
    """Note a layer's turns; return the shape of its output, and for each of PyTorch's features which of ours it is."""
    if type(layer) not in KNOWN:  # what is derived from a layer may do something else
        raise UnsuitedError(f"how {name[:-1]} would be in PyTorch is not known, as it is a {type(layer).__name__}")
    if isinstance(layer, Chain):
        for part, each in layer.layers.items():
            shape, order = _through(each, f"{name}{part}/", shape, order, found)
    elif isinstance(layer, Residual):
        around = shape, order
        if layer.shortcut is not None:
            around = _through(layer.shortcut, f"{name}shortcut/", shape, order, found)
        shape, order = _through(layer.body, f"{name}body/", shape, order, found)
        if not np.array_equal(order, around[1]):
            raise UnsuitedError(f"{name[:-1]} adds features in two orders: one way flattens a map, the other does not")
    elif isinstance(layer, Dense | Conv2D | BatchNorm):
        return _with_parameters(layer, name, shape, order, found)
    elif isinstance(layer, MaxPool | AveragePool):
        shape = (*((n + 2 * layer.padding - layer.size) // layer.stride + 1 for n in shape[:2]), *shape[2:])
    elif isinstance(layer, GlobalAveragePool):
        shape = shape[-1:]
    elif isinstance(layer, OneChannel):
        shape, order = (*shape, 1), np.arange(1)
    elif isinstance(layer, Flatten) and len(shape) > 1:  # what is flat keeps its order
        features = np.arange(math.prod(shape)).reshape(shape)
        order = (np.moveaxis(features, -1, 0) if len(shape) == 3 else features).ravel()
        shape = order.shape
    return shape, order


def _with_parameters(
    layer: Dense | Conv2D | BatchNorm, name: str, shape: tuple[int, ...], order: np.ndarray, found: dict[str, Turn]
) -> tuple[tuple[int, ...], np.ndarray]:
    there, layout = name.replace("/", "."), dict[str, tuple[int, ...]](layer.layout)
    if isinstance(layer, BatchNorm):
        found |= {f"{name}{local}": Turn(f"{there}{NORM[local]}", order, (0,), layout[local]) for local in layout}
        return shape, order
    *kernel, inputs, outputs = layout["W"]
    if isinstance(layer, Conv2D):
        found[f"{name}W"] = Turn(f"{there}weight", ALL, (3, 2, 0, 1), (outputs, inputs, *kernel))
        shape = (*((n + 2 * layer.padding - kernel[0]) // layer.stride + 1 for n in shape[:2]), outputs)
    else:
        found[f"{name}W"] = Turn(f"{there}weight", order, (1, 0), (outputs, inputs))
        shape = (outputs,)
    if "b" in layout:
        found[f"{name}b"] = Turn(f"{there}bias", ALL, tuple(range(len(layout["b"]))), (outputs,))
    return shape, np.arange(outputs)


def state_dict(net: Net, theta: Params, masks: Params | None = None) -> dict[str, np.ndarray]:
    """Return one trial as the state dict of the same network in PyTorch: arrays by the names in this module's table.

    With masks, pruning is written as `torch.nn.utils.prune` does: a pruned parameter is `weight_orig` and
    `weight_mask`, 1 where it survives. Without, parameters are written as they are: give `rewind(theta, masks)` for a
    pruned network. To load it: module.load_state_dict({name: torch.from_numpy(a) for name, a in state.items()}).
    Errors as `turns`, and ValueError for parameters that are not the network's, not finite, or of several trials.
    """
    dense = theta.like(np.ones(theta.flat.shape, bool))
    check_ticket(net, theta, dense if masks is None else masks)
    state: dict[str, np.ndarray] = {}
    for name, turn in turns(net).items():
        value = turn.out(theta[name][0])
        if masks is not None and (name in theta.weights or not masks[name].all()):
            state[f"{turn.name}_orig"] = value
            state[f"{turn.name}_mask"] = turn.out(masks[name][0]).astype(value.dtype)  # as PyTorch keeps them
        else:
            state[turn.name] = value
    return state


def from_state_dict(net: Net, state: Mapping[str, Array]) -> tuple[Params, Params]:
    """Return the parameters and masks (T = 1) in a state dict of the same network; parameters are 0 where pruned.

    `state` has torch tensors or arrays by the names in this module's table, pruned by `torch.nn.utils.prune` or not:
    take module.state_dict(), or torch.load(path, weights_only=True) of a file. Names that differ, such as those of a
    torch.nn.Sequential ("0.weight"), must be replaced before. The result is float64 if one of the arrays is, else
    float32. ValueError or TypeError says which name is wrong.
    """
    there = {name: _array(name, value) for name, value in state.items() if name.split(".")[-1] != COUNTER}
    wide = any(array.dtype == np.float64 for array in there.values())
    theta = Params.empty(net.body.layout, 1, np.float64 if wide else np.float32)
    masks = theta.like(np.ones(theta.flat.shape, bool))
    for name, turn in turns(net).items():
        is_pruned = f"{turn.name}_orig" in there
        value = _taken(there, f"{turn.name}_orig" if is_pruned else turn.name, turn, net)
        if value.dtype.kind != "f" or not np.isfinite(value).all():
            raise ValueError(f"{turn.name} holds {value.dtype}, expected floats, all of them finite")
        turn.back(value, theta[name][0])
        if is_pruned:
            mask = _taken(there, f"{turn.name}_mask", turn, net)
            if not ((mask == 0) | (mask == 1)).all():
                raise ValueError(f"{turn.name}_mask has other values than 0 and 1")
            turn.back(mask == 1, masks[name][0])
    if there:
        raise ValueError(f"{net.name} has no {', '.join(sorted(there)[:3])}; {_expected(net)}")
    return rewind(theta, masks), masks


def _array(name: str, value: Array) -> np.ndarray:
    try:
        return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)  # of PyTorch, on any device
    except (RuntimeError, TypeError, ValueError) as error:
        raise TypeError(f"{name} cannot be read as a NumPy array: {error}") from error


def _taken(there: dict[str, np.ndarray], name: str, turn: Turn, net: Net) -> np.ndarray:
    """Take an array out of `there`."""
    if name not in there:
        raise ValueError(f"{name} is missing; {_expected(net)}")
    array = there.pop(name)
    if array.shape != turn.shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {turn.shape} for {net.name}")
    return array


def _expected(net: Net) -> str:
    names = [turn.name for turn in turns(net).values()]
    return f"expected are {', '.join(names[:8])}{' ...' * (len(names) > 8)}"
