"""How well a task's ticket serves the other tasks, beside a random mask."""

from collections.abc import Iterator

import numpy as np

from npticket.experiments.tables import Outcome
from npticket.papers.bert_tickets.claims import NAMES
from npticket.papers.bert_tickets.other_tasks import TRANSFER
from npticket.report.canvas import COLORS, MARKERS, Picture, Points, panels
from npticket.report.figures import Plot


class Carried(Plot):
    """The accuracy in each other task: mean and range over trials."""

    def pictures(self, outcome: Outcome, points: Points) -> Iterator[Picture]:
        """Draw it if it was measured."""
        rows = outcome.measured.get(TRANSFER, ())
        if not rows:
            return
        figure, (axes,) = panels(1)
        tasks = list(dict.fromkeys(row["task"] for row in rows))
        legend = {"ticket": f"ticket of {NAMES[outcome.recipe.data.name]}", "random": "random mask"}
        for i, (masks, name) in enumerate(legend.items()):
            values = [
                np.array([100 * row["acc"] for row in rows if (row["task"], row["masks"]) == (task, masks)])
                for task in tasks
            ]
            mean = np.array([v.mean() for v in values])
            ends = [mean - [v.min() for v in values], [v.max() for v in values] - mean]
            axes.errorbar(np.arange(len(tasks)) + 0.1 * i - 0.05, mean, ends, color=COLORS[2 - 2 * i], label=name,
                          marker=MARKERS[i], linestyle="none", capsize=3)  # fmt: skip
        axes.set_ylabel("test accuracy at the end (%)")
        axes.set_xticks(range(len(tasks)), [f"trained for {NAMES[task]}" for task in tasks])
        axes.set_xlim(-0.5, len(tasks) - 0.5)
        yield Picture("transfer", figure)
