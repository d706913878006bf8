"""Numbers that every training run has, and how people read them: on an axis, in a column, in a claim."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from npticket.experiments.tables import Point
from npticket.task import Measure

Values = Callable[[Point], np.ndarray]  # one per run, (n,)


@dataclass(frozen=True)
class Quantity:
    """A number that every run has.

    `of(point)` returns it for each run (n,) as results.csv has it; people are shown `scale` times that, printed by
    `form`. `title` is that of an axis, `heading` that of a column. A number of `steps` until something happened is
    unknown where training ended before; axes show it in thousands from 0 on. `top` is the best that there can be in
    what people are shown: an axis leaves out what is much further from it than the dense network.
    """

    of: Values
    title: str
    heading: str
    scale: float = 1
    form: str = "{:.2f}"
    steps: bool = False
    top: float | None = None

    def shown(self, point: Point) -> np.ndarray:
        """Return what tables show of each run (n,)."""
        return self.scale * self.of(point)

    def drawn(self, point: Point) -> np.ndarray:
        """Return what an axis shows of each run (n,)."""
        return self.shown(point) / 1000 if self.steps else self.shown(point)

    def spread(self, point: Point) -> str:
        """Print the mean over the runs, and from where to where they lie."""
        values = self.shown(point)
        mean, low, high = (self.form.format(value) for value in (values.mean(), values.min(), values.max()))
        return f"{mean} ({low}-{high})"


STOP = Quantity(
    lambda point: point["early_stop_step"],
    title="early-stopping iteration (thousands)",
    heading="early stop at step",
    form="{:,.0f}",
    steps=True,
)

Made = Callable[[Measure], Quantity]  # from what a task measures


def early_stop(_: Measure) -> Quantity:
    """The step of the lowest validation loss, whatever is measured."""
    return STOP


def at_early_stop(measure: Measure) -> Quantity:
    """A measure of the test set at the early stop."""
    unit = in_unit(measure)
    column = _column(f"early_stop_test_{measure.name}")
    return _of(measure, column, f"test {measure.words} at early stop{unit}", f"test {measure.short} there{unit}")


def at_the_end(measure: Measure) -> Quantity:
    """A measure of the test set at the end of training."""
    title = f"test {measure.words} at the end{in_unit(measure)}"
    return _of(measure, _column(f"final_test_{measure.name}"), title, f"test {measure.short} at the end")


def trained(measure: Measure) -> Quantity:
    """A measure of the training set at the end of training."""
    title = f"training {measure.words} at the end{in_unit(measure)}"
    return _of(measure, _column(f"final_train_{measure.name}"), title, f"train {measure.short}")


def gap(measure: Measure) -> Quantity:
    """How much more a measure is of the training set than of the test set at the end of training."""
    train, test = trained(measure).of, at_the_end(measure).of
    difference = f" ({measure.difference})" if measure.difference else ""
    title = f"training minus test {measure.words}{difference}"
    heading = f"train minus test {measure.short}"
    return Quantity(lambda point: train(point) - test(point), title, heading, measure.scale, form_of(measure))


def by_round(measure: Measure, found: dict[int, np.ndarray]) -> Quantity:
    """A measure of the test set that was taken at some step: `found` has it by round, (n,) each."""
    name = f"test {measure.words}{in_unit(measure)}"
    return _of(measure, lambda point: found[point.round], name, name)


def in_unit(measure: Measure) -> str:
    """The unit as titles and headings end with it."""
    return f" ({measure.unit})" if measure.unit else ""


def form_of(measure: Measure) -> str:
    """How a value is printed: to a hundredth of a percent, or as exactly."""
    return "{:.2f}" if measure.scale > 1 else "{:.4f}"


def _of(measure: Measure, values: Values, title: str, heading: str) -> Quantity:
    top = 100.0 if measure.unit == "%" else None
    return Quantity(values, title, heading, measure.scale, form_of(measure), top=top)


def _column(name: str) -> Values:
    return lambda point: point[name]
