"""Two halves of a job, one after the other or by two threads at once, with the same result; optimizers in pieces."""

import queue
import threading
import weakref
from collections.abc import Callable

import numpy as np

from npticket.backend import Dtype
from npticket.engine.optimizers import packed, picked
from npticket.layers import Dense
from npticket.optimizers import moving
from npticket.params import Params, Tree
from npticket.protocols import Backward, MakeOptimizer, Optimizer, State
from npticket.streams import TrainingStep

PIECE = 1 << 16  # parameters: with their gradients and moments they fit in L2
FEW = 1 << 18  # parameters, of which pieces would cost more calls than they save

Half = Callable[[int], object]


class Team:
    """Calls functions of a half's number, 0 and 1: with two threads both at once, half 1 in a thread of its own.

    NumPy lets go of the interpreter while it computes, which is nearly all of the time. The thread ends with the team,
    or with the process.
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

    def each(self, function: Half, parts: int = 2, is_small: bool = False) -> None:
        """Call function(0) and, if there are two parts, function(1): at once, unless they are small: tens of us."""
        if self.threads == 1 or parts == 1 or is_small:
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


class Pieces:
    """Exactly what an elementwise `optimizer(masks)` does to one trial, in pieces that stay in the cache, by a team."""

    elementwise, decays = True, True

    def __init__(self, optimizer: MakeOptimizer, masks: Params, dtype: Dtype, team: Team) -> None:
        moves, size = moving(masks).flat, masks.flat.shape[1]
        self._team, self._pieces = team, [slice(i, min(i + PIECE, size)) for i in range(0, size, PIECE)]
        self._optimizers = [packed(optimizer, _params(moves[:, piece]), dtype) for piece in self._pieces]
        self._arguments: list[tuple[Params, Params]] = []

    def step(self, theta: Params, grads: Params) -> None:
        """Update theta.flat in place; it and grads.flat are the same memory every time."""
        if not self._arguments:
            self._arguments = [(_params(theta.flat[:, p]), _params(grads.flat[:, p])) for p in self._pieces]
        self._team.each(self._step)

    def _step(self, half: int) -> None:
        for optimizer, arguments in list(zip(self._optimizers, self._arguments, strict=True))[half::2]:
            optimizer.step(*arguments)

    def state(self) -> State:
        first, *others = (optimizer.state() for optimizer in self._optimizers)
        parts = {name: [array, *(other[name] for other in others)] for name, array in first.items()}
        return {name: part[0] if part[0].ndim == 1 else np.concatenate(part, axis=1) for name, part in parts.items()}

    def restore(self, state: State) -> None:
        for piece, optimizer in zip(self._pieces, self._optimizers, strict=True):
            optimizer.restore(picked(state, piece))


def in_cache(optimizer: MakeOptimizer, masks: Params, dtype: Dtype, team: Team) -> Optimizer:
    """Return what steps one trial as an elementwise optimizer(masks) would, in pieces if there is much to step."""
    if masks.flat.shape[1] <= FEW:
        return packed(optimizer, masks, dtype)
    return Pieces(optimizer, masks, dtype, team)


def _params(flat: np.ndarray) -> Params:
    return Params({"piece/W": (flat.shape[1],)}, flat)
