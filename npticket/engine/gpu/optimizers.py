"""Masked SGD and Adam in one pass over memory."""

from collections.abc import Callable
from typing import Protocol

from npticket.backend import Array, array_module
from npticket.engine.gpu.kernels import Source, kernel
from npticket.optimizers import FLUSH_EVERY, SGD, Adam, tiny
from npticket.protocols import Optimizer

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


class Flat(Protocol):
    """Parameters, or their gradients, in one array, in any order."""

    flat: Array


def fused(plain: Optimizer, alive: Array) -> "Fused | None":
    """Return what does the same as a fresh optimizer in one pass, or None; `alive` says what may move."""
    if type(plain) is Adam:  # and nothing derived from it, which may do something else
        return Fused(plain, alive, ADAM_STEP, 2, lambda: (plain.beta1, plain.beta2, *plain.scales()))
    if type(plain) is SGD:
        momentum, decay = plain.momentum, plain.weight_decay
        return Fused(plain, alive, SGD_STEP, 1, lambda: (momentum, decay, plain.schedule(plain.steps)))
    return None


class Fused:
    """Takes the steps of `plain`, which it counts there, by a kernel that keeps `count` moments of each parameter."""

    def __init__(
        self, plain: Adam | SGD, alive: Array, source: Source, count: int, factors: Callable[[], tuple[float, ...]]
    ) -> None:
        self._plain, self._alive, self._source, self._factors = plain, alive, source, factors
        self._moments: list[Array] = [None] * count

    def step(self, theta: Flat, grads: Flat) -> None:
        """Update theta.flat in place."""
        p, g, steps = theta.flat, grads.flat, self._plain.steps
        xp = array_module(p, g)
        if self._moments[0] is None:
            self._moments = [xp.zeros_like(p) for _ in self._moments]
        drop = tiny(p) if steps % FLUSH_EVERY == 0 else 0.0  # as optimizers.flush does
        kernel(xp, self._source)(g, self._alive, *self._factors(), drop, p, *self._moments)
        self._plain.steps += 1
