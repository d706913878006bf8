"""Reading files that others made and that may hold anything: sizes are bounded, and errors name the file.

Nothing is unpickled or evaluated. `most` is always the largest size that is accepted, in bytes.
"""

import io
import json
import math
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np

Json = Any  # what JSON can hold

HEADER = 1024  # bytes that the header of an array takes, at most
BROKEN = (OSError, EOFError, ValueError, LookupError, TypeError, ArithmeticError, RuntimeError, MemoryError,
          struct.error, zlib.error, zipfile.BadZipFile)  # fmt: skip
# NumPy's names for the types of numbers in safetensors files
KINDS = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U8": "u1"}
SAFETENSORS_HEADER = 1 << 20  # bytes, at most
# What NumPy writes before an array of numbers or texts (numpy.lib.format, version 1.0). Arrays of other kinds are not
# plain bytes. The header is matched by this pattern and so need not be evaluated as Python, which NumPy does.
KIND = rb"(?:[<>|][iufU]\d{1,5}|\|b1)"
FIELD = re.compile(rb"\('(\w+)', '(" + KIND + rb")'\)")
NPY = re.compile(
    rb"\x93NUMPY\x01\x00(..)\{'descr': (?:'(" + KIND + rb")'|(\[(?:\('\w+', '" + KIND + rb"'\),? ?)+\])), "
    rb"'fortran_order': (False|True), "
    rb"'shape': \(((?:\d{1,18}, ?)*(?:\d{1,18})?)\), \} *\n", re.DOTALL,
)  # fmt: skip


class UnreadableError(ValueError):
    """A file that is not what it should be; the message names it."""


def check_size(path: str | Path, most: int) -> None:
    """Raise UnreadableError unless `path` is a regular file of at most `most` bytes, OSError if there is none."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise UnreadableError(f"{path} is not a file")
    if status.st_size > most:
        raise UnreadableError(f"{path} has {status.st_size:,} bytes, expected at most {most:,}")


def read_bytes(path: str | Path, most: int) -> bytes:
    """Return what is in a file; errors as for `check_size`."""
    check_size(path, most)
    with open(path, "rb") as file:
        return file.read(min(most, os.fstat(file.fileno()).st_size))  # room is made for what is asked for


def read_text(path: str | Path, most: int) -> str:
    """Return the text in a file of at most `most` bytes; errors as for `check_size`."""
    try:
        return read_bytes(path, most).decode("utf-8-sig")  # some editors put a mark before the text
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{path} is not text in UTF-8: {error.reason} at byte {error.start}") from error


def parsed_json(text: str | bytes) -> Json:
    """Return what JSON holds; ValueError if it is none, if an object has a name twice, or for NaN and infinities."""
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    if len(value := dict(pairs)) < len(pairs):
        raise ValueError(f"of the names {shown([name for name, _ in pairs])} one is there twice")
    return value


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def read_npz(path: str | Path, most: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Return the arrays of numbers and texts in an .npz file, as NumPy writes it.

    `most` maps the names of the arrays that there may be to their largest sizes: nothing larger is expanded. Raises
    UnreadableError, which says what is wrong with the file, and OSError if there is none.
    """
    check_size(path, 2 * (sum(most.values()) + (1 + len(most)) * HEADER))
    found: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = member.orig_filename.removesuffix(".npy")
                if f"{name}.npy" != member.orig_filename or name not in most:
                    raise ValueError(f"it has the unknown {shown(name)}, expected {shown(list(most))}")
                if name in found:
                    raise ValueError(f"it has {name} twice")
                if member.file_size > most[name] + HEADER:
                    raise ValueError(f"{name} would take {member.file_size:,} bytes, expected at most {most[name]:,}")
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise ValueError(f"{name} is compressed as NumPy does not do it")
                with archive.open(member) as file:
                    found[name] = _array(name, file.read(member.file_size))  # its CRC is checked, too
    except BROKEN as error:
        raise UnreadableError(f"{path} cannot be read: {reason(error, path)}") from error
    return found


def read_safetensors(path: str | Path, most: int) -> dict[str, np.ndarray]:
    """Return the arrays of numbers in a safetensors file of at most `most` bytes, each a view that cannot be written.

    The format: eight bytes say how long the JSON is that follows; this says the type, the shape and the place of each
    array among the bytes behind it. Raises UnreadableError, which says what is wrong, and OSError if there is no file.
    """
    data = read_bytes(path, most)
    try:
        start = 8 + int.from_bytes(data[:8], "little")
        if start > min(len(data), 8 + SAFETENSORS_HEADER):
            raise ValueError(f"its header would take {start - 8:,} bytes")
        header = parsed_json(data[8:start])
        header.pop("__metadata__", None)
        found, values = {}, memoryview(data)[start:]
        for name, entry in header.items():
            if (kind := entry["dtype"]) not in KINDS:
                raise ValueError(f"{shown(name)} is of type {shown(kind)}, expected one of {', '.join(KINDS)}")
            dtype, (first, end) = np.dtype(KINDS[kind]), entry["data_offsets"]
            if not 0 <= first <= end <= len(values) or end - first != math.prod(entry["shape"]) * dtype.itemsize:
                raise ValueError(f"{shown(name)} does not take the place that it is said to")
            found[name] = np.frombuffer(values[first:end], dtype).reshape(entry["shape"])
        places = sorted(entry["data_offsets"] for entry in header.values())
        if any(end > first for (_, end), (first, _) in pairwise(places)):
            raise ValueError("two of its arrays take the same place")
    except (*BROKEN, AttributeError, RecursionError) as error:
        raise UnreadableError(f"{path} is not a safetensors file of numbers: {reason(error, path)}") from error
    return found


def check_array(name: str, array: np.ndarray, most: int) -> None:
    """Raise ValueError unless `read_npz` could read this array, of at most `most` bytes, once it is saved."""
    np.lib.format.write_array(file := io.BytesIO(), array, allow_pickle=False)
    if (size := len(data := file.getvalue())) > most + HEADER:
        raise ValueError(f"{name} would take {size:,} bytes, expected at most {most:,}")
    _array(name, data)


def _array(name: str, data: bytes) -> np.ndarray:
    """The array in the bytes of a .npy file; `name` is for the messages."""
    header = NPY.match(data)
    if header is None or header.end() != 10 + int.from_bytes(header[1], "little"):
        raise ValueError(f"{name} is not an array of numbers or texts: Python objects, for one, are never read")
    dtype = np.dtype(header[2].decode()) if header[2] else np.dtype(_fields(header[3]))
    shape = tuple(int(size) for size in header[5].split(b",") if size.strip())
    expected, there = math.prod(shape) * dtype.itemsize, len(data) - header.end()
    if there != expected:
        raise ValueError(f"{name} announces {expected:,} bytes and holds {there:,}")
    order: Literal["C", "F"] = "F" if header[4] == b"True" else "C"
    array = np.frombuffer(data, dtype, offset=header.end()).reshape(shape, order=order).copy()
    if dtype.kind == "b" and array.view(np.uint8).max(initial=0) > 1:
        raise ValueError(f"{name} has truth values that are neither true nor false")
    for column in [array[field] for field in dtype.names or ()] or [array]:
        if column.dtype.kind == "U" and (odd := [t for t in column.ravel().tolist() if not t.isprintable()]):
            raise ValueError(f"{name} has texts that cannot be printed, such as {odd[0][:40]!r}")
    return array


def _fields(text: bytes) -> list[tuple[str, str]]:
    """The names and types of a structured array's columns, from its header."""
    return [(name.decode(), kind.decode()) for name, kind in FIELD.findall(text)]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return " (is a or b meant?)" with the known names most like `name`, to end an error message; "" if none is."""
    found = get_close_matches(name, list(known), n=3)
    return f" (is {' or '.join(found)} meant?)" if found else ""


def reason(error: BaseException, path: str | Path = "") -> str:
    """Return what an error says, for a message that names `path` already: it names a file only if that is another."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        known = str(error.filename) == str(path)
        return error.strerror if known else f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def shown(value: object) -> str:
    """Return the repr of a value for an error message: what cannot be printed is escaped, and it is cut when long."""
    text = printable(repr(value))
    return text if len(text) <= 100 else f"{text[:100]}..."


def printable(text: str) -> str:
    """Replace characters that cannot be printed, as a terminal's commands, by Python's escapes; newlines stay."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
