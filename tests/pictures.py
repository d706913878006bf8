"""An outcome to draw, and what its figures say."""

from dataclasses import replace

from worlds import row

from npticket.experiments.outcome import Outcome
from npticket.experiments.recipe import Part, Recipe
from npticket.papers.lottery_ticket import PLOTS
from npticket.papers.lottery_ticket.series import SERIES
from npticket.report import figures
from npticket.task import CLASSIFY


def outcome(series=("winning_ticket", "random_reinit"), rounds=4, test_at=(), rate=0.2, steps=1_000, **changes):
    """Trial t of round r stops after 100 (r + t + 1) steps with 0.9 + r/1000 + t/100 right, controls with 0.1 less."""
    results, curves = [], []
    for i, name in enumerate(series):
        for r in range(min(i, 1), rounds):
            for t in (0, 1):
                run = {"trial": t, "series": name, "round": r}
                acc = 0.9 + r / 1000 + t / 100 - 0.1 * min(i, 1)
                found = row(**run, density=(1 - rate) ** r, acc=acc, stop=100 * (r + t + 1), steps=steps)
                results.append(found | {"final_test_acc": acc - 0.02})
                curves.extend(
                    run | {"step": step, "train_loss": 1.0, "val_loss": 1 / step, "val_acc": acc,
                           "test_acc": acc if step in test_at else ""}
                    for step in range(100, steps + 1, 100)
                )  # fmt: skip
    recipe = Recipe(
        "net-data", "a figure", Part("net"), Part("data"), Part("adam"), Part("magnitude"), 60, 1_000, max(1, rounds),
        tuple(series), test_at=tuple(test_at),
    )  # fmt: skip
    return replace(Outcome(recipe, {}, results, curves, "A net on data", "a note", CLASSIFY, SERIES), **changes)


def draw(outcome, folder):
    """Draw what the first paper draws."""
    return figures.draw(outcome, folder, PLOTS)


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


def legend(figure):
    (found,) = figure.legends
    return [text.get_text() for text in found.get_texts()]
