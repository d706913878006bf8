"""Figures in the form of the papers', from the results of experiments; ImportError without matplotlib.

Every line has its own colour, dash and marker, so that figures can be read in grey and by the colour-blind.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple, Protocol

from npticket.experiments.errors import StoreError
from npticket.experiments.outcome import Outcome, Unknown
from npticket.experiments.planning import planned_if_known
from npticket.experiments.series import Key, Length, Run
from npticket.experiments.tables import Row
from npticket.report import canvas
from npticket.report.canvas import Picture, Points
from npticket.report.curves import Curves
from npticket.report.finishing import finish, plain_style
from npticket.report.quantities import QuantityOf, after, at_early_stop, at_the_end, early_stop, first, looked_at

NOTE = "line: mean, band: min-max"


class Plot(Protocol):
    """One or more figures of an experiment: Lines, FixedSteps, Curves, or a paper's own class derived from this."""

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw what the outcome has the data for; `points` are all its series, the first with the dense network."""

    def curves(self, outcome: Outcome, points: Points) -> Mapping[tuple[str, int], int]:
        """Return which curves it draws, by series and round, and up to which step; validations at `test_at` aside."""
        return {}


@dataclass(frozen=True)
class Lines(Plot):
    """A panel for each of `quantities` against weights remaining; a `linear` axis leaves out the last 3 %.

    The lines are the series in `beside`, then those in `series`; if that is None, all series of the experiment but
    those in `elsewhere`. Series that are not there, and quantities not known of all runs, are left out; with fewer than
    `needs` of `series` there is no figure.
    """

    stem: str
    quantities: tuple[QuantityOf, ...]
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
        there = [point for one in (first(outcome), *series) for point in points[one]]
        quantities = [made for make in self.quantities if (made := make(outcome.task.headline)).is_known(there)]
        if not quantities:
            return
        figure, axes_of = canvas.panels(len(quantities))
        alike, levels = canvas.share(axes_of, quantities), {}
        for axes, quantity in zip(axes_of, quantities, strict=True):
            for one in series:
                shown = [point for point in points[one] if point.density >= 0.03 or not self.linear]
                canvas.pen(outcome, one).line(axes, shown, quantity, 0.15 if len(series) < 6 else 0.07)
            levels[axes] = canvas.dense_network(axes, points[first(outcome)][0], quantity)
            canvas.weights_remaining(axes, [points[one] for one in series], self.linear)
        for axes, quantity, those in zip(axes_of, quantities, alike, strict=True):
            canvas.upright(axes, quantity, min(levels[one] for one in those))
        yield Picture(self.stem, figure)


@dataclass(frozen=True)
class FixedSteps(Plot):
    """The headline measure on the test set after each step of `test_at`, a panel each, for the `series` given, or all.

    Series whose runs did not measure the test set after a step, as they have another length, are left out there.
    """

    series: tuple[str, ...] | None = None

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        steps = [step for step in outcome.recipe.test_at if looked_at(step, first(outcome), outcome)]
        series = [one for one in (points if self.series is None else self.series) if one in points]
        if not steps or not series:
            return
        figure, axes_of = canvas.panels(len(steps), sharey=True)
        levels = []
        for axes, step in zip(axes_of, steps, strict=True):
            tested = after(step, outcome)
            for one in (one for one in series if looked_at(step, one, outcome)):
                canvas.pen(outcome, one).line(axes, points[one], tested)
            levels.append(canvas.dense_network(axes, points[first(outcome)][0], tested))
            axes.set_title(f"after {step:,} steps", fontsize=10)
            canvas.weights_remaining(axes, [points[one] for one in series])
        canvas.upright(axes_of[0], tested, min(levels))
        yield Picture("fixed_steps", figure)


DEFAULT: tuple[Plot, ...] = (
    Lines("early_stopping", (early_stop, at_early_stop)), Lines("at_the_end", (at_the_end,)), Curves(), FixedSteps()
)  # fmt: skip


class Drawn(NamedTuple):
    """A figure, and the title and note that must stand above it."""

    picture: Picture
    title: str
    note: str


def drawn(outcome: Outcome, plots: Sequence[Plot] = DEFAULT) -> Iterator[Drawn]:
    """Draw those figures that the outcome has the data for; ValueError if two are called alike."""
    points, stems = {series: outcome.points(series) for series in outcome.series}, set[str]()
    for plot in plots if first(outcome) in points else ():
        for picture in readable(plot.pictures(outcome, points), [outcome]):
            if picture.stem in stems:
                raise ValueError(f"two figures of {outcome.recipe.name} are called {picture.stem}")
            stems.add(picture.stem)
            yield Drawn(picture, outcome.title, f"{outcome.note}; {picture.marks or NOTE}")


def draw(outcome: Outcome, folder: Path, plots: Sequence[Plot] = DEFAULT) -> list[Path]:
    """Draw those figures that the outcome has the data for, as PNG and SVG; return the files."""
    return [path for one in drawn(outcome, plots) for path in finish(*one, folder)]


def readable(pictures: Iterable[Picture], outcomes: Iterable[Outcome]) -> Iterator[Picture]:
    """Yield pictures up to one that needs a number not known of all runs.

    StoreError if drawing fails and the outcomes have tables of measures, which may lack columns.
    """
    try:
        with suppress(Unknown), plain_style():
            yield from pictures
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        if not (tables := sorted({f"{series}.csv" for outcome in outcomes for series in outcome.measured})):
            raise
        said = f"a figure cannot be drawn of {' and '.join(tables)} ({type(error).__name__}: {error})"
        raise StoreError(f"{said}: run the same command again to make them anew") from error


def compact(outcome: Outcome, plots: Sequence[Plot]) -> Outcome:
    """Return the outcome with only those parts of curves that `plots` and tables read, rounded to five digits.

    Doing it again changes nothing.
    """
    points, last = {series: outcome.points(series) for series in outcome.series}, dict[tuple[str, int], int]()
    for plot in plots if first(outcome) in points else ():
        for key, step in plot.curves(outcome, points).items():
            last[key] = max(step, last.get(key, 0))
    looked = _looks(outcome)
    rows = [
        {name: float(f"{value:.5g}") if isinstance(value, float) else value for name, value in row.items()}
        for row in outcome.curves
        if row["step"] in looked(row) or row["step"] <= last.get((outcome.line(row["series"]), row["round"]), 0)
    ]
    return replace(outcome, curves=rows)


def _looks(outcome: Outcome) -> Callable[[Row], Collection[int]]:
    """Return a function from a row of curves to the steps after which its run measured the test set."""
    runs = planned_if_known(outcome.recipe, outcome.known)
    of_length = cache(lambda length: set(length.test_at(outcome.recipe)))

    def looks(row: Row) -> Collection[int]:
        run = runs.get(Key.of(row))
        return of_length(run.length if isinstance(run, Run) else Length())

    return looks
