"""The largest values of a recipe's fields: more than anyone would train, so that typing errors are noticed.

Functions called wrong_... return a message, or "" if nothing is wrong.
"""

import re
from collections.abc import Mapping

from npticket.reading import Json, shown

MOST = {"batch": 1_000_000, "steps": 100_000_000, "rounds": 1_000, "trials": 1_000, "validate_every": 100_000_000}
MOST_EXAMPLES = 1_000_000_000  # of a split
MOST_RUNS, MOST_VALIDATIONS, MOST_JOBS, MOST_SEED = 100_000, 100_000, 1_000, 2**63 - 1
MOST_PARAMETERS = 1_000_000_000  # of a network
LARGEST = 1e38  # in float32
LONGEST = 200  # characters of a text
FILE_NAME = re.compile(r"\w[\w .,+=()-]{0,59}")  # of a recipe, as its directory is called like it
DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # which Windows would open instead


def is_number(value: Json) -> bool:
    """Whether this is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: Json) -> bool:
    """Whether this is an integer, which true and false are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def wrong_size(what: str, value: Json, most: int, least: int = 1) -> str:
    """Return a message unless `value`, called `what`, is an integer from `least` to `most`."""
    if not is_whole(value) or value < least:
        return f"{what} must be at least {least}, got {shown(value)}"
    return f"{what} must be at most {most:,}, got {shown(value)}" if value > most else ""


def wrong_jobs(jobs: int, backend: str) -> str:
    """Return a message if so many processes cannot train with this array module."""
    if jobs > 1 and backend == "cupy":
        return "on a GPU all trials train in one process: use --jobs 1 with --backend cupy"
    return wrong_size("--jobs", jobs, MOST_JOBS)


def wrong_name(name: Json) -> str:
    """Return a message if a recipe cannot have this name, as a directory is named after it."""
    if isinstance(name, str) and FILE_NAME.fullmatch(name) and name[-1] not in " ." and not DEVICE.fullmatch(name):
        return ""
    what = "at most 60 letters, digits, spaces and . , _ + = - ( ), a letter, digit or _ first, no . or space last"
    return f"name must be {what}, and no device's name such as con or nul, got {shown(name)}"


def wrong_option(value: Json, of: str) -> str:
    """Return a message for a text in the options of a part that is too long, or a number that is too large or NaN."""
    if isinstance(value, Mapping):
        names = (wrong_option(name, f"the name of an option of {of}") for name in value)
        return next(filter(None, (*names, *(wrong_option(item, f"{of}'s {name}") for name, item in value.items()))), "")
    if isinstance(value, list | tuple):
        return next(filter(None, (wrong_option(item, of) for item in value)), "")
    if isinstance(value, str) and (not value.isprintable() or len(value) > LONGEST):
        return f"{of} must be at most {LONGEST} characters that can be printed, got {shown(value)}"
    if is_number(value) and not abs(value) <= LARGEST:  # nor is NaN
        return f"{of} must be a number of at most {LARGEST:g}, got {shown(value)}"
    return ""
