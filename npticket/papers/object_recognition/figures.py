"""Figures: average precision by size of objects against weights remaining; how early masks are nearly final."""

from collections.abc import Iterator
from dataclasses import replace

from npticket.experiments.amounts import percent
from npticket.experiments.outcome import Outcome
from npticket.papers.lottery_ticket.series import TICKET, look
from npticket.papers.object_recognition.series import CARRIED, LARGE, OVERLAP, PRECISION, SMALL
from npticket.report import canvas
from npticket.report.canvas import Pen, Picture, Points
from npticket.report.figures import Plot

PENS = {
    "small": Pen(f"small objects, up to {SMALL} x {SMALL} pixels", **look("#d55e00", ":", "v")),
    "medium": Pen("medium objects", **look("#009e73", "--", "s")),
    "large": Pen(f"large objects, from {LARGE} x {LARGE} pixels", **look("#0072b2", "-", "o")),
    "all": Pen("all objects", **look("#000000", "-.", "D")),
}
SHADES = ("#08306b", "#2171b5", "#6baed6", "#9ecae1", "#c6dbef")  # the darker, the fewer weights

FOUND = {
    "all": Pen("whole backbone", **look("#000000", "-.", "D")),
    "direct": Pen("mask found on blood cells", **look("#009e73", "--", "s")),
    "ticket": Pen("mask found on Tiny ImageNet", **look("#0072b2", "-", "o")),
    "random": Pen("random mask", **look("#000000", ":", "x")),
}


class SizesAndMasks(Plot):
    """Two figures: average precision of tickets by size (after the paper's section 4.4), and overlap of masks (4.3)."""

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw each of the two that was measured."""
        density = {point.round: point.density for point in points.get(TICKET, ())}
        tables = (outcome.measured.get(name, ()) for name in (PRECISION, OVERLAP))
        precision, overlaps = ([row for row in table if row["round"] in density] for table in tables)
        if precision:
            figure, (axes,) = canvas.panels(1)
            for of, pen in PENS.items():
                mine = [row for row in precision if row["of"] == of]
                values = canvas.values_by(mine, "round", "ap", 100)
                if mine:
                    pen.draw(axes, [100 * density[round] for round in values], values.values(), 0.15)
            axes.set_ylabel("average precision at the end (%)")
            axes.set_ylim(bottom=0)
            canvas.weights_remaining(axes, [points[TICKET]])
            yield Picture("sizes", figure)
        if overlaps:
            figure, (axes,) = canvas.panels(1)
            rounds = sorted({row["round"] for row in overlaps}, reverse=True)
            for i, round in enumerate(rounds):
                values = canvas.values_by((row for row in overlaps if row["round"] == round), "percent", "iou")
                line = Pen.nth(f"{percent(density[round])} of the weights", i)
                replace(line, color=SHADES[min(i, len(SHADES) - 1)]).draw(axes, list(values), values.values(), 0.15)
            axes.set(xlabel="training (%)", ylabel="overlap with the last mask", ylim=(0, 1.02))
            yield Picture("masks", figure)


class Carried(Plot):
    """Average precision of a pre-trained backbone under masks found in two places (after the paper's Tables 1, 2)."""

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw it if it was measured."""
        density = {point.round: point.density for point in points.get(TICKET, ())}
        rows = [row for row in outcome.measured.get(CARRIED, ()) if row["round"] in density]
        if not rows:
            return
        figure, (axes,) = canvas.panels(1)
        rounds = sorted({row["round"] for row in rows})
        for i, (masks, pen) in enumerate(FOUND.items()):
            values = canvas.values_by((row for row in rows if row["masks"] == masks), "round", "ap", 100)
            at = [
                100 * density[round] * 1.015 ** (i - 1.5) for round in values
            ]  # a little apart, for lines not to hide
            pen.draw(axes, at, values.values(), 0.15)
        axes.set_ylabel("average precision on blood cells (%)")
        canvas.weights_remaining(axes, [[point for point in points[TICKET] if point.round in rounds]])
        yield Picture("to_detection", figure)
