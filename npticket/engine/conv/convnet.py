"""Convolutional networks for one trial: Winograd's convolution, memory made once, one or two threads."""

import math

import numpy as np

from npticket.engine.conv.blueprint import recognise
from npticket.engine.conv.channels import living_channels
from npticket.engine.conv.layout import Halves, Scratch
from npticket.engine.conv.stack import ConvStack
from npticket.engine.conv.threads import HalvedDense, Pieces, Team
from npticket.engine.conv.weights import FilterBank
from npticket.engine.optimizers import Whole
from npticket.layers import Chain, Dense, Flatten, Layer
from npticket.params import Params
from npticket.protocols import Loss, MakeOptimizer, Net, Optimizer, does_decay, is_elementwise
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
        self._theta = start.copy()
        self._grads = start.like(np.zeros_like(start.flat))
        self._loss, self._team, one = loss, Team(threads), optimizer(masks)
        self._optimizer: Optimizer
        if is_elementwise(one):
            self._optimizer = Pieces(optimizer, masks, start.flat.dtype, self._team)
        else:
            self._optimizer = Whole(optimizer, masks)
        tail = {name: _halved(layer, self._team) for name, layer in self._blueprint.tail.items()}
        self._tail = Chain(**tail or {"features": Flatten()})
        scratch = [Scratch(start.flat.dtype) for _ in range(threads)]
        self._scratch = [scratch[0], scratch[-1]]
        living = living_channels(self._blueprint, start, masks, does_decay(one))
        self._bank = FilterBank(self._theta, self._grads, living)
        self._stacks: dict[int, ConvStack] = {}

    def see(self, inputs: np.ndarray) -> np.ndarray:
        """Return `inputs` as they are."""
        return inputs

    def step(self, x: np.ndarray, targets: np.ndarray, step: TrainingStep) -> np.ndarray:
        """Take one optimizer step; return the loss before it, (1,).     x (1, B, H, W, C)   targets (1, B, ...)"""
        stack = self._stack(x.shape[1])
        features = stack.forward(self._team, x[0], training=True)
        y, backward = self._tail.forward(self._theta.tree, features[None], step)
        loss, dy = self._loss(y, targets)
        stack.backward(self._team, backward(dy, self._grads.tree)[0])
        self._optimizer.step(self._theta, self._grads)
        self._bank.changed()
        return loss

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return y (1, B, O).     x (1, B, H, W, C)

        A few images at a time, always equally many, so that memory is made once: the last may overlap those before.
        """
        count = x.shape[1]
        size = -(-count // -(-count // CHUNK))
        begins = [min(first, count - size) for first in range(0, count, size)]
        parts = []
        for begin, end in zip(begins, [*begins[1:], count], strict=True):
            features = self._stack(size).forward(self._team, x[0, begin : begin + size], training=False)
            y, _ = self._tail.forward(self._theta.tree, features[None])
            parts.append(y[:, : end - begin])
        return np.concatenate(parts, axis=1)

    def read(self, out: Params) -> None:
        """Copy the present parameters, pruned ones 0, into `out`."""
        out.flat[...] = self._theta.flat

    def _stack(self, batch: int) -> ConvStack:
        if batch not in self._stacks:
            self._stacks[batch] = ConvStack(self._blueprint, Halves(batch, self._scratch), self._bank)
        return self._stacks[batch]


def _halved(layer: Layer, team: Team) -> Layer:
    """Return a layer that two threads share, if it is worth it, or the layer itself."""
    if isinstance(layer, Dense) and math.prod(layer.layout["W"]) >= LARGE:
        return HalvedDense(layer, team)
    return layer
