"""Learning rates as functions of the number of steps already taken."""

from collections.abc import Callable, Mapping

Schedule = Callable[[int], float]  # number of steps already taken -> learning rate


def constant(lr: float) -> Schedule:
    """The same learning rate at every step."""
    return lambda step: lr


def step_drops(lr: float, drops: Mapping[int, float]) -> Schedule:
    """Start at `lr` and take the value of `drops` from each of its steps on: step_drops(0.1, {20_000: 0.01})."""
    levels = sorted({0: lr, **drops}.items())
    return lambda step: next(value for start, value in reversed(levels) if step >= start)


def linear_decay(lr: float, steps: int) -> Schedule:
    """Fall linearly from `lr` at step 0 to 0 at step `steps`, which is none any more."""
    if steps < 1:
        raise ValueError(f"a decay takes at least 1 step, got {steps}")
    return lambda step: lr * max(0.0, 1 - step / steps)


def linear_warmup(schedule: Schedule, steps: int) -> Schedule:
    """Rise linearly to `schedule` over the first `steps` steps; the first step takes 1/steps of it, not 0."""
    if steps < 1:
        raise ValueError(f"a warm-up takes at least 1 step, got {steps}")
    return lambda step: schedule(step) * min(1.0, (step + 1) / steps)
