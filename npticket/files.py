"""Atomic writing, by which a file is complete under its name or not there at all; all that is kept is written so."""

import errno
import os
import re
import secrets
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no room for a file
NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}  # of a file system that cannot sync folders

FEWER = re.compile(r"\d+ requested and \d+ written")  # NumPy's error, without a number, when a disk is full


def write(path: str | Path, content: bytes) -> None:
    """Write a file at once: a file of this name stays as it was until the new one is complete. Errors as `writing`."""
    with writing(path) as file:
        file.write(content)


@contextmanager
def writing(path: str | Path) -> Iterator[BinaryIO]:
    """Give a file to write to, which gets its name when the block ends well and is removed when it does not.

    Until then it lies in the same folder, under a name that nobody can foresee. A link at `path` is replaced, and not
    followed. Raises OSError, naming `path`, if anything fails.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    with naming(path):
        try:
            with open(partial, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        sync(path.parent)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make an OSError name `path`: one of writing to an open file names none, and NumPy's does not say the reason."""
    try:
        yield
    except OSError as error:
        full = error.errno is None and FEWER.search(str(error))
        if error.errno is None and not full:
            raise OSError(f"{path}: {error}") from error
        raise OSError(errno.ENOSPC if full else error.errno, error.strerror or str(error), str(path)) from error


@contextmanager
def put_off() -> Iterator[None]:
    """Warn of an OSError instead of raising it: for what is written again later, as a table that is open in Excel."""
    try:
        yield
    except OSError as error:
        warnings.warn(f"{error}: this is tried again later", RuntimeWarning, stacklevel=3)


def sync(folder: Path) -> None:
    """Write a folder's names to the disk: else a file that was just renamed may be lost when the power fails."""
    if os.name != "posix":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        os.close(number)
