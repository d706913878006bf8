"""Networks in lock-step on a GPU: the layers, with one kernel where their own code would launch many.

A product of arrays (T, ...) copies what is not contiguous, and views into parameters (T, P) are not: here the
parameters of all trials stand layer by layer instead, so that each layer's are one block.
"""

from collections.abc import Callable, Mapping
from typing import Any

from npticket.backend import Array, array_module
from npticket.engine.gpu.fusion import fused
from npticket.engine.gpu.loss import cross_entropy
from npticket.engine.gpu.optimizers import fused_optimizer
from npticket.layers import predict
from npticket.optimizers import moving
from npticket.params import Params
from npticket.streams import TrainingStep


class Gpu:
    """Runs T nets from `start` under `masks` in one batched step; `start` itself is not written.

    What is pruned must start at 0, and is not touched. Once built, nothing here waits for the device. Raises TypeError
    for another optimizer than SGD and Adam.
    """

    def __init__(self, net: Any, start: Params, masks: Params, optimizer: Callable[[Params], Any]) -> None:
        xp = array_module(start.flat, masks.flat)
        self._body = fused(net.body)
        self._theta = ByLayer(start)
        self._grads = ByLayer(start.like(xp.zeros_like(start.flat)))
        self._optimizer = fused_optimizer(optimizer(masks), ByLayer(moving(masks)).flat)

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
        return predict(self._body, self._theta.tree, x)

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
