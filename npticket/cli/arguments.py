"""Arguments of the command and of the demos, as they come from a shell."""

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def path(text: str) -> Path:
    """Return an argument as a path; an empty one, as from an unset variable, is refused: it would mean this folder."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got nothing")
    return Path(text)


def joined(argv: Sequence[str]) -> list[str]:
    """Return the arguments, with `--series a, b`, which a shell splits at the blank, joined to one list."""
    found: list[str] = []
    for argument in argv:
        if len(found) > 1 and found[-2] == "--series" and found[-1].endswith(",") and argument[:1] != "-":
            found[-1] += argument
        else:
            found.append(argument)
    return found


@contextmanager
def all_data_in(folder: Path | None) -> Iterator[None]:
    """Set NPTICKET_DATA to `folder` in the block, so that a network's weights, for one, are looked for there, too."""
    before = os.environ.get("NPTICKET_DATA")
    if folder is not None:
        os.environ["NPTICKET_DATA"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("NPTICKET_DATA", None)
        if before is not None:
            os.environ["NPTICKET_DATA"] = before
