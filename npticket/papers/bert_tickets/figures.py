"""How well a task's ticket serves the other tasks, beside a random mask."""

from collections.abc import Iterator

import numpy as np

from npticket.experiments.outcome import Outcome
from npticket.papers.bert_tickets.claims import NAMES
from npticket.papers.bert_tickets.other_tasks import TRANSFER
from npticket.report.canvas import COLORS, MARKERS, Picture, Points, panels, values_by
from npticket.report.figures import Plot


class Carried(Plot):
    """The accuracy in each other task: mean and range over trials."""

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw it if the transfer was measured."""
        rows = outcome.measured.get(TRANSFER, ())
        if not rows:
            return
        figure, (axes,) = panels(1)
        legend = {"ticket": f"ticket of {NAMES[outcome.recipe.data.name]}", "random": "random mask"}
        for i, (masks, name) in enumerate(legend.items()):
            tasks = values_by((row for row in rows if row["masks"] == masks), "task", "acc", 100)
            values = np.array([*tasks.values()])  # (tasks, n)
            mean = values.mean(axis=1)
            ends = [mean - values.min(axis=1), values.max(axis=1) - mean]
            axes.errorbar(np.arange(len(tasks)) + 0.1 * i - 0.05, mean, ends, color=COLORS[2 - 2 * i], label=name,
                          marker=MARKERS[i], linestyle="none", capsize=3)  # fmt: skip
        axes.set_ylabel("test accuracy at the end (%)")
        axes.set_xticks(range(len(tasks)), [f"trained for {NAMES[task]}" for task in tasks])
        axes.set_xlim(-0.5, len(tasks) - 0.5)
        yield Picture("transfer", figure, marks="point: mean, bar: min-max")
