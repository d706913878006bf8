"""Dense networks for one trial, in memory that is made once: units that cannot matter are left out for the round."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npticket.engine.inputs import OftenLit, Whole, often_lit_first
from npticket.engine.living import dense_layers, layout, living_units, places
from npticket.engine.packed import packed
from npticket.params import Params
from npticket.streams import TrainingStep


class DenseNet:
    """Runs one trial of a dense `net` from `start` under `masks`; `start` itself is not written.

    `shown` are some of the images that it will see, as floats (N, *input_shape): pixels that are 0 in nearly all of
    them get a place where they can be skipped. Under weight decay, which moves weights without gradient, no unit is
    taken out.
    """

    def __init__(
        self,
        net: Any,
        start: Params,
        masks: Params,
        optimizer: Callable[[Params], Any],
        shown: np.ndarray | None = None,
    ) -> None:
        decays = getattr(optimizer(masks), "weight_decay", 0)
        alive = living_units(net.body, start, masks)
        units = [np.arange(len(a)) if decays else np.flatnonzero(a) for a in alive]
        self._often = len(units[0])
        if shown is not None:
            units[0], self._often = often_lit_first(shown.reshape(len(shown), -1), units[0])
        self._example, self._inputs = net.input_shape, units[0]
        self._index, self._start = places(net.body, units), start
        self._theta, masks = (Params(layout(net.body, units), p.flat[:, self._index]) for p in (start, masks))
        self._grads = self._theta.like(np.zeros_like(self._theta.flat))
        self._layers = [_Layer(*(p.tree[name] for p in (self._theta, self._grads))) for name in dense_layers(net.body)]
        self._optimizer = packed(optimizer, masks, start.flat.dtype)
        self._memory: dict[int, _Memory] = {}

    def see(self, images: np.ndarray) -> np.ndarray:
        """Return what `step` and `predict` want to be given of `images` (..., *input_shape): the inputs (..., I)."""
        flat = images.reshape(*images.shape[: images.ndim - len(self._example)], -1)
        if len(self._inputs) == flat.shape[-1] and (self._inputs == np.arange(len(self._inputs))).all():
            return flat
        return flat.take(self._inputs, axis=-1)

    def step(self, x: np.ndarray, labels: np.ndarray, step: TrainingStep) -> np.ndarray:
        """Take one optimizer step; return the loss before it, (1,).     x (1, B, I)   labels (1, B)"""
        memory = self._memory.get(x.shape[1])
        if memory is None:
            memory = self._memory[x.shape[1]] = _Memory(x.shape[1], self._layers, self._often)
        loss = self._backward(x[0], labels[0], self._forward(x[0], memory), memory)
        self._optimizer.step(self._theta, self._grads)
        return loss

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return logits (1, B, C).     x (1, B, I)"""
        h = x[0]
        for i, layer in enumerate(self._layers):
            h = h @ layer.w
            h += layer.b
            if i + 1 < len(self._layers):
                np.maximum(h, np.zeros(h.shape[1], h.dtype), out=h)
        return h[None]

    def read(self, out: Params) -> None:
        """Copy the present parameters, pruned ones 0, into `out`."""
        out.flat[...] = self._start.flat
        out.flat[:, self._index] = self._theta.flat

    def _forward(self, x: np.ndarray, memory: "_Memory") -> np.ndarray:
        """Return the logits (B, C), leaving the layers' outputs in `memory`."""
        h = x
        for layer, work in zip(self._layers, memory.layers, strict=True):
            work.product.forward(h, layer.w, work.h)
            work.h += layer.b
            if work.zeros is not None:
                np.maximum(work.h, work.zeros, out=work.h)
            h = work.h
        return h

    def _backward(self, x: np.ndarray, labels: np.ndarray, logits: np.ndarray, memory: "_Memory") -> np.ndarray:
        """Write all gradients; return the loss (1,)."""
        layers, works = self._layers, memory.layers
        loss = memory.loss_and_gradient(logits, labels, works[-1].dz)
        for i in reversed(range(len(layers))):
            layer, work = layers[i], works[i]
            work.product.gradient(works[i - 1].h if i else x, work.dz, layer.dw)
            np.matmul(memory.ones, work.dz, out=layer.db)
            if i:
                below = works[i - 1]
                np.matmul(work.dz, layer.w.T, out=below.dz)
                np.greater(below.h, 0, out=below.open)
                below.dz *= below.open
        return loss


class _Layer:
    """The parameters of one layer and their gradients: w, dw (I, O)   b, db (O,)"""

    def __init__(self, p: dict[str, np.ndarray], grad: dict[str, np.ndarray]) -> None:
        self.w, self.dw = p["W"][0], grad["W"][0]
        self.b, self.db = p["b"][0, 0], grad["b"][0, 0]


class _Work:
    """What one layer needs for a batch of a certain size: outputs h and their gradients dz (B, O)."""

    def __init__(self, batch: int, w: np.ndarray, first: Whole | OftenLit, is_last: bool) -> None:
        self.product = first
        self.h, self.dz = np.empty((2, batch, w.shape[1]), w.dtype)
        self.zeros = None if is_last else np.zeros(w.shape[1], w.dtype)  # a ReLU of two arrays is faster than of one
        self.open = np.empty(self.h.shape, bool)


class _Memory:
    """What the layers need for a batch of a certain size."""

    def __init__(self, batch: int, layers: list[_Layer], often: int) -> None:
        w = layers[0].w
        first = Whole(batch, w) if often == len(w) else OftenLit(batch, w, often)
        products = [first, *(Whole(batch, layer.w) for layer in layers[1:])]
        self.layers = [_Work(batch, layer.w, p, layer is layers[-1]) for layer, p in zip(layers, products, strict=True)]
        self.ones = np.ones(batch, w.dtype)
        self._rows = np.arange(batch)

    def loss_and_gradient(self, logits: np.ndarray, labels: np.ndarray, dz: np.ndarray) -> np.ndarray:
        """Softmax cross-entropy as in npticket.loss: write its gradient to `dz` (B, C), return it (1,)."""
        batch = len(logits)
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=dz)
        total = dz.sum(axis=1, keepdims=True)
        loss = (np.log(total[:, 0]) - logits[self._rows, labels]).sum(keepdims=True) / batch
        dz /= total * batch
        dz[self._rows, labels] -= 1 / batch
        return loss
