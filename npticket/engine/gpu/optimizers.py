"""Masked SGD and Adam in one pass over memory."""

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


def fused(plain: Optimizer, alive: Array) -> "FusedSGD | FusedAdam | None":
    """Return what does the same as a fresh optimizer in one pass, or None; `alive` says what may move."""
    if type(plain) is Adam:  # and nothing derived from it, which may do something else
        return FusedAdam(plain, alive)
    return FusedSGD(plain, alive) if type(plain) is SGD else None


class FusedSGD:
    """Takes the steps of `plain`, whose schedule and factors it reads and whose steps it counts."""

    def __init__(self, plain: SGD, alive: Array) -> None:
        self._plain, self._alive, self._v = plain, alive, None

    def step(self, theta: Flat, grads: Flat) -> None:
        """Update theta.flat in place."""
        p, g, plain = theta.flat, grads.flat, self._plain
        if self._v is None:
            self._v = array_module(p, g).zeros_like(p)
        factors = plain.momentum, plain.weight_decay, plain.schedule(plain.steps), _drop(plain.steps, p)
        kernel(array_module(p, g), SGD_STEP)(g, self._alive, *factors, p, self._v)
        plain.steps += 1


class FusedAdam:
    """Takes the steps of `plain`, whose schedule and factors it reads and whose steps it counts."""

    def __init__(self, plain: Adam, alive: Array) -> None:
        self._plain, self._alive, self._m, self._v = plain, alive, None, None

    def step(self, theta: Flat, grads: Flat) -> None:
        """Update theta.flat in place."""
        p, g, plain = theta.flat, grads.flat, self._plain
        if self._m is None:
            self._m, self._v = (array_module(p, g).zeros_like(p) for _ in range(2))
        factors = plain.beta1, plain.beta2, *plain.scales(), _drop(plain.steps, p)
        kernel(array_module(p, g), ADAM_STEP)(g, self._alive, *factors, p, self._m, self._v)
        plain.steps += 1


def _drop(steps: int, p: Array) -> float:
    """Up to which size moments become 0 in this step, as optimizers.flush does."""
    return tiny(p) if steps % FLUSH_EVERY == 0 else 0.0
