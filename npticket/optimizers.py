"""SGD and Adam for survivors only, and the learning-rate schedules.

An optimizer is built from masks, holds moments and nothing else, and is made afresh for every round. It never keeps
parameters: `step(theta, grads)` is given both, updates theta.flat in place and may use grads.flat as scratch.
"""

from collections.abc import Callable, Mapping

import numpy as np

from npticket.backend import Array, array_module
from npticket.params import Params
from npticket.protocols import State

FLUSH_EVERY = 50  # steps: momentum of 0.7 and more takes longer from what `flush` drops to subnormal numbers

Schedule = Callable[[int], float]  # number of steps already taken -> learning rate


def constant(lr: float) -> Schedule:
    """The same learning rate at every step."""
    return lambda step: lr


def step_drops(lr: float, drops: Mapping[int, float]) -> Schedule:
    """Start at `lr` and take the value of `drops` from each of its steps on: step_drops(0.1, {20_000: 0.01})."""
    levels = sorted({0: lr, **drops}.items())
    return lambda step: next(value for start, value in reversed(levels) if step >= start)


def linear_warmup(schedule: Schedule, steps: int) -> Schedule:
    """Rise linearly to `schedule` over the first `steps` steps; the first step takes 1/steps of it, not 0."""
    if steps < 1:
        raise ValueError(f"a warm-up takes at least 1 step, got {steps}")
    return lambda step: schedule(step) * min(1.0, (step + 1) / steps)


class SGD:
    """v <- momentum v + g + weight_decay theta;   theta <- theta - lr v

    Weight decay is on all parameters, biases and batch normalisation's included, as PyTorch's is.
    """

    elementwise = True

    def __init__(self, masks: Params, lr: float | Schedule, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        self.schedule = lr if callable(lr) else constant(lr)
        _check(momentum=momentum, weight_decay=weight_decay)
        self.momentum, self.weight_decay, self.steps = momentum, weight_decay, 0
        self._survivors, self._trials = _Survivors(masks), masks.trials
        self._v: Array = None

    @property
    def decays(self) -> bool:
        return bool(self.weight_decay)

    def step(self, theta: Params, grads: Params) -> None:
        """Update theta.flat in place; grads.flat is overwritten."""
        p, g = theta.flat, grads.flat
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
            array_module(p).multiply(self._v, self.schedule(self.steps), out=g)
        else:
            g *= self.schedule(self.steps)
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


class Adam:
    """Adam (Kingma & Ba 2015, Algorithm 1), in ten passes over memory.

    The textbook keeps m <- b1 m + (1 - b1) g and v <- b2 v + (1 - b2) g^2 and moves by
    lr (m / c1) / (sqrt(v / c2) + eps), with c1 = 1 - b1^t and c2 = 1 - b2^t. Here m and v are kept without the
    factors (1 - b1) and (1 - b2), which saves two passes; put back, with r = sqrt((1 - b2) / c2), the move is

        lr (1 - b1) / c1  m / (r sqrt(v) + eps)  =  [lr (1 - b1) / (c1 r)]  m / (sqrt(v) + eps / r).
    """

    elementwise, decays = True, False

    def __init__(
        self, masks: Params, lr: float | Schedule, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
    ) -> None:
        self.schedule = lr if callable(lr) else constant(lr)
        _check(beta1=beta1, beta2=beta2, eps=eps)
        self.beta1, self.beta2, self.eps, self.steps = beta1, beta2, eps, 0
        self._survivors, self._trials = _Survivors(masks), masks.trials
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
        eps, rate = self.scales()
        self._m *= self.beta1
        self._m += g
        self._v *= self.beta2
        g *= g
        self._v += g
        xp.sqrt(self._v, out=g)
        g += eps
        xp.divide(self._m, g, out=g)
        g *= rate
        p -= g
        self.steps += 1

    def state(self) -> State:
        """Return "steps" (T,), and "m" and "v" (T, P), without the factors as above."""
        return {"steps": np.full(self._trials, self.steps), "m": self._m, "v": self._v}

    def restore(self, state: State) -> None:
        """Go on where the optimizer was that gave this state."""
        self.steps, self._m, self._v = int(state["steps"][0]), state["m"].copy(), state["v"].copy()

    def scales(self) -> tuple[float, float]:
        """Return what the next step adds to sqrt(v), and what it multiplies by: eps / r and lr (1 - b1) / (c1 r)."""
        t = self.steps + 1
        c1, c2 = 1 - self.beta1**t, 1 - self.beta2**t
        r = ((1 - self.beta2) / c2) ** 0.5
        return self.eps / r, self.schedule(self.steps) * (1 - self.beta1) / (c1 * r)


def _check(**options: float) -> None:
    """Raise ValueError, naming the option, for what is not at least 0, eps above it, and less than 1."""
    for name, value in options.items():
        if not 0 <= value < 1 or (name == "eps" and not value):
            raise ValueError(f"{name} must be {'above' if name == 'eps' else 'at least'} 0 and below 1, got {value}")


def flush(moments: Array) -> None:
    """Set to 0 what is so small that multiplying it by 0.9 a few dozen times more would make it subnormal.

    A weight whose gradient has become 0 (that of a pixel almost never lit) has a first moment that decays to such a
    number and stays there. Each costs a processor some 20 ns, all up to half of a training step. What is dropped,
    1.2e-30 at most in float32, moves no weight. A product keeps NaN.
    """
    moments *= abs(moments) > tiny(moments)


def tiny(moments: Array) -> float:
    """What `flush` drops: 1.2e-30 in float32."""
    return float(np.finfo(moments.dtype).tiny) * 1e8


def moving(masks: Params) -> Params:
    """Return the masks of what an optimizer moves: of survivors, without the buffers."""
    moves = masks.copy()
    for name in masks.buffers:
        moves[name][...] = False
    return moves


class _Survivors:
    """Sets the gradients of pruned weights, and of buffers, to +0, whatever they are.

    A bitwise AND with all ones (survives) or all zeros (pruned) is one fast pass, where a product would make NaN from
    infinity and -0 from negative numbers, and `where` is slow. So moments and weights that start at 0 stay +0.
    """

    def __init__(self, masks: Params) -> None:
        self._alive = moving(masks).flat
        self._everything = bool(self._alive.all())
        self._bits: Array = None

    def keep(self, gradients: Array) -> Array:
        """Return `gradients`, changed in place."""
        xp = array_module(self._alive, gradients)
        if self._alive.shape != gradients.shape:
            shapes = f"the masks have shape {self._alive.shape}, the gradients {gradients.shape}"
            raise ValueError(f"{shapes}: an optimizer serves the trials it was built for")
        if self._everything:
            return gradients
        bits = gradients.view(f"i{gradients.dtype.itemsize}")
        if self._bits is None:
            self._bits = -self._alive.astype(bits.dtype)  # True -> -1, which is all ones
        xp.bitwise_and(bits, self._bits, out=bits)
        return gradients
