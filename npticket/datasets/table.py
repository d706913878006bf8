"""A table as CSV: a line per example, numbers, and a column of classes."""

import csv
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from sys import intern

import numpy as np

from npticket.backend import Array
from npticket.datasets.dataset import DataError, Dataset
from npticket.datasets.own import EXACT, from_arrays, located
from npticket.reading import UnreadableError, check_size, reason, shown

LONGEST = 1 << 30  # bytes
LARGEST = float(np.finfo(np.float32).max)
MISSING = {"na", "n/a", "nan", "none", "null", "-", "?"}  # what stands for a class that is not known
FEW = 10  # so many classes that are numbers are never taken for measurements


def csv_table(
    folder: str | Path | None = None, seed: int = 0, *, path: str, target: str = "", test: str = "",
    standardise: bool = False,
) -> Dataset:  # fmt: skip
    """Return the data in a CSV file: numbers, and a column `target` with classes, the last one if none is named.

    `test` names another file with examples for testing; else, and for validation, some are set aside, and numbers enter
    the network, as `own.arrays` says. Commas separate values; or semicolons or tabs, if the first line has no comma.

    The first line may name the columns; it must if there is a `target`. Without one, it is taken for names if none of
    its features is a number, and for an example if all are. A wrong guess would lose an example, or train with names,
    so DataError refuses doubtful first lines: one with both numbers and texts, names of which the last is a class of
    other lines, an example whose class no other line has, and 0, 1, 2 ..., as pandas names columns without names. A
    file for testing must be another one with the same columns. Lines with as many semicolons or tabs each and commas
    besides are refused, which may be those of fractions. Classes that are numbers are in their order. DataError also
    names the line and the column of what is not a number, a line without a class, and a column of classes that looks
    like measurements.
    """
    first, named = _first(file := located(folder, path)), bool(target) or _has_names(file)
    if target and first.count(target) != 1:
        raise DataError(f"{file} has no column {shown(target)}, or two: its first line is {shown(first)}")
    if named and "" in first:
        raise DataError(f"{file}: column {first.index('') + 1} has no name: is it a numbering of lines? Leave it out")
    heads = first if named else [f"column {i}" for i in range(1, len(first) + 1)]
    at = heads.index(target) if target else len(heads) - 1
    given = {"train": _examples(file, named, heads, at)}
    if test:
        other = located(folder, test)
        if named and (there := _first(other)) != heads:
            raise DataError(f"{other} has the columns {shown(there)}, {path} has {shown(heads)}")
        given["test"] = _examples(other, named, heads, at)
    if test and other.samefile(file):  # by links, or by other letters where case does not count
        raise DataError(f"{file} is to be trained with and tested with: without a test file some of it is set aside")
    every = {label for _, classes in given.values() for label in classes.tolist()}
    if all(_is_number(label) and abs(float(label)) <= EXACT for label in every):  # in their order, and 1.0 is 1
        given = {split: (x, np.array([int(float(label)) for label in y])) for split, (x, y) in given.items()}
    return from_arrays(file, given, seed, standardise)


def _has_names(path: Path) -> bool:
    """Whether the first line names the columns; DataError where that cannot be told."""
    first = _first(path)
    numbers, last = [_is_number(cell) for cell in first[:-1]], first[-1]
    known = any(cells[-1].strip() == last for _, cells in islice(_lines(path), 1, None))
    if any(numbers) and not all(numbers):
        why = f"{shown(first[numbers.index(False)])} is no number, other features are"
    elif numbers and known != all(numbers):
        why = f"{'other lines have' if known else 'no other line has'} the class {shown(last)}"
    elif numbers and first == [str(i) for i in range(len(first))]:
        why = "they count from 0, as pandas names columns"
    else:
        return not all(numbers)
    raise DataError(f'{path}, line 1: are {shown(first)} names or an example? {why}. Of names, '
                    'say which has the classes, by "target"; before an example, write a line of names')  # fmt: skip


def _examples(path: Path, named: bool, heads: Sequence[str], at: int) -> tuple[Array, Array]:
    """Features (N, F), and classes (N,), which are in column `at`."""
    features, classes = array("d"), list[str]()
    others = [head for i, head in enumerate(heads) if i != at]
    for number, cells in islice(_lines(path), named, None):
        if len(cells) != len(heads):
            raise DataError(f"{path}, line {number}: it has {len(cells)} values, expected {len(heads)}")
        if not (of := cells[at].strip()):
            raise DataError(f"{path}, line {number}: it has no class, {shown(heads[at])} is empty: leave it out")
        classes.append(intern(of))
        features.extend(_numbers(path, number, others, [*cells[:at], *cells[at + 1 :]]))
    if not classes or not others:
        raise DataError(f"{path} has {len(classes)} examples in {len(heads)} columns, separated by commas, ; or tabs: "
                        "expected features and a class in each line")  # fmt: skip
    _check_classes(path, heads[at], classes)
    return np.array(features).reshape(len(classes), len(others)), np.array(classes)


def _check_classes(path: Path, column: str, classes: Sequence[str]) -> None:
    """Raise DataError for classes that look like measurements: fractions, or numbers that differ in most lines."""
    different = list(dict.fromkeys(classes))
    texts = [text for text in different if not _is_number(text)]
    if texts and len(texts) < len(different) and all(text.lower() in MISSING for text in texts):
        raise DataError(f"{path}: {shown(column)} has {shown(texts[0])} among numbers: leave out lines without a class")
    if texts:
        return
    odd = next((number for number in different if not float(number).is_integer()), "")
    if odd or len(different) > max(FEW, len(classes) // 2):
        many = f"there are {len(different)} different numbers in {len(classes)} lines"
        raise DataError(f"{path}: {shown(column)} should have the class of each line, and "
                        f"{f'has {odd}' if odd else many}, as what is measured: "
                        'say which column has classes, by "target"')  # fmt: skip


def _first(path: Path) -> list[str]:
    """The cells of the first line that is not empty; DataError without one."""
    for _, cells in _lines(path):
        return [cell.strip() for cell in cells]
    raise DataError(f"{path} is empty")


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each line that is not empty: they are read anew, as they may fill memory."""
    try:
        check_size(path, LONGEST)
        with open(path, newline="", encoding="utf-8-sig") as file:
            head = file.readline()
            _check_commas(path, chain([head], file))
            file.seek(0)
            reader = csv.reader(file, delimiter=next((mark for mark in ",;\t" if mark in head), ","), strict=True)
            yield from ((reader.line_num, cells) for cells in reader if cells)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text in UTF-8: {error.reason} at byte {error.start}") from error
    except (OSError, UnreadableError) as error:
        raise DataError(reason(error)) from error
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error


def _check_commas(path: Path, lines: Iterable[str]) -> None:
    """Raise DataError where commas may be those of decimal fractions, as all lines have as many other separators."""
    there = (line for line in lines if line.strip())
    if "," not in (head := next(there, "")):
        return
    marks = {mark: name for mark, name in ((";", "semicolon"), ("\t", "tab")) if mark in head}
    for line in there if marks else ():
        marks = {mark: name for mark, name in marks.items() if line.count(mark) == head.count(mark)}
    for name in marks.values():
        said = f"does a comma or a {name} separate its columns? Write fractions with a point"
        raise DataError(f"{path}: {said}, or put texts with a {name} into quotes without it")


def _is_number(text: str) -> bool:
    """Whether a text is a number that single precision can hold."""
    try:
        return abs(_number(text)) <= LARGEST
    except ValueError:
        return False


def _number(text: str) -> float:
    """The number that a text is; ValueError if it is none, or one as only Python writes it: 1_000."""
    if "_" in text:
        raise ValueError(f"{text} is no number")
    return float(text)


def _numbers(path: Path, line: int, heads: Sequence[str], cells: Sequence[str]) -> list[float]:
    try:
        numbers = list(map(_number, cells))
    except ValueError:
        numbers = [math.nan]
    if not all(abs(number) <= LARGEST for number in numbers):
        name, text = next((name, text) for name, text in zip(heads, cells, strict=True) if not _is_number(text))
        raise DataError(f"{path}, line {line}: {shown(name)} is {shown(text)}, expected a number, "
                        f"of {LARGEST:.1e} at most: turn it into one, or leave out the line or the column")  # fmt: skip
    return numbers
