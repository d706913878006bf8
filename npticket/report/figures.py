"""Figures in the form of the papers', from what experiments left behind; drawing needs matplotlib, or ImportError.

Every line has its own colour, dash and marker, so that figures can be read in grey and by the colour-blind.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from npticket.experiments.recipe import Recipe
from npticket.experiments.tables import Outcome
from npticket.report import canvas
from npticket.report.canvas import DASHES, MARKERS, Pen, Picture, Points
from npticket.report.curves import Curves
from npticket.report.quantities import STOP, Made, after, at_early_stop, at_the_end, early_stop, first

NOTE = "line: mean, band: min-max"


class Plot(Protocol):
    """What an experiment is drawn as: Lines, FixedSteps, Curves, or whatever else a paper brings."""

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw what the outcome has the data for; of all series' `points` the first one's have the dense network."""

    def curves(self, outcome: Outcome, points: Points) -> Mapping[tuple[str, int], int]:
        """Say which curves it draws, by series and round, and up to which step; what is read at `test_at` apart."""


@dataclass(frozen=True)
class Lines:
    """A panel for each of `quantities` against weights remaining; on a `linear` axis without the last 3 %.

    The lines are `beside`, then `series`; without `series`, all that the experiment has and `elsewhere` does not show.
    What is not there is left out; without at least `needs` of `series` there is no figure.
    """

    stem: str
    quantities: tuple[Made, ...]
    series: tuple[str, ...] | None = None
    beside: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    needs: int = 1
    linear: bool = False

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
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
                canvas.pen(outcome, one).line(axes, shown, quantity, 0.15 if len(series) < 6 else 0.07)
            canvas.upright(axes, quantity, canvas.dense_network(axes, points[first(outcome)][0], quantity))
            canvas.weights_remaining(axes, [points[one] for one in series], self.linear)
        yield Picture(self.stem, figure)

    def curves(self, outcome: Outcome, points: Points) -> Mapping[tuple[str, int], int]:
        """None."""
        return {}


@dataclass(frozen=True)
class FixedSteps:
    """What is measured on the test set after each step of `test_at`: a panel each, with those of `series`, or all."""

    series: tuple[str, ...] | None = None

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        steps = outcome.recipe.test_at
        series = [one for one in (points if self.series is None else self.series) if one in points]
        if not steps or not outcome.curves or not series:
            return
        figure, axes_of = canvas.panels(len(steps), sharey=True)
        levels = []
        for axes, step in zip(axes_of, steps, strict=True):
            tested = after(step, outcome)
            for one in series:
                canvas.pen(outcome, one).line(axes, points[one], tested)
            levels.append(canvas.dense_network(axes, points[first(outcome)][0], tested))
            axes.set_title(f"after {step:,} steps", fontsize=10)
            canvas.weights_remaining(axes, [points[one] for one in series])
        canvas.upright(axes_of[0], tested, min(levels))
        yield Picture("fixed_steps", figure)

    def curves(self, outcome: Outcome, points: Points) -> Mapping[tuple[str, int], int]:
        """None but at `test_at`."""
        return {}


DEFAULT: tuple[Plot, ...] = (
    Lines("early_stopping", (early_stop, at_early_stop)), Lines("at_the_end", (at_the_end,)), Curves(), FixedSteps()
)  # fmt: skip


class Drawn(NamedTuple):
    """A figure, and what must stand above it."""

    picture: Picture
    title: str
    note: str


def drawn(outcome: Outcome, plots: Sequence[Plot] = DEFAULT) -> Iterator[Drawn]:
    """Draw those figures that the outcome has the data for."""
    points = {series: outcome.points(series) for series in outcome.series}
    for plot in plots if first(outcome) in points else ():
        for picture in plot.pictures(outcome, points):
            yield Drawn(picture, outcome.title, f"{outcome.note}; {NOTE}")


def draw(outcome: Outcome, folder: Path, plots: Sequence[Plot] = DEFAULT) -> list[Path]:
    """Draw those figures that the outcome has the data for, as PNG and SVG; return the files."""
    return [path for one in drawn(outcome, plots) for path in canvas.finish(*one, folder)]


def compact(outcome: Outcome, plots: Sequence[Plot]) -> Outcome:
    """Leave of the curves what `plots` and tables read, to five digits; doing it again changes nothing."""
    points, last = {series: outcome.points(series) for series in outcome.series}, dict[tuple[str, int], int]()
    for plot in plots if first(outcome) in points else ():
        for key, step in plot.curves(outcome, points).items():
            last[key] = max(step, last.get(key, 0))
    rows = [
        {name: float(f"{value:.5g}") if isinstance(value, float) else value for name, value in row.items()}
        for row in outcome.curves
        if row["step"] in outcome.recipe.test_at
        or row["step"] <= last.get((outcome.line(row["series"]), row["round"]), 0)
    ]
    return replace(outcome, curves=rows)


@dataclass(frozen=True)
class Sweep:
    """One experiment at several values of one setting: a recipe each, by what the figure says of it under `legend`.

    `pictures(outcomes)`, of several of these by the same words, draws what else there is to see in them.
    """

    name: str
    source: str
    legend: str
    recipes: Mapping[str, Recipe]
    pictures: Callable[[Mapping[str, Outcome]], Iterable[Picture]] = lambda _: ()


def draw_sweep(sweep: Sweep, outcomes: Mapping[str, Outcome], folder: Path) -> list[Path]:
    """Draw a sweep's figures as PNG and SVG; return the files."""
    return [path for one in drawn_sweep(sweep, outcomes) for path in canvas.finish(*one, folder)]


def drawn_sweep(sweep: Sweep, outcomes: Mapping[str, Outcome]) -> Iterator[Drawn]:
    """Draw the first series of a sweep's experiments, a line each, if two are in `outcomes`, by name of recipe.

    And whatever else the sweep draws.
    """
    there = {key: outcomes[recipe.name] for key, recipe in sweep.recipes.items() if recipe.name in outcomes}
    begun = {key: points for key, outcome in there.items() if (points := outcome.points(first(outcome)))}
    if len(there) < 2 or not begun:
        return
    from matplotlib import colormaps, colors

    shades = list(map(colors.to_hex, colormaps["viridis"](np.linspace(0, 0.88, len(begun)))))
    opacity, one = 0.15 if len(begun) < 4 else 0, next(iter(there.values()))
    figure, axes_of = canvas.panels(2)
    for axes, quantity in zip(axes_of, (STOP, at_early_stop(one.task.headline)), strict=True):
        for i, (key, points) in enumerate(begun.items()):
            pen = Pen(key, shades[i], DASHES[i % len(DASHES)], MARKERS[i % len(MARKERS)])
            pen.line(axes, points, quantity, opacity)
        canvas.upright(axes, quantity, min(quantity.drawn(points[0]).mean() for points in begun.values()))
        canvas.weights_remaining(axes, begun.values())
    notes = {there[key].note: [k for k in begun if there[k].note == there[key].note] for key in begun}
    each = [note if len(notes) == 1 else f"{', '.join(keys)}: {note}" for note, keys in notes.items()]
    note = f"{'; '.join(each)}; {NOTE if opacity else 'lines: means'}"
    for picture in (Picture(sweep.name, figure, sweep.legend), *sweep.pictures(there)):
        yield Drawn(picture, f"{one.title}: {sweep.legend}", note)
