"""Whether an experiment found tickets that are as good as the dense network, in words."""

from npticket.experiments.progress import percent
from npticket.experiments.tables import Outcome, Point
from npticket.report.quantities import STOP, Quantity, at_early_stop, at_the_end
from npticket.report.words import first, legend
from npticket.task import Measure


def verdict(outcome: Outcome) -> str:
    """Say whether pruned networks of the first series match the dense one, which, and how the other series fare.

    By early stopping or, where the recipe looks at the test set at certain steps, by the end of training.
    """
    return by_the_end(outcome) if outcome.recipe.test_at else by_early_stop(outcome)


def by_early_stop(outcome: Outcome) -> str:
    """Say whether there is a winner, how small, how much faster, how much better than the other series.

    A ticket wins (Frankle & Carbin 2019, section 1) that stops early no later than the dense network and is at least as
    good there; here in the mean over the trials. A network whose validation loss was still falling when training ended
    has no known early-stopping iteration: it cannot win, and if it is the dense one, nothing can be said.
    """
    dense, *tickets = outcome.points(first(outcome))
    trials, name, measure = _trials(dense), legend(outcome, first(outcome)), outcome.task.headline
    if not tickets:
        return f"No verdict: only the dense network was trained ({trials})."
    if dense.cut_short:
        return (
            f"Too short for a verdict: after {dense.steps:,} steps the dense network's validation loss was still "
            f"falling, so there is nothing to compare with yet ({trials})."
        )
    good = at_early_stop(measure)
    winners = [
        point
        for point in tickets
        if not point.cut_short and _mean(STOP, point) <= _mean(STOP, dense) and _mean(good, point) >= _mean(good, dense)
    ]
    if not winners:
        return (
            f"No {name} here: of {len(tickets)} pruned networks none was, in the mean over {trials}, "
            "both as fast and as good as the dense one."
        )
    smallest, fastest = min(winners, key=lambda p: p.density), min(winners, key=lambda p: _mean(STOP, p))
    alone = (STOP.of(smallest) <= STOP.of(dense)) & (good.of(smallest) >= good.of(dense))
    lines = [
        f"There are {name}s (mean over {trials}), down to {percent(smallest.density)} of the weights: subnetworks that",
        f"stop early no later than the dense network, with at least its test {measure.words} there. At that smallest",
        f"size it is so in {alone.sum()} of {dense.trials} trials, each against its own dense network.",
        _fastest(fastest, dense),
        _best(max(winners, key=lambda p: _mean(good, p)), dense, measure),
    ]
    for ticket in {point.round: point for point in (fastest, smallest)}.values():
        lines += _controls(outcome, ticket)
    return "\n".join(lines)


def by_the_end(outcome: Outcome) -> str:
    """Say whether there is a winner by what is measured at the end of training, mean over the trials.

    So the first paper judges deep networks, for which early stopping says little (Frankle & Carbin 2019, section 4):
    a ticket wins that is at least as good as the dense network after the same number of steps.
    """
    dense, *tickets = outcome.points(first(outcome))
    trials, name, measure = _trials(dense), legend(outcome, first(outcome)), outcome.task.headline
    good = at_the_end(measure)
    known = (
        f"after {dense.steps:,} steps the dense network has a test {measure.words} of {_amount(good, dense, measure)}"
    )
    if not tickets:
        return f"No verdict: only the dense network was trained ({trials}); {known}."
    best = max(tickets, key=lambda p: _mean(good, p))
    winners = [point for point in tickets if _mean(good, point) >= _mean(good, dense)]
    if not winners:
        return (
            f"No {name} here (mean over {trials}): {known}, the best\nof {len(tickets)} pruned ones, at "
            f"{percent(best.density)} of the weights, {_amount(good, best, measure)}."
        )
    smallest = min(winners, key=lambda p: p.density)
    lines = [
        f"There are {name}s (mean over {trials}), down to {percent(smallest.density)} of the weights:",
        f"{known}.",
    ]
    for word, ticket in (("smallest", smallest), (f"best {measure.short}", best)):
        line = _line(word, ticket, _amount(good, ticket, measure))
        for series in outcome.series[1:]:
            same = [point for point in outcome.points(series) if point.round == ticket.round]
            line += "".join(f", {legend(outcome, series)} {_amount(good, point, measure)}" for point in same)
        lines.append(line)
    return "\n".join(lines)


def _fastest(ticket: Point, dense: Point) -> str:
    fast, slow = _mean(STOP, ticket), _mean(STOP, dense)
    said = f"early stop after {fast:,.0f} steps, the dense network after {slow:,.0f} ({fast / slow - 1:+.0%})"
    return _line("fastest", ticket, said)


def _best(ticket: Point, dense: Point, measure: Measure) -> str:
    good = at_early_stop(measure)
    ours, theirs = (_amount(good, point, measure) for point in (ticket, dense))
    said = f"{ours} on the test set, the dense network {theirs} ({_gained(ticket, dense, measure)})"
    return _line(f"best {measure.short}", ticket, said)


def _controls(outcome: Outcome, ticket: Point) -> list[str]:
    """A line for every other series: how it fares at the early stop in the ticket's round."""
    lines = []
    for series in outcome.series[1:]:
        for point in outcome.points(series):
            if point.round == ticket.round:
                times = _mean(STOP, point) / _mean(STOP, ticket)
                gained = _gained(point, ticket, outcome.task.headline)
                said = (
                    f"{'at least ' * point.cut_short}{times:.2f} times the ticket's steps, {gained} against the ticket"
                )
                lines.append(_line(legend(outcome, series), ticket, said + " so far" * point.cut_short))
    return lines


def _line(word: str, point: Point, said: str) -> str:
    return f"  {word:13}  {percent(point.density):>7}: {said}"


def _trials(point: Point) -> str:
    return f"{point.trials} trial{'s' if point.trials > 1 else ''}"


def _mean(quantity: Quantity, point: Point) -> float:
    return float(quantity.of(point).mean())


def _amount(quantity: Quantity, point: Point, measure: Measure) -> str:
    """The mean as the tables round it."""
    return f"{quantity.form.format(quantity.shown(point).mean())}{measure.unit}"


def _gained(point: Point, other: Point, measure: Measure) -> str:
    """How much more is measured at the early stop, as a difference: in percentage points, say."""
    good = at_early_stop(measure)
    difference = good.scale * (_mean(good, point) - _mean(good, other))
    unit = f"{'percentage ' if measure.unit == '%' else ''}{measure.difference}"
    return f"{good.form.replace(':', ':+').format(difference)} {unit}".rstrip()
