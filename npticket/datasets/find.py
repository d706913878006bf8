"""Where a dataset's files are: a folder that was named, $NPTICKET_DATA, the user's cache, or a download into it."""

import os
from collections.abc import Callable
from pathlib import Path

from npticket.datasets.dataset import DataError


def find(
    name: str, folder: str | Path | None, missing: Callable[[Path], str], download: Callable[[Path], None]
) -> tuple[Path, str]:
    """Return the folder that holds the files of dataset `name`, and a phrase that says how it was found.

    `missing(folder)` names what a folder lacks, or returns ""; `download(folder)` fills one. A folder that the user
    named, by `folder` or by NPTICKET_DATA, must hold the files, itself or in its subfolder `name`.
    """
    if folder is not None:
        return _search(Path(folder), name, missing, str(folder)), str(folder)
    named = os.environ.get("NPTICKET_DATA")
    if named:
        source = f"{named} (NPTICKET_DATA)"
        return _search(Path(named), name, missing, source), source
    cache = cache_folder() / name
    if missing(cache):
        download(cache)
    return cache, str(cache)


def cache_folder() -> Path:
    """Where downloads are kept: $XDG_CACHE_HOME/npticket, or ~/.cache/npticket."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "npticket"


def read_caveat(folder: Path) -> str:
    """What the data's owner wants to be said beside every result: the first line of CAVEAT.txt, if there is one."""
    path = folder / "CAVEAT.txt"
    return path.read_text().strip().partition("\n")[0] if path.is_file() else ""


def _search(folder: Path, name: str, missing: Callable[[Path], str], source: str) -> Path:
    if not folder.is_dir():
        raise DataError(f"the data folder {source} does not exist")
    for candidate in (folder / name, folder):
        if not missing(candidate):
            return candidate
    raise DataError(
        f"neither {source} nor its subfolder {name}/ holds all files; in {folder} missing: {missing(folder)}"
    )
