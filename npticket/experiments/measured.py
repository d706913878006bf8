"""What measures compute, rows of numbers and texts: as an array in a file of the store, as a table, and back."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from npticket.backend import Json
from npticket.experiments import tables
from npticket.experiments.series import Key
from npticket.experiments.tables import Row

ROWS = "rows"  # what is in the file of a measure, and in none of a run
WHO = ("trial", "round")


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
    """Say why an array cannot be the rows of a measure, or nothing if it can."""
    names = array.dtype.names or ()
    if not names or array.ndim != 1 or not len(array):
        return "a measure has one row or more, with named columns"
    if taken := [name for name in names if name in WHO]:
        return f"the columns {', '.join(WHO)} are filled in: a measure has none called {', '.join(taken)}"
    kinds = {name: array.dtype[name] for name in names}
    if wrong := [f"{name} ({kind})" for name, kind in kinds.items() if kind.kind not in "ifU" or kind.shape]:
        return f"the rows of a measure are single numbers and texts, got {', '.join(wrong)}"
    return ""


def text(measured: Mapping[Key, np.ndarray]) -> str:
    """The rows of all measures of one series as CSV, with the trial and the round of each."""
    columns = [*WHO, *(next(iter(measured.values())).dtype.names or ())]
    return tables.text(columns, (row for key, array in measured.items() for row in _rows(key, array)))


def _rows(key: Key, array: np.ndarray) -> Iterable[Row]:
    who = {"trial": key.trial, "round": key.round}
    return (who | dict(zip(array.dtype.names or (), row, strict=True)) for row in array.tolist())


def read(path: Path) -> list[dict[str, Json]]:
    """Read such a table back, numbers as numbers; ValueError names the file if it is none."""
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ())[: len(WHO)] != WHO:
            raise ValueError(f"{path} has the columns {reader.fieldnames}, expected {', '.join(WHO)} and others")
        rows = [{name: _value(value) for name, value in row.items()} for row in reader]
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values() or not all(isinstance(row[name], int) for name in WHO):
            raise ValueError(f"{path}, line {number} is no row of {', '.join(reader.fieldnames or ())}")
    return rows


def _value(text: Json) -> Json:
    for kind in (int, float):
        try:
            return kind(text)
        except (TypeError, ValueError):
            continue
    return text
