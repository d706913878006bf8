"""Judged claims on a page: as text for the terminal, as a table for a document, as JSON."""

from collections.abc import Sequence

import numpy as np

from npticket.backend import Json
from npticket.report.claims import FAILS, HOLDS, UNKNOWN, Verdict

HEADER = ("paper says", "holds if", "measured", "95 % interval", "certainty", "trials")


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


def as_json(verdicts: Sequence[Verdict]) -> list[dict[str, Json]]:
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
    if v.value is None or v.interval is None:
        return [v.claim.expected, v.claim.asked, "-", "-", "-", str(v.trials)]
    value, low, high = (v.claim.form.format(x) for x in (v.value, *v.interval))
    return [v.claim.expected, v.claim.asked, value, f"{low} to {high}", f"{v.certainty:.0%}", str(v.trials)]
