"""Verdicts as a text, as a table of Markdown, and as JSON."""

import math
import re
import textwrap
from collections.abc import Sequence
from urllib.parse import quote

from npticket.experiments.directory import VERDICTS
from npticket.reading import Json
from npticket.report.claims import FAILS, HOLDS, UNDECIDED, UNKNOWN, Claim, Verdict
from npticket.report.tables import width

HEADER = ("paper says", "holds if", "measured", "95 % interval", "certainty", "trials")


def escaped(text: str) -> str:
    """Escape a text, of a recipe, say, so that Markdown shows it as it is."""
    return re.sub(r"[\\`*\[\]<>|~$&]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", text)


def target(path: str) -> str:
    """Return the path of a file as Markdown's links want it, without blanks and parentheses."""
    return quote(path, safe="/,")


def cells(verdict: Verdict) -> list[str]:
    """Return the cells below HEADER; "-" if nothing could be measured."""
    claim, found = verdict.claim, verdict.estimate
    if not found:
        return [claim.expected, claim.asked, "-", "-", "-", str(verdict.trials)]
    ends = [claim.printed(end) for end in (found.low, found.high) if math.isfinite(end)]
    interval = " to ".join(ends) if len(ends) == 2 else f"{found.bound} {ends[0]}"
    certainty = "-" if verdict.certainty is None else in_percent(verdict.certainty)
    measured = f"{found.bound} {claim.printed(found.value)}".strip()
    return [claim.expected, claim.asked, measured, interval, certainty, str(verdict.trials)]


def in_percent(certainty: float) -> str:
    """Return a probability as a text, never as 0 or 100 %: "> 99 %"."""
    return "> 99 %" if certainty > 0.99 else "< 1 %" if certainty < 0.01 else f"{100 * certainty:.0f} %"


def table(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as text, with their status in the first column, and their count."""
    lines, beside = [], 17 * " "
    for v in verdicts:
        columns = (f"{name} {cell}" for name, cell in zip(HEADER, cells(v), strict=True))
        said = f"{v.status:15}  {v.claim.id}: {v.claim.sentence} [{v.claim.source}]"
        for line in (said, *(beside + line for line in ("; ".join(columns), v.reason) if line)):
            lines += textwrap.wrap(line, width(), subsequent_indent=beside, break_on_hyphens=False)
    return "\n".join([*lines, "", count(verdicts)])


def markdown(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as a table of Markdown."""
    lines = [f"{VERDICTS} {' | '.join(HEADER)} | source |", "|---" * (len(HEADER) + 3) + "|"]
    for v in verdicts:
        status = (v.status if v.status == HOLDS else f"**{v.status}**") + (f": {v.reason}" if v.reason else "")
        lines.append(f"| {' | '.join([status, f'`{v.claim.id}`: {v.claim.sentence}', *cells(v), v.claim.source])} |")
    return "\n".join([*lines, "", f"{count(verdicts)}."])


def count(verdicts: Sequence[Verdict]) -> str:
    return ", ".join(f"{s}: {sum(v.status == s for v in verdicts)}" for s in (HOLDS, FAILS, UNDECIDED, UNKNOWN))


def as_json(verdicts: Sequence[Verdict]) -> list[dict[str, Json]]:
    """Return the verdicts for JSON; infinite ends are null."""

    def finite(claim: Claim, mean: float) -> float | None:
        return None if math.isinf(mean) else math.exp(mean) if claim.ratio else mean

    def one(verdict: Verdict) -> dict[str, Json]:
        c, e = verdict.claim, verdict.estimate
        return {
            "id": c.id, "source": c.source, "sentence": c.sentence, "recipes": list(c.recipes), "expected": c.expected,
            "holds_from": None if math.isinf(c.low) else c.low, "holds_to": None if math.isinf(c.high) else c.high,
            "strict": c.strict, "because": c.because, "ratio": c.ratio, "status": verdict.status,
            "value": finite(c, e.value) if e else None, "bound": e.bound if e else "",
            "interval": [finite(c, e.low), finite(c, e.high)] if e else None,
            "certainty": verdict.certainty, "trials": verdict.trials, "reason": verdict.reason,
        }  # fmt: skip

    return [one(verdict) for verdict in verdicts]
