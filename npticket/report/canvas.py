"""What all figures have in common: panels, the look of lines, axes."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from npticket.experiments.amounts import percent
from npticket.experiments.outcome import Outcome, Point
from npticket.experiments.tables import Row
from npticket.reading import Json
from npticket.report.quantities import Quantity, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00")  # Okabe and Ito, for the colour-blind
DASHES, MARKERS = ("-", "--", "-.", ":"), "os^DvPX*<>"  # for those who see no colours
LINES = ("x", "+")  # markers without an inside
CUT_SHORT = "open marker with an arrow: at least that, as a run was cut short"
AT_MOST = CUT_SHORT.replace("least", "most")
_GREY = "h8pHd"  # markers of series without a look of their own

Points = Mapping[str, Sequence[Point]]  # by series
Panels = Sequence["Axes"]  # side by side, or in rows
ROUND = (1, 2, 5)  # times powers of ten
FAR = 8  # from the least number of steps to the most: more takes a logarithmic axis
HEADROOM = 0.08  # of an axis, for the arrows above its highest points


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

    @classmethod
    def of_values(cls, names: Collection[str]) -> dict[str, "Pen"]:
        """Return pens from dark to light, by name, for the values of one setting in their order."""
        from matplotlib import colormaps, colors

        shades = map(colors.to_hex, colormaps["viridis"](np.linspace(0, 0.88, len(names))))
        looks = zip(names, shades, cycle(DASHES), cycle(MARKERS), strict=False)
        return {name: cls(name, *look) for name, *look in looks}

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

    def bars(self, axes: "Axes", x: Sequence[float] | np.ndarray, values: Collection[np.ndarray]) -> None:
        """Draw mean and range of `values` as points with bars, which do not hide each other as bands do."""
        mean = np.array([v.mean() for v in values])
        ends = [mean - [v.min() for v in values], [v.max() for v in values] - mean]
        axes.errorbar(x, mean, ends, label=self.name, color=self.color, linestyle=self.linestyle,
                      linewidth=1.4, marker=self.marker, markersize=5, elinewidth=1, capsize=3)  # fmt: skip

    def line(self, axes: "Axes", points: Sequence[Point], quantity: Quantity, opacity: float = 0.15) -> None:
        """Draw a series' points against weights remaining; an arrow marks those that are only a bound."""
        self.draw(axes, [100 * point.density for point in points], [quantity.drawn(point) for point in points], opacity)
        for point in points:
            if quantity.cut_short(point).any():
                at = 100 * point.density, quantity.drawn(point).mean()
                shape = "o" if self.marker in LINES else self.marker  # which has an inside to be left open
                axes.plot(*at, marker=shape, markersize=4, color=self.color, markerfacecolor="white", zorder=3)
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
    """Return a new figure, which needs no screen, and its `count` panels: in two rows from four of them on."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    rows = 1 if count < 4 else 2
    columns = math.ceil(count / rows)
    figure = Figure(figsize=(max(6.4, 4.6 * columns), 4.5), layout=ConstrainedLayoutEngine(w_pad=0.08))
    FigureCanvasAgg(figure)
    made = [*figure.subplots(rows, columns, squeeze=False, sharey=sharey).flat]
    for axes in made[count:]:
        axes.remove()
    return figure, made[:count]


def share(axes_of: Panels, quantities: Sequence[Quantity]) -> list[Panels]:
    """Let panels that show a quantity of the same split share their vertical axis; return for each those that do."""
    pairs = list(zip(axes_of, quantities, strict=True))
    alike: list[Panels] = [
        [other for other, of in pairs if of.split == one.split] if one.split else [axes] for axes, one in pairs
    ]
    for axes, those in zip(axes_of, alike, strict=True):
        if axes is not those[0]:
            axes.sharey(those[0])
    return alike


def dense_network(axes: "Axes", dense: Point, quantity: Quantity) -> float:
    """Draw the dense network's level as a horizontal line; return it."""
    level = float(quantity.drawn(dense).mean())
    axes.axhline(level, color="0.55", linewidth=0.8, zorder=0, label="dense network")
    return level


def upright(axes: "Axes", quantity: Quantity, dense: float) -> None:
    """Set up the vertical axis: percentages end a little below the level of the dense network.

    Steps begin at 0 or, if the most are FAR times the least, are on a logarithmic axis.
    """
    axes.set_ylabel(quantity.title)
    if quantity.steps:
        least, most = axes.dataLim.intervaly
        axes.margins(y=HEADROOM)
        if 0 < least * FAR < most:
            axes.set_yscale("log")
            low, high = axes.get_ylim()
            rounds = [k * 10.0**n for n in range(-4, 6) for k in ROUND]
            ticks = [tick for tick in rounds if low <= tick <= high]
            axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
        else:
            axes.set_ylim(0, (1 + HEADROOM) * most)
    elif quantity.unit == "%":
        low = max(axes.get_ylim()[0], dense - 1.5 * max(100 - dense, 2.5))  # for 98 % at least 94 %, as in the paper
        best = max(each.dataLim.y1 for each in axes.get_shared_y_axes().get_siblings(axes))
        axes.set_ylim(low, best + HEADROOM * (best - low))


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
