"""Masked SGD and Adam in one pass over memory."""

from typing import Any

from npticket.backend import Array, array_module
from npticket.engine.gpu.kernels import Source, kernel
from npticket.optimizers import SGD, Adam

# optimizers.Adam, with its `scales` as eps and rate. What is pruned is not even read.
ADAM_STEP: Source = (
    "T g, bool alive, T beta1, T beta2, T eps, T rate",
    "T p, T m, T v",
    """
    if (alive) {
        m = beta1 * m + g;
        v = beta2 * v + g * g;
        p -= m / (sqrt(v) + eps) * rate;
    }
    """,
    "masked_adam",
)

# optimizers.SGD
SGD_STEP: Source = (
    "T g, bool alive, T momentum, T weight_decay, T lr",
    "T p, T v",
    """
    if (alive) {
        v = momentum * v + (g + weight_decay * p);
        p -= lr * v;
    }
    """,
    "masked_sgd",
)


def fused_optimizer(plain: SGD | Adam, alive: Array) -> Any:
    """Return what does the same as `plain`, a fresh optimizer, in one pass; `alive` says what may move."""
    if type(plain) not in (SGD, Adam):
        raise TypeError(f"there is a kernel for SGD and for Adam, not for {type(plain).__name__}: use the plain engine")
    return (FusedAdam if isinstance(plain, Adam) else FusedSGD)(plain, alive)


class FusedSGD:
    """Takes the steps of `plain`, whose schedule and factors it reads and whose steps it counts."""

    def __init__(self, plain: SGD, alive: Array) -> None:
        self._plain, self._alive, self._v = plain, alive, None

    def step(self, p: Array, g: Array) -> None:
        """Update p in place."""
        xp, plain = array_module(p, g), self._plain
        if self._v is None:
            self._v = xp.zeros_like(p)
        lr = plain.schedule(plain.steps)
        kernel(xp, SGD_STEP)(g, self._alive, plain.momentum, plain.weight_decay, lr, p, self._v)
        plain.steps += 1


class FusedAdam:
    """Takes the steps of `plain`, whose schedule and factors it reads and whose steps it counts."""

    def __init__(self, plain: Adam, alive: Array) -> None:
        self._plain, self._alive, self._m, self._v = plain, alive, None, None

    def step(self, p: Array, g: Array) -> None:
        """Update p in place."""
        xp, plain = array_module(p, g), self._plain
        if self._m is None:
            self._m, self._v = xp.zeros_like(p), xp.zeros_like(p)
        kernel(xp, ADAM_STEP)(g, self._alive, plain.beta1, plain.beta2, *plain.scales(), p, self._m, self._v)
        plain.steps += 1
