"""Tables and verdicts in words, from the rows of a store."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from npticket.tables import RANDOM_REINIT, WINNING_TICKET, Outcome, Point, accuracy_at, summarise

HEADER = (
    f"{'':5}  {'weights':>9}  {'winning ticket':^45}  {'random reinit':^45}\n"
    f"{'round':>5}  {'remaining':>9}" + f"  {'early stop at step':>22}  {'test acc. there (%)':>21}" * 2
)


def table_row(ticket: Point, reinit: Point) -> str:
    """One round as an aligned line: mean (min-max over trials) of both series."""
    return f"{ticket.round:5}  {percent(ticket.density):>9}" + "".join(
        f"  {_spread(point.early_stop_step, '{:,.0f}'):>22}  {_spread(100 * point.early_stop_test_acc, '{:.2f}'):>21}"
        for point in (ticket, reinit)
    )


def verdict(results: Sequence[Mapping[str, Any]]) -> str:
    """Say whether there is a winning ticket, how small, how much faster, how much better than random reinit.

    A winning ticket (Frankle & Carbin 2019, section 1) stops early no later than the dense network and is at least as
    accurate there; here in the mean over the trials. A network whose validation loss was still falling when the budget
    ended has no known early-stopping iteration: it cannot win, and if it is the dense one, nothing can be said.
    """
    dense, *tickets = summarise(results, WINNING_TICKET)
    reinits = {point.round: point for point in summarise(results, RANDOM_REINIT)}
    trials = f"{dense.trials} trial{'s' if dense.trials > 1 else ''}"
    if not tickets:
        return f"No verdict: only the dense network was trained ({trials})."
    if dense.cut_short:
        return (
            f"Too short for a verdict: after {dense.steps:,} steps the dense network's validation loss was still "
            f"falling, so there is nothing to compare with yet ({trials})."
        )
    winners = [
        point
        for point in tickets
        if not point.cut_short
        and point.early_stop_step.mean() <= dense.early_stop_step.mean()
        and point.early_stop_test_acc.mean() >= dense.early_stop_test_acc.mean()
    ]
    if not winners:
        return (
            f"No winning ticket here: of {len(tickets)} pruned networks none was, in the mean over {trials}, "
            "both as fast and as accurate as the dense one."
        )
    smallest = min(winners, key=lambda point: point.density)
    fastest = min(winners, key=lambda point: point.early_stop_step.mean())
    best = max(winners, key=lambda point: point.early_stop_test_acc.mean())
    fast, dense_fast = fastest.early_stop_step.mean(), dense.early_stop_step.mean()
    lines = [
        f"There are winning tickets (mean over {trials}), down to {percent(smallest.density)} of the weights: rewound "
        "subnetworks that",
        "stop early no later than the dense network and are at least as accurate there. At that smallest size it is so",
        f"in {_wins_alone(smallest, dense)} of {dense.trials} trials, each against its own dense network.",
        f"  fastest        {percent(fastest.density):>7}: early stop after {fast:,.0f} steps, the dense network after "
        f"{dense_fast:,.0f} ({fast / dense_fast - 1:+.0%})",
        f"  most accurate  {percent(best.density):>7}: {_accuracy(best.early_stop_test_acc)} of the test set, the "
        f"dense network {_accuracy(dense.early_stop_test_acc)} ({_points(best, dense)})",
    ]
    for ticket in {point.round: point for point in (fastest, smallest)}.values():
        reinit = reinits.get(ticket.round)
        if reinit is not None:
            lines.append(
                f"  random reinit  {percent(ticket.density):>7}: {'at least ' * reinit.cut_short}"
                f"{reinit.early_stop_step.mean() / ticket.early_stop_step.mean():.2f} times the ticket's steps, "
                f"{_points(reinit, ticket)} against the ticket{' so far' * reinit.cut_short}"
            )
    return "\n".join(lines)


def header_at(steps: Sequence[int]) -> str:
    """The header of `row_at`."""
    width = 9 * len(steps)
    columns = "".join(f"{step:>9,}" for step in steps)
    return (
        f"{'':5}  {'weights':>9}  {'winning ticket':^{width}}  {'random reinit':^{width}}\n"
        f"{'round':>5}  {'remaining':>9}  {columns}  {columns}  test acc. (%) after these steps"
    )


def row_at(ticket: Point, steps: Sequence[int], curves: Sequence[Mapping[str, Any]]) -> str:
    """One round as an aligned line: the mean test accuracy of both series after each of `steps`."""
    row = f"{ticket.round:5}  {percent(ticket.density):>9}"
    for series in (WINNING_TICKET, RANDOM_REINIT):
        row += "  " + "".join(f"{100 * accuracy_at(s, curves, series)[ticket.round].mean():9.2f}" for s in steps)
    return row


def verdict_at_the_end(results: Sequence[Mapping[str, Any]]) -> str:
    """Say whether there is a winning ticket by the test accuracy at the end of training, mean over the trials.

    So the paper judges Resnet-18 and VGG-19, for which early stopping says little (Frankle & Carbin 2019, section 4):
    a winning ticket is at least as accurate as the dense network after the same number of steps.
    """
    dense, *tickets = summarise(results, WINNING_TICKET)
    reinits = {point.round: point for point in summarise(results, RANDOM_REINIT)}
    trials = f"{dense.trials} trial{'s' if dense.trials > 1 else ''}"
    dense_acc = dense.final_test_acc.mean()
    known = f"after {dense.steps:,} steps the dense network has {_accuracy(dense.final_test_acc)} of the test set right"
    if not tickets:
        return f"No verdict: only the dense network was trained ({trials}); {known}."
    winners = [point for point in tickets if point.final_test_acc.mean() >= dense_acc]
    if not winners:
        nearest = max(tickets, key=lambda point: point.final_test_acc.mean())
        return (
            f"No winning ticket here (mean over {trials}): {known}, the best\nof {len(tickets)} pruned ones, at "
            f"{percent(nearest.density)} of the weights, {_accuracy(nearest.final_test_acc)}."
        )
    smallest = min(winners, key=lambda point: point.density)
    best = max(winners, key=lambda point: point.final_test_acc.mean())
    lines = [f"There are winning tickets (mean over {trials}), down to {percent(smallest.density)} of the weights:"]
    lines.append(f"{known}.")
    for word, ticket in (("smallest", smallest), ("most accurate", best)):
        line = f"  {word:13}  {percent(ticket.density):>7}: {_accuracy(ticket.final_test_acc)}"
        if ticket.round in reinits:
            line += f", reinitialised at random {_accuracy(reinits[ticket.round].final_test_acc)}"
        lines.append(line)
    return "\n".join(lines)


def tables(outcome: Outcome) -> str:
    """All series of an experiment, a table each: means over its runs with (minimum-maximum)."""
    header = (
        f"{'round':>5}  {'weights':>8}  {'early stop at step':>22}  {'test acc. there (%)':>21}  "
        f"{'test acc. at the end':>21}  {'train acc.':>10}  {'runs':>4}"
    )
    lines = [f"{outcome.title}; {outcome.note}"]
    for series in outcome.series:
        lines += ["", series, header]
        for point in summarise(outcome.results, series):
            lines.append(
                f"{point.round:5}  {percent(point.density):>8}  {_spread(point.early_stop_step, '{:,.0f}'):>22}  "
                f"{_spread(100 * point.early_stop_test_acc, '{:.2f}'):>21}  "
                f"{_spread(100 * point.final_test_acc, '{:.2f}'):>21}  {100 * point.final_train_acc.mean():10.2f}  "
                f"{len(point.trial):4}"
            )
    return "\n".join(lines)


def percent(density: float) -> str:
    """A density as the paper prints it: 100 %, 21.1 %, 0.26 %."""
    return f"{100 * density:.{1 if density >= 0.01 else 2}f} %"


def _wins_alone(ticket: Point, dense: Point) -> int:
    """In how many trials the ticket is as fast and as accurate as the dense network with the same theta0."""
    as_fast = ticket.early_stop_step <= dense.early_stop_step
    return int((as_fast & (ticket.early_stop_test_acc >= dense.early_stop_test_acc)).sum())


def _points(point: Point, other: Point) -> str:
    difference = 100 * (point.early_stop_test_acc.mean() - other.early_stop_test_acc.mean())
    return f"{difference:+.2f} percentage points"


def _accuracy(values: np.ndarray) -> str:
    """The mean as the tables round it."""
    return f"{(100 * values).mean():.2f}%"


def _spread(values: np.ndarray, form: str) -> str:
    mean, low, high = (form.format(value) for value in (values.mean(), values.min(), values.max()))
    return f"{mean} ({low}-{high})"
