"""Stochastic gradient descent, with momentum and weight decay."""

import numpy as np

from npticket.backend import Array, array_module
from npticket.optimizers.schedules import Schedule, constant, rate_at
from npticket.optimizers.survivors import FLUSH_EVERY, Survivors, check, flush
from npticket.params import Params
from npticket.protocols import State


class SGD:
    """v <- momentum v + g + weight_decay theta;   theta <- theta - lr v

    `lr` is a number or a schedule. All survivors decay, biases and batch normalisation's parameters included, as in
    PyTorch. ValueError unless momentum and weight_decay are in [0, 1).
    """

    elementwise = True

    def __init__(self, masks: Params, lr: float | Schedule, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        self.schedule = lr if callable(lr) else constant(lr)
        check(momentum=momentum, weight_decay=weight_decay)
        self.momentum, self.weight_decay, self.steps = float(momentum), float(weight_decay), 0
        self._survivors, self._trials = Survivors(masks), masks.trials
        self._v: Array = None

    @property
    def decays(self) -> bool:
        return bool(self.weight_decay)

    def step(self, theta: Params, grads: Params) -> None:
        """Update theta.flat in place; grads.flat is overwritten."""
        p, g, lr = theta.flat, grads.flat, rate_at(self.schedule, self.steps)
        if self.weight_decay:
            g += self.weight_decay * p
        self._survivors.keep(g)
        if self.momentum:
            if self._v is None:
                self._v = array_module(p).zeros_like(p)
            if self.steps % FLUSH_EVERY == 0:
                flush(self._v)
            self._v *= self.momentum
            self._v += g
            array_module(p).multiply(self._v, lr, out=g)
        else:
            g *= lr
        p -= g
        self.steps += 1

    def state(self) -> State:
        """Return "steps" (T,) and, with momentum, "v" (T, P)."""
        return {"steps": np.full(self._trials, self.steps)} | ({"v": self._v} if self.momentum else {})

    def restore(self, state: State) -> None:
        """Go on where the optimizer was that gave this state."""
        self.steps = int(state["steps"][0])
        if self.momentum:
            self._v = state["v"].copy()
