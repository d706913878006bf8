"""What claims may ask of an experiment: means over its trials, as they are and as they might have been drawn."""

from collections.abc import Callable

import numpy as np

from npticket.experiments.tables import Outcome, Point
from npticket.report.quantities import STOP, Quantity, first

NEAR = 0.08  # a round stands for a density that is at most this part away
RESAMPLES = 2_000


class Missing(LookupError):
    """What a claim needs and an experiment does not have."""


class View:
    """One experiment as claims see it: means, as in results.csv, of the trials and of every resample of them (R,)."""

    def __init__(self, outcome: Outcome, rng: np.random.Generator) -> None:
        self.first, self._name, self._trials = first(outcome), outcome.recipe.name, trials_of(outcome)
        count = len(self._trials)
        self._draws = np.vstack([np.arange(count), rng.integers(0, count, (RESAMPLES, count))])  # rows of trials (R, T)
        self._points = {series: outcome.points(series) for series in outcome.series}

    def __call__(self, quantity: Quantity, series: str, percent: float) -> np.ndarray:
        """Return the mean of a quantity at the round whose weights remaining are near `percent`."""
        nearest = min(self._rounds(series), key=lambda point: abs(100 * point.density - percent))
        if abs(100 * nearest.density - percent) > NEAR * percent:
            raise self._missing(series, percent)
        return self._mean(quantity, nearest)

    def all(self, quantity: Quantity, series: str, low: float, high: float = 99) -> np.ndarray:
        """Return the same for all rounds with weights remaining from `low` to `high` percent (rounds, R)."""
        points = {point.round: point for point in self._rounds(series) if low <= 100 * point.density <= high}
        reaches = min((100 * point.density for point in points.values()), default=np.inf)
        if reaches > max(low, 1) * 1.25:  # a round that prunes 20 % steps over no more than that
            raise self._missing(series, low)
        for ticket in self._rounds(self.first):
            if low <= 100 * ticket.density <= high and ticket.round not in points:
                raise self._missing(series, 100 * ticket.density)
        return np.stack([self._mean(quantity, point) for point in points.values()])

    def best(self, quantity: Quantity, series: str) -> np.ndarray:
        """Return the best of all pruned networks, anew in each resample."""
        return np.max([self._mean(quantity, point) for point in self._pruned(series)], axis=0)

    def fastest(self, series: str) -> tuple[np.ndarray, np.ndarray]:
        """Return steps and weights remaining of the pruned network that stops earliest, anew in each resample."""
        points = self._pruned(series)
        steps = np.array([self._mean(STOP, point, at_least=True) for point in points])
        earliest = steps.argmin(axis=0)
        for index in np.unique(earliest):  # a run cut short stops later than is known, which matters only here
            self._mean(STOP, points[index])
        return steps.min(axis=0), np.array([100 * point.density for point in points])[earliest]

    def _pruned(self, series: str) -> list[Point]:
        if points := [point for point in self._rounds(series) if point.round]:
            return points
        raise Missing(f"{self._name} has no pruned network of {series}")

    def _rounds(self, series: str) -> list[Point]:
        if not self._points.get(series):
            raise Missing(f"{self._name} has no runs of {series}")
        return self._points[series]

    def _missing(self, series: str, percent: float) -> Missing:
        return Missing(f"{self._name} has no round of {series} near {percent:.3g} % of the weights")

    def _mean(self, quantity: Quantity, point: Point, at_least: bool = False) -> np.ndarray:
        where = f"round {point.round} of {point.series}"
        if quantity.steps and point.cut_short and not at_least:
            raise Missing(f"{self._name}: in {where} the validation loss was still falling when training ended")
        if set(point.trial.tolist()) != set(self._trials):
            raise Missing(f"{self._name}: {where} lacks trials")
        values = quantity.of(point)
        return np.array([values[point.trial == t].mean() for t in self._trials])[self._draws].mean(axis=1)


Number = Callable[[View], np.ndarray]  # (R,), what a claim about one experiment is about


def trials_of(outcome: Outcome) -> list[int]:
    """The numbers of the trials."""
    return sorted({row["trial"] for row in outcome.results})


def value(quantity: Quantity, percent: float = 100) -> Number:
    """A quantity of the first series (at 100: the dense network's)."""
    return lambda v: quantity.scale * v(quantity, v.first, percent)


def gain(quantity: Quantity, series: str, percent: float, other: str = "", at: float | None = None) -> Number:
    """How much more one series has than another (or the first), at the same weights remaining or `at` others."""
    there = percent if at is None else at
    return lambda v: quantity.scale * (v(quantity, series, percent) - v(quantity, other or v.first, there))


def times(series: str, percent: float, other: str = "", at: float | None = None) -> Number:
    """How many times as many steps until early stopping."""
    return lambda v: v(STOP, series, percent) / v(STOP, other or v.first, percent if at is None else at)


def best_gain(quantity: Quantity) -> Number:
    """The largest gain over the dense network that any pruned network of the first series has."""
    return lambda v: quantity.scale * (v.best(quantity, v.first) - v(quantity, v.first, 100))


def worst_gain(quantity: Quantity, series: str, low: float, high: float = 99) -> Number:
    """The smallest gain over the dense network among the rounds from `low` to `high` percent."""
    return lambda v: quantity.scale * (v.all(quantity, series, low, high).min(axis=0) - v(quantity, v.first, 100))


def lowest(quantity: Quantity, low: float, *series: str) -> Number:
    """The lowest value of a quantity among the rounds of some series from `low` percent on."""
    return lambda v: quantity.scale * np.min([v.all(quantity, s, low).min(axis=0) for s in series], axis=0)
