"""How far training runs are, as a bar on a terminal."""

import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

EVERY = 0.5  # seconds between two updates


class Progress(AbstractContextManager["Progress"]):
    """Shows on stderr how many runs, or steps, of `total` are done, with the time left.

    Without tqdm, or if stderr is not a terminal, there is no bar. `follow` also counts what is done elsewhere.
    """

    def __init__(self, total: int, done: int = 0, unit: str = "run") -> None:
        self._done, self._over = done, threading.Event()
        self._following: threading.Thread | None = None
        try:
            from tqdm import tqdm
        except ImportError:
            self._bar = None
        else:  # disable=None: quiet unless stderr is a terminal
            shown = {"disable": None, "leave": False, "file": sys.stderr, "unit_scale": unit != "run"}
            # miniters=1: else tqdm skips the next small updates after a large one
            self._bar = tqdm(total=total, initial=done, unit=unit, smoothing=0.1, miniters=1, **shown)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._following is not None:
            self._following.join()
        if self._bar is not None:
            self._bar.close()

    @property
    def is_shown(self) -> bool:
        """Whether there is a bar."""
        return self._bar is not None and not self._bar.disable

    def advance(self, latest: str = "", by: int = 1) -> None:
        """Count `by` more as done; `latest` is shown beside the bar."""
        self._done += by
        if self._bar is not None:
            self._bar.set_postfix_str(latest, refresh=False)
        if self._following is None:  # which shows it, with what is being done
            self._show(0)

    def follow(self, more: Callable[[], int]) -> None:
        """From now on, every EVERY seconds, show what is done plus what `more()` returns."""

        def look() -> None:
            while not self._over.wait(EVERY):
                self._show(more())

        if self.is_shown:
            self._following = threading.Thread(target=look, daemon=True)
            self._following.start()

    def _show(self, more: int) -> None:
        if self._bar is not None:
            self._bar.update(self._done + more - self._bar.n)

    def say(self, text: str) -> None:
        """Print to stdout at once, above the bar if there is one."""
        with self._bar.external_write_mode() if self._bar is not None else nullcontext():
            print(text, flush=True)


class Steps:
    """Counts the steps of runs that are being trained, by a file for each in a folder.

    Workers, which may be other processes, write them every EVERY seconds.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def watch(self, name: str, first: int, count: int) -> Callable[[int], None]:
        """Return a function to be called with each step's number, for `count` runs that train together from `first`."""
        path, next_time = self._folder / f"{name}.steps", 0.0

        def note(step: int) -> None:
            nonlocal next_time
            if (now := time.monotonic()) >= next_time:
                next_time = now + EVERY
                with suppress(OSError):  # the folder goes when the experiment is stopped
                    path.write_text(str((step - first) * count))

        return note

    def forget(self, name: str) -> None:
        """Delete the file of runs that are finished."""
        with suppress(OSError):
            (self._folder / f"{name}.steps").unlink(missing_ok=True)

    def taken(self) -> int:
        """Return how many steps all runs that are being trained have taken together."""
        total = 0
        for path in self._folder.glob("*.steps"):
            with suppress(OSError, ValueError):  # gone, or just being written
                total += int(path.read_text())
        return total
