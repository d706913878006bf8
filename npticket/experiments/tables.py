"""The two tables of an experiment, results.csv and curves.csv: their columns, and how they are written and read.

A row of results is one training run, a row of curves one validation of a run; columns are called val_loss, test_acc ...
Cells are empty if nothing was measured, or if patience ran out (final_..., best_...). `steps` are those a run may take.
"""

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from npticket.reading import Json, check_size, shown
from npticket.task import Task

LARGEST, MOST = 1 << 30, 10**12  # bytes of a table, at most; its integers are lower than MOST
WHO = ("trial", "series", "round")
INTEGERS = {"trial", "round", "early_stop_step", "steps", "step"}

Row = Mapping[str, Json]
T = TypeVar("T")


def measured_columns(task: Task) -> tuple[str, ...]:
    """Return the columns of results.csv that were measured at early stopping and at the end."""
    names = [metric.name for metric in task.metrics[1:] or task.metrics]
    when = ("early_stop_test", "final_test", "final_train", "best_train")
    return ("early_stop_step", "early_stop_val_loss", *(f"{w}_{name}" for w in when for name in names))


def result_columns(task: Task) -> tuple[str, ...]:
    """Return all columns of results.csv."""
    return (*WHO, "density", *measured_columns(task), "steps", "seconds")


def curves_measured(task: Task) -> tuple[str, ...]:
    """Return the columns of curves.csv that are measured at validations."""
    names = [metric.name for metric in task.metrics[1:]]
    tested = [f"test_{name}" for name in names or task.names]
    return ("train_loss", "val_loss", *(f"val_{name}" for name in names), *tested)


def curve_columns(task: Task) -> tuple[str, ...]:
    """Return all columns of curves.csv."""
    return (*WHO, "step", *curves_measured(task))


def cell(value: Json) -> Json:
    """Return a value as it is in a table: "" for NaN."""
    return "" if value != value else value


def text(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """Return rows as CSV, floats in full precision."""
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def read(path: str | Path, columns: Sequence[str]) -> list[dict[str, Json]]:
    """Read a table back, numbers as numbers; ValueError names the file if its columns or values are not right."""

    def check(heads: Sequence[str]) -> None:
        if heads != list(columns):
            raise ValueError(f"it has the columns {shown(heads)}, expected {', '.join(columns)}")

    return parsed(path, check, _row)[1]


def parsed(
    path: str | Path, check: Callable[[list[str]], None], row: Callable[[list[str], list[str]], T]
) -> tuple[list[str], list[T]]:
    """Return the names of the columns in a CSV file, and what `row(names, cells)` makes of each further line.

    ValueError names the file and the line where `check(names)` or `row` raises one.
    """
    check_size(path, LARGEST)
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        try:
            check(heads := next(reader, []))
            return heads, [row(heads, cells) for cells in reader]
        except (ValueError, csv.Error) as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}") from error


def _row(columns: Sequence[str], cells: Sequence[str]) -> dict[str, Json]:
    if len(cells) != len(columns):
        raise ValueError(f"it has {len(cells)} values, expected {len(columns)}")
    return {name: _value(name, text) for name, text in zip(columns, cells, strict=True)}


def _value(name: str, text: str) -> Json:
    if name == "series" or (name.startswith(("test_", "final_", "best_")) and text == ""):  # nobody looked
        return text
    with suppress(ValueError):
        value = int(text) if name in INTEGERS else float(text)
        if 0 <= value < MOST if name in INTEGERS else math.isfinite(value):
            return value
    raise ValueError(f"{name} is {shown(text)}, expected {'an integer' if name in INTEGERS else 'a number'}")
