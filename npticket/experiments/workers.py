"""Workers that train runs in parallel: this process, or several, by the same `submit`."""

import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, wait
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from multiprocessing import resource_tracker

import numpy as np

from npticket.backend import THREAD_VARIABLES, array_module, one_blas_thread
from npticket.experiments.series import Start
from npticket.params import Params
from npticket.record import Fit, join_trials
from npticket.streams import Place

STOPS = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)}

_call: Callable[..., object]  # in a worker process: the function that it was started for, which holds the data


def fit_trials(
    workers: "Workers", starts: Sequence[Start], place: Place, on_done: Callable[[], object] = lambda: None
) -> list[Fit]:
    """Train from several (start, masks), each with T trials, in parallel; return the fit of each.

    `workers` must have been made with `fit` with all its arguments but start, masks and place. On a CPU each trial is
    a call of its own; on a GPU all trials of a start are one. `on_done` is called for each trial that is done. Raises
    the error of the first that failed.
    """
    on_host = array_module(starts[0][0].flat) is np
    rows = [slice(t, t + 1) for t in range(len(place.trials))] if on_host else [slice(None)]

    def train(start: Params, masks: Params, row: slice) -> Future:
        start, masks = (params.like(params.flat[row]) for params in (start, masks))
        future = workers.submit(start=start, masks=masks, place=place.of(place.trials[row]))
        future.add_done_callback(lambda _: [on_done() for _ in place.trials[row]])
        return future

    futures = [[train(start, masks, row) for row in rows] for start, masks in starts]
    return [join_trials([future.result() for future in parts]) for parts in futures]


def default_jobs() -> int:
    """Return the number of cores that this process may use, or 1 without joblib, which is needed for more jobs."""
    try:
        import joblib
    except ImportError:
        return 1
    try:
        return joblib.cpu_count()
    except ValueError as error:
        raise RuntimeError(f"the environment variable LOKY_MAX_CPU_COUNT is a number of cores: {error}") from error


def threads_each(jobs: int) -> int:
    """Return how many threads each of `jobs` processes can use."""
    return max(1, default_jobs() // jobs)


class Workers:
    """`jobs` processes of one BLAS thread each that make the same `call`; if `jobs` is 1, this process makes it.

    Used as a context: an exception in its block kills all at once. ValueError for fewer than 1 job, ImportError if
    joblib is missing.
    """

    def __init__(self, call: Callable[..., object], jobs: int) -> None:
        if jobs < 1:
            raise ValueError(f"at least 1 job is needed, got {jobs}")
        self.jobs, self._call = jobs, call
        self.lost: tuple[type[BaseException], ...] = (BrokenExecutor,)  # errors of a future whose worker died
        self._executor: Executor | None = None
        self._kill: Callable[[], object] = lambda: None
        self._others: set = set()  # child processes that are none of ours
        self._stack = ExitStack()

    def __enter__(self) -> "Workers":
        try:
            if self.jobs > 1:
                self._start_processes()
            else:
                self._stack.enter_context(one_blas_thread())
        except BaseException as error:
            self.__exit__(type(error))
            raise
        return self

    def _start_processes(self) -> None:
        try:
            from joblib.externals.loky import ProcessPoolExecutor
        except ImportError as error:
            raise ImportError(f"{self.jobs} jobs need joblib (pip install joblib); 1 job does not") from error
        # If psutil is installed, loky replaces a process whose memory has grown by 300 MB, and warns that it leaked.
        self._stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        self._others = set(multiprocessing.active_children())
        if os.name == "posix":
            resource_tracker.ensure_running()  # Python's helper process: starting it later would undo the next line
        with _stops_held_back(), _semaphores():
            start = {"initializer": _prepare, "initargs": (self._call, os.getpid())}
            pool = ProcessPoolExecutor(self.jobs, timeout=None, env=dict.fromkeys(THREAD_VARIABLES, "1"), **start)
            self._executor, self._kill = pool, partial(pool.shutdown, kill_workers=True)
            wait([pool.submit(os.getpid) for _ in range(self.jobs)])  # until all of them have started

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stack.close()
        if kind is None:
            if self._executor is not None:
                self._executor.shutdown()
            return
        hook, threading.excepthook = threading.excepthook, lambda _: None  # loky's thread fails on killed processes
        try:
            self._kill()
            # Loky may overlook processes that it had only just started.
            for process in set(multiprocessing.active_children()) - self._others:
                assert process.pid is not None, "it was started"
                with suppress(ProcessLookupError):
                    os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # loky's have no `kill`
        finally:
            threading.excepthook = hook

    def submit(self, **arguments: object) -> Future:
        """Make the call with these arguments, at once or when a process is free; return its future result."""
        if self._executor is not None:
            return self._executor.submit(_make_call, **arguments)
        future: Future = Future()
        try:
            future.set_result(self._call(**arguments))
        except Exception as error:  # as from a process: it is raised when the result is asked for
            future.set_exception(error)
        return future


def _prepare(call: Callable[..., object], parent: int) -> None:
    global _call
    _call = call
    for number in STOPS - {signal.SIGTERM}:  # Ctrl-C reaches all processes; the main one decides what to do
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent was killed, and so could not end it."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _make_call(**arguments: object) -> object:
    return _call(**arguments)


@contextmanager
def _semaphores() -> Iterator[None]:
    """Raise RuntimeError, with a hint, if the system cannot make the semaphores that processes need."""
    try:
        yield
    except OSError as error:
        raise RuntimeError(
            f"processes cannot be started ({error.strerror or error}): is /dev/shm full, read-only or not there? "
            "--jobs 1 needs none"
        ) from error


@contextmanager
def _stops_held_back() -> Iterator[None]:
    """Block Ctrl-C and the like while processes start: they inherit it, and unblock when they are ready.

    Other threads, such as OpenBLAS's, do not block them, and hand what reaches them to the main thread: it is noted.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    came, is_main = list[int](), threading.current_thread() is threading.main_thread()
    handlers = {number: handler for number in STOPS if is_main and callable(handler := signal.getsignal(number))}
    for number in handlers:
        signal.signal(number, lambda number, _: came.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)
