"""Numbers in the prose of a page: written from results, and written again later.

    at 13.5 % <!-- {at_early_stop: SERIES 13.5 - SERIES 100} -->+0.41 percentage points<!-- --> better

A number follows a comment, which readers do not see, that says what it is: a quantity, a series and a percentage of
weights remaining; and perhaps a second series and percentage that is subtracted (-) or divided by (/). `over` in place
of - is for a sentence that says itself which is more: the difference has no sign, and is refused if it is negative.
On a page about several experiments, the experiment's directory stands before the series: 0.4/SERIES.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping

import numpy as np

from npticket.experiments.bounds import FILE_NAME
from npticket.experiments.errors import StoreError
from npticket.experiments.outcome import Outcome, Point
from npticket.report import quantities
from npticket.report.quantities import QuantityOf
from npticket.report.views import NEAR

NUMBER = re.compile(r"(<!-- \{(\w+): ([^}]+)\} -->)((?:(?!<!--).)*?)(<!-- -->)", re.DOTALL)
BOUNDS = {
    (False, False): "",
    (True, False): "≥",
    (False, True): "≤",
    (True, True): "? ",
}  # is the 1st, 2nd at least that
QUANTITIES: dict[str, QuantityOf] = {
    name: getattr(quantities, name)
    for name in ("early_stop", "at_early_stop", "at_the_end", "trained", "fitted", "gap")
}


def counted(page: str, outcomes: Mapping[str, Outcome]) -> str:
    """Return the page with the numbers in its prose taken from `outcomes`, by directory ("" for the page's own).

    StoreError for a number without an end, since what follows it would be lost.
    """
    if lost := Counter(re.findall(r"<!-*\s*(\{.*?\})", page)) - Counter(
        f"{{{mark[2]}: {mark[3]}}}" for mark in NUMBER.finditer(page)
    ):
        form = "<!-- {...} -->, where the number stands, and <!-- --> behind it"
        raise StoreError(f"a number of a page has the form {form}; that is not so of {', '.join(lost)}")
    return NUMBER.sub(lambda mark: f"{mark[1]}{number(mark[2], mark[3], outcomes)}{mark[5]}", page)


def number(quantity: str, of: str, outcomes: Mapping[str, Outcome]) -> str:
    """Return the number that a comment asks for, as a text; StoreError if it is not well formed or not known."""
    term = rf"((?:{FILE_NAME.pattern}/)?[\w.-]+) ([0-9]+(?:\.[0-9]+)?)"
    asked = re.fullmatch(rf"{term}(?: (-|/|over) {term})?", " ".join(of.split()))
    if quantity not in QUANTITIES or asked is None:
        form = "{QUANTITY: SERIES PERCENT} or {QUANTITY: SERIES PERCENT - SERIES PERCENT}, or / or over for -"
        raise StoreError(f"a number is {form}, got {{{quantity}: {of}}}; quantities: {', '.join(QUANTITIES)}")
    one, point = _point(asked[1], float(asked[2]), outcomes)
    what = QUANTITIES[quantity](one.task.headline)
    other = _point(asked[4], float(asked[5]), outcomes)[1] if asked[3] else point
    trials, others = (sorted(set(each.trial.tolist())) for each in (point, other))
    if trials != others:
        asks = f"a page asks for {{{quantity}: {of}}}"
        raise StoreError(f"{asks}, of which one has trials {trials} and the other {others}")
    if not what.is_known([point, other]):
        asks = f"a page asks for {{{quantity}: {of}}}"
        raise StoreError(f"{asks}, which is not known: nobody looked, or patience ran out")
    if asked[3] is None:
        return f"{what.mean_text(point)} {what.unit}".rstrip()
    ends = bool(what.cut_short(point).any()), bool(what.cut_short(other).any())
    bound = BOUNDS[ends[::-1] if what.lower_is_better else ends]
    if asked[3] == "-":
        return bound + what.gain_text(point, other)
    if asked[3] == "over":
        more = what.gain_text(point, other)
        if not more.startswith("+") or not re.search("[1-9]", more):
            raise StoreError(f"a page says that one is more in {{{quantity}: {of}}}, which is {more}")
        return bound + more.removeprefix("+")
    part, whole = (each.per_trial(what.of(each)) for each in (point, other))
    if (whole <= 0).any() or (part < 0).any():
        asks = f"a page asks for {{{quantity}: {of}}}"
        raise StoreError(f"{asks}, a ratio of {part} to {whole}: only numbers above 0 have one")
    return f"{bound}{_typical(part) / _typical(whole):.2f} times"


def _typical(trials: np.ndarray) -> float:
    """The geometric mean over the trials, which ratios are made of, as in claims."""
    return math.exp(np.log(trials).mean()) if trials.all() else 0.0


def _point(name: str, density: float, outcomes: Mapping[str, Outcome]) -> tuple[Outcome, Point]:
    """The round of a series near a percentage of weights remaining, and its experiment."""
    folder, _, series = name.rpartition("/")
    points = outcomes[folder].points(series) if folder in outcomes else []
    near = [point for point in points if abs(100 * point.density - density) <= NEAR * density]
    if not near:
        raise StoreError(f"a page asks for {name} near {density:g} % of the weights, which is not there")
    return outcomes[folder], min(near, key=lambda point: abs(100 * point.density - density))
