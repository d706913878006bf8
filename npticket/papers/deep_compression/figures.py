"""Size against error for the stages of the compression (as Figure 6), and error against bits (Figures 7 and 8)."""

from collections.abc import Iterator, Sequence

from npticket.experiments.outcome import Outcome
from npticket.experiments.tables import Row
from npticket.papers.deep_compression.measures import ALL, CODED, DENSE, PRUNED, QUANTISED
from npticket.papers.deep_compression.series import ABLATION, COMPRESSED, TICKET_FILE
from npticket.papers.lottery_ticket.series import TICKET
from npticket.report.canvas import Pen, Picture, Points, panels, values_by
from npticket.report.figures import Plot
from npticket.report.quantities import at_the_end

KILO = 1e-3  # 1,000 bytes, as the paper's
KILOBYTES = (10, 20, 50, 100, 200, 500)
ERRORS = (1, 1.5, 2, 3, 5, 10, 20, 50, 100)  # percent
STAGES = {PRUNED: "pruned", QUANTISED: "and values shared", CODED: "and Huffman codes"}
STARTS = {(0, "linear"): "dense network", (1, "linear"): "pruned, linear start",
          (1, "density"): "pruned, density-based start", (1, "random"): "pruned, random start"}  # fmt: skip


class Stages(Plot):
    """Sizes and errors of compressed networks, and of tickets' files, with the error of the trained tickets."""

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw a figure for each series of measures that was asked for."""
        if COMPRESSED in outcome.measured:
            yield self._sizes(outcome, points)
        if ABLATION in outcome.measured:
            yield self._bits(outcome.measured[ABLATION])

    def _sizes(self, outcome: Outcome, points: Points) -> Picture:
        figure, (axes,) = panels(1)
        rows = [row for row in outcome.measured[COMPRESSED] if row["layer"] == ALL]
        for i, (stage, name) in enumerate(STAGES.items()):
            of_stage = [row for row in rows if row["stage"] == stage]
            sizes = [kilobytes.mean() for kilobytes in values_by(of_stage, "round", "bytes", KILO).values()]
            Pen.nth(name, i).draw(axes, sizes, values_by(of_stage, "round", "error", 100).values(), 0.15)
        files, end = outcome.measured.get(TICKET_FILE, ()), at_the_end(outcome.task.headline)
        of_round = values_by(files, "round", "bytes", KILO)
        tickets = [point for point in points.get(TICKET, ()) if point.round and point.round in of_round]
        sizes = [of_round[point.round].mean() for point in tickets]
        Pen.nth("ticket as seed and mask", 3).draw(axes, sizes, [100 - end.drawn(point) for point in tickets], 0.15)
        dense = values_by(rows, "stage", "error", 100)[DENSE].mean()
        axes.axhline(dense, color="0.55", linewidth=0.8, zorder=0, label="dense network")
        axes.set(xscale="log", xlabel="size of the weights (KB)", ylabel="test error at the end (%)")
        axes.set_xticks(KILOBYTES, [f"{each:,}" for each in KILOBYTES])
        axes.minorticks_off()
        axes.invert_xaxis()
        return Picture("sizes", figure)

    def _bits(self, rows: Sequence[Row]) -> Picture:
        figure, axes_of = panels(2, sharey=True)
        for axes, column, title in zip(axes_of, ("before", "error"), ("clustered", "and trained"), strict=True):
            for i, ((pruned, start), name) in enumerate(STARTS.items()):
                mine = [row for row in rows if (row["round"] > 0, row["start"]) == (bool(pruned), start)]
                errors = values_by(mine, "bits", column, 100)
                if mine:
                    at = [bits + 0.08 * (i - 1.5) for bits in errors]  # a little apart
                    Pen.nth(name, i).draw(axes, at, errors.values(), 0.15)
            axes.set(yscale="log", xlabel="bits of a value", title=title)
            axes.set_yticks(ERRORS, [f"{each:g}" for each in ERRORS])
            axes.minorticks_off()
        axes_of[0].set_ylabel("test error (%)")
        return Picture("bits", figure)
