"""What people read of training runs: numbers on axes, in columns and in claims, and what series are called."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from npticket.experiments.tables import Outcome, Point, Unknown
from npticket.task import Measure

EARLY_STOP, END = "early stop", "end"


@dataclass(frozen=True)
class Quantity:
    """A number of every run: `of(point)`, (n,), as results.csv has it, or Unknown; people are shown `scale` times that.

    `title` is that of an axis, `heading` of a column; `difference` is the unit of a difference. A number of `steps` is
    shown in thousands from 0 on by axes. `read` says when it is read: at EARLY_STOP, where a run that was cut short
    gives no more than a lower bound, or at the END of training.
    """

    of: Callable[[Point], np.ndarray]
    title: str
    heading: str
    scale: float = 1
    unit: str = ""
    difference: str = ""
    steps: bool = False
    read: str = ""

    def cut_short(self, point: Point) -> np.ndarray:
        """Return of which runs this is only a lower bound (n,), as they were still learning when training ended."""
        return point.cut_short & (self.read == EARLY_STOP)

    def is_known(self, points: Iterable[Point]) -> bool:
        """Say whether all runs of these points have it."""
        try:
            return all(len(self.of(point)) for point in points)
        except Unknown:
            return False

    @property
    def form(self) -> str:
        """How a value is printed: to a hundredth of a percent, or as exactly."""
        return "{:,.0f}" if self.steps else "{:.2f}" if self.scale > 1 else "{:.4f}"

    def drawn(self, point: Point) -> np.ndarray:
        """Return what an axis shows of each run (n,)."""
        return self.scale * self.of(point) / (1000 if self.steps else 1)

    def mean(self, point: Point) -> str:
        """Print the mean over the runs, a bound as one; a dash if it is not known."""
        if not self.is_known([point]):
            return "-"
        at_least = "≥" * bool(self.cut_short(point).any())
        return at_least + self.form.format((self.scale * self.of(point)).mean())

    def spread(self, point: Point) -> str:
        """Print the mean over the runs, and from where to where they lie; a dash if it is not known."""
        if not self.is_known([point]):
            return "-"
        values = self.scale * self.of(point)
        return f"{self.mean(point)} ({self.form.format(values.min())}-{self.form.format(values.max())})"

    def gained(self, point: Point, other: Point) -> str:
        """Print how much more it is in the mean than in another point: +0.45 percentage points."""
        more = self.scale * (self.of(point).mean() - self.of(other).mean())
        words = (self.form.replace(":", ":+").format(more), "percentage" * (self.unit == "%"), self.difference)
        return " ".join(filter(None, words))


STOP = Quantity(lambda point: point["early_stop_step"], "early-stopping iteration (thousands)", "early stop at step",
                steps=True, read=EARLY_STOP)  # fmt: skip
Made = Callable[[Measure], Quantity]  # from what a task measures


def said(text: str, measure: Measure) -> str:
    """Fill in {words}, {short} and {unit}, which is in parentheses or not there at all."""
    return text.format(words=measure.words, short=measure.short, unit=f" ({measure.unit})" if measure.unit else "")


def _measured(
    measure: Measure, of: Callable[[Point], np.ndarray], title: str, heading: str = "", read: str = ""
) -> Quantity:
    words = said(title, measure), said(heading, measure)
    return Quantity(of, *words, measure.scale, measure.unit, measure.difference, read=read)


def after(step: int, outcome: Outcome) -> Quantity:
    """The headline measure of the test set after a step; its values are Unknown if nobody looked."""
    tested = cache(partial(outcome.tested_at, step))
    return _measured(
        outcome.task.headline, lambda point: tested(point.series)[point.round], "test {words}{unit}", read=END
    )


def looked_at(step: int, series: str, outcome: Outcome) -> bool:
    """Say whether there is a test set's measure after a step of a series, whose runs may have another length."""
    try:
        return bool(outcome.tested_at(step, series))
    except Unknown:
        return False


def _column(column: str, title: str, heading: str, read: str) -> Made:
    return lambda measure: _measured(measure, lambda point: point[f"{column}_{measure.name}"], title, heading, read)


early_stop: Made = lambda _: STOP  # noqa: E731 - whatever is measured
at_early_stop = _column("early_stop_test", "test {words} at early stop{unit}", "test {short} there{unit}", EARLY_STOP)
at_the_end = _column("final_test", "test {words} at the end{unit}", "test {short} at the end", END)
trained = _column("final_train", "training {words} at the end{unit}", "train {short}", END)
fitted = _column("best_train", "best training {words}{unit}", "best train {short}", END)


def gap(measure: Measure) -> Quantity:
    """How much more a measure is of the training set than of the test set at the end of training."""
    train, test, apart = trained(measure).of, at_the_end(measure).of, replace(measure, unit=measure.difference)
    return _measured(apart, lambda point: train(point) - test(point), "training minus test {words}{unit}", read=END)


def first(outcome: Outcome) -> str:
    """Name the series whose round 0 is the dense network, and against which the others are held."""
    return outcome.line(outcome.recipe.series[0])


def legend(outcome: Outcome, series: str) -> str:
    """Say what a series is called: by its legend or, if it has none, by its name."""
    known = outcome.known.get(series)
    return (known.legend if known else "") or series.replace("_", " ")
