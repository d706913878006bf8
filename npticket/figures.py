"""Figures in the form of the paper's, from what an experiment left behind. The only module that imports matplotlib.

Means are lines, with bands from the smallest to the largest run. Every series has one colour, one dash and one marker,
so that figures can be read in grey and by the colour-blind (colours: Okabe and Ito).
"""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npticket.report import percent
from npticket.tables import RANDOM_REINIT, WINNING_TICKET, Outcome, Point, accuracy_at, curve, summarise

_NAMES = {
    WINNING_TICKET: ("winning ticket", "#0072b2", "-", "o"),
    RANDOM_REINIT: ("random reinit", "#d55e00", "--", "s"),
    "random_mask": ("random mask", "#000000", ":", "x"),
    "one_shot": ("one-shot", "#009e73", "-", "^"),
    "one_shot_reinit": ("one-shot, reinit", "#cc79a7", "--", "v"),
    "fine_tuning": ("prune and fine-tune", "#56b4e9", "-.", "D"),
    "continued_training": ("reset only at the end", "#e69f00", "--", "P"),
    "shuffled": ("shuffled within layers", "#009e73", "-.", "^"),
    "survivor_reinit": ("from survivors' values", "#cc79a7", "--", "v"),
    "pruned_at_init": ("pruned before training", "#000000", ":", "x"),
    "noise_0.5": ("noise, 0.5 sigma", "#56b4e9", "-", "D"),
    "noise_1": ("noise, 1 sigma", "#009e73", "--", "^"),
    "noise_2": ("noise, 2 sigma", "#e69f00", "-.", "P"),
    "noise_3": ("noise, 3 sigma", "#cc79a7", ":", "v"),
}
_OTHER = ("#777777", "-.", "*")
_STRUCTURE = (WINNING_TICKET, RANDOM_REINIT, "random_mask", "shuffled", "survivor_reinit")
_ONE_SHOT = (WINNING_TICKET, RANDOM_REINIT, "one_shot", "one_shot_reinit")
_SHADES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#000000", "#56b4e9", "#777777")
_MARKERS, _DASHES = "osD^vPX*<>", ("-", "--", "-.", ":")
Quantity = Callable[[Point], np.ndarray]

STOP: tuple[str, Quantity] = ("early-stopping iteration (thousands)", lambda p: p.early_stop_step / 1000)
ACCURACY: tuple[str, Quantity] = ("test accuracy at early stop (%)", lambda p: 100 * p.early_stop_test_acc)
FINAL: tuple[str, Quantity] = ("test accuracy at the end (%)", lambda p: 100 * p.final_test_acc)
TRAIN: tuple[str, Quantity] = ("training accuracy at the end (%)", lambda p: 100 * p.final_train_acc)
GAP: tuple[str, Quantity] = (
    "training minus test accuracy (points)",
    lambda p: 100 * (p.final_train_acc - p.final_test_acc),
)


def draw(outcome: Outcome, folder: str | Path) -> list[Path]:
    """Draw every figure that the outcome has the data for, as PNG and SVG; return the files.

    Raises ImportError without matplotlib.
    """
    there = outcome.series
    main = [series for series in (WINNING_TICKET, RANDOM_REINIT, "random_mask") if series in there]
    structure = [series for series in _STRUCTURE if series in there]
    rest = [series for series in there if series not in (*_STRUCTURE[1:], *_ONE_SHOT[1:])]
    drawn = {
        "early_stopping": _against_density(outcome, main, (STOP, ACCURACY, TRAIN)),
        "final_accuracy": _against_density(outcome, main, (FINAL,)),
        "generalisation": _against_density(outcome, main[:2], (TRAIN, FINAL, GAP)),
        "curves": _curves(outcome, "val_acc", "validation accuracy (%)", 100),
        "validation_loss": _curves(outcome, "val_loss", "validation loss", 1),
    }
    if outcome.recipe["test_at"]:
        drawn["fixed_steps"] = _fixed_steps(outcome, main)
    if "one_shot" in there:
        series = [s for s in _ONE_SHOT if s in there]
        drawn["one_shot"] = _against_density(outcome, series, (STOP, ACCURACY), linear=True)
    if len(structure) > 2:
        drawn["structure_or_initialisation"] = _against_density(outcome, structure, (STOP, ACCURACY))
    if len(rest) > 1:
        drawn["controls"] = _against_density(outcome, [*main[:2], *rest[1:]], (STOP, ACCURACY))
    return [path for stem, figure in drawn.items() for path in _save(figure, Path(folder) / stem)]


def draw_sweep(outcomes: Mapping[str, Outcome], folder: str | Path, title: str, label: str) -> list[Path]:
    """Draw the winning tickets of several experiments together, a line each (as Figures 26 to 31)."""
    figure, panels = _panels(2)
    longest = max((summarise(o.results, WINNING_TICKET) for o in outcomes.values()), key=len)
    for axes, (name, quantity) in zip(panels, (STOP, ACCURACY), strict=True):
        for i, (key, outcome) in enumerate(outcomes.items()):
            style = (key, _SHADES[i % len(_SHADES)], _DASHES[i % len(_DASHES)], _MARKERS[i % len(_MARKERS)])
            _line(axes, summarise(outcome.results, WINNING_TICKET), quantity, style, band=False)
        axes.set_ylabel(name)
        _weights_remaining(axes, longest)
    _finish(figure, title, f"{'; '.join(dict.fromkeys(o.note for o in outcomes.values()))}; means", label)
    return _save(figure, Path(folder) / "sweep")


def _against_density(
    outcome: Outcome, series: Sequence[str], quantities: Sequence[tuple[str, Quantity]], linear: bool = False
) -> Any:
    """A panel per quantity, a line per series."""
    figure, panels = _panels(len(quantities))
    tickets = summarise(outcome.results, WINNING_TICKET)
    for axes, (name, quantity) in zip(panels, quantities, strict=True):
        for one in series:
            _line(axes, summarise(outcome.results, one), quantity, _style(one))
        axes.axhline(quantity(tickets[0]).mean(), color="0.6", linewidth=0.8, zorder=0, label="dense network")
        axes.set_ylabel(name)
        _weights_remaining(axes, tickets, linear)
    _finish(figure, outcome.title, f"{outcome.note}; line: mean, band: min-max")
    return figure


def _fixed_steps(outcome: Outcome, series: Sequence[str]) -> Any:
    """Test accuracy after each step of the recipe's `test_at`, a panel each (as Figures 7 and 8)."""
    steps = outcome.recipe["test_at"]
    figure, panels = _panels(len(steps), sharey=True)
    for axes, step in zip(panels, steps, strict=True):
        at = {one: accuracy_at(step, outcome.curves, one) for one in series}
        for one in series:
            _line(axes, summarise(outcome.results, one), lambda p, at=at[one]: 100 * at[p.round], _style(one))
        axes.axhline(100 * at[WINNING_TICKET][0].mean(), color="0.6", linewidth=0.8, zorder=0, label="dense network")
        axes.set_title(f"after {step:,} steps", fontsize=10)
        _weights_remaining(axes, summarise(outcome.results, WINNING_TICKET))
    panels[0].set_ylabel("test accuracy (%)")
    _finish(figure, outcome.title, f"{outcome.note}; line: mean, band: min-max")
    return figure


def _curves(outcome: Outcome, column: str, name: str, scale: float) -> Any:
    """A column of curves.csv against training steps, for the densities of the paper's Figure 3, in three panels."""
    tickets = {point.round: point for point in summarise(outcome.results, WINNING_TICKET)}
    reinits = {point.round for point in summarise(outcome.results, RANDOM_REINIT)}
    near = [
        min(tickets.values(), key=lambda p: abs(100 * p.density - goal)) for goal in (100, 51.3, 21.1, 7.0, 3.6, 1.9)
    ]
    rounds = list(dict.fromkeys(point.round for point in near))
    few, many = rounds[:4], [rounds[0], *rounds[3:]]
    again = [(RANDOM_REINIT, r) for r in rounds[1:3] if r in reinits]
    groups = [
        [(WINNING_TICKET, r) for r in few],
        [(WINNING_TICKET, r) for r in many] if len(many) > 1 else [],
        [(WINNING_TICKET, r) for r in rounds[:3]] + again if again else [],
    ]
    groups = [group for group in groups if group]
    figure, panels = _panels(len(groups), sharey=True)
    lowest = []
    for axes, group in zip(panels, groups, strict=True):
        for series, r in group:
            steps, values = curve(outcome.curves, series, r, column)
            i = rounds.index(r)
            dash = "--" if series == RANDOM_REINIT else "-"
            label = percent(tickets[r].density) + (", reinit" if series == RANDOM_REINIT else "")
            mean = scale * values.mean(axis=0)
            every = max(1, len(steps) // 8)
            axes.plot(steps / 1000, mean, dash, color=_SHADES[i], marker=_MARKERS[i], markersize=4, label=label,
                      linewidth=1.3, markevery=(i * every // 6, every))  # fmt: skip
            axes.fill_between(steps / 1000, scale * values.min(axis=0), scale * values.max(axis=0), color=_SHADES[i],
                              alpha=0.12, linewidth=0)  # fmt: skip
            lowest.append(mean)
        axes.set_xlabel("training steps (thousands)")
        axes.legend(frameon=False, fontsize=8, loc="best")
    panels[0].set_ylabel(name)
    if column == "val_acc":
        top = max(mean.max() for mean in lowest)
        late = min(mean[len(mean) // 10 :].min() for mean in lowest)
        margin = max(0.1 * (top - late), 0.1)
        panels[0].set_ylim(late - margin, top + margin)
    else:
        best = min(mean.min() for mean in lowest)
        last = max(mean[-1] for mean in lowest)
        panels[0].set_ylim(0.9 * best, max(1.1 * last, 2.5 * best))
    _finish(figure, outcome.title, f"{outcome.note}; weights remaining; line: mean, band: min-max", legend=False)
    return figure


def _panels(count: int, **options: Any) -> tuple[Any, Sequence[Any]]:
    """A figure that needs no screen, and its panels side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(5.6, 4.4 * count), 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, count, squeeze=False, **options)[0]


def _line(
    axes: Any, found: Sequence[Point], quantity: Quantity, style: tuple[str, str, str, str], band: bool = True
) -> None:
    """A series' mean at each round, and the range of its runs."""
    if not found:
        return
    label, color, dash, marker = style
    densities = [100 * point.density for point in found]
    values = [quantity(point) for point in found]
    axes.plot(densities, [v.mean() for v in values], dash, label=label, color=color, marker=marker, markersize=4,
              linewidth=1.5)  # fmt: skip
    if not band:
        return
    low, high = [v.min() for v in values], [v.max() for v in values]
    axes.fill_between(densities, low, high, color=color, alpha=0.13, linewidth=0)


def _style(series: str) -> tuple[str, str, str, str]:
    return _NAMES.get(series, (series.replace("_", " "), *_OTHER))


def _weights_remaining(axes: Any, found: Sequence[Point], linear: bool = False) -> None:
    """An axis that runs from 100 % down: logarithmic with a tick at about every third round as in the paper."""
    axes.set_xlabel("weights remaining (%)")
    if linear:
        axes.set_xlim(102, 0)
        return
    axes.set_xscale("log")
    axes.invert_xaxis()
    every = 3 if len(found) > 8 else 2 if len(found) > 4 else 1
    ticks: list[float] = []
    apart = max(1.5, (found[0].density / found[-1].density) ** (1 / 7.5))  # more than seven labels would collide
    for point in found[::every]:
        if not ticks or ticks[-1] / (100 * point.density) > apart:
            ticks.append(100 * point.density)
    axes.set_xticks(ticks, [percent(tick / 100).removesuffix(" %") for tick in ticks])
    axes.minorticks_off()


def _finish(figure: Any, title: str, note: str, label: str = "", legend: bool = True) -> None:
    """Title, one legend below all panels, thin grid."""
    for axes in figure.axes:
        axes.grid(axis="y", color="0.9", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    if legend:
        handles, labels = figure.axes[0].get_legend_handles_labels()
        columns = min(len(labels), max(2, round(2.4 * figure.get_figwidth() / 5)))
        figure.legend(
            handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9, title=label
        )
    figure.suptitle(f"{title}\n{_wrapped(note, round(13 * figure.get_figwidth()))}", fontsize=10)


def _wrapped(text: str, width: int) -> str:
    """The text in lines of at most `width` characters."""
    return "\n".join(textwrap.wrap(text, width))


def _save(figure: Any, stem: Path) -> list[Path]:
    """Write the figure as PNG and as SVG; the same data give the same bytes."""
    import matplotlib

    stem.parent.mkdir(parents=True, exist_ok=True)
    png, svg = stem.with_name(stem.name + ".png"), stem.with_name(stem.name + ".svg")
    figure.savefig(png, dpi=150, metadata={"Software": None})
    with matplotlib.rc_context({"svg.hashsalt": "npticket"}):
        figure.savefig(svg, metadata={"Date": None, "Creator": None})
    return [png, svg]
