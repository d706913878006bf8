"""An experiment's directory: locked against other processes, cleared of unfinished files, with no foreign files."""

import errno
import io
import json
import os
import re
import shutil
import sys
import time
import warnings
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from npticket.experiments.errors import RecipeError, StoreError
from npticket.experiments.json_files import read_json
from npticket.experiments.recipe import Recipe, from_json
from npticket.files import naming

KEPT = ("results.csv", "curves.csv", "claims.json", "claims.md", "report.html", "figures", ".checkpoints",
        "manifest.json", "runs", "recipe.json")  # fmt: skip
RUN = re.compile(r"(.+)-round(\d+)-trial(\d+)\.npz")
LEFT = re.compile(r"\.(?!claims|report).+\.[0-9a-f]{16}\.partial")  # by `files.writing`; those take no lock
REPORT = '<meta name="generator" content="npticket report">'  # near the beginning of a report.html of ours
VERDICTS = "| verdict | claim |"  # with which the table in a claims.md of ours begins
SCRATCH = ".data"
FOLDERS = ("runs", "figures", ".checkpoints")
SAYS_WHO = b"<dc:title>npticket</dc:title>"
CHECKPOINTS = re.compile(r"[0-9a-f]{32}(/[^/]+\.(npz|partial))?")  # folders of runs, and what is in them
BUSY = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}


def lock(path: Path) -> io.TextIOWrapper:
    """Lock a folder for this process by the file `path` in it; the lock ends when that is closed, or the process ends.

    Raises StoreError if another process has the lock, or if `path` is a link, which might lead anywhere. If the file
    system has no locks, a warning is given and there is none.
    """
    try:
        file = open(path, "a", opener=_not_through_links)  # noqa: SIM115 - stays open as long as the store does
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StoreError(f"{path} is a link, which is not followed: remove it") from error
        raise
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS:
            said = f"the file system of {path.parent} has no locks ({error.strerror}): see to it that only one process"
            warnings.warn(f"{said} at a time works there", RuntimeWarning, stacklevel=2)
            return file
        file.close()
        if error.errno in BUSY:
            said = f"another process is at work in {path.parent}; wait for it, or choose another"
            raise StoreError(said) from error
        with naming(path):
            raise
    return file


def _not_through_links(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def clear(folder: Path) -> None:
    """Delete the unfinished files that a killed process left in a folder; this process must have its lock."""
    for path in (*folder.glob(".*.partial"), *(folder / "runs").glob("*.partial")):
        if LEFT.fullmatch(path.name):
            path.unlink(missing_ok=True)
    if (folder / SCRATCH).is_symlink():
        (folder / SCRATCH).unlink()
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Give a folder for temporary files in `folder`, whose lock this process must have; deleted after the block."""
    path = folder / SCRATCH
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def check_ours(paths: Iterable[Path]) -> None:
    """Raise StoreError if a file or folder at one of `paths`, named as in KEPT, was not made by an experiment.

    Its content tells. A link in the place of a folder is not followed, and is refused.
    """
    foreign = [path for path in paths if os.path.lexists(path) and not is_ours(path)]
    if foreign:
        raise StoreError(
            f"{', '.join(map(str, foreign))} {'is' if len(foreign) == 1 else 'are'} there already and not of an "
            "experiment of npticket: move it away, or choose another directory"
        )


def recipe_at(path: Path) -> Recipe:
    """Read a recipe; StoreError or RecipeError names the file."""
    found = read_json(path)
    try:
        return from_json(found)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error


def read_recipe(folder: str | Path) -> Recipe:
    """Return the recipe of a directory; StoreError if it is no experiment's, RecipeError for a wrong field."""
    path = Path(folder) / "recipe.json"
    if not path.is_file():
        inside = ", ".join(there.parent.name for there in sorted(Path(folder).glob("*/recipe.json"))[:9])
        hint = f"; it holds {inside}: name one of these, or the sweep again and --out {folder}" if inside else ""
        raise StoreError(f"{folder} is not an experiment's directory: it has no recipe.json{hint}")
    return recipe_at(path)


def check_free(folder: Path, measures: Collection[str] = ()) -> None:
    """Raise StoreError or RecipeError unless the folder is an experiment's, or has nothing in an experiment's way.

    `measures` are series that write a table, <series>.csv, of their own: such a file must be an experiment's, too.
    """
    if (folder / "recipe.json").exists():
        there = recipe_at(folder / "recipe.json").series
        check_ours(folder / name for name in FOLDERS if (folder / name).is_symlink())
    else:
        there = ()
        check_ours(folder / name for name in (*KEPT, SCRATCH))
    check_ours(folder / f"{name}.csv" for name in measures if name not in there)


def set_aside(folder: Path) -> Path | None:
    """Move what an earlier experiment left in `folder` into a subfolder `earlier-<time>`; return that, or None.

    Raises StoreError, and moves nothing, if there is something of the same name that is not an experiment's.
    """
    old = [folder / name for name in KEPT if os.path.lexists(folder / name)]
    if not old:
        return None
    check_free(folder)
    check_ours(old)
    old = [*(path for path in folder.glob("*.csv") if path not in old and is_ours(path)), *old]  # of measures
    with lock(folder / ".lock"):  # not under the feet of a process that is at work there
        clear(folder)
        name = time.strftime("earlier-%Y%m%d-%H%M%S", time.localtime(old[-1].lstat().st_mtime))
        goal = next(g for n in count() if not (g := folder / (f"{name}-{n}" if n else name)).exists())
        goal.mkdir()
        for path in old:
            path.replace(goal / path.name)
    return goal


def is_ours(path: Path) -> bool:
    """Whether a file or folder named as in KEPT is an experiment's, by its content: others use such names, too."""
    with suppress(OSError, ValueError, AttributeError, RecursionError):  # StoreError, RecipeError are ValueErrors
        if path.name in FOLDERS:
            return not path.is_symlink() and _is_our_folder(path)
        if path.suffix == ".csv":
            with open(path, "rb") as file:
                return file.readline(200).startswith((b"trial,series,round,", b"trial,round,"))
        if path.name == "report.html":
            with open(path, "rb") as file:
                return REPORT.encode() in file.read(300)
        if path.name == "claims.md":
            return f"\n{VERDICTS}".encode() in path.read_bytes()
        if path.name == "claims.json":
            found = json.loads(path.read_bytes())
            return isinstance(found, list) and all({"id", "status"} <= claim.keys() for claim in found)
        found = read_json(path)
        if path.name == "manifest.json":
            return isinstance(found.get("data"), dict) and isinstance(found.get("machines"), list)
        return bool(from_json(found))
    return False


def _is_our_folder(path: Path) -> bool:
    """Whether all files in one of FOLDERS have names that an experiment gives."""
    inside = path.rglob("*") if path.name == ".checkpoints" else path.iterdir()
    names = {child.relative_to(path).as_posix() for child in inside}
    if path.name == ".checkpoints":
        return path.is_dir() and all(CHECKPOINTS.fullmatch(name) for name in names)
    whole = {name for name in names if not name.endswith(".partial")}
    if path.name == "runs":
        return all(map(RUN.fullmatch, whole))
    pairs = {f"{Path(name).stem}{ending}" for name in whole for ending in (".png", ".svg")}
    missing = [path / name for name in pairs - whole]  # by a kill: SVGs are written first, and say by whom
    return whole <= pairs and all(
        png.suffix == ".png" and SAYS_WHO in png.with_suffix(".svg").read_bytes() for png in missing
    )
