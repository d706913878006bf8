"""Training runs in parallel on the workers of a dask cluster, by the same `submit` as that of Workers."""

import operator
import warnings
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Future
from contextlib import AbstractContextManager

CONNECT = "20s"  # how long a cluster's scheduler may take to answer


class Cluster(AbstractContextManager["Cluster"]):
    """As `Workers`, on the workers of a dask.distributed scheduler at `address`, such as "tcp://host:8786".

    Workers may join later: with a warning the first is waited for, and others take part as soon as a run has ended.
    ImportError without dask.distributed, RuntimeError if the scheduler cannot be reached.
    """

    def __init__(self, call: Callable[..., object], address: str) -> None:
        try:
            from distributed import Client, KilledWorker
        except ImportError as error:
            raise ImportError("a cluster needs dask.distributed: pip install npticket[cluster]") from error

        class Quiet(Client):
            def __del__(self) -> None:  # a client that never connected complains here, or hangs
                pass

        try:
            self._client = Quiet(address, timeout=CONNECT)
        except (OSError, ValueError, TypeError, RuntimeError) as error:  # TypeError: tls:// without certificates
            hint = "; tls:// needs certificates in dask's configuration" if address.startswith("tls") else ""
            raise RuntimeError(f"there is no cluster to be reached at {address}: {error}{hint}") from error
        if not self._client.nthreads():
            said = f"the cluster at {address} has no workers yet: waiting for the first (dask worker {address})"
            warnings.warn(said, RuntimeWarning, stacklevel=2)
            self._client.wait_for_workers(1)
        self.lost: tuple[type[BaseException], ...] = (BrokenExecutor, CancelledError, KilledWorker)
        self._sent = self._client.scatter(call, broadcast=True, hash=False)
        self._executor = self._client.get_executor(pure=False, retries=3)

    @property
    def jobs(self) -> int:
        """How many calls its workers can make at a time, now."""
        return max(1, sum(self._client.nthreads().values()))

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def submit(self, **arguments: object) -> Future:
        """Make the call with these arguments as soon as a worker is free; return its future result."""
        return self._executor.submit(operator.call, self._sent, **arguments)
