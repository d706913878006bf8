"""What all figures have in common: panels, the look of lines, axes, the legend, files."""

import math
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from npticket.experiments.amounts import percent
from npticket.experiments.outcome import Outcome, Point
from npticket.experiments.tables import Row
from npticket.files import writing
from npticket.reading import Json
from npticket.report.quantities import Quantity, legend

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00")  # Okabe and Ito, for the colour-blind
DASHES, MARKERS = ("-", "--", "-.", ":"), "os^DvPX*<>"  # for those who see no colours
CUT_SHORT = "open marker with an arrow: at least that, as a run was cut short"
AT_MOST = CUT_SHORT.replace("least", "most")
_GREY = "h8pHd"  # markers of series without a look of their own

Points = Mapping[str, Sequence[Point]]  # by series
Panels = Sequence["Axes"]  # side by side


class Picture(NamedTuple):
    """A figure, the stem of its file, the title of its legend, and what shows mean and range if not line and band."""

    stem: str
    figure: "Figure"
    legend: str = ""
    marks: str = ""


@dataclass(frozen=True)
class Pen:
    """A line's name in the legend, and its look in matplotlib's terms."""

    name: str
    color: str = "#777777"
    linestyle: str = "-."
    marker: str = "h"
    markerfacecolor: str = ""

    @classmethod
    def nth(cls, name: str, i: int) -> "Pen":
        """Return the pen of line `i` of a figure whose lines are not series."""
        return cls(name, COLORS[i % len(COLORS)], DASHES[i % len(DASHES)], MARKERS[i % len(MARKERS)])

    def draw(self, axes: "Axes", x: Sequence[float] | np.ndarray, values: Collection[np.ndarray], opacity: float,
             every: tuple[int, int] | None = None) -> None:  # fmt: skip
        """Draw mean and range of `values`, an array (n,) for each `x`.

        With `every`, (first, distance) of the markers, lines are thin and not every point has one.
        """
        size, width = (5, 1.2) if every else (4, 1.4)
        axes.plot(x, [v.mean() for v in values], label=self.name, color=self.color, linestyle=self.linestyle,
                  linewidth=width, marker=self.marker, markerfacecolor=self.markerfacecolor or self.color,
                  markersize=size, markevery=every)  # fmt: skip
        if opacity:
            low, high = [v.min() for v in values], [v.max() for v in values]
            axes.fill_between(x, low, high, color=self.color, alpha=opacity, linewidth=0)

    def line(self, axes: "Axes", points: Sequence[Point], quantity: Quantity, opacity: float = 0.15) -> None:
        """Draw a series' points against weights remaining; an arrow marks those that are only a bound."""
        self.draw(axes, [100 * point.density for point in points], [quantity.drawn(point) for point in points], opacity)
        for point in points:
            if quantity.cut_short(point).any():
                at = 100 * point.density, quantity.drawn(point).mean()
                axes.plot(*at, marker=self.marker, markersize=4, color=self.color, markerfacecolor="white", zorder=3)
                arrow = {"arrowstyle": "<-", "color": self.color, "shrinkA": 0, "shrinkB": 2}
                away, said = (-11, AT_MOST) if quantity.lower_is_better else (11, CUT_SHORT)
                axes.annotate("", at, (0, away), textcoords="offset points", arrowprops=arrow, gid=said)


def values_by(rows: Iterable[Row], by: str, column: str, scale: float = 1) -> dict[Json, np.ndarray]:
    """Return `scale` times the values of `column` (n,) for each value of the column `by`, in ascending order."""
    found = dict[Json, list[float]]()
    for row in rows:
        found.setdefault(row[by], []).append(scale * row[column])
    return {key: np.array(found[key]) for key in sorted(found)}


def pen(outcome: Outcome, series: str) -> Pen:
    """Return the pen of a series; one without a look of its own is grey, with a dash and a marker of its own."""
    looks = {name: known.look for name, known in outcome.known.items() if known.look}
    if series in looks:
        return Pen(legend(outcome, series), **looks[series])
    i = [name for name in outcome.series if name not in looks].index(series)
    return Pen(legend(outcome, series), linestyle=DASHES[(i + 2) % len(DASHES)], marker=_GREY[i % len(_GREY)])


def panels(count: int, sharey: bool = False) -> tuple["Figure", Panels]:
    """Return a new figure, which needs no screen, and its `count` panels side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(max(6.4, 4.6 * count), 4.5), layout=ConstrainedLayoutEngine(w_pad=0.08))
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, count, squeeze=False, sharey=sharey)[0]


def dense_network(axes: "Axes", dense: Point, quantity: Quantity) -> float:
    """Draw the dense network's level as a horizontal line; return it."""
    level = float(quantity.drawn(dense).mean())
    axes.axhline(level, color="0.55", linewidth=0.8, zorder=0, label="dense network")
    return level


def upright(axes: "Axes", quantity: Quantity, dense: float) -> None:
    """Set up the vertical axis: steps begin at 0; percentages end a little below the level of the dense network."""
    axes.set_ylabel(quantity.title)
    if quantity.steps:
        axes.set_ylim(bottom=0)
    elif quantity.unit == "%":
        low = max(axes.get_ylim()[0], dense - 1.5 * max(100 - dense, 2.5))  # for 98 % at least 94 %, as in the paper
        best = max(each.dataLim.y1 for each in axes.get_shared_y_axes().get_siblings(axes))
        axes.set_ylim(low, best + 0.05 * (best - low))


def weights_remaining(axes: "Axes", lines: Iterable[Sequence[Point]], linear: bool = False) -> None:
    """Set up the horizontal axis, which falls from 100 %: logarithmic, with ticks at rounds, as in the paper."""
    axes.set_xlabel("weights remaining (%)")
    if linear:
        axes.set_xlim(103, 0)
        return
    falling = sorted({100 * point.density for points in lines for point in points if point.density}, reverse=True)
    if not falling:
        return
    most, least = falling[0], falling[-1]
    margin = max(most / least, 1.5) ** 0.04
    axes.set_xscale("log")
    axes.set_xlim(most * margin, least / margin)
    ticks = [most]
    for density in (*falling[:: 3 if len(falling) > 13 else 2 if len(falling) > 7 else 1], falling[-1]):
        if ticks[-1] / density > (most / least) ** 0.095:  # closer texts would collide
            ticks.append(density)
    axes.set_xticks(ticks, [percent(tick / 100).removesuffix(" %") for tick in ticks], fontsize=8)
    axes.minorticks_off()


def compose(picture: Picture, title: str, note: str) -> "Figure":
    """Add title, note, grid and one legend to a figure, make it as high as these need, and return it."""
    figure, entries = picture.figure, dict[str, "Artist"]()
    marked = {text.get_gid() for axes in figure.axes for text in axes.texts}
    note = "; ".join([note, *(said for said in (CUT_SHORT, AT_MOST) if said in marked)])
    for axes in figure.axes:
        axes.grid(axis="y", color="0.9", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        for handle, text in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(text, handle)
    width = figure.get_figwidth()
    columns = max(1, width // (0.8 + 0.075 * max(map(len, entries))))  # inches that an entry takes
    rows = math.ceil(len(entries) / columns)
    shown = figure.legend(list(entries.values()), list(entries), loc="outside lower center", frameon=False, fontsize=9,
                  ncols=math.ceil(len(entries) / rows), title=picture.legend, handlelength=3.2)  # fmt: skip
    for words in (*shown.get_texts(), shown.get_title(), *(axes.title for axes in figure.axes)):
        words.set_parse_math(False)  # a $ in a series' name is not mathematics
    lines = [line for text in (title, note) for line in _wrapped(text, round(12 * width))]
    figure.suptitle("\n".join(lines), fontsize=10, parse_math=False)
    figure.set_figheight(3.8 + 0.18 * (len(lines) + rows + bool(picture.legend)))  # the panels keep theirs
    return figure


def finish(picture: Picture, title: str, note: str, folder: Path) -> list[Path]:
    """Compose a figure and write it as PNG and SVG: the same data give the same bytes."""
    import matplotlib

    figure = compose(picture, title, note)
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{picture.stem}.png", folder / f"{picture.stem}.svg"
    with matplotlib.rc_context({"svg.hashsalt": "npticket"}), writing(svg) as file:
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": "npticket"})
    with writing(png) as file:
        figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
    return [png, svg]


def _wrapped(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` characters, after semicolons where that is possible."""
    lines = [""]
    for phrase in text.replace("; ", ";; ").split("; "):
        joined = f"{lines[-1]} {phrase}".strip()
        lines[-1:] = [joined] if len(joined) <= width or not lines[-1] else [lines[-1], phrase]
    return [part for line in lines for part in textwrap.wrap(line, width)]
