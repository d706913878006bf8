"""Masked SGD and Adam in one pass over memory."""

from typing import Any

from npticket.backend import Array, array_module
from npticket.engine.gpu.kernels import Source, kernel
from npticket.optimizers import SGD, Adam

# optimizers.Adam, with its eps / r as eps and its lr (1 - beta1) / (c1 r) as rate. What is pruned is not even read.
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
    """As optimizers.SGD."""

    def __init__(self, plain: SGD, alive: Array) -> None:
        self._schedule, self._factors = plain.schedule, (plain.momentum, plain.weight_decay)
        self._alive, self._v, self._steps = alive, None, 0

    def step(self, p: Array, g: Array) -> None:
        """Update p in place."""
        xp = array_module(p, g)
        if self._v is None:
            self._v = xp.zeros_like(p)
        kernel(xp, SGD_STEP)(g, self._alive, *self._factors, self._schedule(self._steps), p, self._v)
        self._steps += 1


class FusedAdam:
    """As optimizers.Adam, where c1, c2 and r are explained."""

    def __init__(self, plain: Adam, alive: Array) -> None:
        self._schedule, self._factors = plain.schedule, (plain.beta1, plain.beta2, plain.eps)
        self._alive, self._m, self._v, self._steps = alive, None, None, 0

    def step(self, p: Array, g: Array) -> None:
        """Update p in place."""
        xp = array_module(p, g)
        if self._m is None:
            self._m, self._v = xp.zeros_like(p), xp.zeros_like(p)
        beta1, beta2, eps = self._factors
        lr = self._schedule(self._steps)
        self._steps += 1
        c1, c2 = 1 - beta1**self._steps, 1 - beta2**self._steps
        r = ((1 - beta2) / c2) ** 0.5
        rate = lr * (1 - beta1) / (c1 * r)
        kernel(xp, ADAM_STEP)(g, self._alive, beta1, beta2, eps / r, rate, p, self._m, self._v)
