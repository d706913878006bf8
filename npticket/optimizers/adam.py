"""Adam, and AdamW, which adds a weight decay that is no part of the gradient."""

import numpy as np

from npticket.backend import Array, array_module
from npticket.optimizers.schedules import Schedule, constant, rate_at
from npticket.optimizers.survivors import FLUSH_EVERY, Survivors, check, flush, pieces
from npticket.params import Params
from npticket.protocols import State


class Adam:
    """Adam (Kingma & Ba 2015, Algorithm 1), in ten passes over memory.

    The textbook keeps m <- b1 m + (1 - b1) g and v <- b2 v + (1 - b2) g^2 and moves by
    lr (m / c1) / (sqrt(v / c2) + eps), with c1 = 1 - b1^t and c2 = 1 - b2^t. Here m and v are kept without the
    factors (1 - b1) and (1 - b2), which saves two passes; put back, with r = sqrt((1 - b2) / c2), the move is

        lr (1 - b1) / c1  m / (r sqrt(v) + eps)  =  [lr (1 - b1) / (c1 r)]  m / (sqrt(v) + eps / r).

    `lr` is a number or a schedule. ValueError unless beta1 and beta2 are in [0, 1) and eps in [1e-30, 1).
    """

    elementwise, decays = True, False

    def __init__(
        self, masks: Params, lr: float | Schedule, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
    ) -> None:
        self.schedule = lr if callable(lr) else constant(lr)
        check(beta1=beta1, beta2=beta2, eps=eps)
        self.beta1, self.beta2, self.eps, self.steps = float(beta1), float(beta2), float(eps), 0
        self._survivors, self._trials = Survivors(masks), masks.trials
        self._m: Array = None
        self._v: Array = None

    def step(self, theta: Params, grads: Params) -> None:
        """Update theta.flat in place; grads.flat is overwritten."""
        p, g = theta.flat, self._survivors.keep(grads.flat)
        xp = array_module(p, g)
        if self._m is None:
            self._m, self._v = xp.zeros_like(p), xp.zeros_like(p)
        if self.steps % FLUSH_EVERY == 0:
            flush(self._m)
        for piece in pieces(p):
            self._move(*(array[:, piece] for array in (p, g, self._m, self._v)))
        self.steps += 1

    def _move(self, p: Array, g: Array, m: Array, v: Array) -> None:
        xp = array_module(p, g)
        eps, rate = self.scales()
        m *= self.beta1
        m += g
        v *= self.beta2
        g *= g
        v += g
        xp.sqrt(v, out=g)
        g += eps
        xp.divide(m, g, out=g)
        g *= rate
        p -= g

    def state(self) -> State:
        """Return "steps" (T,), and "m" and "v" (T, P), without the factors as above."""
        return {"steps": np.full(self._trials, self.steps), "m": self._m, "v": self._v}

    def restore(self, state: State) -> None:
        """Go on where the optimizer was that gave this state."""
        self.steps, self._m, self._v = int(state["steps"][0]), state["m"].copy(), state["v"].copy()

    def scales(self) -> tuple[float, float]:
        """Return eps / r, which the next step adds to sqrt(v), and lr (1 - b1) / (c1 r), by which it multiplies."""
        t = self.steps + 1
        c1, c2 = 1 - self.beta1**t, 1 - self.beta2**t
        r = ((1 - self.beta2) / c2) ** 0.5
        return self.eps / r, rate_at(self.schedule, self.steps) * (1 - self.beta1) / (c1 * r)


class AdamW(Adam):
    """theta <- theta - lr weight_decay theta, and then Adam's step (Loshchilov & Hutter 2019, Algorithm 2).

    The decay is no part of the gradient, so Adam does not divide it by the gradient's size. All survivors decay,
    biases and norms included, as under SGD. ValueError unless weight_decay is in [0, 1); the rest as Adam.
    """

    elementwise = True
    state, restore = Adam.state, Adam.restore  # declared again, as they are not inherited past a `step` of its own

    def __init__(
        self, masks: Params, lr: float | Schedule, weight_decay: float = 0.01, beta1: float = 0.9,
        beta2: float = 0.999, eps: float = 1e-8,
    ) -> None:  # fmt: skip
        super().__init__(masks, lr, beta1, beta2, eps)
        check(weight_decay=weight_decay)
        self.weight_decay, self.decays = float(weight_decay), bool(weight_decay)

    def step(self, theta: Params, grads: Params) -> None:
        """Update theta.flat in place; grads.flat is overwritten."""
        if self.weight_decay:
            factor = rate_at(self.schedule, self.steps) * self.weight_decay
            for piece in pieces(theta.flat):
                part = theta.flat[:, piece]
                part -= self._survivors.keep(part * factor, piece)
        super().step(theta, grads)
