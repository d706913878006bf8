"""Figures of pruning before training: sanity checks as in Frankle et al. 2021, and what is left of each layer."""

from collections.abc import Iterator

import numpy as np

from npticket.experiments.outcome import Outcome
from npticket.papers.lottery_ticket.series import TICKET
from npticket.papers.pruning_at_init.series import CHECKS, LAYERS, METHODS
from npticket.report.canvas import Pen, Picture, Points, dense_network, panels, pen, upright
from npticket.report.canvas import weights_remaining as weights_axis
from npticket.report.figures import Plot
from npticket.report.quantities import at_the_end, first


class SanityChecks(Plot):
    """A panel for each method: its masks as they are, shuffled, with new initial values, and from inverted scores.

    Values below the axis are written at its foot.
    """

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw the accuracy at the end of training of those methods that were checked."""
        checks = {of: [c for c in CHECKS if f"{of}_{c}" in points] for of in (TICKET, *METHODS) if of in points}
        checked = [of for of in checks if checks[of]]
        if not checked:
            return
        figure, axes_of = panels(len(checked), sharey=True)
        quantity = at_the_end(outcome.task.headline)
        for axes, of in zip(axes_of, checked, strict=True):
            Pen.nth("as it is", 0).line(axes, points[of], quantity)
            for i, check in enumerate(CHECKS, start=1):
                if check in checks[of]:
                    Pen.nth(CHECKS[check], i).line(axes, points[f"{of}_{check}"], quantity)
            level = dense_network(axes, points[first(outcome)][0], quantity)
            axes.set_title(pen(outcome, of).name, fontsize=10)
            weights_axis(axes, [points[one] for one in checked])
        upright(axes_of[0], quantity, level)
        low = axes_of[0].get_ylim()[0]
        for axes, of in zip(axes_of, checked, strict=True):
            for i, check in ((i, check) for i, check in enumerate(CHECKS, start=1) if check in checks[of]):
                for point in points[f"{of}_{check}"]:
                    if (mean := quantity.drawn(point).mean()) < low:
                        text = f"{CHECKS[check]}:\n{mean:.0f} %"
                        color = Pen.nth("", i).color
                        axes.annotate(text, (100 * point.density, low), (0, 16), textcoords="offset points",
                                      ha="center", fontsize=8, color=color,
                                      arrowprops={"arrowstyle": "->", "color": color})  # fmt: skip
        yield Picture("sanity_checks", figure)


class Layers(Plot):
    """A panel for each method: how many weights each layer has left. A line ends where its layer has none."""

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw what was measured of the masks; nothing if the recipe did not ask for that series."""
        table = outcome.measured.get(LAYERS, ())
        methods, layers = ([*dict.fromkeys(row[what] for row in table)] for what in ("method", "layer"))
        if not table:
            return
        figure, axes_of = panels(len(methods), sharey=True)
        for axes, method in zip(axes_of, methods, strict=True):
            for i, layer in enumerate(layers):
                left: dict[int, list[int]] = {}
                for row in table:
                    if (row["method"], row["layer"]) == (method, layer):
                        left.setdefault(row["weights"], []).append(row["left"])
                values = [np.where(np.min(n) == 0, np.nan, n) for n in left.values()]  # ends with the first trial's
                line = Pen.nth(layer, i)
                line.draw(axes, [*left], values, 0.15)
            axes.set(xscale="log", yscale="log", xlabel="weights of the network")
            axes.set_title(pen(outcome, method).name, fontsize=10)
            axes.invert_xaxis()
        axes_of[0].set_ylabel("weights of the layer")
        yield Picture("layers_at_init", figure, "layer")
