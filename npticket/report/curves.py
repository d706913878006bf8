"""Figures of curves against training steps, a line for each density."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from npticket.experiments.amounts import percent
from npticket.experiments.outcome import Outcome, Point
from npticket.report.canvas import COLORS, MARKERS, Panels, Pen, Picture, Points, panels
from npticket.report.quantities import STOP, first, legend, worded

Keys = list[tuple[str, int]]  # series and round
Line = tuple[Pen, np.ndarray, np.ndarray]  # its pen, steps in thousands (V,), values (V, n)


@dataclass(frozen=True)
class Curves:
    """Two figures: the headline measure, and the validation loss, of the first series at rounds near `densities`.

    One panel has the first three densities, the second the first and the others, and the third the first three again
    together with those of the series `control`, by default the second one, which the legend calls `called`. Rounds and
    panels that show nothing new are left out.
    """

    densities: tuple[float, ...] = (1.0, 0.5, 0.2, 0.07, 0.035, 0.02)
    control: str = ""
    called: str = ""

    def curves(self, outcome: Outcome, points: Points) -> dict[tuple[str, int], int]:
        """Return the curves in the panels, up to one validation after the end of the axis."""
        last = 1_020 * self._panels(outcome, points)[2] + outcome.recipe.validate_every
        return dict.fromkeys(self._panels(outcome, points)[1], round(last))

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw both figures, if there are curves."""
        if not outcome.curves:
            return
        ours, measure, (groups, shown, until) = first(outcome), outcome.task.headline, self._panels(outcome, points)
        nearest, control = self._nearest(points[ours]), self._control(outcome, points)
        named = legend(outcome, control)
        looks = {ours: ("", "-", ""), control: (f", {self.called or named}", "--", "white")}
        pens = {}  # a colour and marker per density; the control is dashed and hollow
        for (series, round), point in shown.items():
            i, (ending, dash, face) = nearest.index(round), looks[series]
            name = percent(point.density) + ending
            pens[series, round] = Pen(name, COLORS[i % len(COLORS)], dash, MARKERS[i % len(MARKERS)], face)
        rows = [row for row in outcome.curves if (outcome.line(row["series"]), row["round"]) in shown]
        few = replace(outcome, curves=rows)  # faster, as these are read many times
        tested = all(row[f"test_{measure.name}"] != "" for row in rows)
        split, word = ("test", "test") if tested else ("val", "validation")
        good = ("curves", f"{split}_{measure.name}", worded(word + " {words}{unit}", measure), measure.scale)
        for stem, column, text, scale in (good, ("validation_loss", "val_loss", "validation loss", 1)):
            read = {key: few.curve(*key, column) for key in shown}
            found = {key: (pens[key], steps / 1000, scale * values.T) for key, (steps, values) in read.items()}
            figure, axes_of = panels(len(groups), sharey=True)
            axes_of[0].set_ylabel(text)
            _draw(axes_of, [[found[key] for key in group] for group in groups], until)
            for axes, group in zip(axes_of, groups, strict=True):
                least = percent(min(shown[key].density for key in group))
                beside = any(series == control for series, _ in group)
                axes.set_title(f"beside {named}" if beside else f"down to {least} of the weights")
            yield Picture(stem, figure, "weights remaining")

    def _panels(self, outcome: Outcome, points: Points) -> tuple[list[Keys], dict[tuple[str, int], Point], float]:
        """The series and rounds of each panel; all of them once; and where the axis ends, in thousands of steps."""
        tickets, control = points[first(outcome)], self._control(outcome, points)
        there = {point.round for point in points.get(control, ())}
        groups = _groups(self._nearest(tickets), first(outcome), control, there)
        shown = {(s, p.round): p for s in points for p in points[s] if any((s, p.round) in group for group in groups)}
        until = min(1.5 * max(STOP.drawn(point).mean() for point in shown.values()), tickets[0].steps / 1000)
        return groups, shown, until

    def _nearest(self, tickets: Sequence[Point]) -> list[int]:
        """The round nearest to each of the densities, on a logarithmic scale."""
        return [
            min(tickets, key=lambda p: abs(math.log(p.density / goal)) if p.density else math.inf).round
            for goal in self.densities
        ]

    def _control(self, outcome: Outcome, points: Points) -> str:
        return self.control or next((one for one in points if one != first(outcome)), "")


def _groups(nearest: Sequence[int], ours: str, control: str, there: set[int]) -> list[Keys]:
    """The series and rounds in each panel; `there` are the rounds that the control has."""
    wanted = [
        [(ours, r) for r in nearest[:3]],  # faster and faster
        [(ours, r) for r in (nearest[0], *nearest[2:])],  # and slower again
        [(ours, r) for r in nearest[:3]] + [(control, r) for r in nearest[1:3] if r and r in there],
    ]
    groups = [list(dict.fromkeys(group)) for group in wanted]
    return [g for i, g in enumerate(groups) if not any(set(g) <= set(before) for before in groups[:i])]


def _draw(axes_of: Panels, groups: Sequence[Sequence[Line]], until: float) -> None:
    """Draw a group of lines per panel, to the height that they need after the first tenth of the axis to `until`."""
    late = [np.empty(0)]
    for axes, group in zip(axes_of, groups, strict=True):
        for i, (pen, steps, values) in enumerate(group):
            every = max(1, int((steps <= until).sum()) // 6)  # markers lie apart from those of other lines
            pen.draw(axes, steps, values, 0.1, (i * every // len(group), every))
            late.append(values.mean(axis=1)[(0.1 * until <= steps) & (steps <= until)])
        axes.set(xlabel="training steps (thousands)", xlim=(0, 1.02 * until))
    means = np.concatenate(late)
    if means.size:
        low, high = means.min(), means.max()
        margin = 0.1 * (high - low) or 0.1 * abs(high) or 0.1
        axes_of[0].set_ylim(low - margin, high + margin)
