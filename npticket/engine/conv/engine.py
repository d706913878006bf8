"""Convolutional networks for one trial: Winograd's convolution, memory made once, one or two threads."""

from collections.abc import Mapping

import numpy as np

from npticket.engine.conv.blueprint import Blueprint, Unit, recognise
from npticket.engine.conv.channels import living_channels
from npticket.engine.conv.layout import Halves, Scratch, aligned_zeros, as_images
from npticket.engine.conv.maps import Convolution, Map
from npticket.engine.conv.normalised import Normalised
from npticket.engine.conv.outputs import Output
from npticket.engine.conv.tail import tail_of
from npticket.engine.conv.taps import Im2col, Strided, TwoByTwo
from npticket.engine.conv.weights import Filters, WinogradFilters, filters_of, local
from npticket.engine.conv.winograd import TILE
from npticket.engine.conv.winograd_maps import WinogradRows, WinogradWhole
from npticket.engine.optimizers import in_cache
from npticket.engine.threads import Team
from npticket.params import Params
from npticket.protocols import Loss, MakeOptimizer, Net, State, does_decay
from npticket.streams import TrainingStep

CHUNK = 64  # images predicted at a time


class ConvEngine:
    """Runs one trial of a `net` from `start` under `masks`; `start` itself is not written.

    With 2 threads, each does half of the work, with the same bits as one; BLAS should have 1 thread. UnsuitedError for
    a network that `recognise` does not know.
    """

    def __init__(
        self, net: Net, loss: Loss, start: Params, masks: Params, optimizer: MakeOptimizer, threads: int = 1
    ) -> None:
        self._blueprint = recognise(net.body, net.input_shape)
        self._theta, self._grads = (start.like(aligned_zeros(start.flat.shape, start.flat.dtype)) for _ in range(2))
        self._theta.flat[...] = start.flat
        self._loss, self._team, dtype = loss, Team(threads), start.flat.dtype
        self._optimizer = in_cache(optimizer, masks, dtype, self._team)
        self._tail = tail_of(self._blueprint, self._team)
        scratch = [Scratch(dtype) for _ in range(threads)]
        self._scratch = [scratch[0], scratch[-1]]
        living = living_channels(self._blueprint, start, masks, does_decay(optimizer(masks)))
        self._filters = {unit: filters_of(unit, self._theta, self._grads, living) for unit in self._blueprint.units}
        self._team.each(self._prepare)
        self._stacks: dict[int, ConvStack] = {}

    def prepare(self, inputs: np.ndarray) -> np.ndarray:
        return inputs

    def step(self, x: np.ndarray, targets: np.ndarray, step: TrainingStep) -> np.ndarray:
        stack = self._stack(x.shape[1])
        features = stack.forward(x[0], training=True)
        y, backward = self._tail.forward(self._theta.tree, features[None], step)
        loss, dy = self._loss(y, targets)
        stack.backward(backward(dy, self._grads.tree)[0])
        for filters in self._filters.values():
            filters.put_back()
        self._optimizer.step(self._theta, self._grads)
        self._team.each(self._prepare)
        return loss

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Predict equally many images at a time, so that memory is made once: the last ones may be done twice."""
        count = x.shape[1]
        size = -(-count // -(-count // CHUNK))
        begins = [min(first, count - size) for first in range(0, count, size)]
        parts = []
        for begin, end in zip(begins, [*begins[1:], count], strict=True):
            features = self._stack(size).forward(x[0, begin : begin + size], training=False)
            y, _ = self._tail.forward(self._theta.tree, features[None])
            parts.append(y[:, : end - begin])
        return np.concatenate(parts, axis=1)

    def read(self, out: Params) -> None:
        out.flat[...] = self._theta.flat

    def write(self, theta: Params) -> None:
        self._theta.flat[...] = theta.flat
        self._team.each(self._prepare)

    def state(self) -> State:
        return self._optimizer.state()

    def restore(self, state: State) -> None:
        self._optimizer.restore(state)

    def _prepare(self, half_weights: int) -> None:
        for filters in self._filters.values():  # of all at once: waking the other thread takes time
            filters.prepare(half_weights)

    def _stack(self, batch: int) -> "ConvStack":
        if batch not in self._stacks:
            halves = Halves(batch, self._scratch, self._team)
            for _ in range(2):  # the first makes scratch memory as large as it has to be, the second shares it
                self._stacks[batch] = ConvStack(self._blueprint, halves, self._filters, self._theta, self._grads)
        return self._stacks[batch]


class ConvStack:
    """All convolutions, from images to features and back, for batches of one size.

    The features are the last map: averaged, flattened or as it is. The units' `filters`, and the scratch memory of the
    batch's `halves`, are shared with stacks for other batch sizes; `theta` and `grads` hold the parameters of batch
    normalisation and their gradients.
    """

    def __init__(
        self, blueprint: Blueprint, halves: Halves, filters: Mapping[Unit, Filters], theta: Params, grads: Params
    ) -> None:
        self._halves, self._averaged, self._as_map = halves, blueprint.averaged, blueprint.as_map
        self._filters, self._theta, self._grads = filters, theta, grads
        self._convolutions: list[Convolution] = []
        maps: dict[Unit | None, Map] = {}
        outputs: dict[Unit | None, Output] = {}
        shortcuts = {unit.shortcut for unit in blueprint.units}
        for unit in blueprint.units:
            convolution = self._convolution(unit, maps.get(unit.source))
            self._convolutions.append(convolution)
            outputs[unit] = convolution.out
            if unit not in shortcuts:
                terms = [outputs[term] for term in (unit, unit.shortcut) if term]
                maps[unit] = Map(terms, maps.get(unit.around), unit.relu)
        last = blueprint.units[-1]
        self._maps, self._last = list(maps.values()), maps[last]
        living, channels, size = filters[last].outputs, last.shape[-1], (1, 1) if self._averaged else self._last.size
        self._kept = slice(None) if len(living) == channels else living  # a slice is much faster
        self._shape = halves.batch, *size, channels  # of the features, seen as images

    def forward(self, images: np.ndarray, training: bool) -> np.ndarray:
        """Return features (B, F), or the last map as it is (B, H', W', C').     images (B, H, W, C)"""
        for map_ in self._maps:
            map_.begin(training)
        for convolution in self._convolutions:
            convolution.out.begin(training)
            convolution.forward(images)
            convolution.out.finish()
        features = np.zeros(self._shape, self._halves.dtype)  # images may be integers
        self._halves.each(lambda half_batch: self._leave(half_batch, features[self._halves.images[half_batch]]))
        return features if self._as_map else features.reshape(len(images), -1)

    def backward(self, dfeatures: np.ndarray) -> None:
        """Write the gradients of all parameters, given that of the features of the last training batch."""
        given = dfeatures.reshape(self._shape)
        self._halves.each(lambda half_batch: self._enter(half_batch, given[self._halves.images[half_batch]]))
        for convolution in reversed(self._convolutions):
            convolution.out.finish_gradient()
            convolution.backward()

    def _leave(self, half_batch: int, features: np.ndarray) -> None:
        last = self._last
        last.make_rows(half_batch, last.height)
        x = as_images(last.x[half_batch], self._halves.counts[half_batch])
        if self._averaged:
            x = np.add.reduce(x, axis=(1, 2), keepdims=True) / (last.height * last.width)
        features[..., self._kept] = x

    def _enter(self, half_batch: int, dfeatures: np.ndarray) -> None:
        last, given = self._last, dfeatures[..., self._kept]
        dx = as_images(last.dx[half_batch], self._halves.counts[half_batch])
        dx[...] = given / (last.height * last.width) if self._averaged else given
        last.pass_on(half_batch, last.height)

    def _convolution(self, unit: Unit, source: Map | None) -> Convolution:
        """Make the kind of convolution that suits a unit, which reads `source` or, the first, images."""
        filters = self._filters[unit]
        if unit.norm is None:
            out = Output(unit.size, filters.filters, self._halves, unit.pooled)
        else:
            p, grad = (local(params, *unit.norm) for params in (self._theta, self._grads))
            out = Normalised(unit, filters.outputs, self._halves, p, grad)
        if source is None:
            return Im2col(filters, out, unit.conv.stride)
        if isinstance(filters, WinogradFilters):
            return (WinogradWhole if unit.size == (TILE, TILE) else WinogradRows)(filters, source, out)
        if unit.conv.stride == 1 and unit.shape[0] == 3:
            return TwoByTwo(filters, source, out)
        return Strided(filters, source, out)
