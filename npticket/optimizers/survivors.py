"""What optimizers have in common: only survivors move, and no moment becomes a subnormal number."""

from collections.abc import Iterator

import numpy as np

from npticket.backend import Array, array_module
from npticket.params import Params

LEAST_EPS = 1e-30  # a smaller one may be 0 in float32, and a pruned weight would be divided by it
PIECE = 1 << 16  # parameters updated at a time: with their gradients and moments they fit in L2
FEW = 1 << 18  # parameters: with so few or fewer, the calls for pieces would cost more than they save
FLUSH_EVERY = 50  # steps: with a momentum of 0.7 or more, what `flush` keeps does not become subnormal in so few


def check(**options: float) -> None:
    """Raise ValueError, naming the option, unless each is at least 0 (`eps`: LEAST_EPS) and below 1."""
    for name, value in options.items():
        least = LEAST_EPS if name == "eps" else 0
        if not least <= value < 1:
            raise ValueError(f"{name} must be at least {least} and below 1, got {value}")


def flush(moments: Array) -> None:
    """Set to 0, in place, the moments so small that they could be subnormal numbers FLUSH_EVERY steps later.

    A weight whose gradient has become 0 (that of a pixel almost never lit) has a first moment that decays to such a
    number and stays there. Each costs a processor some 20 ns, all up to half of a training step. What is dropped,
    1.2e-30 at most in float32, moves no weight. A product, unlike an assignment, keeps NaN.
    """
    moments *= abs(moments) > tiny(moments)


def tiny(moments: Array) -> float:
    """Return the largest size that `flush` drops: 1.2e-30 in float32."""
    return float(np.finfo(moments.dtype).tiny) * 1e8


def pieces(flat: Array) -> Iterator[slice]:
    """Yield slices of the P parameters of `flat` (T, P), so many that an optimizer's arrays stay in the cache.

    Of FEW, or on a GPU, where every call costs time, it is a single one.
    """
    count = flat.shape[1]
    size = PIECE if array_module(flat) is np and count > FEW else count or 1
    for first in range(0, count, size):
        yield slice(first, first + size)


def moving(masks: Params) -> Params:
    """Return masks of what an optimizer moves: the survivors, without the buffers."""
    moves = masks.copy()
    for name in masks.buffers:
        moves[name][...] = False
    return moves


class Survivors:
    """Sets the gradients of pruned weights, and of buffers, to +0, whatever they are.

    A bitwise AND with all ones (survives) or all zeros (pruned) is one fast pass, where a product would make NaN from
    infinity and -0 from negative numbers, and `where` is slow. So the moments and values of pruned weights stay +0.
    """

    def __init__(self, masks: Params) -> None:
        self._alive = moving(masks).flat
        self._everything = bool(self._alive.all())
        self._bits: Array = None

    def keep(self, gradients: Array, piece: slice = slice(None)) -> Array:
        """Set them to 0 in `gradients` (T, P), in place, and return it; or in some columns, those of `piece`."""
        xp, alive = array_module(self._alive, gradients), self._alive[:, piece]
        if alive.shape != gradients.shape:
            shapes = f"the masks have shape {alive.shape}, the gradients {gradients.shape}"
            raise ValueError(f"{shapes}: an optimizer serves the trials it was built for")
        if self._everything:
            return gradients
        bits = gradients.view(f"i{gradients.dtype.itemsize}")
        if self._bits is None:
            self._bits = -self._alive.astype(bits.dtype)  # True -> -1, which is all ones
        xp.bitwise_and(bits, self._bits[:, piece], out=bits)
        return gradients
