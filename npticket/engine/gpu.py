"""Networks in lock-step on a GPU: the layers, with one kernel where their own code would launch many.

A product of arrays (T, ...) copies what is not contiguous, and views into parameters (T, P) are not: here the
parameters of all trials stand layer by layer instead, so that each layer's are one block.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from npticket.backend import Array, array_module
from npticket.engine import gpu_kernels
from npticket.engine.gpu_kernels import kernel
from npticket.layers import Chain, Dense, ReLU
from npticket.optimizers import SGD, Adam
from npticket.params import Params
from npticket.streams import TrainingStep


class Gpu:
    """Runs T nets from `start` under `masks` in one batched step; `start` itself is not written.

    What is pruned must start at 0, and is not touched. Once built, nothing here waits for the device. Raises TypeError
    for another optimizer than SGD and Adam.
    """

    def __init__(self, net: Any, start: Params, masks: Params, optimizer: Callable[[Params], Any]) -> None:
        xp = array_module(start.flat, masks.flat)
        moves = masks.copy()
        for name in masks.buffers:
            moves[name][...] = False
        self._body = fused(net.body)
        self._theta = ByLayer(start)
        self._grads = ByLayer(start.like(xp.zeros_like(start.flat)))
        self._optimizer = fused_optimizer(optimizer(masks), ByLayer(moves).flat)

    def see(self, images: Array) -> Array:
        """Return what `step` and `predict` want to be given of `images`: them."""
        return images

    def step(self, x: Array, labels: Array, step: TrainingStep) -> Array:
        """Take one optimizer step; return the loss before it, per trial (T,).     x (T, B, ...)   labels (T, B)"""
        logits, backward = self._body.forward(self._theta.tree, x, step)
        loss, dlogits = cross_entropy(logits, labels)
        backward(dlogits, self._grads.tree, need_dx=False)
        self._optimizer.step(self._theta.flat, self._grads.flat)
        return loss

    def predict(self, x: Array) -> Array:
        """Return logits (T, B, C).     x (T, B, ...), or (1, B, ...) to show every trial the same"""
        return self._body.forward(self._theta.tree, x)[0]

    def read(self, out: Params) -> None:
        """Copy the present parameters, pruned ones 0, into `out`."""
        for name in out:
            out[name][...] = self._theta[name]


class ByLayer:
    """A copy of Params in which each parameter of all trials is one block: views (T, ...) into flat (1, T P)."""

    def __init__(self, params: Params) -> None:
        shapes = {name: (params.trials, *shape) for name, shape in params.shapes.items()}
        parts = [params[name].reshape(1, -1) for name in params]
        self._blocks = Params(shapes, array_module(params.flat).concatenate(parts, axis=1))
        self.flat = self._blocks.flat
        self.tree = _first(self._blocks.tree)

    def __getitem__(self, name: str) -> Array:
        return self._blocks[name][0]


def _first(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _first(part) if isinstance(part, dict) else part[0] for name, part in tree.items()}


def fused(body: Any) -> Any:
    """The same network with each dense layer and the ReLU behind it as one; other parts stay what they are."""
    if not isinstance(body, Chain):
        return body
    layers = dict(body.layers)
    for name, after in pairwise(body.layers):
        if type(layers.get(name)) is Dense and isinstance(layers[after], ReLU):
            layers[name] = DenseReLU(layers[name])
            del layers[after]
    return Chain(**layers)


class DenseReLU:
    """y = max(x W + b, 0).     W (T, I, O)   b (T, 1, O)   x (T, B, I)   y (T, B, O)"""

    def __init__(self, dense: Dense) -> None:
        self.layout, self.init = dense.layout, dense.init

    def forward(self, p: Mapping[str, Array], x: Array, step: object = None) -> tuple[Array, Callable]:
        """Return y and the function that turns dL/dy into dL/dx, writing dL/dW and dL/db on its way."""
        y = x @ p["W"]
        xp = array_module(y)
        kernel(xp, gpu_kernels.BIAS_RELU)(p["b"], y)

        def backward(dy: Array, grad: Mapping[str, Array], need_dx: bool = True) -> Array | None:
            dz = kernel(xp, gpu_kernels.RELU_GRADIENT)(y, dy)
            xp.matmul(x.swapaxes(-1, -2), dz, out=grad["W"])
            dz.sum(axis=-2, keepdims=True, out=grad["b"])
            return dz @ p["W"].swapaxes(-1, -2) if need_dx else None

        return y, backward


def cross_entropy(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Return the loss of each trial (T,) and its gradient (T, B, C).     logits (T, B, C)   labels (T, B)"""
    xp = array_module(logits, labels)
    logits = xp.ascontiguousarray(logits)
    loss, gradient = xp.empty(logits.shape[:2], logits.dtype), xp.empty_like(logits)
    kernel(xp, gpu_kernels.CROSS_ENTROPY)(logits, labels, logits.shape[2], logits.shape[1], loss, gradient)
    return loss.mean(axis=1), gradient


def fused_optimizer(plain: SGD | Adam, alive: Array) -> Any:
    """Return what does the same as `plain`, a fresh optimizer, in one pass; `alive` says what may move."""
    if type(plain) not in (SGD, Adam):
        raise TypeError(f"there is a kernel for SGD and for Adam, not for {type(plain).__name__}: use the plain engine")
    return (FusedAdam if isinstance(plain, Adam) else FusedSGD)(plain, alive)


class FusedSGD:
    """As optimizers.SGD."""

    def __init__(self, plain: SGD, alive: Array) -> None:
        self._schedule, self._factors = plain.schedule, (plain.momentum, plain.weight_decay)
        self._alive, self._v, self._steps = alive, None, 0

    def step(self, p: Array, g: Array) -> None:
        """Update p in place."""
        xp = array_module(p, g)
        if self._v is None:
            self._v = xp.zeros_like(p)
        kernel(xp, gpu_kernels.SGD)(g, self._alive, *self._factors, self._schedule(self._steps), p, self._v)
        self._steps += 1


class FusedAdam:
    """As optimizers.Adam, where c1, c2 and r are explained."""

    def __init__(self, plain: Adam, alive: Array) -> None:
        self._schedule, self._factors = plain.schedule, (plain.beta1, plain.beta2, plain.eps)
        self._alive, self._m, self._v, self._steps = alive, None, None, 0

    def step(self, p: Array, g: Array) -> None:
        """Update p in place."""
        xp = array_module(p, g)
        if self._m is None:
            self._m, self._v = xp.zeros_like(p), xp.zeros_like(p)
        beta1, beta2, eps = self._factors
        lr = self._schedule(self._steps)
        self._steps += 1
        c1, c2 = 1 - beta1**self._steps, 1 - beta2**self._steps
        r = ((1 - beta2) / c2) ** 0.5
        rate = lr * (1 - beta1) / (c1 * r)
        kernel(xp, gpu_kernels.ADAM)(g, self._alive, beta1, beta2, eps / r, rate, p, self._m, self._v)
