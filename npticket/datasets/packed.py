"""Reading raw and gzipped files and .tar.gz archives of known sizes: no more is read than they should hold."""

import gzip
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from npticket.datasets.dataset import DataError
from npticket.reading import UnreadableError, check_size, printable, reason

BESIDE = 1 << 24  # bytes, at most, of other files in an archive, as a page or the names of classes
BLOCK = 512  # bytes of a tar archive's headers, and what its members are rounded up to


def read(path: Path, size: int) -> bytes:
    """Return the content of a raw or gzipped (.gz) file that should be `size` bytes long, or its first `size` + 1."""
    try:
        check_size(path, 2 * size + BESIDE)
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            return file.read(size + 1)
    except UnreadableError as error:
        raise DataError(str(error)) from error
    except (EOFError, OSError, zlib.error) as error:
        what = "a complete gzip file" if path.suffix == ".gz" else "readable"
        raise DataError(f"{path} is not {what} ({reason(error, path)}); delete it and fetch it again") from error


def members(path: Path, sizes: Mapping[str, int]) -> dict[str, bytes]:
    """Return the contents of those members of a .tar.gz that `sizes` names, which must be plain files of these sizes.

    Nothing else in the archive is looked at, followed or unpacked. Members that it lacks are not in the result.
    DataError for one of another kind or size, and for a damaged archive.
    """
    found: dict[str, bytes] = {}
    try:
        check_size(path, 2 * sum(sizes.values()) + BESIDE)
        with gzip.open(path) as file:
            beside = 0
            while any(header := _exactly(file, BLOCK)):  # zeros end the archive
                name, kind, size = _member(header)
                padding = -size % BLOCK
                if name in sizes:
                    if name in found or kind not in "0\0" or size != sizes[name]:
                        twice = "is there twice" if name in found else f"is {size:,} bytes of kind {kind!r}"
                        raise DataError(f"{path}: {name} {twice}, expected one plain file of {sizes[name]:,} bytes")
                    found[name] = _exactly(file, size)
                    _exactly(file, padding)
                    continue
                beside += BLOCK + size + padding
                if beside > BESIDE:
                    raise DataError(f"{path} holds much more than the files expected: is it another version?")
                _exactly(file, size + padding)
            while rest := file.read(1 << 20):  # to the end, where gzip's checksum is
                if (beside := beside + len(rest)) > BESIDE:
                    raise DataError(f"{path} goes on for long after its end: is it another version?")
    except DataError:
        raise
    except (EOFError, OSError, zlib.error, ValueError) as error:
        raise DataError(
            f"{path} is not a complete archive ({reason(error, path)}); delete it and fetch it again"
        ) from error
    return found


def _member(header: bytes) -> tuple[str, str, int]:
    """What the header of a member says: its name, its kind and its size in bytes."""
    try:
        member = tarfile.TarInfo.frombuf(header, "latin-1", "strict")
    except tarfile.HeaderError as error:
        raise ValueError(f"the header of a file in it is damaged: {error}") from error
    if member.size < 0:
        raise ValueError("the header of a file in it says a negative size")
    return printable(member.name), member.type.decode("latin-1"), member.size


def _exactly(file: gzip.GzipFile, size: int) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise EOFError("it is cut off")
    return content
