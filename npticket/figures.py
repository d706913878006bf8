"""Figures in the form of the paper's, from the rows of a store. The only module that imports matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from npticket.report import percent
from npticket.store import RANDOM_REINIT, WINNING_TICKET, Point, accuracy_at, summarise

STYLES = {
    WINNING_TICKET: {"label": "winning ticket", "color": "#0072b2", "linestyle": "-", "marker": "o"},
    RANDOM_REINIT: {"label": "random reinit", "color": "#d55e00", "linestyle": "--", "marker": "s"},
}


def early_stopping(results: Sequence[Mapping[str, Any]], path: str | Path, title: str) -> None:
    """Draw early-stopping iteration and test accuracy there against weights remaining (as Figures 1 and 4a).

    Mean lines with min-max bands over trials; the dense network's mean as a thin grey line. Writes a PNG; raises
    ImportError without matplotlib.
    """
    figure, (steps, accuracy) = _panels(2)
    for series, style in STYLES.items():
        points = summarise(results, series)
        _line(steps, points, [point.early_stop_step / 1000 for point in points], style)
        _line(accuracy, points, [100 * point.early_stop_test_acc for point in points], style)
    dense = summarise(results, WINNING_TICKET)[0]
    grey = {"color": "0.6", "linewidth": 0.8, "zorder": 0, "label": "dense network"}
    steps.axhline(dense.early_stop_step.mean() / 1000, **grey)
    accuracy.axhline(100 * dense.early_stop_test_acc.mean(), **grey)
    steps.set_ylabel("early-stopping iteration (thousands)")
    steps.set_ylim(bottom=0)
    accuracy.set_ylabel("test accuracy at early stop (%)")
    _finish(figure, results, path, title)


def fixed_steps(
    results: Sequence[Mapping[str, Any]],
    curves: Sequence[Mapping[str, Any]],
    steps: Sequence[int],
    path: str | Path,
    title: str,
) -> None:
    """Draw test accuracy after each of `steps` against weights remaining, a panel each (as Figures 7 and 8).

    Mean lines with min-max bands; the dense network's mean as a thin grey line. Raises KeyError if the test set was
    not looked at then, ImportError without matplotlib.
    """
    figure, panels = _panels(len(steps), sharey=True)
    for axes, step in zip(panels, steps, strict=True):
        for series, style in STYLES.items():
            accuracy = accuracy_at(step, curves, series)
            points = [point for point in summarise(results, series) if point.round in accuracy]
            _line(axes, points, [100 * accuracy[point.round] for point in points], style)
        dense = 100 * accuracy_at(step, curves, WINNING_TICKET)[0].mean()
        axes.axhline(dense, color="0.6", linewidth=0.8, zorder=0, label="dense network")
        axes.set_title(f"after {step:,} steps", fontsize=10)
    panels[0].set_ylabel("test accuracy (%)")
    _finish(figure, results, path, title)


def _panels(count: int, **options: Any) -> tuple[Any, Sequence[Any]]:
    """A figure that needs no screen, and its panels side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, count, squeeze=False, **options)[0]


def _finish(figure: Any, results: Sequence[Mapping[str, Any]], path: str | Path, title: str) -> None:
    """Label what all panels have in common, and write the file."""
    tickets = summarise(results, WINNING_TICKET)
    for axes in figure.axes:
        _weights_remaining(axes, [point.density for point in tickets])
        axes.grid(axis="y", color="0.9", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False)
    dense = tickets[0]
    figure.suptitle(f"{title}\n{dense.trials} trials of {dense.steps:,} steps; line: mean, band: min-max", fontsize=10)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def _line(axes: Any, points: Sequence[Point], values: Sequence[Any], style: Mapping[str, str]) -> None:
    densities = [100 * point.density for point in points]
    axes.plot(densities, [v.mean() for v in values], **style, markersize=4, linewidth=1.5)
    low, high = [v.min() for v in values], [v.max() for v in values]
    axes.fill_between(densities, low, high, color=style["color"], alpha=0.18, linewidth=0)


def _weights_remaining(axes: Any, densities: Sequence[float]) -> None:
    """A log axis that runs from 100 % down, with a tick at about every third round as in the paper."""
    axes.set_xscale("log")
    axes.invert_xaxis()
    every = 3 if len(densities) > 8 else 2 if len(densities) > 4 else 1
    ticks = list(densities)[::every]
    axes.set_xticks([100 * d for d in ticks], [percent(d).removesuffix(" %") for d in ticks])
    axes.minorticks_off()
    axes.set_xlabel("weights remaining (%)")
