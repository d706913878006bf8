"""Matrix products cut into a stack of small ones, where that is faster on this machine and gives the same bits.

On processors with AVX-512 OpenBLAS has faster kernels, which do not pack the operands, up to 100^3 multiplications. So
a product a little too large for them is cut into a stack of blocks, all views, in one call. Which way is faster is
timed. Timing must not change results, so only ways that agree with the whole product bit for bit are candidates.
"""

from collections.abc import Callable, Sequence
from functools import partial
from timeit import timeit

import numpy as np

from npticket.params import Params

SMALL = 1_000_000  # multiplications that OpenBLAS still counts as small: 100^3
NARROW = 15  # narrower blocks than this lose more than the kernels gain
REPEATS = 7

chosen: dict[str, str] = {}  # by sizes, the way that was chosen last in this process; it is kept with the results

Multiply = Callable[[np.ndarray, np.ndarray, np.ndarray], object]  # of a (M, K), b (K, N), into out (M, N)


def fastest_product(rows: int, inner: int, columns: int, dtype: np.dtype, transposed: bool = False) -> Multiply:
    """Return the fastest way to write a @ b into out, of these sizes, on this machine; a may be a transposed array."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(dtype) for shape in ((rows, inner), (inner, columns)))
    if transposed:
        a = np.ascontiguousarray(a.T).T
    out, work = np.empty((rows, columns), dtype), rows * inner * columns
    ways: list[Multiply] = [np.matmul]
    for size, cut in ((rows, in_rows), (columns, in_columns)):
        if work > SMALL and (block := block_size(size, work // size)) >= NARROW:
            ways.append(partial(cut, block=block))
    expected = np.matmul(a, b, out).tobytes()

    def agrees(way: Multiply) -> bool:
        way(a, b, out)
        return out.tobytes() == expected

    return fastest([way for way in ways if agrees(way)], a, b, out)


def fastest(ways: Sequence[Callable], *arguments: np.ndarray | Params) -> Callable:
    """Return the fastest of `ways` of calling with `arguments`, and note it in `chosen`; a lone one is not timed."""
    if len(ways) == 1:
        return ways[0]
    turns = [[timeit(partial(way, *arguments), number=1) for way in ways] for _ in range(REPEATS)]
    way = ways[int(np.min(turns, axis=0).argmin())]
    function, block = (way.func, f" of {way.keywords['block']}") if isinstance(way, partial) else (way, "")
    name = getattr(function, "__qualname__", function.__name__).removeprefix("_")
    sizes = " x ".join(str((a.flat if isinstance(a, Params) else a).shape) for a in arguments[:2])
    chosen[sizes] = f"{sizes}: {name}{block}"
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


def in_columns(a: np.ndarray, b: np.ndarray, out: np.ndarray, block: int) -> None:
    """Write a @ b to out, `block` columns of b and out at a time."""
    count, left = divmod(b.shape[1], block)
    end = b.shape[1] - left
    blocks = (array[:, :end].reshape(len(array), count, block).swapaxes(0, 1) for array in (b, out))
    np.matmul(a, next(blocks), out=next(blocks))
    if left:
        np.matmul(a, b[:, end:], out=out[:, end:])
