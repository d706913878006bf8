"""Figures in the form of the papers', from what experiments left behind.

Means are lines, with bands from the smallest to the largest run. Every line has its own colour, dash and marker, so
that figures can be read in grey and by the colour-blind.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from npticket.experiments.tables import Outcome
from npticket.report.canvas import Picture, Points, finish
from npticket.report.curves import Curves
from npticket.report.lines import FixedSteps, Lines
from npticket.report.quantities import at_early_stop, at_the_end, early_stop
from npticket.report.words import first

NOTE = "line: mean, band: min-max"


class Plot(Protocol):
    """What an experiment is drawn as: Lines, FixedSteps, Curves, or whatever else a paper brings."""

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw the figures that the outcome has the data for; `points` are those of all its series.

        The first series has at least the dense network.
        """
        ...


DEFAULT: tuple[Plot, ...] = (
    Lines("early_stopping", (early_stop, at_early_stop)),
    Lines("at_the_end", (at_the_end,)),
    Curves(),
    FixedSteps(),
)


def draw(outcome: Outcome, folder: str | Path, plots: Sequence[Plot] = DEFAULT) -> list[Path]:
    """Draw every one of some figures that the outcome has the data for, as PNG and SVG; return the files.

    Raises ImportError without matplotlib.
    """
    points = {series: outcome.points(series) for series in outcome.series}
    if first(outcome) not in points:
        return []
    pictures = (picture for plot in plots for picture in plot.pictures(outcome, points))
    note = f"{outcome.note}; {NOTE}"
    return [path for picture in pictures for path in finish(picture, outcome.title, note, Path(folder))]
