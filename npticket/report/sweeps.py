"""Sweeps: one experiment at several values of one setting, and the figures that compare these."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from npticket.experiments.outcome import Outcome
from npticket.experiments.recipe import Recipe
from npticket.report import canvas
from npticket.report.canvas import Pen, Picture
from npticket.report.figures import NOTE, Drawn, readable
from npticket.report.finishing import finish
from npticket.report.quantities import STOP, at_early_stop, first


@dataclass(frozen=True)
class Sweep:
    """One experiment at several values of one setting: `recipes` has one for each value, by its text in the legend.

    `legend` is that legend's title. `pictures(outcomes)`, by the same texts, draws more figures than `drawn_sweep`.
    """

    name: str
    source: str
    legend: str
    recipes: Mapping[str, Recipe]
    pictures: Callable[[Mapping[str, Outcome]], Iterable[Picture]] = lambda _: ()


def draw_sweep(sweep: Sweep, outcomes: Mapping[str, Outcome], folder: Path) -> list[Path]:
    """Draw a sweep's figures as PNG and SVG; return the files."""
    return [path for one in drawn_sweep(sweep, outcomes) for path in finish(*one, folder)]


def drawn_sweep(sweep: Sweep, outcomes: Mapping[str, Outcome]) -> Iterator[Drawn]:
    """Draw the first series of a sweep's experiments, a line each, and the sweep's own pictures.

    `outcomes` are by the names of recipes; without two of the sweep's there is nothing.
    """
    there = {key: outcomes[recipe.name] for key, recipe in sweep.recipes.items() if recipe.name in outcomes}
    begun = {key: points for key, outcome in there.items() if (points := outcome.points(first(outcome)))}
    if len(there) < 2 or not begun:
        return
    opacity, one = 0.15 if len(begun) < 4 else 0, next(iter(there.values()))
    title = one.title + ", and others" * (len({outcome.title for outcome in there.values()}) > 1)
    pens, (figure, axes_of) = Pen.of_values(begun), canvas.panels(2)
    for axes, quantity in zip(axes_of, (STOP, at_early_stop(one.task.headline)), strict=True):
        for key, points in begun.items():
            pens[key].line(axes, points, quantity, opacity)
        levels = np.array([quantity.drawn(points[0]).mean() for points in begun.values()])  # of the dense networks
        learned = levels[levels >= np.median(levels) / 2]  # some may not learn at all
        canvas.upright(axes, quantity, float(learned.min()))
        canvas.weights_remaining(axes, begun.values())
    notes = {there[key].note: [k for k in begun if there[k].note == there[key].note] for key in begun}
    each = [note if len(notes) == 1 else f"{', '.join(keys)}: {note}" for note, keys in notes.items()]
    for picture in (Picture(sweep.name, figure, sweep.legend), *readable(sweep.pictures(there), there.values())):
        lines = picture.marks or (NOTE if any(axes.collections for axes in picture.figure.axes) else "lines: means")
        yield Drawn(picture, f"{title}: {sweep.legend}", f"{'; '.join(each)}; {lines}")
