"""What a few trials say about a mean: Student's t intervals, also of numbers of which only a bound is known."""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

LEVEL = 0.95
MANY = 1_000  # more trials than this nobody runs


@dataclass(frozen=True)
class Numbers:
    """A number of each trial (T,), known to lie from `low` to `high`; the two are equal unless a run was cut short.

    With `chosen`, what was read of each trial was chosen by means of the others, so they are not quite independent.
    `why` says why they are not known better, if they are not.
    """

    low: np.ndarray
    high: np.ndarray
    chosen: bool = False
    why: str = ""

    def __sub__(self, other: "Numbers") -> "Numbers":
        return self._with(other, self.low - other.high, self.high - other.low)

    def __truediv__(self, other: "Numbers") -> "Numbers":
        """Return the quotient; both must be positive, or 0."""
        with np.errstate(divide="ignore", invalid="ignore"):  # of 0 / 0 nothing is known, and claims say so
            return self._with(other, self.low / other.high, self.high / other.low)

    def __rmul__(self, factor: float) -> "Numbers":
        """Return a multiple; the factor must be positive."""
        return self.map(lambda numbers: factor * numbers)

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> "Numbers":
        """Return `function` of the numbers; it must be rising."""
        return self._with(self, function(self.low), function(self.high))

    def logarithms(self) -> "Numbers":
        """Return the logarithms; that of 0 lies below that of the smallest number above it, and so for infinity."""
        with np.errstate(divide="ignore"):
            low, high = np.log(self.low), np.log(self.high)
        least = np.min(high[np.isfinite(high)], initial=np.inf)
        most = np.max(low[np.isfinite(low)], initial=-np.inf)
        none, endless = high == -np.inf, low == np.inf
        why = "a trial measured 0" if (none | endless).any() else self.why
        return Numbers(np.where(endless, most, low), np.where(none, least, high), self.chosen, why)

    def _with(self, other: "Numbers", low: np.ndarray, high: np.ndarray) -> "Numbers":
        return Numbers(low, high, self.chosen or other.chosen, self.why or other.why)


@dataclass(frozen=True)
class Estimate:
    """The mean of T trials, `value`, with its confidence interval of 95 % from `low` to `high`.

    `spread` is the standard deviation of independent trials that would give the same interval. If trials were cut
    short, `value` is only a bound and no spread is known: an end of the interval is infinite, or the interval reaches
    from that of the lowest to that of the highest possible numbers.
    """

    value: float
    low: float
    high: float
    spread: float
    trials: int

    @property
    def bound(self) -> str:
        """What the value is: "≥" or "≤" for a bound, "" if it was measured, "?" if nothing is known of it."""
        at_least, at_most = math.isfinite(self.low), math.isfinite(self.high)
        return {(True, True): "", (True, False): "≥", (False, True): "≤"}.get((at_least, at_most), "?")

    def certainty(self, low: float, high: float, strict: bool = False) -> float | None:
        """Return how probable it is that the true mean lies from `low` to `high`; None without a spread.

        By Student's distribution about `value`, which is what a flat prior gives. `strict` excludes the ends.
        """
        if self.bound or math.isnan(self.spread):
            return None
        if not self.spread:
            return float(low < self.value < high if strict else low <= self.value <= high)
        error = self.spread / math.sqrt(self.trials)
        below = (probability((end - self.value) / error, self.trials - 1) for end in (high, low))
        return next(below) - next(below)

    def trials_to_decide(self, low: float, high: float) -> int | None:
        """Return how many trials of this spread would keep both ends out of the interval; None if over 1,000."""
        apart = min(abs(self.value - end) for end in (low, high) if math.isfinite(end))
        numbers = range(2, MANY + 1)
        found = bisect_left(numbers, True, key=lambda n: quantile(n - 1) * self.spread < apart * math.sqrt(n))
        return numbers[found] if found < len(numbers) else None


def estimate(numbers: Numbers) -> Estimate:
    """Return the mean of T >= 2 independent trials and its t interval, which is exact for normal numbers."""
    trials = len(numbers.low)
    # Of numbers that the other trials chose the variance is corrected as in Nadeau & Bengio 2003 for cross-validation.
    more = math.sqrt(1 + trials / (trials - 1)) if numbers.chosen else 1.0
    (low, below), (high, above) = (_mean_and_spread(ends) for ends in (numbers.low, numbers.high))
    reach = quantile(trials - 1) * more / math.sqrt(trials)
    exact = bool((numbers.low == numbers.high).all())
    value, spread = (low, more * below) if exact else (low if math.isfinite(low) else high, math.nan)
    return Estimate(value, low - reach * below, high + reach * above, spread, trials)


def _mean_and_spread(numbers: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation; if one is infinite or NaN, that is the mean, and the deviation 0."""
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
    """Return the number q for which Student's t lies between -q and q with a probability of LEVEL, 95 %."""
    low, high = 0.0, 1.0
    while 2 * probability(high, freedom) - 1 < LEVEL:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if 2 * probability(middle, freedom) - 1 < LEVEL else (low, middle)
    return high
