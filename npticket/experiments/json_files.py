"""JSON files, indented for people."""

import json
from pathlib import Path

from npticket.experiments.errors import StoreError
from npticket.files import write
from npticket.reading import Json, UnreadableError, parsed_json, read_text, reason, shown

LARGEST, DEEPEST = 1 << 24, 20  # bytes of a JSON file, and its levels


def write_json(path: Path, value: Json) -> None:
    """Write a value as `json_text`, at once, as files.write does."""
    write(path, json_text(value).encode())


def json_text(value: Json) -> str:
    """Return a value as indented JSON with a newline at the end."""
    return json.dumps(value, indent=2) + "\n"


def read_json(path: Path) -> dict[str, Json]:
    """Read a JSON object; StoreError, naming the file, if it is not one or holds what our files never hold.

    That is: a name twice in an object, NaN, texts that cannot be printed, more than DEEPEST levels.
    """
    try:
        value = parsed_json(read_text(path, LARGEST))
        _check_json(value)
    except UnreadableError as error:
        raise StoreError(str(error)) from error
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path} cannot be read: {reason(error, path)}") from error
    if not isinstance(value, dict):
        raise StoreError(f"{path} holds no JSON object with named fields")
    return value


def _check_json(value: Json, depth: int = 0) -> None:
    """Raise ValueError for texts that cannot be printed, and for what is nested too deeply."""
    if depth > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep")
    if isinstance(value, str) and not value.isprintable():
        raise ValueError(f"it has a text that cannot be printed, {shown(value)}")
    if isinstance(value, dict | list):
        for item in value:  # of an object its names
            _check_json(item, depth + 1)
            if isinstance(value, dict):
                _check_json(value[item], depth + 1)
