"""Figures with a line for each series against weights remaining."""

from collections.abc import Iterator
from dataclasses import dataclass

from npticket.experiments.tables import Outcome
from npticket.report import canvas
from npticket.report.canvas import Picture, Points
from npticket.report.quantities import Made, after
from npticket.report.words import first


@dataclass(frozen=True)
class Lines:
    """A panel for each of `quantities`.

    The lines are `beside`, then `series`; without `series`, all that the experiment has and `elsewhere` does not show.
    What is not there is left out; without at least `needs` of `series` there is no figure. A `linear` axis leaves out
    what it cannot show, the last 3 %.
    """

    stem: str
    quantities: tuple[Made, ...]
    series: tuple[str, ...] | None = None
    beside: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    needs: int = 1
    linear: bool = False

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw it."""
        others = [one for one in points if one not in {*self.beside, *self.elsewhere}]
        own = others if self.series is None else [one for one in self.series if one in points]
        if len(own) < self.needs:
            return
        series = [*(one for one in self.beside if one in points), *own]
        figure, axes_of = canvas.panels(len(self.quantities))
        for axes, make in zip(axes_of, self.quantities, strict=True):
            quantity = make(outcome.task.headline)
            for one in series:
                shown = [point for point in points[one] if point.density >= 0.03 or not self.linear]
                opacity = 0.15 if len(series) < 6 else 0.07
                canvas.line(axes, shown, quantity, canvas.pen(outcome, one), opacity)
            dense = quantity.drawn(points[first(outcome)][0]).mean()
            canvas.dense_network(axes, dense)
            canvas.upright(axes, quantity, dense)
            canvas.weights_remaining(axes, [point.density for one in series for point in points[one]], self.linear)
        yield Picture(self.stem, figure)


@dataclass(frozen=True)
class FixedSteps:
    """What is measured on the test set after each step at which the recipe looks at it, a panel each.

    The lines are those of `series` that are there, or all.
    """

    series: tuple[str, ...] | None = None

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw it, if there are curves."""
        steps = outcome.recipe.test_at
        series = [one for one in (points if self.series is None else self.series) if one in points]
        if not steps or not outcome.curves or not series:
            return
        figure, axes_of = canvas.panels(len(steps), sharey=True)
        dense, levels = points[first(outcome)][0], []
        for axes, step in zip(axes_of, steps, strict=True):
            for one in series:
                canvas.line(axes, points[one], after(step, outcome, one), canvas.pen(outcome, one))
            tested = after(step, outcome, dense.series)
            levels.append(tested.drawn(dense).mean())
            canvas.dense_network(axes, levels[-1])
            axes.set_title(f"after {step:,} steps", fontsize=10)
            canvas.weights_remaining(axes, [point.density for one in series for point in points[one]])
        canvas.upright(axes_of[0], tested, min(levels))
        yield Picture("fixed_steps", figure)
