"""Rows that are made when they are asked for, by threads and ahead of whoever needs them: data larger than memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import NoReturn

import numpy as np

from npticket.backend import Array, Dtype, register

AHEAD = 2  # batches that are being made while another is in use
Index = slice | Array  # which rows: of an array every row, in its shape


class Lazy:
    """Stands for an array (N, ...) in a `Split`: row i is `make(numbers[i])`, made again whenever it is asked for.

    `make` is called by `threads` threads, by default one for each core, which pays if it releases Python's lock (GIL),
    as reading and decoding files do. Rows are given in the order in which they are asked for. At most AHEAD batches are
    made in advance. An error in `make` is raised where the row is asked for.
    """

    def __init__(
        self, make: Callable[[int], np.ndarray], numbers: Sequence[int] | np.ndarray, shape: tuple[int, ...],
        dtype: Dtype = np.uint8, threads: int | None = None,
    ) -> None:  # fmt: skip
        self._make, self.numbers = make, np.asarray(numbers)
        self._prepare: Callable[[Array], Array] = _as_it_is
        self._row, self.shape, self.dtype = shape, (*self.numbers.shape, *shape), np.dtype(dtype)
        self.ndim, self.threads = len(self.shape), threads or os.cpu_count() or 1

    def __len__(self) -> int:
        return len(self.numbers)

    def __array__(self, dtype: Dtype | None = None, copy: bool | None = None) -> NoReturn:
        """Refuse: it is not in memory because there is no room for it."""
        raise TypeError("these inputs are read from files batch by batch, and are no array: keep them in memory, which "
                        "a GPU and this function need, or take some of them, inputs[:100]")  # fmt: skip

    def __getitem__(self, key: Index | tuple[None, Index]) -> Array:
        """Return rows as an array; data[None, rows] has the trials axis before them. IndexError for parts of rows."""
        if not isinstance(key, tuple):
            return next(self.ahead([key]))
        if len(key) != 2 or key[0] is not None:
            raise IndexError(f"rows are read whole: expected data[rows] or data[None, rows], got {len(key)} indices")
        return self[key[1]][None]

    def take(self, index: Array, axis: int = 0, mode: str = "raise") -> Array:
        """Return rows (*index.shape, ...) as `numpy.take` does, of the first axis alone."""
        return self[np.asarray(index) % len(self) if mode == "wrap" else np.asarray(index)]

    def ahead(self, keys: Iterable[Index]) -> Iterator[Array]:
        """Yield the rows of each key; those of the next AHEAD keys are begun before."""
        begun = deque[tuple[Array, list[Future]]]()
        try:
            for key in keys:
                begun.append(self._begin(key))
                if len(begun) > AHEAD:
                    yield self._end(*begun.popleft())
            while begun:
                yield self._end(*begun.popleft())
        finally:  # nobody wants the others
            for _, futures in begun:
                for future in futures:
                    future.cancel()

    def chosen(self, key: Index) -> "Lazy":
        """Return some rows (numbers in any shape, a mask or a slice) without making any."""
        some = Lazy(self._make, self.numbers[key], self._row, self.dtype, self.threads)
        some._prepare = self._prepare
        return some

    def prepared(self, prepare: Callable[[Array], Array]) -> "Lazy":
        """Return the same rows, of which every batch is shown as `prepare` returns it."""
        some = self.chosen(slice(None))
        some._prepare = prepare
        return some

    def _begin(self, key: Index) -> tuple[Array, list[Future]]:
        """Have rows written into a new array, a part by each thread."""
        numbers = self.numbers[key]
        rows = np.empty((numbers.size, *self._row), self.dtype)
        parts = [slice(i, None, self.threads) for i in range(min(self.threads, numbers.size))]
        pool, flat = _pool(self.threads), numbers.ravel()
        futures = [pool.submit(_write, self._make, flat[part], rows[part]) for part in parts]
        return rows.reshape(*numbers.shape, *self._row), futures

    def _end(self, rows: Array, futures: list[Future]) -> Array:
        for future in futures:
            future.result()
        return self._prepare(rows)


register(Lazy, np)


def rows_of(inputs: Array, keys: Iterable[Index]) -> Iterator[Array]:
    """Yield the rows of each key; if `inputs` are lazy, the next ones are read meanwhile."""
    if isinstance(inputs, Lazy):
        return inputs.ahead(keys)
    return (inputs[key] if isinstance(key, slice) else inputs.take(key, axis=0) for key in keys)


def _write(make: Callable[[int], np.ndarray], numbers: np.ndarray, rows: np.ndarray) -> None:
    for number, row in zip(numbers.tolist(), rows, strict=True):
        row[...] = make(number)


def _as_it_is(rows: Array) -> Array:
    return rows


@lru_cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """The threads of this process; each process has its own, also those that a Lazy is sent to."""
    return ThreadPoolExecutor(threads, thread_name_prefix="npticket-rows")


if hasattr(os, "register_at_fork"):  # a fork has the pool and none of its threads, and would wait for them for ever
    os.register_at_fork(after_in_child=_pool.cache_clear)
