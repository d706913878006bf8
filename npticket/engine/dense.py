"""The engine for dense networks of one trial: memory is made once, and units that cannot matter are left out."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from npticket.engine.living import columns_of, dense_layers, living_units
from npticket.engine.loss import cross_entropy
from npticket.engine.optimizers import Scattered, in_cache, picked, spread
from npticket.engine.products import UNITS, AllInputs, Grouped, OftenLit, Product, groups, in_blocks, often_lit_first
from npticket.engine.threads import Team
from npticket.loss import softmax_cross_entropy
from npticket.params import Params, Tree
from npticket.protocols import Loss, MakeOptimizer, Net, Optimizer, State, does_decay, is_elementwise
from npticket.streams import TrainingStep

SPARSE = 0.03  # below this density of the first layer it is worth looking for groups
WORTH_IT = 0.5  # groups are used if they take less than this share of the multiplications of the other way


class DenseEngine:
    """Runs one trial of a `net` of dense layers from `start` under `masks`; `start` itself is not written.

    `shown` are some of the images that it will see, as floats (N, *input_shape). Pixels that are 0 in almost all are
    moved to the end, where they can be skipped. Weights of pixels that are 0 in all have no gradient: they are not
    trained, but are there to predict. Under weight decay, which moves weights without a gradient, nothing is left out.
    A first layer with few weights left is trained in groups of units; it predicts as a whole, as groups of many images
    do not fit in the cache.

    Parameters have an order of their own. Of six, where c is left out and a 0 fills a block up:

        start.flat     a b c d e f
        _theta.flat    d e 0 a f b    from columns 3 4 -1 0 5 1 of start.flat
        _kept          0 1   3 4 5    where parameters are in _theta.flat
        _index         3 4   0 5 1    and where the same ones are in start.flat
    """

    def __init__(
        self, net: Net, loss: Loss, start: Params, masks: Params, optimizer: MakeOptimizer, shown: np.ndarray | None
    ) -> None:
        body, one = net.body, optimizer(masks)
        alive = living_units(body, start, masks)
        units = [np.arange(len(a)) if does_decay(one) else np.flatnonzero(a) for a in alive]
        self._often = self._trained = len(units[0])
        if shown is not None:
            units[0], self._often, lit = often_lit_first(shown.reshape(len(shown), -1), units[0])
            self._trained = len(units[0]) if does_decay(one) else lit
        self._names, first = dense_layers(body), f"{dense_layers(body)[0]}/W"
        mask = masks[first][0][np.ix_(*units[:2])]
        self._groups = _groups(mask[: self._trained], units, self._often)
        columns = columns_of(body, units)
        self._whole_columns, self._whole = columns[first], start.flat[:, columns[first]]
        columns[first] = columns[first][: self._trained]
        if self._groups is not None:
            columns[first] = in_blocks(columns[first], self._groups, -1)
        self._example, self._inputs, self._start = net.input_shape, units[0], start
        shapes = {name: numbers.shape for name, numbers in columns.items()}
        flat = np.concatenate([numbers.ravel() for numbers in columns.values()])
        self._kept = np.flatnonzero(flat >= 0)
        self._index = flat[self._kept]
        kept = Params(shapes, masks.flat[:, flat] & (flat >= 0))
        self._theta = Params(shapes, np.where(kept.flat, start.flat[:, flat], 0))
        self._grads = self._theta.like(np.zeros_like(self._theta.flat))
        self._is_elementwise = is_elementwise(one)
        if self._is_elementwise:
            self._optimizer: Optimizer = in_cache(optimizer, kept, start.flat.dtype, Team())
        else:  # it is shown the whole network
            self._optimizer = Scattered(optimizer, start, masks, self._index, self._kept)
        self._loss, self._moved = cross_entropy if loss is softmax_cross_entropy else loss, True
        self._memory: dict[tuple[int, bool], list[_Layer]] = {}

    def prepare(self, inputs: np.ndarray) -> np.ndarray:
        """Return the pixels that matter, (..., I), in the order of the first layer's weights."""
        flat = inputs.reshape(*inputs.shape[: inputs.ndim - len(self._example)], -1)
        everything = np.array_equal(self._inputs, np.arange(flat.shape[-1]))
        return flat if everything else flat.take(self._inputs, axis=-1)

    def step(self, x: np.ndarray, targets: np.ndarray, step: TrainingStep) -> np.ndarray:
        layers, x = self._layers(x.shape[1], training=True), self._floats(x)[:, :, : self._trained]
        loss, dy = self._loss(_forward(layers, x[0])[None], targets)
        layers[-1].dz[...] = dy[0]
        for below, layer in reversed(list(pairwise(layers))):
            layer.backward(below.h)
            np.matmul(layer.dz, layer.w.T, out=below.dz)
            np.greater(below.h, below.zeros, out=below.open)
            below.dz *= below.open
        layers[0].backward(x[0])
        self._optimizer.step(self._theta, self._grads)
        self._moved = True
        return loss

    def predict(self, x: np.ndarray) -> np.ndarray:
        if self._moved:
            self._put_together()
            self._moved = False
        return _forward(self._layers(x.shape[1], training=False), self._floats(x)[0])[None].copy()

    def read(self, out: Params) -> None:
        out.flat[...] = self._start.flat
        out.flat[0][self._index] = self._theta.flat[0][self._kept]

    def write(self, theta: Params) -> None:
        self._theta.flat[0][self._kept] = theta.flat[0][self._index]
        self._moved = True

    def state(self) -> State:
        state = self._optimizer.state()
        if self._is_elementwise:
            state = spread(picked(state, self._kept), self._index, self._start.flat.shape[1])
        return state

    def restore(self, state: State) -> None:
        if self._is_elementwise:
            state = spread(picked(state, self._index), self._kept, self._theta.flat.shape[1])
        self._optimizer.restore(state)

    def _floats(self, x: np.ndarray) -> np.ndarray:
        return x.astype(self._whole.dtype, copy=False)  # inputs in uint16 come as they are

    def _put_together(self) -> None:
        """Write the first layer's W, as it is now, into the array that predicts."""
        if self._groups is None:
            self._whole[:, : self._trained] = self._theta.tree[self._names[0]]["W"]
        else:
            present = self._start.copy()
            self.read(present)
            present.flat[0].take(self._whole_columns, out=self._whole[0])

    def _layers(self, batch: int, training: bool) -> list["_Layer"]:
        """The layers, with memory for batches of this size; to predict, with the whole of the first."""
        key = batch, training
        if key not in self._memory:
            trees = [self._theta.tree[name] for name in self._names]
            if not training:
                trees[0] = {**trees[0], "W": self._whole}
            first = self._first_product(batch, training)
            others = (AllInputs(batch, p["W"].shape[1], p["W"].shape[2], self._whole.dtype) for p in trees[1:])
            grads = (self._grads.tree[name] for name in self._names)
            relus = [*[True] * (len(trees) - 1), False]
            self._memory[key] = [_Layer(batch, *of) for of in zip(trees, grads, [first, *others], relus, strict=True)]
        return self._memory[key]

    def _first_product(self, batch: int, training: bool) -> Product:
        (whole, outputs), dtype = self._whole_columns.shape, self._whole.dtype
        inputs = self._trained if training else whole
        if training and self._groups is not None:
            return Grouped(batch, self._groups, inputs, outputs, dtype)
        if self._often < inputs:
            return OftenLit(batch, self._often, outputs, dtype)
        return AllInputs(batch, inputs, outputs, dtype)


class _Layer:
    """A dense layer, the ReLU between dz and h, and memory for a batch.     w, dw (I, O)   b, db (O,)   h, dz (B, O)"""

    def __init__(self, batch: int, p: Tree, grad: Tree, product: Product, relu: bool) -> None:
        self.w, self.dw = p["W"][0], grad["W"][0]
        self.b, self.db = p["b"][0, 0], grad["b"][0, 0]
        self.product, self._ones = product, np.ones(batch, self.b.dtype)
        self.h, self.dz, self.zeros = np.zeros((3, batch, len(self.b)), self.b.dtype)
        self.open, self._relu = np.empty(self.h.shape, bool), relu

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.product.forward(x, self.w, self.h)
        self.h += self.b
        if self._relu:
            np.maximum(self.h, self.zeros, out=self.h)  # of two arrays of one shape: the fastest
        return self.h

    def backward(self, x: np.ndarray) -> None:
        self.product.gradient(x, self.dz, self.dw)
        np.matmul(self._ones, self.dz, out=self.db)


def _forward(layers: Iterable[_Layer], h: np.ndarray) -> np.ndarray:
    for layer in layers:
        h = layer.forward(h)
    return h


def _groups(mask: np.ndarray, units: list[np.ndarray], often: int) -> np.ndarray | None:
    """Return the inputs (G, K) of groups of units, or None if groups do not pay; sorts units[1] by groups in place.

    mask (I, H) is the first layer's. This is not decided by timing: with groups, sums are rounded differently.
    """
    if len(units) == 2 or mask.mean() >= SPARSE:
        return None
    order, inputs = groups(mask)
    if inputs.size * UNITS >= WORTH_IT * often * len(order):
        return None
    units[1] = units[1][order]
    return inputs
