"""A table as CSV: a line per example, numbers, and a column of classes."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from npticket.backend import Array
from npticket.datasets.dataset import DataError, Dataset
from npticket.datasets.own import from_arrays, located
from npticket.reading import UnreadableError, check_size, shown

LONGEST = 1 << 30  # bytes
Lines = Sequence[tuple[int, Sequence[str]]]  # the number of each line, and its cells


def csv_table(
    folder: str | Path | None = None, seed: int = 0, *, path: str, target: str = "", test: str = "",
    standardise: bool = False,
) -> Dataset:  # fmt: skip
    """Return the data in a CSV file: numbers, and a column `target` with classes, the last one if none is named.

    `test` names another file with examples for testing; else, and for validation, some are set aside, and numbers enter
    the network, as `own.arrays` says. The first line may name the columns. Commas separate values; or semicolons or
    tabs, if the first line has no comma. DataError names the line and the column of what is not a number.
    """
    heads, *train = _read(located(folder, path), target)
    given = {"train": (train[0], train[1])}
    if test:
        there, *tested = _read(file := located(folder, test), target)
        if there != heads:
            raise DataError(f"{file} has the columns {shown(there)}, {path} has {shown(heads)}")
        given["test"] = tested[0], tested[1]
    return from_arrays(located(folder, path), given, seed, standardise)


def _read(path: Path, target: str) -> tuple[list[str], Array, Array]:
    """The names of the columns, features (N, F), and classes (N,)."""
    lines = _lines(path)
    first = [cell.strip() for cell in lines[0][1]]
    if target:
        if first.count(target) != 1:
            raise DataError(f"{path} has no column {shown(target)}, or two: its first line is {shown(first)}")
        at, named = first.index(target), True
    else:
        at, named = len(first) - 1, not all(map(_is_number, first[:-1]))
    if named and "" in first:
        raise DataError(f"{path}: column {first.index('') + 1} has no name: is it a numbering of lines? Leave it out")
    heads = first if named else [f"column {i}" for i in range(1, len(first) + 1)]
    rows, classes = [], []
    for number, cells in lines[named:]:
        if len(cells) != len(heads):
            raise DataError(f"{path}, line {number}: it has {len(cells)} values, expected {len(heads)}")
        classes.append(cells[at].strip())
        rows.append(_numbers(path, number, heads, [*cells[:at], "0", *cells[at + 1 :]]))
    if not rows or len(heads) < 2:
        raise DataError(f"{path} has {len(rows)} examples in {len(heads)} columns, separated by commas, ; or tabs: "
                        "expected features and a class in each line")  # fmt: skip
    return heads, np.delete(np.array(rows), at, axis=1), np.array(classes)


def _lines(path: Path) -> Lines:
    """All lines that are not empty."""
    try:
        check_size(path, LONGEST)
        with open(path, newline="", encoding="utf-8-sig") as file:
            head = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=next((mark for mark in ",;\t" if mark in head), ","), strict=True)
            lines = [(reader.line_num, cells) for cells in reader if cells]
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text in UTF-8: {error.reason} at byte {error.start}") from error
    except (OSError, UnreadableError) as error:
        raise DataError(str(error)) from error
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error
    if not lines:
        raise DataError(f"{path} is empty")
    return lines


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _numbers(path: Path, line: int, heads: Sequence[str], cells: Sequence[str]) -> list[float]:
    try:
        numbers = list(map(float, cells))
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        name, text = next((name, text) for name, text in zip(heads, cells, strict=True) if not _is_number(text))
        raise DataError(f"{path}, line {line}: {shown(name)} is {shown(text)}, expected a number: "
                        "turn it into one, or leave out the line or the column")  # fmt: skip
    return numbers
