"""An experiment as claims see it: numbers of its trials, by series and weights remaining."""

from collections.abc import Callable, Sequence

import numpy as np

from npticket.experiments.outcome import Outcome, Point, Unknown
from npticket.experiments.tables import Row
from npticket.report.intervals import Numbers
from npticket.report.quantities import END, STOP, Quantity, after, first

NEAR = 0.08  # a round may stand for a density that differs by at most this fraction
NEXT = 1.25  # a round that prunes 20 % steps over no more than this


class Missing(LookupError):
    """Raised if an experiment does not have what a claim needs; the message says what."""


class View:
    """One experiment as claims see it: numbers as in results.csv for each of `trials`, means over a trial's draws.

    `steps` are the paper's: after fewer, numbers at the end of training are Missing. Methods raise Missing.
    """

    def __init__(self, outcome: Outcome, trials: Sequence[int], steps: int = 0) -> None:
        self.first, self._outcome, self._trials, self._steps = first(outcome), outcome, trials, steps
        self._points = {series: outcome.points(series) for series in outcome.series}

    def __call__(self, quantity: Quantity, series: str, percent: float) -> Numbers:
        """Return a quantity at the round whose weights remaining are near `percent`."""
        return self._numbers(quantity, self._near(series, percent))

    def measured(self, series: str, percent: float, number: Callable[[Sequence[Row]], float]) -> Numbers:
        """Return `number(rows)` of each trial, from the rows of a series of measures at the round near `percent`."""
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
        """Return the headline measure on the test set after a step in the recipe's `test_at`."""
        return self(after(step, self._outcome), series, percent)

    def all(self, quantity: Quantity, series: str, low: float, high: float = 99) -> list[Numbers]:
        """Return a quantity at all rounds with weights remaining from `low` to `high` percent, as these are printed."""

        def within(point: Point) -> bool:
            return low <= round(100 * point.density, 1) <= high

        points = {point.round: point for point in self._rounds(series) if within(point)}
        reaches = min((100 * point.density for point in points.values()), default=np.inf)
        if reaches > max(low, 1) * NEXT:
            raise self._missing(series, low)
        for ticket in self._rounds(self.first):
            if within(ticket) and ticket.round not in points:
                raise self._missing(series, 100 * ticket.density)
        return [self._numbers(quantity, point) for point in points.values()]

    def pruned(self, quantity: Quantity, series: str) -> list[Numbers]:
        """Return a quantity at all rounds but the dense network's."""
        return [self._numbers(quantity, point) for point in self._pruned(series)]

    def fastest_at(self, series: str) -> Numbers:
        """Return the percentage of weights remaining at which each trial stops earliest."""
        points, steps = self._pruned(series), self.pruned(STOP, series)
        earliest = np.argmin([each.low for each in steps], axis=0)
        at = np.array([100 * point.density for point in points])[earliest]
        known = np.isfinite([steps[i].high[t] for t, i in enumerate(earliest)])
        return Numbers(np.where(known, at, 0), np.where(known, at, np.inf))

    def falls_below(self, quantity: Quantity, series: str, other: str, low: float) -> Numbers:
        """Return the percentage of weights from which on each trial of a series is below `other`'s dense network.

        That is after the round up to which its gains have the largest sum, among rounds that must go on to `low`
        percent. Runs that were cut short end the search: before `low`, later rounds might have moved it further down.
        """
        level, sums, points = self(quantity, other, 100), np.zeros((1, len(self._trials))), self._pruned(series)
        enough = max(low, 1) * NEXT
        if min(100 * point.density for point in points) > enough:
            raise self._missing(series, low)
        for point in points:
            gained = self._numbers(quantity, point) - level
            if not np.isfinite(gained.high - gained.low).all():
                break
            sums = np.vstack([sums, sums[-1] + gained.low])
        known = len(sums) - 1
        at = np.array([0, *(100 * point.density for point in points[:known][::-1])])
        at = at[np.round(sums[::-1], 9).argmax(axis=0)]  # the last of several: equal is not below
        last = 100 * points[known - 1].density if known else 100
        if last > enough:
            return Numbers(np.zeros_like(at), np.where(at > 0, at, last))
        until = ", where runs were cut short" if known < len(points) else ""
        why = "" if at.all() else f"not every trial is below down to {last:.3g} % of the weights{until}"
        return Numbers(at, np.where(at > 0, at, last), why=why)

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
        bound = np.where(quantity.cut_short(point), -np.inf if quantity.lower_is_better else np.inf, values)
        ends = (bound, values) if quantity.lower_is_better else (values, bound)
        low, high = (np.array([end[point.trial == t].mean() for t in self._trials]) for end in ends)
        return Numbers(low, high)


def trials_of(outcome: Outcome) -> list[int]:
    """Return which trials there are."""
    return sorted({row["trial"] for row in outcome.results})
