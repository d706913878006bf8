"""An experiment as text: a table for each series, lines with all series of a round, and a verdict in words."""

import shutil
from collections.abc import Iterable, Sequence

from npticket.experiments.amounts import counted, percent
from npticket.experiments.outcome import Outcome, Point
from npticket.report.quantities import STOP, Quantity, after, at_early_stop, at_the_end, first, legend, trained, worded

NARROW = 100  # characters that a table takes at most, unless the terminal is wider


def width() -> int:
    """Return how many characters wide a table may be."""
    return max(NARROW, shutil.get_terminal_size((NARROW, 24)).columns)


def tables(outcome: Outcome) -> str:
    """Return a table for each series of an experiment: means over its runs with (minimum-maximum)."""
    measure = outcome.task.headline
    columns, fitted = (STOP, at_early_stop(measure), at_the_end(measure)), trained(measure)
    head = ("round", "weights", *(quantity.heading for quantity in columns), fitted.heading, "runs")
    points = {series: outcome.points(series) for series in outcome.series}
    rows = {
        series: [
            (f"{point.round}", percent(point.density), *(quantity.range_text(point) for quantity in columns),
             fitted.mean_text(point), f"{len(point.trial)}")
            for point in of
        ]
        for series, of in points.items()
    }  # fmt: skip
    widths = [max(map(len, column)) for column in zip(head, *(row for of in rows.values() for row in of), strict=True)]
    between = "  " if sum(widths) + 2 * len(widths) - 2 <= width() else " "
    lines = [f"{outcome.recipe.name}: {outcome.title}; {outcome.note}"]
    for series, of in rows.items():
        lines += ["", series]
        for cells in (head, *of):
            lines.append(between.join(f"{cell:>{wide}}" for cell, wide in zip(cells, widths, strict=True)))
    return "\n".join(lines)


def header(outcome: Outcome, series: Sequence[str]) -> str:
    """Return the header above the lines of `row`."""
    widths, _ = _widths(outcome, len(series))
    heads = _joined((head for head, _ in _columns(outcome)), widths)
    names = "".join(f"  {legend(outcome, one):^{len(heads) - 2}}" for one in series).rstrip()
    above = worded("test {short}{unit} after these steps\n", outcome.task.headline) if outcome.recipe.test_at else ""
    return f"{above}{'':14}{names}\n{'round':>5}  {'weights':>7}{heads * len(series)}"


def row(outcome: Outcome, series: Sequence[str], round: int) -> str:
    """Return one round as an aligned line: for each series the early stop and the test measure, or those at test_at."""
    points = {one: point for one in series for point in outcome.points(one) if point.round == round}
    widths, has_room = _widths(outcome, len(series))
    line = f"{round:5}  {percent(next(iter(points.values())).density):>7}"
    for one in series:
        if one in points:
            shown = (q.range_text(points[one]) if has_room else q.mean_text(points[one]) for _, q in _columns(outcome))
            line += _joined(shown, widths)
        else:  # not every series has the dense network
            line += _joined(("" for _ in widths), widths)
    return line.rstrip()


def _columns(outcome: Outcome) -> list[tuple[str, Quantity]]:
    """The quantities that are shown of each series in a line, with the heads of their columns."""
    tested = [(f"{step:,}", after(step, outcome)) for step in outcome.recipe.test_at]
    return tested or [(quantity.heading, quantity) for quantity in (STOP, at_early_stop(outcome.task.headline))]


def _widths(outcome: Outcome, count: int) -> tuple[list[int], bool]:
    """The widths of the columns of each of `count` series, and whether there is room for ranges."""
    columns = _columns(outcome)
    means = [max(8, len(head)) for head, _ in columns]
    if outcome.recipe.test_at:
        return means, False
    values = [q.form.format(outcome.recipe.steps if q.steps else 0.99 * q.scale) for _, q in columns]
    spreads = [max(mean, 3 * len(value) + len("≥ (-)")) for mean, value in zip(means, values, strict=True)]
    has_room = 14 + count * len(_joined(("" for _ in spreads), spreads)) <= width()
    return (spreads if has_room else means), has_room


def _joined(cells: Iterable[str], widths: Sequence[int]) -> str:
    return "  " + " ".join(f"{cell:>{wide}}" for cell, wide in zip(cells, widths, strict=True))


def verdict(outcome: Outcome) -> str:
    """Return sentences that say whether and which pruned networks of the first series match the dense one.

    And what the other series have beside these. Of an unfinished experiment only those rounds are judged that are there
    in all trials of the dense network.
    """
    if not (points := outcome.points(first(outcome))):
        return "No verdict: the dense network is not trained yet."
    dense, *pruned = points
    trials, tickets = counted(dense.trials, "trial"), [point for point in pruned if _in_all_trials(point, dense)]
    if not tickets:
        lacking = "no pruned network is there in all of them yet" if pruned else "only the dense network was trained"
        return f"No verdict: {lacking} ({trials})."
    points = [point for series in outcome.series for point in outcome.points(series)]
    if outcome.recipe.test_at and not at_the_end(outcome.task.headline).is_known(points):
        return f"No verdict: it is about the end of training, before which runs ran out of patience ({trials})."
    # Of deep networks, which have test_at, early stopping says little (Frankle & Carbin 2019, section 4).
    return (_by_the_end if outcome.recipe.test_at else _by_early_stop)(outcome, dense, tickets, trials)


def _by_early_stop(outcome: Outcome, dense: Point, tickets: list[Point], trials: str) -> str:
    """A ticket wins if it stops early no later than the dense network and is at least as good there (section 1).

    Both in the mean over the trials. If a run stops early in the last tenth of its training, that may have been too
    short, and the early stop is not known: such a network cannot win, and if it is the dense one, there is no verdict.
    """
    name, measure, good = legend(outcome, first(outcome)), outcome.task.headline, at_early_stop(outcome.task.headline)
    if dense.cut_short.any():
        return (f"Too short for a verdict: the dense network's validation loss was lowest in the last tenth of its "
                f"{dense.steps:,} steps, so there is nothing to compare with yet ({trials}).")  # fmt: skip
    as_fast = [p for p in tickets if not p.cut_short.any() and _mean(STOP, p) <= _mean(STOP, dense)]
    winners = [p for p in as_fast if good.as_good(_mean(good, p), _mean(good, dense))]
    if not winners:
        return (f"No {name} here: of {counted(len(tickets), 'pruned network')} none was, in the mean over {trials}, "
                "both as fast and as good as the dense one.")  # fmt: skip
    smallest, best = min(winners, key=lambda p: p.density), good.best(winners)
    fastest = min(winners, key=lambda p: _mean(STOP, p))
    stops, goods = ([p.per_trial(q.of(p)) for p in (smallest, dense)] for q in (STOP, good))
    alone = (stops[0] <= stops[1]) & good.as_good(*goods)
    fast, slow = _mean(STOP, fastest), _mean(STOP, dense)
    said = f"early stop after {fast:,.0f} steps, the dense network after {slow:,.0f} ({100 * (fast / slow - 1):+.0f} %)"
    most = "most" if good.lower_is_better else "least"
    amounts = f"{_amount(good, best)} on the test set, the dense network {_amount(good, dense)}"
    lines = [
        f"There are {name}s (mean over {trials}), down to {percent(smallest.density)} of the weights: subnetworks that",
        f"stop early no later than the dense network, with at {most} its test {measure.words} there. At that smallest",
        f"size it is so in {alone.sum()} of {dense.trials} trials, each against its own dense network.",
        _line("fastest", fastest, said),
        _line(f"best {measure.short}", best, f"{amounts} ({good.gain_text(best, dense)})"),
    ]
    for ticket in {point.round: point for point in (fastest, smallest)}.values():
        for control, point in _beside(outcome, ticket, dense):
            bound = bool(point.cut_short.any())
            times = f"{'at least ' * bound}{_mean(STOP, point) / _mean(STOP, ticket):.2f} times"
            said = f"{times} the ticket's steps, {good.gain_text(point, ticket)} against the ticket"
            lines.append(_line(control, ticket, said + " so far" * bound))
    return "\n".join(lines)


def _by_the_end(outcome: Outcome, dense: Point, tickets: list[Point], trials: str) -> str:
    """A ticket wins if it is at least as good as the dense network after the same number of steps."""
    name, measure, good = legend(outcome, first(outcome)), outcome.task.headline, at_the_end(outcome.task.headline)
    known = f"after {dense.steps:,} steps the dense network has a test {measure.words} of {_amount(good, dense)}"
    winners = [point for point in tickets if good.as_good(_mean(good, point), _mean(good, dense))]
    best = good.best(tickets)
    if not winners:
        return (f"No {name} here (mean over {trials}): {known}, the best\nof {len(tickets)} pruned ones, at "
                f"{percent(best.density)} of the weights, {_amount(good, best)}.")  # fmt: skip
    smallest = min(winners, key=lambda p: p.density)
    lines = [f"There are {name}s (mean over {trials}), down to {percent(smallest.density)} of the weights:\n{known}."]
    for word, ticket in (("smallest", smallest), (f"best {measure.short}", best)):
        beside = [f"{control} {_amount(good, point)}" for control, point in _beside(outcome, ticket, dense)]
        lines.append(_line(word, ticket, ", ".join([_amount(good, ticket), *beside])))
    return "\n".join(lines)


def _in_all_trials(point: Point, dense: Point) -> bool:
    """Whether all trials of the dense network have got this far: means over other trials are not compared."""
    return set(point.trial.tolist()) == set(dense.trial.tolist())


def _beside(outcome: Outcome, ticket: Point, dense: Point) -> list[tuple[str, Point]]:
    """The names of the other series, with their points in the ticket's round, if it is there in all trials."""
    others = (point for series in outcome.series if series != first(outcome) for point in outcome.points(series))
    there = (point for point in others if point.round == ticket.round and _in_all_trials(point, dense))
    return [(legend(outcome, point.series), point) for point in there]


def _line(word: str, point: Point, said: str) -> str:
    return f"  {word:13}  {percent(point.density):>7}: {said}"


def _amount(quantity: Quantity, point: Point) -> str:
    return f"{quantity.mean_text(point)} {quantity.unit}".rstrip()


def _mean(quantity: Quantity, point: Point) -> float:
    return round(float(quantity.of(point).mean()), 9)  # the order of a sum must not decide who wins
