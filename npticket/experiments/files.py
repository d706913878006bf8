"""Files that are complete under their name or not there at all, and folders that one process has for itself."""

import io
import json
import os
import sys
import time
from itertools import count
from pathlib import Path

from npticket.backend import Json

EXPERIMENT = ("recipe.json", "manifest.json", "results.csv", "curves.csv", "runs", "figures", "claims.json")


class StoreError(ValueError):
    """A directory that cannot be used; the message says which file is wrong and what to do."""


def write(path: Path, content: bytes) -> None:
    """Write a file that is complete under its name, or not there at all."""
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, value: Json) -> None:
    """Write JSON that people can read."""
    write(path, (json.dumps(value, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, Json]:
    """Read a JSON object; StoreError names the file if it is none."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise StoreError(f"{path} holds no JSON object with named fields")
    return value


def lock(path: Path) -> io.TextIOWrapper:
    """Hold the directory for this process; the system lets go of it when the process ends, however it ends."""
    file = open(path, "a")  # noqa: SIM115 - stays open as long as the store does
    try:
        _lock_file(file)
    except OSError as error:
        file.close()
        raise StoreError(f"another process is at work in {path.parent}; wait for it, or choose another") from error
    return file


def _lock_file(file: io.TextIOWrapper) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def set_aside(folder: str | Path) -> Path | None:
    """Move what an earlier experiment left in `folder` into a subfolder `earlier-<time>`; return it, or None."""
    folder = Path(folder)
    old = [folder / name for name in EXPERIMENT if (folder / name).exists()]
    if not old:
        return None
    held = lock(folder / ".lock")  # not under the feet of a process that is at work there
    name = time.strftime("earlier-%Y%m%d-%H%M%S", time.localtime(old[0].stat().st_mtime))
    goal = next(g for n in count() if not (g := folder / (f"{name}-{n}" if n else name)).exists())
    goal.mkdir()
    for path in old:
        path.replace(goal / path.name)
    held.close()
    return goal
