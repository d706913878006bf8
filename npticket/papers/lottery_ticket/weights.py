"""What winning tickets look like (appendix F): initial values, moves and degrees of their weights, as histograms."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At, Done, Measure, Runs
from npticket.experiments.tables import Row
from npticket.papers.lottery_ticket.series import TICKET
from npticket.protocols import UnsuitedError
from npticket.reading import Json
from npticket.report.views import Missing

WEIGHTS = "weights"
ROUNDS = (0, 4, 8, 12)  # 100, 41.1, 16.9 and 7.0 % of LeNet's weights
INITIAL, MOVED, OTHERS = "initial value", "move", "move of others"  # in standard deviations of the layer's theta0
WIDTH = 0.25  # of the bins of these, in the same unit
INCOMING, OUTGOING = "incoming", "outgoing"  # the fraction of a unit's connections that survive
BINS = 50  # bins of these, about; each stands for the same whole number of connections


def weights(recipe: Recipe) -> Runs:
    """Measure the tickets of some rounds, and how far the dense network's weights move in training."""
    dense = yield Done(TICKET, 0)
    for round in ROUNDS:
        if round < recipe.rounds:
            left = yield Done(TICKET, round)
            yield Measure(round, histograms, {"masks": left["masks"], "end": dense["end"]})


def histograms(at: At) -> list[Row]:
    """Return a row for each bin of each layer that is pruned, with `what` it is of, its ends, count and mean.

    INITIAL: the survivors' initial values. MOVED: how far the survivors move while the dense network is trained,
    positive if away from 0; OTHERS: how far the other weights move. INCOMING: the fraction of the incoming connections
    of each unit that survive; OUTGOING: that of the outgoing ones of each unit below. Empty bins have no row.
    """
    rows: list[Row] = []
    for name in at.prunable:
        mask, initial = at.masks[name][0], at.theta0[name][0].astype(float)
        if not initial.std():
            raise UnsuitedError(f"all initial values of {name} are the same, of which there is no histogram")
        moved = (at.end[name][0] - initial) * np.sign(initial)
        found = {INITIAL: initial[mask], MOVED: moved[mask], OTHERS: moved[~mask]}
        bins = {what: _bins(values / initial.std(), WIDTH) for what, values in found.items()}
        for what, axis in ((INCOMING, -1), (OUTGOING, -2)):
            units = np.moveaxis(mask, axis, 0).reshape(mask.shape[axis], -1)  # (units, connections)
            connections = units.shape[1]
            width = -(-connections // BINS) / connections
            bins[what] = _bins(units.mean(axis=1), width, -0.5 / connections)  # ends lie between whole numbers
        rows += [{"what": what, "layer": name} | bin for what, each in bins.items() for bin in each]
    return rows


def _bins(values: np.ndarray, width: float, origin: float = 0) -> Iterator[dict[str, Json]]:
    """The bins (low, high] that are not empty; a 0 is in the bin below it."""
    numbers = np.ceil(np.round((values - origin) / width, 9)) + 0.0  # and no -0
    ends, index, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    means = np.bincount(index, values, len(ends)) / counts
    for end, count, mean in zip(ends.tolist(), counts.tolist(), means.tolist(), strict=True):
        yield {"low": origin + (end - 1) * width, "high": origin + end * width, "count": count, "mean": mean}


@dataclass(frozen=True)
class Histogram:
    """The bins of one or more layers: their lower ends, counts, and the means of the values in them, (n,) each."""

    low: np.ndarray
    count: np.ndarray
    means: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[Row], what: str, *layers: str) -> "Histogram":
        """Gather rows of one trial and round; Missing if there are none."""
        found = [row for row in rows if row["what"] == what and row["layer"] in layers]
        if not found:
            raise Missing(f"there is no {what} of {' or '.join(layers)}")
        return cls(*(np.array([row[name] for row in found], float) for name in ("low", "count", "mean")))

    def share(self, low: float = -np.inf, high: float = np.inf) -> float:
        """Return the fraction that lies between two ends of bins."""
        return float(self.count[(low <= self.low) & (self.low < high)].sum() / self.count.sum())

    def mean(self, absolute: bool = False) -> float:
        """Return the mean, or the mean absolute value, which is exact as no bin has both signs."""
        return float(np.average(abs(self.means) if absolute else self.means, weights=self.count))

    def spread(self) -> float:
        """Return the standard deviation, without that within bins."""
        return float(np.sqrt(np.average((self.means - self.mean()) ** 2, weights=self.count)))
