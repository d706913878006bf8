"""Two halves of a job, one after the other or by two threads at once, with the same result."""

import queue
import threading
import weakref
from collections.abc import Callable

Half = Callable[[int], object]


class Team:
    """Calls functions of a half's number, 0 and 1: with two threads both at once, half 1 in a thread of its own.

    Both run at once because NumPy releases Python's lock (GIL) while it computes, which is nearly all of the time. The
    thread ends with the team, or with the process.
    """

    def __init__(self, threads: int = 1) -> None:
        if threads not in (1, 2):
            raise ValueError(f"a team has 1 or 2 threads, got {threads}")
        self.threads = threads
        if threads == 2:
            self._jobs: queue.SimpleQueue[Half | None] = queue.SimpleQueue()
            self._done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
            threading.Thread(target=_work, args=(self._jobs, self._done), daemon=True).start()
            weakref.finalize(self, self._jobs.put, None)

    def each(self, function: Half, parts: int = 2) -> None:
        """Call function(0) and, if there are two parts, function(1)."""
        if self.threads == 1 or parts == 1:
            for half in range(parts):
                function(half)
            return
        self._jobs.put(function)
        try:
            function(0)
        finally:
            error = self._done.get()
        if error is not None:
            raise error


def _work(jobs: "queue.SimpleQueue[Half | None]", done: "queue.SimpleQueue[BaseException | None]") -> None:
    while (function := jobs.get()) is not None:
        try:
            function(1)
        except BaseException as error:
            done.put(error)
        else:
            done.put(None)
        del function  # what it mentions may be large, and the next job may be long in coming


def half_of(size: int, half: int) -> slice:
    """Return the first or the second half of something of that size; the first has the odd one."""
    middle = (size + 1) // 2
    return slice(0, middle) if half == 0 else slice(middle, size)
