"""One figure for several experiments that differ in one setting."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from npticket.experiments.tables import Outcome
from npticket.report import canvas
from npticket.report.canvas import DASHES, MARKERS, Pen, Picture
from npticket.report.figures import NOTE
from npticket.report.paper import Sweep
from npticket.report.quantities import STOP, at_early_stop
from npticket.report.words import first


def draw_sweep(sweep: Sweep, outcomes: Mapping[str, Outcome], folder: str | Path) -> list[Path]:
    """Draw the first series of all experiments of a sweep together, a line each; return the files.

    `outcomes` are by name of recipe. There must be at least two of the sweep's; those that have not begun are left
    out. The file is called like the sweep. Raises ImportError without matplotlib.
    """
    there = {key: outcomes[recipe.name] for key, recipe in sweep.recipes.items() if recipe.name in outcomes}
    points = {key: outcome.points(first(outcome)) for key, outcome in there.items()}
    points = {key: found for key, found in points.items() if found}
    if len(there) < 2 or not points:
        return []
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    shades = [to_hex(shade) for shade in colormaps["viridis"](np.linspace(0, 0.88, len(points)))]
    opacity = 0.15 if len(points) < 4 else 0
    one = next(iter(there.values()))
    figure, axes_of = canvas.panels(2)
    for axes, quantity in zip(axes_of, (STOP, at_early_stop(one.task.headline)), strict=True):
        for i, (key, found) in enumerate(points.items()):
            pen = Pen(key, shades[i], DASHES[i % len(DASHES)], MARKERS[i % len(MARKERS)])
            canvas.line(axes, found, quantity, pen, opacity)
        canvas.upright(axes, quantity, min(quantity.drawn(found[0]).mean() for found in points.values()))
        canvas.weights_remaining(axes, [point.density for found in points.values() for point in found])
    notes: dict[str, list[str]] = {}
    for key in points:
        notes.setdefault(there[key].note, []).append(key)
    each = [note if len(notes) == 1 else f"{', '.join(keys)}: {note}" for note, keys in notes.items()]
    note = f"{'; '.join(each)}; {NOTE if opacity else 'lines: means'}"
    return canvas.finish(Picture(sweep.name, figure, sweep.legend), f"{one.title}: {sweep.legend}", note, Path(folder))
