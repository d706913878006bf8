"""How well a task's ticket serves the other tasks, beside a random mask: of one task, and of all against all."""

from collections.abc import Iterator, Mapping

import numpy as np

from npticket.experiments.outcome import Outcome
from npticket.papers.bert_tickets.claims import NAMES
from npticket.papers.bert_tickets.other_tasks import ROUND, TRANSFER
from npticket.papers.lottery_ticket.series import TICKET
from npticket.report.canvas import COLORS, MARKERS, Pen, Picture, Points, panels, values_by
from npticket.report.figures import Plot
from npticket.report.quantities import at_the_end


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
            at = np.arange(len(tasks)) + 0.1 * i - 0.05
            Pen(name, COLORS[2 - 2 * i], "none", MARKERS[i]).bars(axes, at, tasks.values())
        axes.set_ylabel("test accuracy at the end (%)")
        axes.set_xticks(range(len(tasks)), [f"trained for {NAMES[task]}" for task in tasks])
        axes.set_xlim(-0.5, len(tasks) - 0.5)
        yield Picture("transfer", figure, marks="point: mean, bar: min-max")


def matrix(outcomes: Mapping[str, Outcome]) -> Iterator[Picture]:
    """Draw how much accuracy each task loses under each task's mask of half of the weights, and under random masks.

    `outcomes` are by the tasks' names, with two at least. What was not measured stays empty.
    """
    names = {outcome.recipe.data.name: name for name, outcome in outcomes.items()}
    cells = losses({outcome.recipe.data.name: outcome for outcome in outcomes.values()})
    if not cells:
        return
    masks = {**{task: f"mask of {name}" for task, name in names.items()}, "random": "random mask"}
    grid = np.array([[cells[of, task].mean() if (of, task) in cells else np.nan for task in names] for of in masks])
    most = np.nanmax(abs(grid))
    figure, (axes,) = panels(1)
    axes.imshow(grid, cmap="RdBu", vmin=-2 * most, vmax=2 * most, aspect="auto")  # pale, under black figures
    for i, of in enumerate(masks):
        for j, task in enumerate(names):
            if (of, task) in cells:
                values = cells[of, task]
                text = f"{values.mean():+.1f}\n({values.min():+.1f} to {values.max():+.1f})"
                axes.text(j, i, text, ha="center", va="center", fontsize=9)
    axes.set_title("half of the weights against the whole encoder:\ntest accuracy at the end (points)", fontsize=10)
    axes.set_xticks(range(len(names)), [f"trained for {name}" for name in names.values()])
    axes.set_yticks(range(len(masks)), [*masks.values()])
    axes.tick_params(length=0)
    yield Picture("bert_matrix", figure, marks="means, least and most in brackets")


def losses(tasks: Mapping[str, Outcome]) -> dict[tuple[str, str], np.ndarray]:
    """Return points of accuracy (n,) against the mean of the whole encoder, by (whose mask, trained for what).

    Those under random masks, which every other task has drawn, are ("random", task).
    """
    cells = dict[tuple[str, str], np.ndarray]()
    for task, outcome in tasks.items():
        points = {point.round: at_the_end(outcome.task.headline).drawn(point) for point in outcome.points(TICKET)}
        if 0 not in points:
            continue
        whole = points[0].mean()
        if ROUND in points:
            cells[task, task] = points[ROUND] - whole
        for of, other in tasks.items():
            rows = [row for row in other.measured.get(TRANSFER, ()) if row["task"] == task]
            for masks, values in values_by(rows, "masks", "acc", 100).items():
                key = of if masks == "ticket" else "random"
                cells[key, task] = np.append(cells.get((key, task), []), values - whole)
    return cells
