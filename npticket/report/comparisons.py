"""What claims compare: two series, two experiments, or the best and the worst of many rounds.

The best or worst of many rounds, chosen and read in the same trials, is biased: of 18 rounds that gain nothing, the
best gains something by chance. Here every trial is read in the round that is best, or worst, in the mean of the other
trials: if no round gains anything, this does not either, in the mean.
"""

from collections.abc import Callable, Sequence

import numpy as np

from npticket.report.intervals import Numbers, estimate
from npticket.report.quantities import STOP, Quantity
from npticket.report.views import Missing, View

Number = Callable[[View], Numbers]  # the quantity of a claim about one experiment


def left_out(rounds: Sequence[Numbers], sign: int) -> Numbers:
    """For each trial, its number in the round that is highest (`sign` 1) or lowest (-1) in the mean of the others."""
    low, high = (np.array([getattr(numbers, end) for numbers in rounds]) for end in ("low", "high"))  # (R, T)
    seen = np.where(np.isinf(low), high, low)  # of a run that was cut short this end was measured
    others = (seen.sum(axis=1, keepdims=True) - seen) * sign
    chosen = others.argmax(axis=0), np.arange(low.shape[1])
    # A run that was cut short might be the highest, or the lowest.
    least = np.where(np.isinf(low).any(axis=0), -np.inf, low[chosen]) if sign < 0 else low[chosen]
    most = np.where(np.isinf(high).any(axis=0), np.inf, high[chosen]) if sign > 0 else high[chosen]
    return Numbers(least, most, chosen=True)


def value(quantity: Quantity, percent: float = 100) -> Number:
    """A quantity of the first series, by default of its dense network."""
    return lambda v: quantity.scale * v(quantity, v.first, percent)


def gain(quantity: Quantity, series: str, percent: float, other: str = "", at: float | None = None) -> Number:
    """How much more one series has than another (by default the first) at `percent`, or the other `at` another one."""
    there = percent if at is None else at
    return lambda v: quantity.scale * (v(quantity, series, percent) - v(quantity, other or v.first, there))


def gain_between(
    quantity: Quantity, series: str, percent: float, other: str = "", at: float | None = None
) -> Callable[[View, View], Numbers]:  # fmt: skip
    """The same, with the other series (by default of the same name) in a second experiment."""
    there = percent if at is None else at
    return lambda one, two: quantity.scale * (one(quantity, series, percent) - two(quantity, other or series, there))


def ratio(one: Number, other: Number) -> Callable[..., Numbers]:
    """One number divided by another, of the same experiment or of a second one."""
    return lambda v, w=None: one(v) / other(w or v)


def past_half(part: Number, whole: Number, sign: int = -1) -> Callable[..., Numbers]:
    """By how much a number exceeds half of another one, of the same experiment or of a second one.

    Missing unless the other is sure to be a loss, with `sign` 1 a gain: of nothing there is no half.
    """

    def past(v: View, w: View | None = None) -> Numbers:
        all_of_it = whole(w or v)
        found = estimate(all_of_it)
        if not (found.low > 0 if sign > 0 else found.high < 0):
            raise Missing(f"it is not sure that there is a {'gain' if sign > 0 else 'loss'} to take half of")
        return part(v) - 0.5 * all_of_it

    return past


def times(series: str, percent: float, other: str = "", at: float | None = None) -> Number:
    """The steps of a series until early stopping, divided by those of another (by default the first)."""
    return lambda v: v(STOP, series, percent) / v(STOP, other or v.first, percent if at is None else at)


def best_gain(quantity: Quantity, low: float = 1.9) -> Number:
    """The gain over the dense network of the best pruned network of the first series, from `low` percent on."""
    sign = -1 if quantity.lower_is_better else 1
    return lambda v: quantity.scale * (left_out(v.all(quantity, v.first, low), sign) - v(quantity, v.first, 100))


def worst_gain(quantity: Quantity, series: str, low: float, high: float = 99) -> Number:
    """The gain over the dense network of the worst network of a series from `low` to `high` percent."""
    sign = 1 if quantity.lower_is_better else -1
    return lambda v: quantity.scale * (left_out(v.all(quantity, series, low, high), sign) - v(quantity, v.first, 100))


def lowest(quantity: Quantity, low: float, *series: str) -> Number:
    """The lowest value of a quantity among the rounds of some series from `low` percent on."""
    return lambda v: quantity.scale * left_out([one for s in series for one in v.all(quantity, s, low)], -1)


def fastest(low: float) -> Number:
    """The dense network's steps until early stopping, divided by those of the fastest ticket from `low` percent on."""
    return lambda v: v(STOP, v.first, 100) / left_out(v.all(STOP, v.first, low), -1)


def slowest(series: str, low: float, high: float = 99) -> Number:
    """The steps of the slowest network of a series from `low` to `high` percent, divided by the dense network's."""
    return lambda v: left_out(v.all(STOP, series, low, high), 1) / v(STOP, v.first, 100)
