"""Chooses the fastest of several ways by timing; one is to cut a product of matrices into a stack of small ones.

On processors with AVX-512 OpenBLAS has faster kernels, which do not pack the operands, up to 100^3 multiplications. So
the gradient of weights that is a little too large for them is cut by its rows into blocks, all views, in one call.
Timing must not change results, so only ways that agree bit for bit are candidates.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from timeit import timeit

import numpy as np

from npticket.params import Params

SMALL = 1_000_000  # multiplications that OpenBLAS still counts as small: 100^3
NARROW = 15  # narrower blocks than this lose more than the kernels gain
REPEATS = 7

_noting: list[dict[str, str]] = []  # who wants to know what is chosen

Multiply = Callable[[np.ndarray, np.ndarray, np.ndarray], object]  # of a (M, K), b (K, N), into out (M, N)


@contextmanager
def choices() -> Iterator[dict[str, str]]:
    """Give a mapping in which the ways that are chosen meanwhile are noted, by sizes: they are kept with results."""
    found: dict[str, str] = {}
    _noting.append(found)
    try:
        yield found
    finally:
        _noting.pop()


def fastest_gradient(batch: int, inputs: int, outputs: int, dtype: np.dtype) -> Multiply:
    """Return the fastest way to write x^T dz into out (I, O), on this machine.     x (B, I)   dz (B, O)"""
    block = block_size(inputs, batch * outputs)
    if not NARROW <= block < inputs:
        return np.matmul
    rng, cut = np.random.default_rng(0), partial(in_rows, block=block)
    x, dz = (rng.standard_normal((batch, size)).astype(dtype) for size in (inputs, outputs))
    whole, out = np.empty((2, inputs, outputs), dtype)
    for way, result in ((np.matmul, whole), (cut, out)):
        way(x.T, dz, result)
    return fastest([np.matmul, cut], x.T, dz, out) if whole.tobytes() == out.tobytes() else np.matmul


def fastest(ways: Sequence[Callable], *arguments: np.ndarray | Params) -> Callable:
    """Return the fastest of `ways` of calling with `arguments`, and note it for `choices`."""
    turns = [[timeit(partial(way, *arguments), number=1) for way in ways] for _ in range(REPEATS)]
    way = ways[int(np.min(turns, axis=0).argmin())]
    function, block = (way.func, f" of {way.keywords['block']}") if isinstance(way, partial) else (way, "")
    name = getattr(function, "__qualname__", function.__name__).removeprefix("_")
    sizes = " x ".join(str((a.flat if isinstance(a, Params) else a).shape) for a in arguments[:2])
    for noted in _noting:
        noted[sizes] = f"{sizes}: {name}{block}"
    return way


def block_size(size: int, others: int) -> int:
    """Return the size of about equal blocks of an axis of `size` by which products are at most SMALL; 0 if none is."""
    most = SMALL // others
    return most and -(-size // -(-size // most))


def in_rows(a: np.ndarray, b: np.ndarray, out: np.ndarray, block: int) -> None:
    """Write a @ b to out, `block` rows of a and out at a time."""
    count, left = divmod(len(a), block)
    end = len(a) - left
    np.matmul(a[:end].reshape(count, block, -1), b, out=out[:end].reshape(count, block, -1))
    if left:
        np.matmul(a[end:], b, out=out[end:])
