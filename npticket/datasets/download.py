"""Where a dataset's files are: a folder that was named, $NPTICKET_DATA, the user's cache, or a download into it."""

import os
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from npticket.datasets.dataset import DataError
from npticket.files import FULL
from npticket.reading import UnreadableError, printable, read_text, reason, shown

REFUSED = "CERTIFICATE_VERIFY_FAILED"  # as OpenSSL says it, through all libraries
WHY = "is there a proxy in between (REQUESTS_CA_BUNDLE names the authorities to trust), or is the clock wrong?"
LONGEST = 200  # characters of a caveat
PATIENCE = 4.0  # seconds in which mirrors, asked all at once, must answer


class OutOfReach(Exception):
    """No mirror answers: this machine has no way to the network, or none to them."""


def find(
    name: str, folder: str | Path | None, missing: Callable[[Path], str], files: dict[str, str], mirrors: Sequence[str]
) -> tuple[Path, str]:
    """Return the folder that holds the files of dataset `name`, and a phrase that says how it was found.

    `missing(folder)` names what a folder lacks, or returns ""; `files` and `mirrors` are as in `download`. A folder
    that the user named, by `folder` or by NPTICKET_DATA, must hold the files, itself or in its subfolder `name`.
    """
    source = printable(str(folder))
    if folder is None and (folder := os.environ.get("NPTICKET_DATA") or None):
        source = f"{printable(folder)} (NPTICKET_DATA)"
    if folder is not None:
        root = Path(folder)
        if not root.is_dir():
            wrong = "is no folder" if root.exists() else "does not exist"
            raise DataError(f"the data folder {source} {wrong}")
        for candidate in (root / name, root):
            if not missing(candidate):
                return candidate, source
        lacking = missing(root)
        raise DataError(f"neither {source} nor its subfolder {name}/ holds all files; in {root} missing: {lacking}")
    try:
        cache = cache_folder() / name
    except RuntimeError as error:
        raise OutOfReach(f"there is no cache folder ({error}): XDG_CACHE_HOME names one") from error
    if missing(cache):
        download(files, mirrors, cache)
    return cache, printable(str(cache))


def cache_folder() -> Path:
    """Return the folder for downloads, which can be deleted: $XDG_CACHE_HOME/npticket, or ~/.cache/npticket."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "npticket"


def read_caveat(folder: Path) -> str:
    """Return what is to be shown beside every result of this data: the first line of CAVEAT.txt, or "" without one."""
    path = folder / "CAVEAT.txt"
    if not path.exists():
        return ""
    try:
        line = " ".join(read_text(path, 1 << 20).strip().partition("\n")[0].split())
    except (OSError, UnreadableError) as error:
        raise DataError(reason(error)) from error
    if not line.isprintable() or len(line) > LONGEST:
        raise DataError(f"{path}: its first line is shown beside every result: expected at most {LONGEST} characters "
                        f"that can be printed, got {shown(line)}")  # fmt: skip
    return line


def caveats(folder: Path, name: str, others: int, files: int) -> str:
    """Return what is to be shown beside every result: the caveat, and how many files are not the original ones."""
    counted = f"{others} of {files} files {'are' if others > 1 else 'is'} not the original {name}'s" if others else ""
    return "; ".join(filter(None, (read_caveat(folder), counted)))


def download(files: dict[str, str], mirrors: Sequence[str], folder: Path) -> None:
    """Put `files` (name -> "sha256:...") that are missing into a folder, each from the first mirror that delivers it.

    Raises OutOfReach within seconds if no mirror answers, DataError if none delivers a file with the right checksum.
    """
    try:
        import pooch
    except ImportError as error:
        raise OutOfReach("downloading needs pooch (part of npticket[demos]), which is not installed") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        said = f"the cache folder {folder} cannot be made ({reason(error, folder)}); XDG_CACHE_HOME names another"
        raise OutOfReach(said) from error
    if not os.access(folder, os.W_OK):
        raise OutOfReach(f"the cache folder {folder} cannot be written to; XDG_CACHE_HOME names another")
    if not (mirrors := _reachable(mirrors, next(iter(files)))):
        raise OutOfReach("no mirror can be reached from here")
    shows_bar = sys.stderr.isatty() and find_spec("tqdm") is not None
    for name, checksum in files.items():
        failures = []
        for mirror in mirrors:
            try:
                fetch = pooch.HTTPDownloader(timeout=20, progressbar=shows_bar)
                # pooch writes to a temporary file beside the goal, checks it, and only then renames it.
                pooch.retrieve(mirror + name, checksum, fname=name, path=folder, downloader=fetch)
                break
            except (OSError, ValueError) as error:  # no answer, cut off, HTTP error; wrong checksum
                if isinstance(error, OSError) and error.errno in FULL:
                    raise DataError(f"there is no room for {name} in {folder}; XDG_CACHE_HOME names another") from error
                failures.append(f"{mirror}: {reason(error)}")
        else:
            listing = "\n  ".join(failures)
            if all(REFUSED in failure for failure in failures):
                raise OutOfReach(f"the certificate of {', '.join(mirrors)} is refused: {WHY}")
            raise DataError(f"no mirror delivered {name} intact; fetch it yourself and name its folder:\n  {listing}")


def _reachable(mirrors: Sequence[str], file: str) -> list[str]:
    """Return the mirrors that answer when asked for `file`; in threads, as a timeout does not end a name's look-up."""
    answered = set()

    def ask(mirror: str) -> None:
        with suppress(OSError):
            try:
                urllib.request.urlopen(urllib.request.Request(mirror + file, method="HEAD"), timeout=PATIENCE).close()
            except urllib.error.URLError as error:  # a status is an answer, too, and so is a refused certificate
                if not isinstance(error, urllib.error.HTTPError) and REFUSED not in str(error):
                    return
            answered.add(mirror)

    threads = [threading.Thread(target=ask, args=(mirror,), daemon=True) for mirror in mirrors]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [mirror for mirror in mirrors if mirror in answered]
