"""Figures of supermasks: their accuracy without training against weights remaining, and how masks are learned."""

from collections.abc import Iterator, Mapping, Sequence

from npticket.experiments.outcome import Outcome
from npticket.experiments.tables import Row
from npticket.papers.deconstructing.criteria import LOOKS
from npticket.papers.deconstructing.supermasks import CONSTANT, INITIAL, LEARNING
from npticket.report.canvas import Pen, Picture, Points, panels, pen, values_by
from npticket.report.figures import Plot

TITLES = {INITIAL: "initial weights", CONSTANT: "constants of their signs"}
TICKS = (100, 50, 20, 10, 5, 2, 1, 0.5)


class Supermasks(Plot):
    """The accuracy of untrained networks: a panel for each kind of weights, with a line for each criterion."""

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw what was measured."""
        if rows := outcome.measured.get("supermasks", ()):
            yield _picture(rows)


class Learning(Plot):
    """The validation accuracy of learned supermasks against training steps; for it, a mask is its probabilities."""

    def curves(self, outcome: Outcome, points: Points) -> Mapping[tuple[str, int], int]:
        """Return the whole curves of the series that learn masks."""
        return {(series, 0): outcome.recipe.steps for series in LEARNING if series in points}

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw the series that there are."""
        if not outcome.curves or not (drawn := self.curves(outcome, points)):
            return
        figure, (axes,) = panels(1)
        for i, (series, round) in enumerate(drawn):
            steps, values = outcome.curve(series, round, "val_acc")
            every = max(1, len(steps) // 8)
            pen(outcome, series).draw(axes, steps / 1000, list(100 * values.T), 0.15, (i * every // 2, every))
        axes.set(xlabel="training steps (thousands)", ylabel="validation accuracy (%)")
        yield Picture("learned_supermasks", figure)


def _picture(rows: Sequence[Row]) -> Picture:
    figure, axes_of = panels(len(TITLES), sharey=True)
    axes_of[0].set_ylabel("test accuracy without training (%)")
    criteria = list(dict.fromkeys(row["criterion"] for row in rows))
    for axes, (weights, title) in zip(axes_of, TITLES.items(), strict=True):
        for criterion in criteria:
            line = Pen(criterion.replace("_", " "), **LOOKS[criterion])
            found = [row for row in rows if (row["criterion"], row["weights"]) == (criterion, weights)]
            at = [density.mean() for density in values_by(found, "index", "density", 100).values()]
            line.draw(axes, at, values_by(found, "index", "accuracy", 100).values(), 0.07)
        axes.set(title=title, xlabel="weights remaining (%)", xscale="log")
        least = axes.get_xlim()[0]
        ticks = [tick for tick in TICKS if least <= tick]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlim(105, least)
    return Picture("supermasks", figure)
