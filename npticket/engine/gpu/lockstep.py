"""The GPU's engine: all trials in one batched step, with fused layers and optimizers.

A stacked product copies factors that are not contiguous, and views into parameters (T, P) are not. Therefore the
parameters are kept layer by layer here, those of all trials together.
"""

from collections.abc import Callable, Sequence

import numpy as np

from npticket.backend import Array, array_module
from npticket.engine.gpu.kernels import Source, kernel
from npticket.engine.gpu.layers import fused_layers
from npticket.engine.gpu.loss import cross_entropy
from npticket.engine.optimizers import Whole
from npticket.layers import predict
from npticket.loss import softmax_cross_entropy
from npticket.optimizers import FLUSH_EVERY, SGD, Adam, moving, tiny
from npticket.optimizers.schedules import rate_at
from npticket.params import Params, Tree
from npticket.protocols import Loss, MakeOptimizer, Net, Optimizer, State
from npticket.streams import TrainingStep

Factors = Callable[[], tuple[float, ...]]  # what the next step multiplies by

# optimizers.Adam, with its `scales` as eps and rate, and now and then its `flush`: m up to `drop` becomes 0. What is
# pruned is not even read.
ADAM_STEP: Source = (
    "T g, bool alive, T beta1, T beta2, T eps, T rate, T drop",
    "T p, T m, T v",
    """
    if (alive) {
        if (fabs(m) <= drop) m = 0;
        m = beta1 * m + g;
        v = beta2 * v + g * g;
        p -= m / (sqrt(v) + eps) * rate;
    }
    """,
    "masked_adam",
)

# optimizers.SGD
SGD_STEP: Source = (
    "T g, bool alive, T momentum, T weight_decay, T lr, T drop",
    "T p, T v",
    """
    if (alive) {
        if (fabs(v) <= drop) v = 0;
        v = momentum * v + (g + weight_decay * p);
        p -= lr * v;
    }
    """,
    "masked_sgd",
)


class Gpu:
    """Runs T nets from `start` under `masks` in one batched step; `start` itself is not written.

    Pruned parameters must start at 0, and are never touched. Once it is built, nothing here waits for the GPU.
    """

    def __init__(self, net: Net, loss: Loss, start: Params, masks: Params, optimizer: MakeOptimizer) -> None:
        xp = array_module(start.flat, masks.flat)
        self._body = fused_layers(net.body)
        self._loss = cross_entropy if loss is softmax_cross_entropy else loss
        self._theta, self._grads = ByLayer(start), ByLayer(start.like(xp.zeros_like(start.flat)))
        kernels = fused(optimizer(masks), ByLayer(moving(masks)))
        self._optimizer = kernels or Unfused(optimizer, start, masks)

    def prepare(self, inputs: Array) -> Array:
        return inputs

    def step(self, x: Array, targets: Array, step: TrainingStep) -> Array:
        y, backward = self._body.forward(self._theta.tree, x, step)
        loss, dy = self._loss(y, targets)
        backward(dy, self._grads.tree, need_dx=False)
        self._optimizer.step(self._theta, self._grads)
        return loss

    def predict(self, x: Array) -> Array:
        return predict(self._body, self._theta.tree, x)

    def read(self, out: Params) -> None:
        self._theta.read(out)

    def write(self, theta: Params) -> None:
        self._theta.write(theta)

    def state(self) -> State:
        return self._optimizer.state()

    def restore(self, state: State) -> None:
        self._optimizer.restore(state)


class ByLayer:
    """A copy of Params in which each parameter of all trials is one block: views (T, ...) into flat (1, T P)."""

    def __init__(self, params: Params) -> None:
        self.trials, self._one = params.trials, params.shapes
        shapes = {name: (params.trials, *shape) for name, shape in params.shapes.items()}
        parts = [params[name].reshape(1, -1) for name in params]
        self._blocks = Params(shapes, array_module(params.flat).concatenate(parts, axis=1))
        self.flat, self.tree = self._blocks.flat, _first(self._blocks.tree)

    def read(self, out: Params) -> None:
        for name in out:
            out[name][...] = self._blocks[name][0]

    def write(self, params: Params) -> None:
        for name in params:
            self._blocks[name][0][...] = params[name]

    def by_trial(self, flat: Array) -> Array:
        """Bring an array (1, T P) in the order of these blocks into the order of Params, (T, P)."""
        blocks = self._blocks.like(flat)
        return array_module(flat).concatenate([blocks[name].reshape(self.trials, -1) for name in blocks], axis=1)

    def by_layer(self, flat: Array) -> Array:
        """Bring an array (T, P) in the order of Params into the order of these blocks, (1, T P)."""
        return ByLayer(Params(self._one, flat)).flat


class Unfused:
    """Runs an optimizer for which there is no kernel, on parameters in the order, names and shapes of Params."""

    def __init__(self, optimizer: MakeOptimizer, start: Params, masks: Params) -> None:
        self._theta, self._grads = start.copy(), start.copy()
        self._optimizer = Whole(optimizer, masks)

    def step(self, theta: ByLayer, grads: ByLayer) -> None:
        theta.read(self._theta)  # the layers have moved its running statistics
        grads.read(self._grads)
        self._optimizer.step(self._theta, self._grads)
        theta.write(self._theta)

    def state(self) -> State:
        return self._optimizer.state()

    def restore(self, state: State) -> None:
        self._optimizer.restore(state)


def fused(own: Optimizer, alive: ByLayer) -> "Fused | None":
    """Return a kernel that does the same as a fresh optimizer in one pass, or None; `alive` says what may move."""
    if type(own) is Adam:  # and nothing derived from it, which may do something else
        return Fused(own, alive, ADAM_STEP, ("m", "v"), lambda: (own.beta1, own.beta2, *own.scales()))
    if type(own) is SGD:
        return Fused(own, alive, SGD_STEP, ("v",), lambda: _sgd_factors(own))
    return None


def _sgd_factors(own: SGD) -> tuple[float, float, float]:
    return own.momentum, own.weight_decay, rate_at(own.schedule, own.steps)


class Fused:
    """Takes the steps of the optimizer `own` by a kernel; steps are counted in `own`, moments called `names` here."""

    def __init__(self, own: Adam | SGD, alive: ByLayer, source: Source, names: Sequence[str], factors: Factors) -> None:
        self._own, self._alive, self._source, self._factors = own, alive, source, factors
        self._names, self._moments = names, list[Array]()

    def step(self, theta: ByLayer, grads: ByLayer) -> None:
        p, g, xp = theta.flat, grads.flat, array_module(theta.flat, grads.flat)
        if not self._moments:
            self._moments = [xp.zeros_like(p) for _ in self._names]
        drop = tiny(p) if self._own.steps % FLUSH_EVERY == 0 else 0.0  # as optimizers.flush does
        kernel(xp, self._source)(g, self._alive.flat, *self._factors(), drop, p, *self._moments)
        self._own.steps += 1

    def state(self) -> State:
        moments = {name: self._alive.by_trial(moment) for name, moment in zip(self._names, self._moments, strict=True)}
        return {"steps": np.full(self._alive.trials, self._own.steps), **moments}

    def restore(self, state: State) -> None:
        self._own.steps = int(state["steps"][0])
        self._moments = [self._alive.by_layer(state[name]) for name in self._names]


def _first(tree: Tree) -> dict[str, Array]:
    return {name: _first(part) if isinstance(part, dict) else part[0] for name, part in tree.items()}
