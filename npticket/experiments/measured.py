"""The rows of numbers and texts that measures compute: as an array in a run file, as a table <series>.csv, and back."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from npticket.experiments import tables
from npticket.experiments.series import Key
from npticket.experiments.tables import Row
from npticket.reading import Json, check_array, shown

ROWS = "rows"  # the array in a measure's file, which a training run's file does not have
MOST = 8 << 20  # bytes of the rows in a file: 50,000 of a text of 20 characters and ten numbers
WHERE = ("trial", "round")
NAME = re.compile(r"\w+", re.ASCII)
INTEGER = re.compile(r"-?\d{1,20}", re.ASCII)
NUMBER = re.compile(r"-?\d+(\.\d+)?(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)


def as_array(rows: Sequence[Row]) -> np.ndarray:
    """Return the rows (n,) as a structured array; ValueError unless all have the same columns of numbers or texts."""
    names = list(rows[0]) if rows else []
    for row in rows:
        if list(row) != names:
            raise ValueError(f"all rows of a measure have the same columns: {', '.join(names)}, got {', '.join(row)}")
    columns = {name: np.array([row[name] for row in rows]) for name in names}
    array = np.empty(len(rows), [(name, column.dtype, column.shape[1:]) for name, column in columns.items()])
    for name, column in columns.items():
        array[name] = column
    if wrong := refusal(array):
        raise ValueError(wrong)
    return array


def refusal(array: np.ndarray) -> str:
    """Return why an array cannot be the rows of a measure; "" if it can."""
    names = array.dtype.names or ()
    if not names or array.ndim != 1 or not len(array):
        return "a measure has one row or more, with named columns"
    if taken := [name for name in names if name in WHERE]:
        return f"the columns {', '.join(WHERE)} are filled in: a measure has none called {', '.join(taken)}"
    if wrong := [shown(name) for name in names if not NAME.fullmatch(name)]:
        return f"the columns of a measure are called with letters, digits and _, got {', '.join(wrong)}"
    kinds = {name: array.dtype[name] for name in names}
    if wrong := [f"{name} ({kind})" for name, kind in kinds.items() if kind.kind not in "ifU" or kind.shape]:
        return f"the rows of a measure are single numbers and texts, got {', '.join(wrong)}"
    for name, kind in kinds.items():
        if kind.kind == "f" and not np.isfinite(array[name]).all():
            return f"the numbers of a measure are finite, those of {name} are not"
        if kind.kind == "U" and (
            wrong := [shown(text) for text in set(array[name].tolist()) if NUMBER.fullmatch(text)]
        ):
            return f"a text of a measure is no number, got {wrong[0]} for {name}"
    try:
        check_array(ROWS, array, MOST)
    except ValueError as error:
        return str(error)
    return ""


def check_columns(measured: Mapping[Key, np.ndarray]) -> None:
    """Raise ValueError, naming two, if measures of one series have different columns."""
    first: dict[str, tuple[Key, tuple[str, ...]]] = {}
    for key, array in measured.items():
        own = array.dtype.names or ()
        there, names = first.setdefault(key.series, (key, own))
        if own != names:
            said = f"{there.file} has {', '.join(names)}, {key.file} {', '.join(own)}"
            raise ValueError(f"all measures of a series have the same columns: {said}")


def text(measured: Mapping[Key, np.ndarray]) -> str:
    """Return the rows of all measures of one series as CSV, with trial and round; ValueError if columns differ."""
    check_columns(measured)
    columns = [*WHERE, *(next(iter(measured.values())).dtype.names or ())]
    rows = (row for key, array in measured.items() for row in _rows(key, array))
    return tables.text(columns, rows)


def _rows(key: Key, array: np.ndarray) -> Iterable[Row]:
    who = {"trial": key.trial, "round": key.round}
    return (who | dict(zip(array.dtype.names or (), row, strict=True)) for row in array.tolist())


def read(path: Path) -> list[dict[str, Json]]:
    """Read a table that `text` wrote; ValueError names the file, and the line, if it is not one.

    Columns of which all values are numbers become numbers.
    """
    heads, texts = tables.parsed(path, _check_heads, _checked)
    values = [_values(column) for column in zip(*texts, strict=True)]
    return [dict(zip(heads, row, strict=True)) for row in zip(*values, strict=True)]


def _check_heads(heads: Sequence[str]) -> None:
    if tuple(heads[: len(WHERE)]) != WHERE or len(set(heads)) < len(heads):
        raise ValueError(f"it has the columns {shown(heads)}, expected {', '.join(WHERE)} and others, each once")


def _checked(heads: Sequence[str], row: list[str]) -> list[str]:
    """Return the row; ValueError unless it has a value for each column, and integers for trial and round."""
    if len(row) != len(heads) or not all(map(INTEGER.fullmatch, row[: len(WHERE)])):
        raise ValueError(f"it is no row of {', '.join(heads)}")
    return row


def _values(column: Sequence[str]) -> list[Json]:
    """The column as numbers if all its values are, else as texts."""
    for form, kind in ((INTEGER, int), (NUMBER, float)):
        if all(map(form.fullmatch, column)) and all(map(math.isfinite, values := [kind(text) for text in column])):
            return values
    return list(column)
