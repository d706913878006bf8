"""A pruned network made really smaller: the same function with fewer units.

A mask alone makes nothing smaller or faster. A unit can be cut out if it has no effect: all weights that read it are 0,
or lead to units without effect. A unit without incoming weights is a constant, given by its bias or its norm's shift:
it is added to the biases of the layers that read it, and has no effect then. This cannot be done for a convolution with
padding, which sees zeros beyond the border, nor for one without a bias: there the unit stays unless its constant is 0.
"""

import numpy as np

from npticket.export.checks import check_ticket
from npticket.layers import BatchNorm, Chain, Conv2D, Dense, Residual
from npticket.nets import Net
from npticket.params import Params, Tree
from npticket.protocols import Layer
from npticket.protocols import Net as AnyNet
from npticket.tickets import rewind
from npticket.units import Ends, Units, weights_of


def shrink(net: AnyNet, params: Params, masks: Params) -> tuple[Net, Params]:
    """Return a network without the units that have no effect under the masks, and its parameters, for one trial.

    It predicts what f(x; masks * params) does, up to rounding. Inputs and outputs stay, and at least one unit in each
    layer. Masks may be of any kind, but only whole units make a network smaller.
    """
    check_ticket(net, params, masks)
    units, theta = Units.of(net), rewind(params, masks)
    with np.errstate(invalid="ignore"):
        _fold(net.body, theta.tree, np.full((1, 1, *net.input_shape), np.nan, theta.flat.dtype))
    kept = _kept(units, theta)
    body = _smaller(net.body, "", {name: _sizes(ends, kept) for name, ends in {**units.weights, **units.norms}.items()})
    small = Params.empty(body.layout, 1, theta.flat.dtype)
    for name in small:
        layer, _, local = name.rpartition("/")
        ends = units.norms.get(layer) or units.weights[layer]
        values = theta[name][..., kept[ends.writes]]
        small[name][...] = values[..., kept[ends.reads], :] if local == "W" else values
    return Net(f"{net.name}, shrunk", body, net.input_shape, net.output_shape), small


def _fold(layer: Layer, p: Tree, x: np.ndarray) -> np.ndarray:
    """Add the constants among a layer's inputs to its biases, in place; return the constants among its outputs.

    x (1, 1, ..., C) and the result have the values of constants, and NaN for what depends on the network's input.
    """
    if type(layer) is Chain:
        for name, part in layer.layers.items():
            x = _fold(part, p.get(name, {}), x)
        return x
    if type(layer) is Residual:
        around = x if layer.shortcut is None else _fold(layer.shortcut, p.get("shortcut", {}), x)
        return _fold(layer.body, p.get("body", {}), x) + around
    if not isinstance(layer, Dense | Conv2D):
        return layer.forward(p, x)[0]
    w, constants = p["W"][0], x.reshape(-1, x.shape[-1])[0]  # the same at every pixel
    anywhere = "b" in p and not (isinstance(layer, Conv2D) and layer.padding)
    known = (constants == 0) | (anywhere & ~np.isnan(constants))
    if "b" in p:
        p["b"][...] += np.where(known, constants, 0) @ w.reshape(-1, *w.shape[-2:]).sum(axis=0)
    w[..., known, :] = 0
    y, _ = layer.forward(p, np.zeros_like(x))
    y[..., w.any(axis=tuple(range(w.ndim - 1)))] = np.nan
    return y


def _kept(units: Units, theta: Params) -> np.ndarray:
    """Which units stay (count,): those with an effect on an output, inputs, and at least one in every group."""
    kept = units.fixed.copy()
    while True:
        before = kept.sum()
        for name, ends in units.weights.items():
            w = theta[weights_of(name)][0]
            leads = w.any(axis=tuple(range(w.ndim - 2))) & kept[ends.writes]
            kept[ends.reads[leads.any(axis=1)]] = True
        if kept.sum() == before:
            break
    for group in units.groups:
        kept[group.units[0]] |= not kept[group.units].any()
    return kept


def _sizes(ends: Ends, kept: np.ndarray) -> tuple[int, int]:
    """How many inputs and outputs a layer has left."""
    return int(kept[ends.reads].sum()), int(kept[ends.writes].sum())


def _smaller(layer: Layer, name: str, sizes: dict[str, tuple[int, int]]) -> Layer:
    """Build the same layer with fewer units."""

    def part(local: str, of: Layer) -> Layer:
        return _smaller(of, f"{name}/{local}".lstrip("/"), sizes)

    if isinstance(layer, Chain):
        return Chain(**{local: part(local, each) for local, each in layer.layers.items()})
    if isinstance(layer, Residual):
        return Residual(part("body", layer.body), None if layer.shortcut is None else part("shortcut", layer.shortcut))
    if isinstance(layer, Dense):
        return Dense(*sizes[name], float(layer.std))
    if isinstance(layer, Conv2D):
        return Conv2D(*sizes[name], layer.layout["W"][0], layer.stride, layer.padding, "b" in layer.layout)
    if isinstance(layer, BatchNorm):
        return BatchNorm(sizes[name][1], layer.momentum, layer.eps)
    return layer
