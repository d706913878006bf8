"""Products of the Hessian of the loss with a vector, by hand: the R-operator (Pearlmutter 1994).

R{f} is the derivative of f as the parameters move along v:  R{theta} = v,  R{dL/dtheta} = H v.  It obeys the product
rule. So each layer computes everything twice: forward, y from x and also Ry from x and Rx; backward, dL/dx and
dL/dtheta from dL/dy and also R of these. Nothing is approximated. Kinks of ReLU and max-pooling have no second
derivative; apart from them these layers are linear. Batch normalisation is that of training, with the batch's own mean
and variance.
"""

from collections.abc import Callable, Mapping

import numpy as np

from npticket.backend import Array
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
    ReLU,
    Residual,
)
from npticket.loss import softmax_cross_entropy
from npticket.params import Params, Tree
from npticket.protocols import Layer, Net, UnsuitedError

Backward = Callable[[Array, Array, Tree, Tree], tuple[Array, Array]]  # dy, Rdy, and where dW and RdW go -> dx, Rdx
Forward = tuple[Array, Array, Backward]  # y, Ry


def hessian_product(
    net: Net, theta: Params, v: Params, x: Array, targets: Array, temperature: float = 1
) -> tuple[Params, Params]:
    """Return dL/dtheta and H v of the cross-entropy of softmax(y / temperature).     x (T, B, ...)   targets (T, B)

    `theta` and `v` are Params (T, P). UnsuitedError for a network with a layer that is not in RULES.
    """
    gradient, product = (theta.like(np.zeros_like(theta.flat)) for _ in range(2))
    y, ry, backward = _forward(net.body, theta.tree, v.tree, x, np.zeros_like(x))
    z, rz = y / temperature, ry / temperature
    p = np.exp(z - z.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    # dL/dz = (p - onehot) / B,  and Rp = p (Rz - sum p Rz)
    _, dz = softmax_cross_entropy(z, targets)
    rdz = p * (rz - (p * rz).sum(axis=-1, keepdims=True)) / z.shape[1]
    backward(dz / temperature, rdz / temperature, gradient.tree, product.tree)
    return gradient, product


def _forward(layer: Layer, p: Tree, v: Tree, x: Array, rx: Array) -> Forward:
    if type(layer) not in RULES:  # what is derived from a layer may do something else
        known = ", ".join(kind.__name__ for kind in RULES)
        raise UnsuitedError(f"no second derivative is known of {type(layer).__name__}, only of {known}")
    return RULES[type(layer)](layer, p, v, x, rx)


def _chain(layer: Chain, p: Tree, v: Tree, x: Array, rx: Array) -> Forward:
    backwards = []
    for name, part in layer.layers.items():
        x, rx, backward_of = _forward(part, p.get(name, {}), v.get(name, {}), x, rx)
        backwards.append((name, backward_of))

    def backward(dy: Array, rdy: Array, grad: Tree, rgrad: Tree) -> tuple[Array, Array]:
        for name, backward_of in reversed(backwards):
            dy, rdy = backward_of(dy, rdy, grad.get(name, {}), rgrad.get(name, {}))
        return dy, rdy

    return x, rx, backward


def _residual(layer: Residual, p: Tree, v: Tree, x: Array, rx: Array) -> Forward:
    parts = {"body": layer.body} | ({} if layer.shortcut is None else {"shortcut": layer.shortcut})
    ways = {name: _forward(part, p.get(name, {}), v.get(name, {}), x, rx) for name, part in parts.items()}
    y, ry, body = ways["body"]
    around, r_around, shortcut = ways.get("shortcut", (x, rx, lambda dy, rdy, grad, rgrad: (dy, rdy)))

    def backward(dy: Array, rdy: Array, grad: Tree, rgrad: Tree) -> tuple[Array, Array]:
        dx, rdx = body(dy, rdy, grad.get("body", {}), rgrad.get("body", {}))
        d_around, rd_around = shortcut(dy, rdy, grad.get("shortcut", {}), rgrad.get("shortcut", {}))
        return dx + d_around, rdx + rd_around

    return y + around, ry + r_around, backward


def _weighted(layer: Dense | Conv2D, p: Tree, v: Tree, x: Array, rx: Array) -> Forward:
    """Linear in x and in W:  y = W x + b  and  dx = W' dy,  so  Ry = W Rx + V x + Rb  and  Rdx = W' Rdy + V' dy."""
    y, backward_p = layer.forward(p, x)
    through, backward_rx = layer.forward({name: value * (name == "W") for name, value in p.items()}, rx)
    along, backward_v = layer.forward(v, x)

    def backward(dy: Array, rdy: Array, grad: Tree, rgrad: Tree) -> tuple[Array, Array]:
        dx, rdx, other = backward_p(dy, grad), backward_p(rdy, rgrad), {name: 0 * a for name, a in rgrad.items()}
        rdx = rdx + backward_v(dy, other)
        backward_rx(dy, other, need_dx=False)
        rgrad["W"][...] += other["W"]  # dW = x dy, so RdW = x Rdy + Rx dy
        return dx, rdx

    return y, through + along, backward


def _diagonal(layer: ReLU, p: Tree, v: Tree, x: Array, rx: Array) -> Forward:
    """Each y depends on its own x alone: forward and backward, tangents are multiplied by the same factors."""
    y, back = layer.forward(p, x)
    return y, back(rx, {}), lambda dy, rdy, grad, rgrad: (back(dy, {}), back(rdy, {}))


def _linear(
    layer: Flatten | OneChannel | AveragePool | GlobalAveragePool, p: Tree, v: Tree, x: Array, rx: Array
) -> Forward:
    y, back = layer.forward(p, x)
    return y, layer.forward(p, rx)[0], lambda dy, rdy, grad, rgrad: (back(dy, {}), back(rdy, {}))


def _max_pool(layer: MaxPool, p: Tree, v: Tree, x: Array, rx: Array) -> Forward:
    """Tangents come from the pixels that were the largest."""
    if not layer.tiles:
        raise UnsuitedError("no second derivative is known of MaxPool where its squares overlap or have a frame")
    y, back = layer.forward(p, x)
    mean, _ = AveragePool(layer.size).forward(p, rx * back(np.ones_like(y), {}))
    return y, mean * layer.size**2, lambda dy, rdy, grad, rgrad: (back(dy, {}), back(rdy, {}))


def _batch_norm(layer: BatchNorm, p: Tree, v: Tree, x: Array, rx: Array) -> Forward:
    """y = a h + b,  h = (x - mean) u,  u = 1 / sqrt(var + eps).     a scale, b shift

    Backward,  dx = a u k  with  k = dy - mean(dy) - h mean(dy h);  the rest is the product rule.
    """
    spread = (slice(None), *(None,) * (x.ndim - 2))  # (T, C) beside x
    over = tuple(range(1, x.ndim - 1))

    def mean(values: Array) -> Array:
        return values.mean(axis=over, keepdims=True)

    a, ra, b, rb = p["scale"][spread], v["scale"][spread], p["shift"][spread], v["shift"][spread]
    centred, r_centred = x - mean(x), rx - mean(rx)
    u = 1 / np.sqrt(mean(centred**2) + layer.eps)
    ru = -(u**3) * mean(centred * r_centred)
    h, rh = centred * u, r_centred * u + centred * ru

    def backward(dy: Array, rdy: Array, grad: Tree, rgrad: Tree) -> tuple[Array, Array]:
        grad["shift"][...], rgrad["shift"][...] = dy.sum(axis=over), rdy.sum(axis=over)
        grad["scale"][...], rgrad["scale"][...] = (dy * h).sum(axis=over), (rdy * h + dy * rh).sum(axis=over)
        m, rm = mean(dy * h), mean(rdy * h + dy * rh)
        k, rk = dy - mean(dy) - h * m, rdy - mean(rdy) - rh * m - h * rm
        return a * u * k, (ra * u + a * ru) * k + a * u * rk

    return a * h + b, ra * h + a * rh + rb, backward


RULES: Mapping[type, Callable[..., Forward]] = {
    Chain: _chain, Residual: _residual, Dense: _weighted, Conv2D: _weighted, BatchNorm: _batch_norm, ReLU: _diagonal,
    MaxPool: _max_pool, Flatten: _linear, OneChannel: _linear, AveragePool: _linear,
    GlobalAveragePool: _linear,
}  # fmt: skip
