"""What a few trials say of a mean: Student's t intervals, and numbers of which only a bound is known."""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

LEVEL = 0.95
MANY = 1_000  # trials, more than which nobody runs


@dataclass(frozen=True)
class Numbers:
    """A number of each trial (T,), known to lie from `low` to `high`: the same two unless something cut it short.

    With `chosen` the other trials had a say in what was read of each, so that these are not quite independent.
    """

    low: np.ndarray
    high: np.ndarray
    chosen: bool = False

    def __sub__(self, other: "Numbers") -> "Numbers":
        return Numbers(self.low - other.high, self.high - other.low, self.chosen or other.chosen)

    def __truediv__(self, other: "Numbers") -> "Numbers":
        """The quotient of positive numbers."""
        return Numbers(self.low / other.high, self.high / other.low, self.chosen or other.chosen)

    def __rmul__(self, factor: float) -> "Numbers":
        """A positive multiple."""
        return self.map(lambda numbers: factor * numbers)

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> "Numbers":
        """Return a rising function of the numbers."""
        return Numbers(function(self.low), function(self.high), self.chosen)


@dataclass(frozen=True)
class Estimate:
    """The mean of what T trials have, from `low` to `high` with a probability of 95 %.

    `spread` is the standard deviation of independent trials of which the mean would be known as well. Where trials were
    cut short, `value` is only a bound and no spread is known: an end of the interval is infinite, or that of the lowest
    and the highest that the numbers may be.
    """

    value: float
    low: float
    high: float
    spread: float
    trials: int

    @property
    def bound(self) -> str:
        """How the value is known: "≥", "≤", or "" where it was measured; "?" where nothing is known of it."""
        at_least, at_most = math.isfinite(self.low), math.isfinite(self.high)
        return {(True, True): "", (True, False): "≥", (False, True): "≤"}.get((at_least, at_most), "?")

    def certainty(self, low: float, high: float, strict: bool = False) -> float | None:
        """Return how probable it is that the mean lies from `low` to `high`, or between; None without a spread."""
        if self.bound or math.isnan(self.spread):
            return None
        if not self.spread:
            return float(low < self.value < high if strict else low <= self.value <= high)
        error = self.spread / math.sqrt(self.trials)
        below = (probability((end - self.value) / error, self.trials - 1) for end in (high, low))
        return next(below) - next(below)

    def trials_to_decide(self, low: float, high: float) -> int | None:
        """Return how many trials of this spread keep the interval on one side of these ends; None for over 1,000."""
        apart = min(abs(self.value - end) for end in (low, high) if math.isfinite(end))
        numbers = range(2, MANY + 1)
        found = bisect_left(numbers, True, key=lambda n: quantile(n - 1) * self.spread < apart * math.sqrt(n))
        return numbers[found] if found < len(numbers) else None


def estimate(numbers: Numbers) -> Estimate:
    """Return mean and t interval of T >= 2 trials that are draws of the same: exact where these are normal."""
    trials = len(numbers.low)
    # Of numbers that the other trials chose the variance is corrected as in Nadeau & Bengio 2003 for cross-validation.
    more = math.sqrt(1 + trials / (trials - 1)) if numbers.chosen else 1.0
    (low, below), (high, above) = (_mean_and_spread(ends) for ends in (numbers.low, numbers.high))
    reach = quantile(trials - 1) * more / math.sqrt(trials)
    exact = bool((numbers.low == numbers.high).all())
    value, spread = (low, more * below) if exact else (low if math.isfinite(low) else high, math.nan)
    return Estimate(value, low - reach * below, high + reach * above, spread, trials)


def _mean_and_spread(numbers: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation; what is infinite, or no number, has no spread."""
    if not np.isfinite(numbers).all():
        return float(numbers[~np.isfinite(numbers)][0]), 0.0
    return float(numbers.mean()), float(numbers.std(ddof=1))


def probability(t: float, freedom: int) -> float:
    """Return P(T <= t) for Student's t with integer degrees of freedom (Abramowitz & Stegun, 26.7.3 and 26.7.4)."""
    if math.isinf(t):
        return float(t > 0)
    angle = math.atan(t / math.sqrt(freedom))
    odd, square = freedom % 2, math.cos(angle) ** 2
    term, total = (math.cos(angle), 0.0) if odd else (1.0, 0.0)
    for k in range(2 + odd, freedom + 1, 2):  # terms of the series up to cos^(freedom - 2)
        total += term
        term *= square * (k - 1) / k
    inside = 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
    return (1 + inside) / 2


@cache
def quantile(freedom: int) -> float:
    """Return the t between whose negative and itself Student's t lies with a probability of 95 %."""
    low, high = 0.0, 1.0
    while 2 * probability(high, freedom) - 1 < LEVEL:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if 2 * probability(middle, freedom) - 1 < LEVEL else (low, middle)
    return high
