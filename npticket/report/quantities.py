"""The numbers of training runs that axes, columns and claims show, and the names of series."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from npticket.backend import Array
from npticket.experiments.outcome import Outcome, Point, Unknown
from npticket.task import Metric

EARLY_STOP, END = "early stop", "end"


@dataclass(frozen=True)
class Quantity:
    """A number of every run: `of(point)` (n,) as in results.csv, or raising Unknown; what is shown is `scale` times it.

    `title` is for an axis, `heading` for a column; `difference` is the unit of a difference. `steps` marks a number of
    steps, which axes show in thousands. `read` says when it is measured: at EARLY_STOP, where a run that was
    cut short gives only a bound, or at the END of training. `lower_is_better` is the metric's: it falls in training.
    `split` is "test" or "train" if it is measured on one: panels about the same split share an axis.
    """

    of: Callable[[Point], np.ndarray]
    title: str
    heading: str
    scale: float = 1
    unit: str = ""
    difference: str = ""
    steps: bool = False
    read: str = ""
    lower_is_better: bool = False
    split: str = ""

    def cut_short(self, point: Point) -> np.ndarray:
        """Return for which runs (n,) this is only a bound, as they were still learning when training ended."""
        return point.cut_short & (self.read == EARLY_STOP)

    def is_known(self, points: Iterable[Point]) -> bool:
        """Whether all runs of these points have it."""
        try:
            return all(len(self.of(point)) for point in points)
        except Unknown:
            return False

    def best(self, points: Iterable[Point]) -> Point:
        """Return the point with the best mean, the first of equals."""
        return (min if self.lower_is_better else max)(points, key=lambda point: self.of(point).mean())

    def as_good(self, values: Array, others: Array) -> Array:
        """Return where a value is at least as good as the other one."""
        return values <= others if self.lower_is_better else values >= others

    @property
    def bound(self) -> str:
        """What stands before a value of runs that were cut short."""
        return "≤" if self.lower_is_better else "≥"

    @property
    def form(self) -> str:
        """The format of a printed value: whole steps, two decimals of a percentage, else four decimals."""
        return "{:,.0f}" if self.steps else "{:.2f}" if self.scale > 1 else "{:.4f}"

    def drawn(self, point: Point) -> np.ndarray:
        """Return what an axis shows of each run (n,)."""
        return self.scale * self.of(point) / (1000 if self.steps else 1)

    def mean_text(self, point: Point) -> str:
        """Return the mean over the runs as a text, with "≥" or "≤" if it is a bound; "-" if it is not known."""
        if not self.is_known([point]):
            return "-"
        bound = self.bound * bool(self.cut_short(point).any())
        return bound + self.form.format((self.scale * self.of(point)).mean())

    def range_text(self, point: Point) -> str:
        """Return the mean over the runs and their range as a text, "97.97 (97.80-98.10)"; "-" if it is not known."""
        if not self.is_known([point]):
            return "-"
        values = self.scale * self.of(point)
        return f"{self.mean_text(point)} ({self.form.format(values.min())}-{self.form.format(values.max())})"

    def gain_text(self, point: Point, other: Point) -> str:
        """Return by how much its mean over trials exceeds that of another point: "+0.45 percentage points"."""
        here, there = (each.per_trial(self.of(each)).mean() for each in (point, other))
        more = self.scale * (here - there)
        words = (self.form.replace(":", ":+").format(more), "percentage" * (self.unit == "%"), self.difference)
        return " ".join(filter(None, words))


STOP = Quantity(lambda point: point["early_stop_step"], "early stop at step (thousands)", "early stop at step",
                steps=True, read=EARLY_STOP)  # fmt: skip
QuantityOf = Callable[[Metric], Quantity]  # from a task's headline metric


def worded(text: str, metric: Metric) -> str:
    """Fill in a metric's {words}, {short} and {unit}; a unit is put in parentheses."""
    return text.format(words=metric.words, short=metric.short, unit=f" ({metric.unit})" if metric.unit else "")


def _measured(
    metric: Metric, of: Callable[[Point], np.ndarray], title: str, heading: str = "", read: str = ""
) -> Quantity:
    words = worded(title, metric), worded(heading, metric)
    better = metric.lower_is_better
    return Quantity(of, *words, metric.scale, metric.unit, metric.difference, read=read, lower_is_better=better)


def after(step: int, outcome: Outcome) -> Quantity:
    """The headline metric on the test set after a step; Unknown if it was not measured then."""
    tested = cache(partial(outcome.tested_at, step))
    return _measured(
        outcome.task.headline, lambda point: tested(point.series)[point.round], "test {words}{unit}", read=END
    )


def looked_at(step: int, series: str, outcome: Outcome) -> bool:
    """Whether a series has measured the test set after a step; its runs may have another length."""
    try:
        return bool(outcome.tested_at(step, series))
    except Unknown:
        return False


def _column(column: str, title: str, heading: str, read: str) -> QuantityOf:
    def made(metric: Metric) -> Quantity:
        quantity = _measured(metric, lambda point: point[f"{column}_{metric.name}"], title, heading, read)
        return replace(quantity, split=column.rpartition("_")[2])

    return made


early_stop: QuantityOf = lambda _: STOP  # noqa: E731 - whatever is measured
at_early_stop = _column("early_stop_test", "test {words} at early stop{unit}", "test {short} there{unit}", EARLY_STOP)
at_the_end = _column("final_test", "test {words} at the end{unit}", "test {short} at the end", END)
trained = _column("final_train", "training {words} at the end{unit}", "train {short}", END)
fitted = _column("best_train", "best training {words}{unit}", "best train {short}", END)


def gap(metric: Metric) -> Quantity:
    """The metric on the training set minus that on the test set, both at the end of training."""
    train, test, apart = trained(metric).of, at_the_end(metric).of, replace(metric, unit=metric.difference)
    return _measured(apart, lambda point: train(point) - test(point), "training minus test {words}{unit}", read=END)


def first(outcome: Outcome) -> str:
    """Return the series whose round 0 is the dense network, and with which others are compared."""
    return outcome.line(outcome.recipe.series[0])


def legend(outcome: Outcome, series: str) -> str:
    """Return the name of a series for people: its legend or, if it has none, its name with blanks."""
    known = outcome.known.get(series)
    return (known.legend if known else "") or series.replace("_", " ")
