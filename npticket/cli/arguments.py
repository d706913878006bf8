"""Arguments of the command and of the demos, as they come from a shell."""

import argparse
from collections.abc import Sequence
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
