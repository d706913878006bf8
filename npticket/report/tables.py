"""An experiment as aligned text: a table for each series, or a line a round with two series side by side."""

from collections.abc import Iterable, Sequence

from npticket.experiments.progress import percent
from npticket.experiments.tables import Outcome, Point
from npticket.report.quantities import STOP, Quantity, after, at_early_stop, at_the_end, legend, said, trained


def tables(outcome: Outcome) -> str:
    """All series of an experiment, a table each: means over its runs with (minimum-maximum)."""
    measure = outcome.task.headline
    columns = (STOP, at_early_stop(measure), at_the_end(measure))
    fitted = trained(measure)
    header = f"{'round':>5}  {'weights':>8}{_headings(columns)}  {fitted.heading:>10}  {'runs':>4}"
    lines = [f"{outcome.title}; {outcome.note}"]
    for series in outcome.series:
        lines += ["", series, header]
        for point in outcome.points(series):
            cells = f"{_cells(columns, point)}  {fitted.mean(point):>{max(10, len(fitted.heading))}}"
            lines.append(f"{point.round:5}  {percent(point.density):>8}{cells}  {len(point.trial):4}")
    return "\n".join(lines)


def header(outcome: Outcome, series: Sequence[str]) -> str:
    """Two lines above those of `row`, with the columns that the recipe of the outcome asks for."""
    names = [legend(outcome, one) for one in series]
    if outcome.recipe.test_at:
        columns = "  " + "".join(f"{step:>9,}" for step in outcome.recipe.test_at)
        end = said("  test {short}{unit} after these steps", outcome.task.headline)
    else:
        columns, end = _headings((STOP, at_early_stop(outcome.task.headline))), ""
    above = "".join(f"  {name:^{len(columns) - 2}}" for name in names)
    return f"{'':5}  {'weights':>9}{above}\n{'round':>5}  {'remaining':>9}{columns * len(series)}{end}"


def row(outcome: Outcome, series: Sequence[str], round: int) -> str:
    """One round as an aligned line, for each of the series: early stop and what is measured there.

    If the recipe looks at the test set at certain steps, the means of what is measured after these.
    """
    points = {one: point for one in series for point in outcome.points(one) if point.round == round}
    quantities, cells = (STOP, at_early_stop(outcome.task.headline)), ""
    for one in series:
        if one not in points:  # not every series has the dense network
            cells += " " * len(_headings(quantities))
        elif outcome.recipe.test_at:
            tested = (after(step, outcome, one) for step in outcome.recipe.test_at)
            cells += "  " + "".join(f"{quantity.mean(points[one]):>9}" for quantity in tested)
        else:
            cells += _cells(quantities, points[one])
    return f"{round:5}  {percent(next(iter(points.values())).density):>9}{cells}".rstrip()


def _headings(quantities: Iterable[Quantity]) -> str:
    return "".join(f"  {quantity.heading:>{_width(quantity)}}" for quantity in quantities)


def _cells(quantities: Iterable[Quantity], point: Point) -> str:
    return "".join(f"  {quantity.spread(point):>{_width(quantity)}}" for quantity in quantities)


def _width(quantity: Quantity) -> int:
    return max(22 if quantity.steps else 21, len(quantity.heading))
