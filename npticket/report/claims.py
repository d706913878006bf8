"""How a claim of a paper is judged by the results of experiments.

A claim is about the mean over trials of a number, such as the difference between a ticket and its own dense network.
Its interval is Student's t interval over the trials, for ratios that of their logarithms. docs/claims.md says what that
can tell and what it cannot.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from npticket.experiments.outcome import Outcome
from npticket.experiments.recipe import Recipe
from npticket.report.intervals import MANY, Estimate, Numbers, estimate
from npticket.report.views import Missing, View, trials_of

HOLDS, FAILS, UNDECIDED, UNKNOWN = "holds", "does not hold", "undecided", "too little data"


@dataclass(frozen=True)
class Claim:
    """A number or an order that a paper states: `expected` is what it says, `form` how the number is printed.

    `quantity(*views)` returns the number of each trial, from one View for each name in `recipes`. The claim holds if
    their mean, a geometric one for a `ratio`, lies from `low` to `high`; if `strict`, strictly between, as for an order
    (a tie is not faster). `because` says in a few words where these ends come from.
    """

    recipes: tuple[str, ...]
    id: str
    sentence: str
    source: str
    quantity: Callable[..., Numbers]
    expected: str
    form: str
    low: float = -np.inf
    high: float = np.inf
    strict: bool = False
    ratio: bool = False
    because: str = ""

    @property
    def ends(self) -> tuple[float, float]:
        """`low` and `high` as the mean is compared with them: for a ratio, their logarithms."""
        return (_log(self.low), _log(self.high)) if self.ratio else (self.low, self.high)

    @property
    def asked(self) -> str:
        """What the number must be, in words."""
        low, high = self._exactly(self.low), self._exactly(self.high)
        if np.isinf(self.high):
            words = f"more than {low}" if self.strict else f"at least {low}"
        elif np.isinf(self.low):
            words = f"less than {high}" if self.strict else f"at most {high}"
        else:
            words = f"{low} to {high}"
        return f"{words} ({self.because})" if self.because else words

    def printed(self, mean: float) -> str:
        """Return the mean in the claim's form; `mean` is a logarithm for a ratio."""
        return self.form.format(math.exp(mean) if self.ratio else mean)

    def _exactly(self, end: float) -> str:
        """An end in the claim's form, with as many more decimals as it has."""
        if not (decimals := re.search(r"\.([1-9])f", self.form)):
            return self.form.format(end)
        digits = int(decimals[1])
        while digits < 4 and not math.isclose(round(end, digits), end, rel_tol=1e-9):
            digits += 1
        return self.form.replace(decimals[0], f".{digits}f").format(end)


@dataclass(frozen=True)
class Verdict:
    """A claim judged: `reason` says why it is undecided, or why there is no judgement."""

    claim: Claim
    status: str
    trials: int
    estimate: Estimate | None = None
    reason: str = ""

    @property
    def certainty(self) -> float | None:
        """How probable it is that the claim holds, as Estimate.certainty; None if nothing is known."""
        return self.estimate.certainty(*self.claim.ends, self.claim.strict) if self.estimate else None


def judge(
    claims: Sequence[Claim], outcomes: Mapping[str, Outcome], published: Mapping[str, Recipe] | None = None
) -> list[Verdict]:
    """Judge those claims that are about at least one of `outcomes`, by name of recipe.

    A number at the end of training is judged only if an experiment trained for the steps of its `published` recipe.
    """
    steps = {name: recipe.steps for name, recipe in (published or {}).items()}
    return [_judge(claim, outcomes, steps) for claim in claims if any(name in outcomes for name in claim.recipes)]


def _judge(claim: Claim, outcomes: Mapping[str, Outcome], steps: Mapping[str, int]) -> Verdict:
    there = [name for name in claim.recipes if name in outcomes]
    trials = sorted(set.intersection(*(set(trials_of(outcomes[name])) for name in there)))
    try:
        if absent := [name for name in claim.recipes if name not in outcomes]:
            raise Missing(f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} not here")
        if len(trials) < 2:
            raise Missing("one trial says nothing about another")
        views = [View(outcomes[name], trials, steps.get(name, 0)) for name in there]
        found, why = _estimate(claim, claim.quantity(*views))
    except Missing as missing:
        return Verdict(claim, UNKNOWN, len(trials), reason=str(missing))
    except Exception as error:
        error.add_note(f"in the claim {claim.id}")
        raise
    status = _status(claim, found)
    return Verdict(claim, status, len(trials), found, _reason(claim, status, found, why))


def _estimate(claim: Claim, numbers: Numbers) -> tuple[Estimate, str]:
    """The estimate of the mean that a claim is about, and why it is only a bound, if it is; Missing if it is neither.

    For a ratio it is that of the logarithms.
    """
    numbers = numbers.logarithms() if claim.ratio else numbers
    # Sums in another order differ in the last bits, which must not decide about a claim.
    found = estimate(numbers.map(lambda values: np.round(values, 9)))
    if math.isnan(found.value):
        raise Missing("some of the values measured are not numbers")
    why = numbers.why or "runs were cut short, stopping in the last tenth of their steps"
    if found.bound == "?":
        raise Missing(why)
    return found, why


def _status(claim: Claim, found: Estimate) -> str:
    """Compare the interval with the ends of the claim."""
    low, high = claim.ends
    if claim.strict:
        above, below = low < found.low or low == -math.inf, found.high < high or high == math.inf  # bounds are infinite
        inside, outside = above and below, found.high <= low or high <= found.low
    else:
        inside, outside = low <= found.low and found.high <= high, found.high < low or high < found.low
    return HOLDS if inside else FAILS if outside else UNKNOWN if found.bound else UNDECIDED


def _reason(claim: Claim, status: str, found: Estimate, why: str) -> str:
    """Return why there is no judgement, or how many trials it would take; "" if it is judged."""
    if status == UNKNOWN:
        return f"{why}, and the bound does not decide"
    if status != UNDECIDED:
        return ""
    if needed := found.trials_to_decide(*claim.ends):
        return f"some {needed} trials like these would decide"
    return f"{MANY:,} trials like these would not decide"


def _log(number: float) -> float:
    return math.log(number) if number > 0 else -math.inf
