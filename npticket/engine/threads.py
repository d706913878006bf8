"""Two halves of a job, one after the other or by two threads at once, with the same result."""

import queue
import threading
import weakref
from collections.abc import Callable

import numpy as np

from npticket.layers import Dense
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep

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


class HalvedDense:
    """y = x W + b as npticket.layers.Dense, for one trial, a half of the inputs at a time or by each thread."""

    def __init__(self, dense: Dense, team: Team) -> None:
        self.layout, self.init, self._team = dense.layout, dense.init, team

    def forward(self, p: Tree, x: np.ndarray, step: TrainingStep | None = None) -> tuple[np.ndarray, Backward]:
        w, x = p["W"][0], x[0]
        parts = np.empty((2, len(x), w.shape[1]), x.dtype)

        def multiply(half: int) -> None:
            inputs = half_of(len(w), half)
            np.matmul(x[:, inputs], w[inputs], out=parts[half])

        self._team.each(multiply)
        y = parts[0] + parts[1]
        y += p["b"][0]

        def backward(dy: np.ndarray, grad: Tree, need_dx: bool = True) -> np.ndarray:
            dy, dx = dy[0], np.empty_like(x)
            dy.sum(axis=0, keepdims=True, out=grad["b"][0])

            def multiply(half: int) -> None:
                inputs = half_of(len(w), half)
                np.matmul(x.T[inputs], dy, out=grad["W"][0][inputs])
                np.matmul(dy, w[inputs].T, out=dx[:, inputs])

            self._team.each(multiply)
            return dx[None]

        return y[None], backward
