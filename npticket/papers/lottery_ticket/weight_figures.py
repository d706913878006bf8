"""Figures of what winning tickets look like, in the form of the paper's Figures 15, 16 and 19 to 24."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from npticket.experiments.amounts import percent
from npticket.experiments.outcome import Outcome
from npticket.experiments.tables import Row
from npticket.papers.lottery_ticket.weights import INCOMING, INITIAL, MOVED, OTHERS, OUTGOING, WEIGHTS
from npticket.report.canvas import Pen, Picture, Points, panels
from npticket.report.figures import Plot
from npticket.report.quantities import first

LAYERS = {"fc1/W": "first hidden layer", "fc2/W": "second hidden layer", "out/W": "output layer"}
SHOWN = 0.99  # the horizontal axis covers this fraction of what is counted
SIGMAS = "(initial standard deviations of the layer)"


class Line(NamedTuple):
    """A histogram, by the columns that choose its rows, and the name of its line."""

    name: str
    what: str
    layer: str
    round: int


class WeightFigures(Plot):
    """Initial values of tickets, moves of weights, and degrees of units, as densities: their areas are 1."""

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw what was measured of the weights; nothing if the recipe did not ask for that series."""
        table = outcome.measured.get(WEIGHTS, ())
        density = {point.round: percent(point.density) for point in points[first(outcome)]}
        rounds = [round for round in sorted({row["round"] for row in table}) if round in density]
        layers = list(dict.fromkeys(row["layer"] for row in table))
        names = {layer: LAYERS.get(layer, layer) for layer in layers}
        pruned = [round for round in rounds if round]
        if not pruned:
            return
        by_round = {
            f"{density[r]} of the weights": [Line(names[layer], INITIAL, layer, r) for layer in layers] for r in rounds
        }
        yield _picture("initial_values", f"initial value {SIGMAS}", table, by_round)
        for what, stem, units in ((INCOMING, "incoming", "of the"), (OUTGOING, "outgoing", "into the")):
            degrees = {f"{units} {names[n]}": [Line(density[r], what, n, r) for r in pruned] for n in layers}
            text = f"{stem} connections of a unit that survive (fraction)"
            yield _picture(f"{stem}_connections", text, table, degrees, "weights remaining", (0, 1))
        chosen = min(pruned, key=lambda round: abs(round - 8))  # at 16.9 %, as in the paper
        kinds = {MOVED: f"in the ticket at {density[chosen]}", OTHERS: "not in it"}
        moves = {names[n]: [Line(kinds[what], what, n, chosen) for what in kinds] for n in layers}
        yield _picture("moves", f"move away from 0 {SIGMAS}", table, moves, "weights of the dense network")


def _picture(stem: str, text: str, table: Sequence[Row], lines: dict[str, list[Line]], legend: str = "",
             possible: tuple[float, float] = (-np.inf, np.inf)) -> Picture:  # fmt: skip
    """A panel for each title, whose lines are means over trials with their range, as far as values are `possible`."""
    figure, axes_of = panels(len(lines))
    axes_of[0].set_ylabel("probability density")
    for axes, (title, group) in zip(axes_of, lines.items(), strict=True):
        ends = []
        for i, line in enumerate(group):
            rows = [row for row in table if (row["what"], row["layer"], row["round"]) == line[1:]]
            if rows:
                pen = Pen.nth(line.name, i)
                middles, values = _densities(rows)
                ends.append(_within(middles, values))
                shown = int(((ends[-1][0] <= middles) & (middles <= ends[-1][1])).sum())
                pen.draw(axes, middles, values, 0.15, (i, max(1, shown // 8)))
        least, most = min(low for low, _ in ends), max(high for _, high in ends)
        axes.set(title=title, xlabel=text, xlim=(max(least, possible[0]), min(most, possible[1])))
        axes.set_ylim(bottom=0)
    return Picture(stem, figure, legend)


def _densities(rows: Sequence[Row]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The middles of all bins from the first to the last (n,), and for each bin the densities of the trials (T,)."""
    width = rows[0]["high"] - rows[0]["low"]
    low, trials = np.array([row["low"] for row in rows]), sorted({row["trial"] for row in rows})
    numbers = np.round((low - low.min()) / width).astype(int) + 1  # and an empty bin on either side
    counts = np.zeros((len(trials), numbers.max() + 2))
    for row, number in zip(rows, numbers, strict=True):
        counts[trials.index(row["trial"]), number] = row["count"]
    middles = low.min() + (np.arange(counts.shape[1]) - 0.5) * width
    return middles, list((counts / counts.sum(axis=1, keepdims=True) / width).T)


def _within(middles: np.ndarray, values: Sequence[np.ndarray]) -> tuple[float, float]:
    """The two ends between which the fraction SHOWN lies."""
    below = np.cumsum([each.mean() for each in values])
    tail = (1 - SHOWN) / 2 * below[-1]
    first, last = np.searchsorted(below, [tail, below[-1] - tail])
    return float(middles[max(first - 1, 0)]), float(middles[min(last + 1, len(middles) - 1)])
