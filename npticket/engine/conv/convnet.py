"""Convolutional networks for one trial: Winograd's convolution, memory made once, one or two threads."""

import math

import numpy as np

from npticket.engine.conv.blueprint import recognise
from npticket.engine.conv.channels import living_channels
from npticket.engine.conv.layout import Halves, Scratch
from npticket.engine.conv.stack import ConvStack
from npticket.engine.conv.threads import HalvedDense, Pieces, Team
from npticket.engine.conv.weights import filters_of
from npticket.engine.whole import Whole
from npticket.layers import Chain, Dense, Flatten
from npticket.params import Params
from npticket.protocols import Loss, MakeOptimizer, Net, does_decay, is_elementwise
from npticket.streams import TrainingStep

CHUNK = 64  # images predicted at a time
LARGE = 1 << 18  # weights of a dense layer from which on two threads share its products


class ConvNet:
    """Runs one trial of a `net` that is supported from `start` under `masks`; `start` itself is not written.

    With 2 threads, each does half of the work, to the same bits; BLAS should have 1 thread. NotSupported for a
    network of another kind.
    """

    def __init__(
        self, net: Net, loss: Loss, start: Params, masks: Params, optimizer: MakeOptimizer, threads: int = 1
    ) -> None:
        self._blueprint = recognise(net.body, net.input_shape)
        self._theta, self._grads = start.copy(), start.like(np.zeros_like(start.flat))
        self._loss, self._team, one = loss, Team(threads), optimizer(masks)
        self._optimizer: Pieces | Whole = Whole(optimizer, masks)
        if is_elementwise(one):
            self._optimizer = Pieces(optimizer, masks, start.flat.dtype, self._team)
        tail = {**self._blueprint.tail} or {"features": Flatten()}
        for name, layer in tail.items():
            if isinstance(layer, Dense) and math.prod(layer.layout["W"]) >= LARGE:
                tail[name] = HalvedDense(layer, self._team)
        self._tail = Chain(**tail)
        scratch = [Scratch(start.flat.dtype) for _ in range(threads)]
        self._scratch = [scratch[0], scratch[-1]]
        living, units = living_channels(self._blueprint, start, masks, does_decay(one)), self._blueprint.units
        self._filters = {unit: filters_of(unit, self._theta, self._grads, living) for unit in units}
        self._team.each(self._prepare)
        self._stacks: dict[int, ConvStack] = {}

    def see(self, inputs: np.ndarray) -> np.ndarray:
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
        """A few images at a time, always equally many, so that memory is made once: the last may overlap others."""
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

    def _prepare(self, half_weights: int) -> None:
        for filters in self._filters.values():  # of all at once: waking the other thread takes time
            filters.prepare(half_weights)

    def _stack(self, batch: int) -> ConvStack:
        if batch not in self._stacks:
            halves = Halves(batch, self._scratch, self._team)
            for _ in range(2):  # the first makes scratch memory as large as it has to be, the second shares it
                self._stacks[batch] = ConvStack(self._blueprint, halves, self._filters, self._theta, self._grads)
        return self._stacks[batch]
