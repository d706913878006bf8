"""How a claim of a paper is judged by what an experiment left behind: value, interval over trials, verdict.

A claim's number is computed from means over trials. Its interval is a bootstrap: 2,000 times, as many trials as there
are, drawn with replacement, a trial bringing all its series and draws with it; two experiments are resampled apart. A
claim about an optimum takes the optimum anew in each resample; a best of many rounds is a little too good all the same,
here as in the paper.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from npticket.experiments.tables import Outcome
from npticket.report.views import Missing, View, trials_of

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "too little data"
RESAMPLES = 2_000


@dataclass(frozen=True)
class Claim:
    """A number or an order that a paper states.

    `quantity(*views)` gives the number, of one View per name in `recipes`. The claim holds if it lies from `low` to
    `high`, without these two themselves if it is `strict`, as an order is: a tie is not faster. `expected` is what the
    paper says, `form` how the number is printed.
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
