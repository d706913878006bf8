"""Training runs on the workers of a dask.distributed cluster, behind the same `submit` as in processes."""

from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Future

from npticket.backend import one_blas_thread

CONNECT = "20s"  # how long the scheduler may take to answer


class Cluster:
    """What Workers are, on the workers of a dask.distributed scheduler at `address`, such as "tcp://host:8786".

    `call` is sent to every worker once. What a lost worker was doing, the scheduler gives to another.
    """

    def __init__(self, call: Callable[..., object], address: str) -> None:
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

    def submit(self, **arguments: object) -> Future:
        """Make the call with these arguments when a worker is free."""
        return self._executor.submit(_call_with_one_blas_thread, self._sent, arguments)


def _call_with_one_blas_thread(call: Callable[..., object], arguments: Mapping[str, object]) -> object:
    with one_blas_thread():
        return call(**arguments)
