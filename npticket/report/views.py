"""What claims may ask of an experiment: numbers of its trials, and what is made of them.

The best or worst of many rounds, found and read in the same trials, is too good or too bad to be true: of 18 rounds
that gain nothing the best gains something by chance. Here every trial is read in the round that is best, or worst, in
the mean of the others: of rounds that gain nothing this gains nothing in the mean.
"""

from collections.abc import Callable, Sequence

import numpy as np

from npticket.experiments.tables import Outcome, Point, Row, Unknown
from npticket.report.intervals import Numbers
from npticket.report.quantities import END, STOP, Quantity, after, first

NEAR = 0.08  # a round stands for a density that is at most this part away


class Missing(LookupError):
    """What a claim needs and an experiment does not have."""


class View:
    """One experiment as claims see it: numbers as in results.csv, of each of some trials, means over its draws.

    `steps` is the number of steps in the paper, before which nothing is said about the end of training.
    """

    def __init__(self, outcome: Outcome, trials: Sequence[int], steps: int = 0) -> None:
        self.first, self._outcome, self._trials, self._steps = first(outcome), outcome, trials, steps
        self._points = {series: outcome.points(series) for series in outcome.series}

    def __call__(self, quantity: Quantity, series: str, percent: float) -> Numbers:
        """Return a quantity at the round whose weights remaining are near `percent`."""
        return self._numbers(quantity, self._near(series, percent))

    def measured(self, series: str, percent: float, number: Callable[[Sequence[Row]], float]) -> Numbers:
        """Return `number(rows)` of what was measured in a series of each trial, at the round near `percent`."""
        point = self._near(self.first, percent)
        self._need_the_end(point)
        of_round = [row for row in self._outcome.measured.get(series, ()) if row["round"] == point.round]
        rows = [[row for row in of_round if row["trial"] == trial] for trial in self._trials]
        if not all(rows):
            raise self._missing(series, percent)
        try:
            values = np.array([number(of_trial) for of_trial in rows], float)
        except (KeyError, IndexError, TypeError, ValueError, ArithmeticError) as error:
            raise Missing(f"{series}.csv has other columns than it should ({type(error).__name__}: {error})") from error
        return Numbers(values, values)

    def tested(self, step: int, series: str, percent: float) -> Numbers:
        """Return the headline measure of the test set after a step that the recipe names."""
        return self(after(step, self._outcome), series, percent)

    def all(self, quantity: Quantity, series: str, low: float, high: float = 99) -> list[Numbers]:
        """Return a quantity at all rounds with weights remaining from `low` to `high` percent."""
        points = {point.round: point for point in self._rounds(series) if low <= 100 * point.density <= high}
        reaches = min((100 * point.density for point in points.values()), default=np.inf)
        if reaches > max(low, 1) * 1.25:  # a round that prunes 20 % steps over no more than that
            raise self._missing(series, low)
        for ticket in self._rounds(self.first):
            if low <= 100 * ticket.density <= high and ticket.round not in points:
                raise self._missing(series, 100 * ticket.density)
        return [self._numbers(quantity, point) for point in points.values()]

    def pruned(self, quantity: Quantity, series: str) -> list[Numbers]:
        """Return a quantity at all rounds but the dense network's."""
        return [self._numbers(quantity, point) for point in self._pruned(series)]

    def fastest_at(self, series: str) -> Numbers:
        """Return at how many percent of the weights each trial stops earliest."""
        points, steps = self._pruned(series), self.pruned(STOP, series)
        earliest = np.argmin([each.low for each in steps], axis=0)
        at = np.array([100 * point.density for point in points])[earliest]
        known = np.isfinite([steps[i].high[t] for t, i in enumerate(earliest)])
        return Numbers(np.where(known, at, 0), np.where(known, at, np.inf))

    def falls_below(self, quantity: Quantity, series: str, other: str, percent: float) -> Numbers:
        """Return from how many percent of the weights on each trial of a series is below `other` at `percent`.

        That is behind the round up to which the gains over it add up to most; runs that were cut short end the search.
        """
        level, sums, points = self(quantity, other, percent), np.zeros((1, len(self._trials))), self._pruned(series)
        for point in points:
            gained = self._numbers(quantity, point) - level
            if not np.isfinite(gained.high - gained.low).all():
                break
            sums = np.vstack([sums, sums[-1] + gained.low])
        known = len(sums) - 1
        at = np.array([0, *(100 * point.density for point in points[:known][::-1])])
        at = at[np.round(sums[::-1], 9).argmax(axis=0)]  # the last of several: equal is not below
        last = 100 * points[known - 1].density if known else 100
        return Numbers(at, np.where(at > 0, at, last))

    def _near(self, series: str, percent: float) -> Point:
        nearest = min(self._rounds(series), key=lambda point: abs(100 * point.density - percent))
        if abs(100 * nearest.density - percent) > NEAR * percent:
            raise self._missing(series, percent)
        return nearest

    def _pruned(self, series: str) -> list[Point]:
        if points := [point for point in self._rounds(series) if point.round]:
            return points
        raise Missing(f"{self._outcome.recipe.name} has no pruned network of {series}")

    def _rounds(self, series: str) -> list[Point]:
        if not self._points.get(series):
            raise Missing(f"{self._outcome.recipe.name} has no runs of {series}")
        return self._points[series]

    def _missing(self, series: str, percent: float) -> Missing:
        name = self._outcome.recipe.name
        return Missing(f"{name} has no round of {series} near {percent:.3g} % of the weights")

    def _need_the_end(self, point: Point) -> None:
        if point.steps < self._steps:
            raise Missing(f"{point.steps:,} of {self._steps:,} steps")
        if self._outcome.recipe.patience is not None:
            raise Missing("trained with patience, not to the end")

    def _numbers(self, quantity: Quantity, point: Point) -> Numbers:
        if quantity.read == END:
            self._need_the_end(point)
        if lacking := set(self._trials) - set(point.trial.tolist()):
            name = self._outcome.recipe.name
            raise Missing(f"{name}: round {point.round} of {point.series} lacks trials {sorted(lacking)}")
        try:
            values = quantity.of(point).astype(float)
        except Unknown as error:
            raise Missing(error.args[0]) from error
        ends = values, np.where(quantity.cut_short(point), np.inf, values)
        low, high = (np.array([end[point.trial == t].mean() for t in self._trials]) for end in ends)
        return Numbers(low, high)


Number = Callable[[View], Numbers]  # what a claim about one experiment is about


def trials_of(outcome: Outcome) -> list[int]:
    """The numbers of the trials."""
    return sorted({row["trial"] for row in outcome.results})


def left_out(rounds: Sequence[Numbers], sign: int) -> Numbers:
    """Of each trial the number of that round which is highest (`sign` 1) or lowest (-1) in the mean of the others."""
    low, high = (np.array([getattr(numbers, end) for numbers in rounds]) for end in ("low", "high"))  # (R, T)
    others = (low.sum(axis=1, keepdims=True) - low) * sign
    chosen = others.argmax(axis=0), np.arange(low.shape[1])
    # The highest may be any that was cut short.
    most = np.where(np.isinf(high).any(axis=0), np.inf, high[chosen]) if sign > 0 else high[chosen]
    return Numbers(low[chosen], most, chosen=True)


def value(quantity: Quantity, percent: float = 100) -> Number:
    """A quantity of the first series (at 100: the dense network's)."""
    return lambda v: quantity.scale * v(quantity, v.first, percent)


def gain(quantity: Quantity, series: str, percent: float, other: str = "", at: float | None = None) -> Number:
    """How much more one series has than another (or the first), at the same weights remaining or `at` others."""
    there = percent if at is None else at
    return lambda v: quantity.scale * (v(quantity, series, percent) - v(quantity, other or v.first, there))


def gain_between(
    quantity: Quantity, series: str, percent: float, other: str = "", at: float | None = None
) -> Callable[[View, View], Numbers]:  # fmt: skip
    """How much more a series of one experiment has than it, or another, has in a second, at `percent` or there `at`."""
    there = percent if at is None else at
    return lambda one, two: quantity.scale * (one(quantity, series, percent) - two(quantity, other or series, there))


def times(series: str, percent: float, other: str = "", at: float | None = None) -> Number:
    """How many times as many steps until early stopping."""
    return lambda v: v(STOP, series, percent) / v(STOP, other or v.first, percent if at is None else at)


def best_gain(quantity: Quantity, low: float = 1.9) -> Number:
    """The gain over the dense network of the best pruned network of the first series, from `low` percent on."""
    return lambda v: quantity.scale * (left_out(v.all(quantity, v.first, low), 1) - v(quantity, v.first, 100))


def worst_gain(quantity: Quantity, series: str, low: float, high: float = 99) -> Number:
    """The gain over the dense network of the worst network of a series from `low` to `high` percent."""
    return lambda v: quantity.scale * (left_out(v.all(quantity, series, low, high), -1) - v(quantity, v.first, 100))


def lowest(quantity: Quantity, low: float, *series: str) -> Number:
    """The lowest value of a quantity among the rounds of some series from `low` percent on."""
    return lambda v: quantity.scale * left_out([one for s in series for one in v.all(quantity, s, low)], -1)


def fastest(low: float) -> Number:
    """How many times the steps of the fastest network of the first series from `low` percent the dense one takes."""
    return lambda v: v(STOP, v.first, 100) / left_out(v.all(STOP, v.first, low), -1)


def slowest(series: str, low: float, high: float = 99) -> Number:
    """How many times the dense network's steps the slowest network of a series from `low` to `high` percent takes."""
    return lambda v: left_out(v.all(STOP, series, low, high), 1) / v(STOP, v.first, 100)
