"""Learning rates as functions of the number of steps already taken."""

import math
from collections.abc import Callable, Mapping
from typing import SupportsFloat

Schedule = Callable[[int], float]  # number of steps already taken -> learning rate


def constant(lr: float) -> Schedule:
    """Keep the same learning rate at every step; ValueError, here and below, for one that is negative or not finite."""
    _check(lr)
    return lambda step: lr


def step_drops(lr: float, drops: Mapping[int, float]) -> Schedule:
    """Start at `lr`, and from each step in `drops` on take its value, as in step_drops(0.1, {20_000: 0.01}).

    ValueError for negative steps.
    """
    if drops and min(drops) < 0:
        raise ValueError(f"the learning rate changes at steps from 0 on, got {min(drops)}")
    levels = sorted({0: lr, **drops}.items())
    _check(*dict(levels).values())
    return lambda step: next(value for start, value in reversed(levels) if step >= start)


def linear_decay(lr: float, steps: int) -> Schedule:
    """Fall linearly from `lr` at step 0 to 0 at step `steps`, the first that is not taken; ValueError if steps < 1."""
    if steps < 1:
        raise ValueError(f"a decay takes at least 1 step, got {steps}")
    _check(lr)
    return lambda step: lr * max(0.0, 1 - step / steps)


def linear_warmup(lr: float | Schedule, steps: int) -> Schedule:
    """Multiply `lr`, a number or a schedule, by 1/steps, 2/steps, ... 1 in the first `steps` steps.

    ValueError if steps < 1.
    """
    if steps < 1:
        raise ValueError(f"a warm-up takes at least 1 step, got {steps}")
    schedule = lr if callable(lr) else constant(lr)
    return lambda step: schedule(step) * min(1.0, (step + 1) / steps)


def rate_at(schedule: Schedule, step: int) -> float:
    """Return the learning rate of a step; ValueError if it is none, as the schedule may be anybody's."""
    lr = schedule(step)
    _check(lr)
    return float(lr)


def _check(*rates: float) -> None:
    for lr in rates:
        if not isinstance(lr, SupportsFloat) or not 0 <= float(lr) < math.inf:
            raise ValueError(f"a learning rate must be a finite number of at least 0, got {lr}")
