"""Trains the trials of a ticket side by side in several processes.

Trials never touch each other and their random streams are a function of their numbers, so it does not matter which
process trains which, or how many there are.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from types import TracebackType

import numpy as np

from npticket.backend import array_module
from npticket.params import Params
from npticket.train import Fit, join_trials

_fit: Callable[..., Fit]  # in a worker process: what it was started for, with the data


def default_jobs() -> int:
    """The number of cores this process may use, or 1 without joblib, which starts the processes."""
    try:
        import joblib
    except ImportError:
        return 1
    return joblib.cpu_count()


class Workers:
    """`jobs` processes with one BLAS thread each that call `fit(start, masks, trials=..., round=...)`.

    With jobs=1 everything happens in this process, one call after the other, and on a GPU all trials in one call. A
    context manager: leaving it by an exception (Ctrl-C) stops all processes at once.
    """

    def __init__(self, fit: Callable[..., Fit], jobs: int, on_done: Callable[[], None] = lambda: None) -> None:
        if jobs < 1:
            raise ValueError(f"at least 1 job is needed, got {jobs}")
        self._fit = fit
        self._jobs = jobs
        self._on_done = on_done
        self._executor: Executor | None = None
        self._others: set = set()  # child processes that are none of ours
        self._stack = ExitStack()

    def __enter__(self) -> "Workers":
        if self._jobs == 1:
            self._stack.enter_context(one_blas_thread())
            return self
        try:
            self._start_processes()
        except BaseException:
            self._stop(at_once=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop(at_once=kind is not None)

    def _start_processes(self) -> None:
        try:
            from joblib.externals.loky import ProcessPoolExecutor
        except ImportError as error:
            raise ImportError(f"{self._jobs} jobs need joblib (pip install joblib); 1 job does not") from error
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
        self._others = set(multiprocessing.active_children())
        resource_tracker.ensure_running()  # Python's helper process: starting it later would undo the next line
        with _interrupts_held_back():
            self._executor = ProcessPoolExecutor(
                self._jobs, timeout=None, initializer=_prepare, initargs=(self._fit,), env=threads
            )
            wait([self._executor.submit(_ready) for _ in range(self._jobs)])

    def _stop(self, at_once: bool) -> None:
        self._stack.close()
        if not at_once:
            if self._executor is not None:
                self._executor.shutdown()
            return
        hook, threading.excepthook = threading.excepthook, lambda _: None  # loky's thread trips over the dead
        try:
            if self._executor is not None:
                self._executor.shutdown(kill_workers=True)
            # Loky may overlook processes that it had only just started.
            for process in set(multiprocessing.active_children()) - self._others:
                process.terminate()
        finally:
            threading.excepthook = hook

    def start(self, start: Params, masks: Params, round: int) -> "Training":
        """Begin to train all trials of `start`; trial numbers are row numbers."""
        on_gpu = array_module(start.flat, masks.flat) is not np
        groups = [range(start.trials)] if on_gpu else [[t] for t in range(start.trials)]
        futures = [self._submit(start, masks, trials, round) for trials in groups]
        return Training(futures)

    def _submit(self, start: Params, masks: Params, trials: Sequence[int], round: int) -> "Future[Fit]":
        rows = slice(trials[0], trials[-1] + 1)
        arguments = (start.like(start.flat[rows]), masks.like(masks.flat[rows]), list(trials), round)
        if self._executor is not None:
            future = self._executor.submit(_call, *arguments)
        else:
            future = Future()
            future.set_result(_run(self._fit, *arguments))
        future.add_done_callback(lambda _: [self._on_done() for _ in trials])
        return future


class Training:
    """A training run of all trials that may still be under way."""

    def __init__(self, futures: "list[Future[Fit]]") -> None:
        self._futures = futures

    def result(self) -> Fit:
        """Wait for all trials and return them together; raises what the first failed one raised."""
        return join_trials([future.result() for future in self._futures])


def _run(fit: Callable[..., Fit], start: Params, masks: Params, trials: list[int], round: int) -> Fit:
    return fit(start=start, masks=masks, trials=trials, round=round)


def _prepare(fit: Callable[..., Fit]) -> None:
    global _fit
    _fit = fit
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the main process decides
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent has been killed and could not say goodbye."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _ready() -> None:
    """What a worker does first, so that it is known to have started."""


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Hold Ctrl-C back while processes start; a signal blocked here is blocked in them too, from birth."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _call(*arguments) -> Fit:
    return _run(_fit, *arguments)


def one_blas_thread() -> ExitStack:
    """On layers of this size two BLAS threads are rarely faster than one; without threadpoolctl BLAS decides."""
    stack = ExitStack()
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return stack
    stack.enter_context(threadpool_limits(1))
    return stack
