"""Training runs side by side: in this process, in several, or on a cluster, behind one `submit`.

Trials never touch each other and their random streams are a function of their numbers, so it does not matter which
process trains which, or how many there are.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from types import TracebackType
from typing import Any

import numpy as np

from npticket.backend import array_module
from npticket.params import Params
from npticket.train import Fit, join_trials

CONNECT = "20s"  # how long a cluster's scheduler may take to answer

_call: Callable[..., Any]  # in a worker process: what it was started for, with the data


def default_jobs() -> int:
    """The number of cores this process may use, or 1 without joblib, which starts the processes."""
    try:
        import joblib
    except ImportError:
        return 1
    return joblib.cpu_count()


class Workers:
    """`jobs` processes with one BLAS thread each that all make the same `call`, with different arguments.

    With jobs=1 everything happens in this process, one call after the other. A context manager: leaving it by an
    exception (Ctrl-C) stops all processes at once.
    """

    def __init__(self, call: Callable[..., Any], jobs: int, on_done: Callable[[], None] = lambda: None) -> None:
        if jobs < 1:
            raise ValueError(f"at least 1 job is needed, got {jobs}")
        self.jobs = jobs
        self.lost: tuple[type[BaseException], ...] = (BrokenExecutor,)  # what a future raises whose worker died
        self._call = call
        self._on_done = on_done
        self._executor: Executor | None = None
        self._others: set = set()  # child processes that are none of ours
        self._stack = ExitStack()

    def __enter__(self) -> "Workers":
        if self.jobs == 1:
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
            raise ImportError(f"{self.jobs} jobs need joblib (pip install joblib); 1 job does not") from error
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
        self._others = set(multiprocessing.active_children())
        resource_tracker.ensure_running()  # Python's helper process: starting it later would undo the next line
        with _interrupts_held_back():
            self._executor = ProcessPoolExecutor(
                self.jobs, timeout=None, initializer=_prepare, initargs=(self._call, os.getpid()), env=threads
            )
            wait([self._executor.submit(_ready) for _ in range(self.jobs)])

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

    def submit(self, **arguments: Any) -> "Future[Any]":
        """Make the call with these arguments, now or when a process is free."""
        if self._executor is not None:
            return self._executor.submit(_make_call, arguments)
        future: Future[Any] = Future()
        try:
            future.set_result(self._call(**arguments))
        except Exception as error:  # as from a process: whoever asks for the result is told
            future.set_exception(error)
        return future

    def start(self, start: Params, masks: Params, round: int) -> "Training":
        """Begin to train all trials of `start`, on a GPU in one call; trial numbers are row numbers.

        The call is `fit` with everything but start, masks, trials and round.
        """
        on_gpu = array_module(start.flat, masks.flat) is not np
        groups = [range(start.trials)] if on_gpu else [[t] for t in range(start.trials)]
        futures = [self._submit(start, masks, trials, round) for trials in groups]
        return Training(futures)

    def _submit(self, start: Params, masks: Params, trials: Sequence[int], round: int) -> "Future[Fit]":
        rows = slice(trials[0], trials[-1] + 1)
        start, masks = start.like(start.flat[rows]), masks.like(masks.flat[rows])
        future = self.submit(start=start, masks=masks, trials=list(trials), round=round)
        future.add_done_callback(lambda _: [self._on_done() for _ in trials])
        return future


class Training:
    """A training run of all trials that may still be under way."""

    def __init__(self, futures: "list[Future[Fit]]") -> None:
        self._futures = futures

    def result(self) -> Fit:
        """Wait for all trials and return them together; raises what the first failed one raised."""
        return join_trials([future.result() for future in self._futures])


class Cluster:
    """The same on the workers of a dask.distributed scheduler at `address`, such as "tcp://host:8786".

    `call` is sent to every worker once. What a lost worker was doing, the scheduler gives to another.
    """

    def __init__(self, call: Callable[..., Any], address: str) -> None:
        try:
            from distributed import Client, KilledWorker
        except ImportError as error:
            raise ImportError("a cluster needs dask.distributed: pip install npticket[cluster]") from error
        self._call, self._address, self._connect = call, address, Client
        self.jobs = 0
        self.lost: tuple[type[BaseException], ...] = (BrokenExecutor, CancelledError, KilledWorker)

    def __enter__(self) -> "Cluster":
        try:
            self._client = self._connect(self._address, timeout=CONNECT)
        except (OSError, ValueError) as error:
            raise RuntimeError(f"there is no cluster to be reached at {self._address}: {error}") from error
        self.jobs = max(1, sum(self._client.nthreads().values()))
        self._sent = self._client.scatter(self._call, broadcast=True, hash=False)
        self._executor = self._client.get_executor(pure=False, retries=3)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def submit(self, **arguments: Any) -> "Future[Any]":
        """Make the call with these arguments when a worker is free."""
        return self._executor.submit(_call_with_one_blas_thread, self._sent, arguments)


def _call_with_one_blas_thread(call: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    with one_blas_thread():
        return call(**arguments)


def _prepare(call: Callable[..., Any], parent: int) -> None:
    global _call
    _call = call
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the main process decides
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


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


def _make_call(arguments: Mapping[str, Any]) -> Any:
    return _call(**arguments)


def one_blas_thread() -> ExitStack:
    """On layers of this size two BLAS threads are rarely faster than one; without threadpoolctl BLAS decides."""
    stack = ExitStack()
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return stack
    stack.enter_context(threadpool_limits(1))
    return stack
