"""Figures of instability, in the form of the paper's: errors on the line, and instability against the rewind step."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from npticket.experiments.amounts import percent
from npticket.experiments.outcome import Outcome
from npticket.experiments.tables import Row
from npticket.papers.linear_mode.instability import KINDS, STABLE, TICKET, instability
from npticket.report import canvas
from npticket.report.canvas import Pen, Picture, Points
from npticket.report.figures import Plot
from npticket.report.quantities import first

DENSE = Pen("dense network", "#777777", "-.", "D")


class Paths(Plot):
    """The error at each point of the line between two copies: a panel for each density, the dense network's first."""

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw the test errors; nothing if none were measured."""
        density = {point.round: percent(point.density) for point in points[first(outcome)]}
        rounds = sorted({row["round"] for kind in KINDS for row in _table(outcome, kind)}.intersection(density))
        if not rounds:
            return
        figure, axes_of = canvas.panels(len(rounds), sharey=True)
        for axes, round in zip(axes_of, rounds, strict=True):
            for i, (kind, rows) in enumerate(_of_round(outcome, round).items()):
                values = canvas.values_by(rows, "alpha", "test_error", 100)
                _pen(outcome, kind, round).draw(axes, list(values), values.values(), 0.15, (2 * i, 6))
            axes.set(title=f"{density[round]} of the weights", xlabel="way from one copy to the other")
        axes_of[0].set_ylabel("test error (%)")
        axes_of[0].set_ylim(bottom=0)
        yield Picture("paths", figure)


def against_k(outcomes: Mapping[str, Outcome]) -> Iterator[Picture]:
    """Draw instability, and the error of the copies, against the rewind step: a panel for each density."""
    there = sorted(outcomes.values(), key=lambda outcome: outcome.recipe.rewind_step)
    rounds = sorted({row["round"] for outcome in there for row in _table(outcome, TICKET)} - {0})
    stem = there[0].recipe.name.rsplit("-", 1)[0]
    if rounds:
        yield Picture(f"{stem}-instability", _panels(there, rounds, instability, "instability (points of test error)"))
        yield Picture(f"{stem}-error", _panels(there, rounds, _at_its_ends, "test error of the two copies (%)"))


def _panels(
    outcomes: Sequence[Outcome], rounds: Sequence[int], number: Callable[[Sequence[Row]], float], text: str
) -> "canvas.Figure":
    """A panel for each round: the dense network and each kind of pruned network, against the rewind steps."""
    figure, axes_of = canvas.panels(len(rounds), sharey=True)
    ks = [outcome.recipe.rewind_step for outcome in outcomes]
    for axes, round in zip(axes_of, rounds, strict=True):
        lines: dict[Pen, dict[int, np.ndarray]] = {}
        for i, outcome in enumerate(outcomes):
            for at in (0, round):
                for kind, rows in _of_round(outcome, at).items():
                    of_trials = ([row for row in rows if row["trial"] == t] for t in {row["trial"] for row in rows})
                    lines.setdefault(_pen(outcome, kind, at), {})[i] = np.array([*map(number, of_trials)])
        for pen, values in lines.items():
            pen.draw(axes, list(values), list(values.values()), 0.15)
        if number is instability:
            axes.axhline(STABLE, color="0.55", linewidth=0.8, zorder=0, label=f"limit of stability, {STABLE:g} points")
        density = next(p.density for o in outcomes for p in o.points(first(o)) if p.round == round)
        axes.set(title=f"{percent(density)} of the weights", xlabel="rewound to step")
        axes.set_xticks(range(len(ks)), [f"{k:,}" for k in ks])
    axes_of[0].set_ylabel(text)
    axes_of[0].set_ylim(bottom=min(0, axes_of[0].get_ylim()[0]))
    return figure


def _table(outcome: Outcome, kind: str) -> Sequence[Row]:
    return outcome.measured.get(f"{kind}_path", ())


def _of_round(outcome: Outcome, round: int) -> dict[str, list[Row]]:
    """The rows of a round by kind of network; kinds without rows are left out."""
    found = {kind: [row for row in _table(outcome, kind) if row["round"] == round] for kind in KINDS}
    return {kind: rows for kind, rows in found.items() if rows}


def _pen(outcome: Outcome, kind: str, round: int) -> Pen:
    return canvas.pen(outcome, f"{kind}_order_1") if round else DENSE


def _at_its_ends(rows: Sequence[Row]) -> float:
    """The mean error of the two copies in percent."""
    return 100 * float(np.mean([row["test_error"] for row in rows if row["alpha"] in (0, 1)]))
