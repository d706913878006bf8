"""Figures in the form of the paper's, from what an experiment left behind. The only module that imports matplotlib.

Means are lines, with bands from the smallest to the largest run. Every series has its own colour, dash and marker, so
that figures can be read in grey and by the colour-blind (colours: Okabe and Ito).
"""

import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from npticket.report import percent
from npticket.tables import RANDOM_REINIT, WINNING_TICKET, Outcome, Point, Row, accuracy_at, curve, family, summarise

Style = Mapping[str, Any]  # what matplotlib's plot takes
Points = Mapping[str, Sequence[Point]]  # by series


@dataclass(frozen=True)
class Quantity:
    """What a panel shows of a Point, and the axis label."""

    label: str
    of: Callable[[Point], np.ndarray]


STOP = Quantity("early-stopping iteration (thousands)", lambda p: p.early_stop_step / 1000)
ACCURACY = Quantity("test accuracy at early stop (%)", lambda p: 100 * p.early_stop_test_acc)
FINAL = Quantity("test accuracy at the end (%)", lambda p: 100 * p.final_test_acc)
TRAIN = Quantity("training accuracy at the end (%)", lambda p: 100 * p.final_train_acc)
GAP = Quantity("training minus test accuracy (points)", lambda p: 100 * (p.final_train_acc - p.final_test_acc))

_SERIES = {
    WINNING_TICKET: ("winning ticket", "#0072b2", "-", "o"),
    RANDOM_REINIT: ("random reinit", "#d55e00", "--", "s"),
    "random_mask": ("random mask", "#000000", ":", "x"),
    "one_shot": ("one-shot", "#009e73", "-", "D"),
    "one_shot_reinit": ("one-shot, reinit", "#cc79a7", "--", "v"),
    "shuffled": ("shuffled within layers", "#009e73", "-.", "<"),
    "survivor_reinit": ("from survivors' values", "#cc79a7", ":", ">"),
    "pruned_at_init": ("pruned before training", "#000000", "-.", "*"),
    "fine_tuning": ("prune and fine-tune", "#56b4e9", "-.", "D"),
    "continued_training": ("reset only at the end", "#e69f00", "--", "P"),
    "noise_0.5": ("noise, 0.5 sigma", "#66c2a5", "-", "^"),  # the more noise, the darker
    "noise_1": ("noise, 1 sigma", "#1b9e77", "--", "d"),
    "noise_2": ("noise, 2 sigma", "#0b6e4f", "-.", "p"),
    "noise_3": ("noise, 3 sigma", "#05382a", ":", "X"),
}
_MAIN = (WINNING_TICKET, RANDOM_REINIT, "random_mask")
_STRUCTURE = (*_MAIN, "shuffled", "survivor_reinit")
_ONE_SHOT = (WINNING_TICKET, RANDOM_REINIT, "one_shot", "one_shot_reinit")
_DENSITIES = (1.0, 0.513, 0.211, 0.070, 0.036, 0.019)  # those of Figure 3
_COLORS = ("#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00")
_DASHES, _MARKERS = ("-", "--", "-.", ":"), "os^DvPX*<>"
_NOTE = "line: mean, band: min-max"


def draw(outcome: Outcome, folder: str | Path) -> list[Path]:
    """Draw every figure that the outcome has the data for, as PNG and SVG; return the files.

    Raises ImportError without matplotlib.
    """
    points = {series: summarise(outcome.results, series) for series in outcome.series}
    if WINNING_TICKET not in points:
        return []
    written = []
    for stem, figure in _figures(outcome, points):
        over_steps = stem in ("curves", "validation_loss")
        _finish(figure, outcome.title, f"{outcome.note}; {_NOTE}", "weights remaining" if over_steps else "")
        written += _save(figure, Path(folder), stem)
    return written


def draw_sweep(outcomes: Mapping[str, Outcome], folder: str | Path, title: str, label: str) -> list[Path]:
    """Draw the winning tickets of several experiments together, a line each (as Figures 26 to 31).

    The keys are the legend, `label` is its title. The file has the recipes' name without their key. Raises ImportError
    without matplotlib.
    """
    from matplotlib import colormaps

    tickets = {key: summarise(outcome.results, WINNING_TICKET) for key, outcome in outcomes.items()}
    tickets = {key: points for key, points in tickets.items() if points}
    if not tickets:
        return []
    shades = colormaps["viridis"](np.linspace(0, 0.88, len(tickets)))
    figure, panels = _panels(2)
    for axes, quantity in zip(panels, (STOP, ACCURACY), strict=True):
        for i, (key, points) in enumerate(tickets.items()):
            look = {"color": shades[i], "linestyle": _DASHES[i % 4], "marker": _MARKERS[i % len(_MARKERS)]}
            _line(axes, points, quantity.of, look | {"label": key}, opacity=0.15 if len(tickets) < 4 else 0)
        _label(axes, quantity, min(quantity.of(points[0]).mean() for points in tickets.values()))
        _weights_remaining(axes, [point.density for points in tickets.values() for point in points])
    notes: dict[str, list[str]] = {}
    for key in tickets:
        notes.setdefault(outcomes[key].note, []).append(key)
    each = [note if len(notes) == 1 else f"{', '.join(keys)}: {note}" for note, keys in notes.items()]
    _finish(figure, title, f"{'; '.join(each)}; {_NOTE if len(tickets) < 4 else 'lines: means'}", label)
    key, first = next(iter(outcomes.items()))
    return _save(figure, Path(folder), first.recipe["name"].removesuffix(f"-{key.replace(' ', '-')}"))


def _figures(outcome: Outcome, points: Points) -> Iterator[tuple[str, Any]]:
    """Stems of files and figures."""
    main, structure, shots = ([s for s in group if s in points] for group in (_MAIN, _STRUCTURE, _ONE_SHOT))
    others = [series for series in points if series not in {*_STRUCTURE, *_ONE_SHOT}]
    yield "early_stopping", _against_density(points, main, (STOP, ACCURACY, TRAIN))
    yield "final_accuracy", _against_density(points, main, (FINAL,))
    yield "generalisation", _against_density(points, [s for s in main if s != "random_mask"], (TRAIN, FINAL, GAP))
    if outcome.curves:
        yield from _both_curves(outcome.curves, points)
        if outcome.recipe["test_at"]:
            yield "fixed_steps", _fixed_steps(outcome, points, main)
    if "one_shot" in points:
        yield "one_shot", _against_density(points, shots, (STOP, ACCURACY), linear=True)
    if len(structure) > 2:
        yield "structure_or_initialisation", _against_density(points, structure, (STOP, ACCURACY))
    if others:  # random reinits beside them are what they must beat
        beside = [series for series in main if series != "random_mask"]
        yield "controls", _against_density(points, [*beside, *others], (STOP, ACCURACY))


def _against_density(
    points: Points, series: Sequence[str], quantities: Sequence[Quantity], linear: bool = False
) -> Any:
    """A panel per quantity, a line per series; a linear axis leaves out what it cannot show, the last 3 %."""
    figure, panels = _panels(len(quantities))
    for axes, quantity in zip(panels, quantities, strict=True):
        for one in series:
            shown = [point for point in points[one] if point.density >= 0.03 or not linear]
            _line(axes, shown, quantity.of, _style(one), opacity=0.15 if len(series) < 6 else 0.07)
        dense = quantity.of(points[WINNING_TICKET][0]).mean()
        _dense(axes, dense)
        _label(axes, quantity, dense)
        _weights_remaining(axes, [point.density for one in series for point in points[one]], linear)
    return figure


def _fixed_steps(outcome: Outcome, points: Points, series: Sequence[str]) -> Any:
    """Test accuracy after each step of the recipe's `test_at`, a panel each (as Figures 7 and 8)."""
    steps = outcome.recipe["test_at"]
    figure, panels = _panels(len(steps), sharey=True)
    lowest = 100.0
    for axes, step in zip(panels, steps, strict=True):
        for one in series:
            accuracy = accuracy_at(step, outcome.curves, one)
            _line(axes, points[one], lambda p, at=accuracy: 100 * at[p.round], _style(one))
            if one == WINNING_TICKET:
                dense = 100 * accuracy[0].mean()
        _dense(axes, dense)
        lowest = min(lowest, dense)
        axes.set_title(f"after {step:,} steps", fontsize=10)
        _weights_remaining(axes, [point.density for one in series for point in points[one]])
    _label(panels[0], Quantity("test accuracy (%)", ACCURACY.of), lowest)
    return figure


def _both_curves(curves: Sequence[Row], points: Points) -> Iterator[tuple[str, Any]]:
    """Accuracy and validation loss against training steps, as Figures 3 and 11."""
    tickets = points[WINNING_TICKET]
    nearest = [min(tickets, key=lambda p: abs(math.log(p.density / goal))).round for goal in _DENSITIES]
    again = [r for r in nearest[1:3] if r and r in {point.round for point in points.get(RANDOM_REINIT, ())}]
    groups = [
        [(WINNING_TICKET, r) for r in nearest[:3]],  # faster and faster
        [(WINNING_TICKET, r) for r in (nearest[0], *nearest[2:])],  # and slower again
        [(WINNING_TICKET, r) for r in nearest[:3]] + [(RANDOM_REINIT, r) for r in again],
    ]
    groups = [list(dict.fromkeys(group)) for group in groups]
    groups = [g for i, g in enumerate(groups) if not any(set(g) <= set(before) for before in groups[:i])]
    shown = {(s, p.round): p for s in points for p in points[s] if any((s, p.round) in group for group in groups)}
    until = min(1.5 * max(point.early_stop_step.mean() for point in shown.values()), tickets[0].steps) / 1000
    styles = {(series, r): _curve_style(series, point, nearest) for (series, r), point in shown.items()}
    rows = [row for row in curves if (family(row["series"]), row["round"]) in shown]  # few of many, read many times
    tested = all(row["test_acc"] != "" for row in rows)
    for stem, column, name, scale in (
        ("curves", *(("test_acc", "test accuracy (%)") if tested else ("val_acc", "validation accuracy (%)")), 100),
        ("validation_loss", "val_loss", "validation loss", 1),
    ):
        found = {key: curve(rows, *key, column) for key in shown}
        found = {key: (steps / 1000, scale * values) for key, (steps, values) in found.items()}
        yield stem, _curves(groups, found, styles, name, until)


def _curve_style(series: str, point: Point, nearest: Sequence[int]) -> Style:
    """One colour and marker per density; reinits are dashed and hollow."""
    i, reinit = nearest.index(point.round), series == RANDOM_REINIT
    look = {"color": _COLORS[i], "marker": _MARKERS[i], "linestyle": "--" if reinit else "-"}
    look["label"] = percent(point.density) + (", reinit" if reinit else "")
    return look | ({"markerfacecolor": "white"} if reinit else {})


def _curves(
    groups: Sequence[Sequence[tuple[str, int]]],
    found: Mapping[tuple[str, int], tuple[np.ndarray, np.ndarray]],
    styles: Mapping[tuple[str, int], Style],
    name: str,
    until: float,
) -> Any:
    """A panel per group of (series, round).

    The horizontal axis ends at `until`, the vertical one leaves out how bad everything is in the first tenth of it.
    """
    figure, panels = _panels(len(groups), sharey=True)
    for axes, group in zip(panels, groups, strict=True):
        for i, key in enumerate(group):
            steps, values = found[key]
            every = max(1, int((steps <= until).sum()) // 6)  # markers lie apart from those of other lines
            axes.plot(steps, values.mean(axis=0), **styles[key], linewidth=1.2, markersize=5,
                      markevery=(i * every // len(group), every))  # fmt: skip
            color = styles[key]["color"]
            axes.fill_between(steps, values.min(axis=0), values.max(axis=0), color=color, alpha=0.1, linewidth=0)
        axes.set_xlabel("training steps (thousands)")
        axes.set_xlim(0, 1.02 * until)
    panels[0].set_ylabel(name)
    late = [values.mean(axis=0)[(0.1 * until <= steps) & (steps <= until)] for steps, values in found.values()]
    late = [mean for mean in late if mean.size]
    if late:
        low, high = min(mean.min() for mean in late), max(mean.max() for mean in late)
        margin = 0.1 * (high - low) or 0.1 * abs(high) or 0.1
        panels[0].set_ylim(low - margin, high + margin)
    return figure


def _panels(count: int, **options: Any) -> tuple[Any, Sequence[Any]]:
    """A figure that needs no screen, and its panels side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(6.4, 4.6 * count), 4.5), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, count, squeeze=False, **options)[0]


def _style(series: str) -> Style:
    label, color, dash, marker = _SERIES.get(series, (series.replace("_", " "), "#777777", "-.", "h"))
    return {"label": label, "color": color, "linestyle": dash, "marker": marker}


def _line(
    axes: Any, points: Sequence[Point], of: Callable[[Point], np.ndarray], style: Style, opacity: float = 0.15
) -> None:
    """A series' mean at each round, and the range of its runs."""
    densities, values = [100 * point.density for point in points], [of(point) for point in points]
    axes.plot(densities, [v.mean() for v in values], **style, markersize=4, linewidth=1.4)
    if opacity:
        low, high = [v.min() for v in values], [v.max() for v in values]
        axes.fill_between(densities, low, high, color=style["color"], alpha=opacity, linewidth=0)


def _dense(axes: Any, value: float) -> None:
    axes.axhline(value, color="0.55", linewidth=0.8, zorder=0, label="dense network")


def _label(axes: Any, quantity: Quantity, dense: float) -> None:
    """The vertical axis: steps from 0 on; accuracies not far below the dense network, where networks break down."""
    axes.set_ylabel(quantity.label)
    low, _ = axes.get_ylim()
    if quantity is STOP:
        axes.set_ylim(bottom=0)
    elif quantity is not GAP:
        low = max(low, dense - 1.5 * max(100 - dense, 2.5))  # for LeNet 94 % as in the paper
        best = max(each.dataLim.y1 for each in axes.get_shared_y_axes().get_siblings(axes))
        axes.set_ylim(low, best + 0.05 * (best - low))


def _weights_remaining(axes: Any, densities: Iterable[float], linear: bool = False) -> None:
    """An axis that runs from 100 % down: logarithmic with a tick at about every third round as in the paper."""
    axes.set_xlabel("weights remaining (%)")
    if linear:
        axes.set_xlim(103, 0)
        return
    falling = sorted({100 * density for density in densities}, reverse=True)
    first, last = falling[0], falling[-1]
    margin = max(first / last, 1.5) ** 0.04
    axes.set_xscale("log")
    axes.set_xlim(first * margin, last / margin)
    every = 3 if len(falling) > 13 else 2 if len(falling) > 7 else 1
    ticks: list[float] = []
    for density in falling[::every]:
        if not ticks or ticks[-1] / density > (first / last) ** 0.095:  # closer labels would collide
            ticks.append(density)
    axes.set_xticks(ticks, [percent(tick / 100).removesuffix(" %") for tick in ticks], fontsize=8)
    axes.minorticks_off()


def _finish(figure: Any, title: str, note: str, label: str = "") -> None:
    """Title, thin grid, and one legend below all panels; the height is what these need."""
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        axes.grid(axis="y", color="0.9", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        for handle, text in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(text, handle)
    width = figure.get_figwidth()
    rows = math.ceil(len(entries) / (width // (0.8 + 0.075 * max(map(len, entries)))))  # inches that an entry takes
    columns = math.ceil(len(entries) / rows)
    figure.legend(entries.values(), entries, loc="outside lower center", ncols=columns, frameon=False, fontsize=9,
                  title=label, handlelength=3.2)  # fmt: skip
    lines = [line for text in (title, note) for line in _lines(text, round(12 * width))]
    figure.suptitle("\n".join(lines), fontsize=10)
    figure.set_figheight(3.8 + 0.18 * (len(lines) + rows + bool(label)))  # however much text, the panels keep theirs


def _lines(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters, broken between phrases, which semicolons end, where that is possible."""
    lines = [""]
    for phrase in text.replace("; ", ";; ").split("; "):
        joined = f"{lines[-1]} {phrase}".strip()
        lines[-1:] = [joined] if len(joined) <= width or not lines[-1] else [lines[-1], phrase]
    return [part for line in lines for part in textwrap.wrap(line, width)]


def _save(figure: Any, folder: Path, stem: str) -> list[Path]:
    """Write the figure as PNG and as SVG; the same data give the same bytes."""
    import matplotlib

    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{stem}.png", folder / f"{stem}.svg"
    figure.savefig(png, dpi=150, metadata={"Software": None})
    with matplotlib.rc_context({"svg.hashsalt": "npticket"}):
        figure.savefig(svg, metadata={"Date": None, "Creator": None})
    return [png, svg]
