"""Dense networks for one trial, in memory that is made once: units that cannot matter are left out for the round."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np

from npticket.engine.living import dense_layers, living_units, places
from npticket.engine.loss import in_place
from npticket.engine.optimizers import Scattered, packed
from npticket.engine.products import UNITS, AllInputs, Grouped, OftenLit, Product, groups, often_lit_first
from npticket.params import Params, Tree
from npticket.protocols import Layer, Loss, MakeOptimizer, Net, Optimizer, does_decay, is_elementwise
from npticket.streams import TrainingStep

SPARSE = 0.06  # of the weights: from here on it is worth looking for groups
WORTH_IT = 0.5  # of the multiplications of the other way


class DenseNet:
    """Runs one trial of a `net` of dense layers from `start` under `masks`; `start` itself is not written.

    `shown` are some of the images that it will see, as floats (N, *input_shape): pixels almost always 0 are put where
    they can be skipped. Under weight decay, which moves weights without gradient, no unit is taken out.
    """

    def __init__(
        self, net: Net, loss: Loss, start: Params, masks: Params, optimizer: MakeOptimizer, shown: np.ndarray | None
    ) -> None:
        body, one = net.body, optimizer(masks)
        alive = living_units(body, start, masks)
        units = [np.arange(len(a)) if does_decay(one) else np.flatnonzero(a) for a in alive]
        often = len(units[0])
        if shown is not None:
            units[0], often = often_lit_first(shown.reshape(len(shown), -1), units[0])
        self._first_product, index = _first_layer(body, masks, units, often, start.flat.dtype)
        self._example, self._inputs, self._start = net.input_shape, units[0], start
        shapes = {name: numbers.shape for name, numbers in index.items()}
        flat = np.concatenate([numbers.ravel() for numbers in index.values()])
        self._kept = np.flatnonzero(flat >= 0)  # the others are no parameters and only fill blocks up
        self._index = flat[self._kept]
        kept = Params(shapes, masks.flat[:, flat] & (flat >= 0))
        self._theta = Params(shapes, np.where(kept.flat, start.flat[:, flat], 0))
        self._grads = self._theta.like(np.zeros_like(self._theta.flat))
        whole = partial(Scattered, optimizer, start, masks, self._index, self._kept)
        self._optimizer: Optimizer = packed(optimizer, kept, start.flat.dtype) if is_elementwise(one) else whole()
        self._names, self._loss = dense_layers(body), in_place(loss)
        self._memory: dict[int, list[_Layer]] = {}

    def see(self, inputs: np.ndarray) -> np.ndarray:
        """Return the pixels that matter, (..., I), in the order of the first layer's weights."""
        flat = inputs.reshape(*inputs.shape[: inputs.ndim - len(self._example)], -1)
        everything = np.array_equal(self._inputs, np.arange(flat.shape[-1]))
        return flat if everything else flat.take(self._inputs, axis=-1)

    def step(self, x: np.ndarray, targets: np.ndarray, step: TrainingStep) -> np.ndarray:
        layers = self._layers(x.shape[1])
        loss = self._loss(self._forward(x[0]), targets[0], layers[-1].dz)
        for below, layer in reversed(list(pairwise(layers))):
            layer.backward(below.h)
            np.matmul(layer.dz, layer.w.T, out=below.dz)
            np.greater(below.h, 0, out=below.open)
            below.dz *= below.open
        layers[0].backward(x[0])
        self._optimizer.step(self._theta, self._grads)
        return loss

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self._forward(x[0])[None].copy()

    def read(self, out: Params) -> None:
        out.flat[...] = self._start.flat
        out.flat[:, self._index] = self._theta.flat[:, self._kept]

    def _forward(self, h: np.ndarray) -> np.ndarray:
        for layer in self._layers(len(h)):
            h = layer.forward(h)
        return h

    def _layers(self, batch: int) -> list["_Layer"]:
        """The layers, with memory for batches of this size."""
        if batch not in self._memory:
            trees = [(self._theta.tree[name], self._grads.tree[name]) for name in self._names]
            others = (AllInputs(batch, p["W"].shape[1], p["W"].shape[2], self._theta.flat.dtype) for p, _ in trees[1:])
            products = [self._first_product(batch), *others]
            self._memory[batch] = [_Layer(batch, *tree, p) for tree, p in zip(trees, products, strict=True)]
            self._memory[batch][-1].zeros = None  # behind the last one is no ReLU
        return self._memory[batch]


class _Layer:
    """A dense layer, the ReLU between dz and h, and memory for a batch.     w, dw (I, O)   b, db (O,)   h, dz (B, O)"""

    def __init__(self, batch: int, p: Tree, grad: Tree, product: Product) -> None:
        self.w, self.dw = p["W"][0], grad["W"][0]
        self.b, self.db = p["b"][0, 0], grad["b"][0, 0]
        self.product, self._ones = product, np.ones(batch, self.b.dtype)
        self.h, self.dz = np.empty((2, batch, len(self.b)), self.b.dtype)
        self.open = np.empty(self.h.shape, bool)
        self.zeros: np.ndarray | None = np.zeros_like(self.b)  # a ReLU of two arrays is faster than of one

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.product.forward(x, self.w, self.h)
        self.h += self.b
        if self.zeros is not None:
            np.maximum(self.h, self.zeros, out=self.h)
        return self.h

    def backward(self, x: np.ndarray) -> None:
        self.product.gradient(x, self.dz, self.dw)
        np.matmul(self._ones, self.dz, out=self.db)


def _first_layer(
    body: Layer, masks: Params, units: list[np.ndarray], often: int, dtype: np.dtype
) -> tuple[Callable[[int], Product], dict[str, np.ndarray]]:
    """Decide how the first layer is run: return (batch size -> what runs it, where the parameters stand).

    May reorder units[1]. Never decides by timing: sums that leave out other zeros are rounded in another way.
    """
    name = dense_layers(body)[0]
    inputs, outputs = len(units[0]), len(units[1])
    mask = masks[f"{name}/W"][0][np.ix_(units[0], units[1])]
    if len(units) > 2 and mask.mean() < SPARSE:
        order, picked = groups(mask)
        if picked.size * UNITS < WORTH_IT * often * outputs:
            units[1] = units[1][order]
            index = places(body, units)
            padded = np.full((inputs + 1, len(picked) * UNITS), -1)
            padded[:-1, :outputs] = index[f"{name}/W"]
            index[f"{name}/W"] = padded.reshape(inputs + 1, -1, UNITS)[picked, np.arange(len(picked))[:, None]]
            return (lambda batch: Grouped(batch, picked, inputs, outputs, dtype)), index
    if often < inputs:
        return (lambda batch: OftenLit(batch, often, outputs, dtype)), places(body, units)
    return (lambda batch: AllInputs(batch, inputs, outputs, dtype)), places(body, units)
