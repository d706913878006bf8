"""Figures of the two distances: against weights remaining, and against the step that is rewound to."""

from collections.abc import Iterator, Mapping

from npticket.experiments.amounts import percent
from npticket.experiments.outcome import Outcome
from npticket.experiments.tables import Row
from npticket.papers.stabilizing.distances import COPY, ORDER, PRUNING
from npticket.report import canvas
from npticket.report.canvas import Picture, Points
from npticket.report.figures import Plot
from npticket.report.quantities import first

ORDERS, DENSE = "distance of two data orders (L2)", "distance to the dense network (L2)"
PANELS = ((ORDERS, "distance"), (DENSE, "distance"), ("angle to the dense network (degrees)", "angle"))


class Distances(Plot):
    """Distance of two copies, and distance to the dense network, against weights remaining (after Figure 3)."""

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw both; nothing if the distance to the dense network was not measured."""
        if not outcome.measured.get(PRUNING):
            return
        figure, axes_of = canvas.panels(2)
        for axes, text in zip(axes_of, (ORDERS, DENSE), strict=True):
            for name in ORDER:
                density = {point.round: 100 * point.density for point in points.get(name, ())}
                by_round = canvas.values_by(_rows(outcome, name, text), "round", "distance")
                rounds = sorted(density.keys() & by_round.keys())
                values = [by_round[round] for round in rounds]
                canvas.pen(outcome, name).draw(axes, [density[round] for round in rounds], values, 0.15)
            axes.set_ylabel(text)
            axes.set_ylim(bottom=0)
            canvas.weights_remaining(axes, [[p for p in points.get(COPY, ()) if p.round in {*rounds}]])
        yield Picture("distances", figure)


def against_k(outcomes: Mapping[str, Outcome], stem: str) -> Iterator[Picture]:
    """Draw distances and the angle to the dense network against the rewind step, at the fewest weights measured."""
    begun = [outcome for outcome in outcomes.values() if outcome.measured.get(PRUNING)]
    there = sorted(begun, key=lambda outcome: outcome.recipe.rewind_step)
    shared = [{row["round"] for row in outcome.measured[PRUNING]} for outcome in there]
    if not shared or not (rounds := set.intersection(*shared)):
        return
    last = max(rounds)
    figure, axes_of = canvas.panels(len(PANELS))
    for axes, (text, column) in zip(axes_of, PANELS, strict=True):
        for name in ORDER:
            found = [canvas.values_by(_rows(outcome, name, text), "round", column).get(last) for outcome in there]
            known = {i: values for i, values in enumerate(found) if values is not None}
            canvas.pen(there[0], name).draw(axes, list(known), list(known.values()), 0.15)
        axes.set(xlabel="rewound to step", ylabel=text)
        axes.set_xticks(range(len(there)), [f"{outcome.recipe.rewind_step:,}" for outcome in there])
        axes.set_ylim(bottom=0)
    density = next(point.density for point in there[0].points(first(there[0])) if point.round == last)
    axes_of[0].set_title(f"{percent(density)} of the weights")
    yield Picture(stem, figure)


def _rows(outcome: Outcome, name: str, text: str) -> list[Row]:
    """The rows of a kind of subnetwork in the table with the distances that a text is about."""
    table = outcome.measured.get(ORDER[name] if text == ORDERS else PRUNING, ())
    return [row for row in table if row["round"] and (row["alpha"] == 0 if text == ORDERS else row["of"] == name)]
