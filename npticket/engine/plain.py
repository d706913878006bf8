"""The readable engine: it calls the layers, and is the oracle for every faster one."""

from collections.abc import Callable
from typing import Any

from npticket.backend import Array, array_module
from npticket.loss import softmax_cross_entropy
from npticket.params import Params
from npticket.streams import TrainingStep


class Plain:
    """Runs a net from `start` under `masks`; `start` itself is not written."""

    def __init__(self, net: Any, start: Params, masks: Params, optimizer: Callable[[Params], Any]) -> None:
        self.net = net
        self.theta = start.copy()
        self.grads = start.like(array_module(start.flat).zeros_like(start.flat))
        self.optimizer = optimizer(masks)

    def see(self, images: Array) -> Array:
        """Return what `step` and `predict` want to be given of `images`: them."""
        return images

    def step(self, x: Array, labels: Array, step: TrainingStep) -> Array:
        """Take one optimizer step; return the loss before it, per trial (T,).     x (T, B, ...)   labels (T, B)"""
        logits, backward = self.net.forward(self.theta, x, step)
        loss, dlogits = softmax_cross_entropy(logits, labels)
        backward(dlogits, self.grads.tree, need_dx=False)
        self.optimizer.step(self.theta, self.grads)
        return loss

    def predict(self, x: Array) -> Array:
        """Return logits (T, B, C).     x (T, B, ...), or (1, B, ...) to show every trial the same"""
        return self.net.predict(self.theta, x)

    def read(self, out: Params) -> None:
        """Copy the present parameters, pruned ones 0, into `out`."""
        out.flat[...] = self.theta.flat
