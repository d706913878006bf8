"""How a claim of a paper is judged by what an experiment left behind, and how the verdicts are printed.

A number is of means over trials. Its interval is a bootstrap: 2,000 times as many trials as there are, drawn with
replacement, each with all its series and draws; two experiments are resampled apart, and an optimum is taken anew. A
best of many rounds is a little too good all the same, here as in the paper.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from npticket.backend import Json
from npticket.experiments.tables import Outcome
from npticket.report.views import Missing, View, trials_of

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "too little data"
HEADER = ("paper says", "holds if", "measured", "95 % interval", "certainty", "trials")


@dataclass(frozen=True)
class Claim:
    """A number or an order that a paper states: `expected` is what it says, `form` how the number is printed.

    `quantity(*views)` gives the number, of one View per name in `recipes`. The claim holds if it lies from `low` to
    `high`, without these two themselves if it is `strict`, as an order is: a tie is not faster.
    """

    recipes: tuple[str, ...]
    id: str
    sentence: str
    source: str
    quantity: Callable[..., np.ndarray]
    expected: str
    form: str
    low: float = -np.inf
    high: float = np.inf
    strict: bool = False

    def holds(self, value: float) -> bool:
        return self.low < value < self.high if self.strict else self.low <= value <= self.high

    @property
    def asked(self) -> str:
        """What the number must be, in words."""
        low, high = self.form.format(self.low), self.form.format(self.high)
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

    @property
    def cells(self) -> list[str]:
        """What stands below HEADER, a dash where nothing could be measured."""
        cells = [self.claim.expected, self.claim.asked, "-", "-", "-", str(self.trials)]
        if self.value is not None and self.interval is not None:
            value, low, high = (self.claim.form.format(x) for x in (self.value, *self.interval))
            cells[2:5] = [value, f"{low} to {high}", f"{self.certainty:.0%}"]
        return cells


def judge(claims: Sequence[Claim], outcomes: Mapping[str, Outcome]) -> list[Verdict]:
    """Judge those claims that are about at least one of `outcomes`, by name of recipe."""
    return [_judge(claim, outcomes) for claim in claims if any(name in outcomes for name in claim.recipes)]


def _judge(claim: Claim, outcomes: Mapping[str, Outcome]) -> Verdict:
    there = [outcomes[name] for name in claim.recipes if name in outcomes]
    trials = min(len(trials_of(outcome)) for outcome in there)
    try:
        if absent := [name for name in claim.recipes if name not in outcomes]:
            raise Missing(f"{' and '.join(absent)} is not here")
        if trials < 2:
            raise Missing("one trial says nothing about another")
        rng = np.random.default_rng(0)
        number = claim.quantity(*(View(outcome, rng) for outcome in there))
        # Means of the same numbers in another order differ in the last bits; no claim is about those.
        value, *resampled = np.round(number, 9).tolist()
        if not np.isfinite([value, *resampled]).all():
            raise Missing("some of the values measured are not numbers")
    except Missing as missing:
        return Verdict(claim, UNKNOWN, trials, reason=str(missing))
    low, high = np.percentile(resampled, [2.5, 97.5]).tolist()
    certainty = float(np.mean([claim.holds(v) for v in resampled]))
    return Verdict(claim, HOLDS if claim.holds(value) else FAILS, trials, value, (low, high), certainty)


def table(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as aligned text, two lines each, and their count."""
    widths = [max((len(v.cells[i]) for v in verdicts), default=0) for i in range(len(HEADER))]
    lines = []
    for v in verdicts:
        columns = (f"{name} {cell:{width}}" for name, cell, width in zip(HEADER, v.cells, widths, strict=True))
        lines.append(f"{v.status:15}  {v.claim.id}: {v.claim.sentence} [{v.claim.source}]")
        lines += [f"{'':15}  {line}".rstrip() for line in ("; ".join(columns), v.reason) if line]
    return "\n".join([*lines, "", _count(verdicts)])


def markdown(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as a table for a document."""
    lines = [f"| verdict | claim | {' | '.join(HEADER)} | source |", "|---" * (len(HEADER) + 3) + "|"]
    for v in verdicts:
        status = (v.status if v.status == HOLDS else f"**{v.status}**") + (f": {v.reason}" if v.reason else "")
        lines.append(f"| {' | '.join([status, f'`{v.claim.id}`: {v.claim.sentence}', *v.cells, v.claim.source])} |")
    return "\n".join([*lines, "", f"{_count(verdicts)}."])


def _count(verdicts: Sequence[Verdict]) -> str:
    return ", ".join(f"{sum(v.status == s for v in verdicts)} {s}" for s in (HOLDS, FAILS, UNKNOWN))


def as_json(verdicts: Sequence[Verdict]) -> list[dict[str, Json]]:
    """The verdicts as JSON can hold them."""
    return [
        {
            "id": c.id, "source": c.source, "sentence": c.sentence, "recipes": list(c.recipes), "expected": c.expected,
            "holds_from": None if np.isinf(c.low) else c.low, "holds_to": None if np.isinf(c.high) else c.high,
            "strict": c.strict, "status": v.status, "value": v.value, "interval": v.interval and list(v.interval),
            "certainty": v.certainty, "trials": v.trials, "reason": v.reason,
        }
        for v in verdicts for c in [v.claim]
    ]  # fmt: skip
