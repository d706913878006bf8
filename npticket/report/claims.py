"""How a claim of the paper is judged by what an experiment left behind: value, interval over trials, verdict.

A claim's number is computed from means over trials. Its interval is a bootstrap: 2,000 times, as many trials as there
are, drawn with replacement, a trial bringing all its series and draws with it; two experiments are resampled apart. A
claim about an optimum takes the optimum anew in each resample; a best of many rounds is a little too good all the same,
here as in the paper.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npticket.tables import WINNING_TICKET, Outcome, Point, summarise

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "too little data"
RESAMPLES = 2_000
HEADER = ("paper says", "holds if", "measured", "95 % interval", "certainty", "trials")
STOP = "early_stop_step"
NEAR = 0.08  # a round stands for a density that is at most this part away


@dataclass(frozen=True)
class Claim:
    """A number or an order that the paper states.

    `quantity(*views)` gives the number, of one View per name in `recipes`. The claim holds if it lies from `low` to
    `high`, without these two themselves if it is `strict`, as an order is: a tie is not faster. `expected` is what the
    paper says, `form` how the number is printed.
    """

    id: str
    source: str
    sentence: str
    recipes: tuple[str, ...]
    quantity: Callable[..., np.ndarray]
    expected: str
    form: str
    low: float = -np.inf
    high: float = np.inf
    strict: bool = False

    def holds(self, value: float) -> bool:
        """Whether the claim holds for this number."""
        return self.low < value < self.high if self.strict else self.low <= value <= self.high

    @property
    def asked(self) -> str:
        """What the number must be, in words."""
        low, high = (self.form.format(bound) for bound in (self.low, self.high))
        if np.isinf(self.high):
            return f"more than {low}" if self.strict else f"at least {low}"
        if np.isinf(self.low):
            return f"less than {high}" if self.strict else f"at most {high}"
        return f"{low} to {high}"


@dataclass(frozen=True)
class Verdict:
    """A claim judged: `certainty` is the share of resamples in which it holds, `reason` why there is no judgement."""

    claim: Claim
    status: str
    trials: int
    value: float | None = None
    interval: tuple[float, float] | None = None
    certainty: float | None = None
    reason: str = ""


class Missing(LookupError):
    """What a claim needs and an experiment does not have."""


class View:
    """One experiment as claims see it: means over trials, for the trials as they are and for every resample (R,)."""

    def __init__(self, outcome: Outcome, draws: np.ndarray) -> None:
        self._name = outcome.recipe["name"]
        self._trials = trials_of(outcome)
        self._draws = draws  # (R, T) row numbers of trials
        self._points = {series: summarise(outcome.results, series) for series in outcome.series}

    def __call__(self, column: str, series: str, percent: float) -> np.ndarray:
        """The mean of a column of results.csv at the round whose weights remaining are near `percent`."""
        nearest = min(self._rounds(series), key=lambda point: abs(100 * point.density - percent))
        if abs(100 * nearest.density - percent) > NEAR * percent:
            raise Missing(f"{self._name} has no round of {series} near {percent:g} % of the weights")
        return self._mean(column, nearest)

    def all(self, column: str, series: str, low: float = 0, high: float = 99) -> np.ndarray:
        """The same for all rounds with weights remaining from `low` to `high` percent (rounds, R)."""
        points = [point for point in self._rounds(series) if low <= 100 * point.density <= high]
        reaches = min((100 * point.density for point in points), default=np.inf)
        if reaches > max(low, 1) * 1.25:  # a round that prunes 20 % steps over no more than that
            raise Missing(f"{self._name} has no round of {series} near {low:g} % of the weights")
        known = {point.round for point in points}
        for ticket in self._rounds(WINNING_TICKET):
            if low <= 100 * ticket.density <= high and ticket.round not in known:
                raise Missing(f"{self._name} has no round of {series} near {100 * ticket.density:.3g} % of the weights")
        return np.stack([self._mean(column, point) for point in points])

    def best(self, column: str, series: str) -> np.ndarray:
        """The best of all pruned networks, anew in each resample."""
        return np.max([self._mean(column, point) for point in self._pruned(series)], axis=0)

    def fastest(self, series: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and weights remaining (%) of the pruned network that stops earliest, anew in each resample.

        A run that was cut short stops later than is known, which matters only where it seems to be the earliest.
        """
        points = self._pruned(series)
        steps = np.array([self._mean(STOP, point, at_least=True) for point in points])
        first = steps.argmin(axis=0)
        for index in np.unique(first):
            self._mean(STOP, points[index])
        return steps.min(axis=0), np.array([100 * point.density for point in points])[first]

    def _pruned(self, series: str) -> list[Point]:
        points = [point for point in self._rounds(series) if point.round]
        if not points:
            raise Missing(f"{self._name} has no pruned network of {series}")
        return points

    def _rounds(self, series: str) -> list[Point]:
        if not self._points.get(series):
            raise Missing(f"{self._name} has no runs of {series}")
        return self._points[series]

    def _mean(self, column: str, point: Point, at_least: bool = False) -> np.ndarray:
        if column == STOP and point.cut_short and not at_least:
            raise Missing(
                f"{self._name}: in round {point.round} of {point.series} the validation loss was still falling when "
                "training ended"
            )
        values = getattr(point, column)
        if set(point.trial.tolist()) != set(self._trials):
            raise Missing(f"{self._name}: round {point.round} of {point.series} lacks trials")
        by_trial = np.array([values[point.trial == t].mean() for t in self._trials])
        return by_trial[self._draws].mean(axis=1)


def trials_of(outcome: Outcome) -> list[int]:
    """The numbers of the trials."""
    return sorted({row["trial"] for row in outcome.results})


def judge(claims: Sequence[Claim], outcomes: Mapping[str, Outcome]) -> list[Verdict]:
    """Judge those claims that are about at least one of `outcomes`, by name of recipe."""
    return [_judge(claim, outcomes) for claim in claims if any(name in outcomes for name in claim.recipes)]


def _judge(claim: Claim, outcomes: Mapping[str, Outcome]) -> Verdict:
    there = [outcomes[name] for name in claim.recipes if name in outcomes]
    trials = min(len(trials_of(outcome)) for outcome in there)
    absent = [name for name in claim.recipes if name not in outcomes]
    if absent:
        return Verdict(claim, UNKNOWN, trials, reason=f"{' and '.join(absent)} is not here")
    if trials < 2:
        return Verdict(claim, UNKNOWN, trials, reason="one trial says nothing about another")
    rng = np.random.default_rng(0)
    views = []
    for outcome in there:
        count = len(trials_of(outcome))
        views.append(View(outcome, np.vstack([np.arange(count), rng.integers(0, count, (RESAMPLES, count))])))
    try:
        # Means of the same numbers in another order differ in the last bits; no claim is about those.
        value, *resampled = np.round(claim.quantity(*views), 9).tolist()
    except Missing as missing:
        return Verdict(claim, UNKNOWN, trials, reason=str(missing))
    if not np.isfinite([value, *resampled]).all():
        return Verdict(claim, UNKNOWN, trials, reason="some of the values measured are not numbers")
    low, high = np.percentile(resampled, [2.5, 97.5]).tolist()
    certainty = float(np.mean([claim.holds(v) for v in resampled]))
    status = HOLDS if claim.holds(value) else FAILS
    return Verdict(claim, status, trials, value, (low, high), certainty)


def table(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as aligned text, two lines each, and their count."""
    cells = [_cells(v) for v in verdicts]
    widths = [max((len(row[column]) for row in cells), default=0) for column in range(len(HEADER))]
    lines = []
    for v, row in zip(verdicts, cells, strict=True):
        lines.append(f"{v.status:15}  {v.claim.id}: {v.claim.sentence} [{v.claim.source}]")
        columns = (f"{name} {cell:{width}}" for name, cell, width in zip(HEADER, row, widths, strict=True))
        lines.append(f"{'':15}  {'; '.join(columns)}".rstrip())
        if v.reason:
            lines.append(f"{'':15}  {v.reason}")
    return "\n".join([*lines, "", count(verdicts)])


def count(verdicts: Sequence[Verdict]) -> str:
    """How many claims hold, do not, or cannot be judged."""
    return ", ".join(f"{sum(v.status == s for v in verdicts)} {s}" for s in (HOLDS, FAILS, UNKNOWN))


def markdown(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as a table for a document."""
    lines = [f"| verdict | claim | {' | '.join(HEADER)} | source |", "|---" * (len(HEADER) + 3) + "|"]
    for v in verdicts:
        status = v.status if v.status == HOLDS else f"**{v.status}**"
        status += f": {v.reason}" if v.reason else ""
        row = [status, f"`{v.claim.id}`: {v.claim.sentence}", *_cells(v), v.claim.source]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join([*lines, "", f"{count(verdicts)}."])


def as_json(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """The verdicts as JSON can hold them."""
    return [
        {
            "id": v.claim.id,
            "source": v.claim.source,
            "sentence": v.claim.sentence,
            "recipes": list(v.claim.recipes),
            "expected": v.claim.expected,
            "holds_from": None if np.isinf(v.claim.low) else v.claim.low,
            "holds_to": None if np.isinf(v.claim.high) else v.claim.high,
            "strict": v.claim.strict,
            "status": v.status,
            "value": v.value,
            "interval": v.interval and list(v.interval),
            "certainty": v.certainty,
            "trials": v.trials,
            "reason": v.reason,
        }
        for v in verdicts
    ]


def _cells(v: Verdict) -> list[str]:
    """What stands below HEADER, a dash where nothing could be measured."""
    if v.value is None:
        return [v.claim.expected, v.claim.asked, "-", "-", "-", str(v.trials)]
    value, low, high = (v.claim.form.format(x) for x in (v.value, *v.interval))
    return [v.claim.expected, v.claim.asked, value, f"{low} to {high}", f"{v.certainty:.0%}", str(v.trials)]
