"""The figure of a size of network for each line, against the number of weights left (after Figure 31)."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from npticket.experiments.outcome import Outcome, Point
from npticket.papers.network_size.numbers import weights
from npticket.report.canvas import Pen, Picture, panels, upright
from npticket.report.quantities import QuantityOf, first

TICKS = [digit * 10**power for power in range(8) for digit in (1, 3)]


def by_number(
    outcomes: Mapping[str, Outcome], stem: str, legend: str, quantities: tuple[QuantityOf, ...]
) -> Iterator[Picture]:
    """Draw a panel for each quantity against the number of weights left, in the form of the paper's Figure 31.

    There is a line for each size of network that was pruned, as in the sweep's other figure, and a black one through
    the dense networks of all sizes.
    """
    tickets = {key: _counted(outcome) for key, outcome in outcomes.items()}
    dense = sorted((points[0] for points in tickets.values() if points), key=lambda point: -point.density)
    pens = Pen.of_values([key for key, points in tickets.items() if points])
    lines = [(Pen("dense networks", "#000000", "-"), dense)]
    lines += [(pens[key], points) for key, points in tickets.items() if len(points) > 1]
    left = [100 * point.density for _, points in lines for point in points]
    ticks = [tick for tick in TICKS if min(left) <= tick <= max(left)]
    figure, axes_of = panels(len(quantities))
    for axes, make in zip(axes_of, quantities, strict=True):
        quantity = make(next(iter(outcomes.values())).task.headline)
        for pen, points in lines:
            pen.line(axes, points, quantity, 0.15 if len(dense) < 4 else 0)  # as the sweep's note says
        upright(axes, quantity, min(quantity.drawn(point).mean() for point in dense))
        axes.set(xlabel="weights left", xscale="log", xlim=(1.1 * max(left), min(left) / 1.1))
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks], fontsize=8)
        axes.minorticks_off()
    yield Picture(stem, figure, legend)


def _counted(outcome: Outcome) -> list[Point]:
    """The points of the tickets, with densities changed so that 100 times these, which pens draw, count weights."""
    size = weights(outcome.recipe)
    return [replace(point, density=point.density * size / 100) for point in outcome.points(first(outcome))]
