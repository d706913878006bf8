"""Fetching dataset files: mirrors in turn, checksums, and never a half-written file under its final name."""

import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from npticket.datasets.dataset import DataError

PATIENCE = 4.0  # seconds that the mirrors have, all together, to show that they can be reached


class OutOfReach(Exception):
    """No mirror answers: this machine has no way to the network, or none to them."""


def download(files: Mapping[str, str], mirrors: Sequence[str], folder: Path) -> None:
    """Put `files` (name -> "md5:..." or "sha256:...") from the first mirror that delivers each into `folder`.

    Raises OutOfReach within seconds if no mirror answers at all, DataError if mirrors answer but none delivers a
    file with the right checksum. What is there already and right is not fetched again.
    """
    try:
        import pooch
    except ImportError as error:
        raise OutOfReach("downloading needs pooch (part of npticket[demos]), which is not installed") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutOfReach(f"the cache folder {folder} cannot be made ({error}); XDG_CACHE_HOME names another") from error
    alive = _reachable([mirror + next(iter(files)) for mirror in mirrors])
    mirrors = [mirror for mirror, answers in zip(mirrors, alive, strict=True) if answers]
    if not mirrors:
        raise OutOfReach("no mirror can be reached from here")
    for name, checksum in files.items():
        failures = []
        for mirror in mirrors:
            try:
                fetch = pooch.HTTPDownloader(timeout=20, progressbar=_has_tqdm() and sys.stderr.isatty())
                # pooch writes to a temporary file beside the goal, checks it, and only then renames it.
                pooch.retrieve(mirror + name, checksum, fname=name, path=folder, downloader=fetch)
                break
            except (OSError, ValueError) as error:  # no answer, cut off, HTTP error; wrong checksum
                failures.append(f"{mirror}: {error}")
        else:
            listing = "\n  ".join(failures)
            raise DataError(f"no mirror delivered {name} intact; fetch it yourself and name its folder:\n  {listing}")


def _reachable(urls: Sequence[str]) -> list[bool]:
    """Ask all `urls` at once; whoever answers in time, with whatever, can be reached.

    In threads, because looking up a name can hang for much longer than any time limit that a request takes.
    """
    answers = [False] * len(urls)

    def ask(i: int) -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(urls[i], method="HEAD"), timeout=PATIENCE).close()
            answers[i] = True
        except urllib.error.HTTPError:
            answers[i] = True
        except OSError:
            pass

    threads = [threading.Thread(target=ask, args=(i,), daemon=True) for i in range(len(urls))]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return list(answers)


def _has_tqdm() -> bool:
    try:
        import tqdm  # noqa: F401
    except ImportError:
        return False
    return True
