"""What densities and series are called wherever people read of them."""

from npticket.experiments.tables import Outcome


def first(outcome: Outcome) -> str:
    """Name the series whose round 0 is the dense network, and against which the others are held."""
    return outcome.line(outcome.recipe.series[0])


def legend(outcome: Outcome, series: str) -> str:
    """Say what a series is called in a figure: by its legend or, if it has none, by its name."""
    known = outcome.known.get(series)
    return (known.legend if known else "") or series.replace("_", " ")
