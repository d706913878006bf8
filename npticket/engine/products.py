"""How the layers of a dense network are multiplied: z = x W, and dL/dW = x^T dz for the same x.

A pixel that is 0 in a whole batch adds nothing to z, and the gradient of its weights is exactly 0: it can be skipped.
At a density of a few percent, a product with single scattered weights is slower than one with all the zeros. Groups
are between the two: a few units with similar inputs are one dense block over the union of their inputs. At 3 % these
blocks hold a third of the layer.
"""

from functools import cached_property
from typing import Protocol

import numpy as np

from npticket.engine.gemm import Multiply, fastest_gradient

LIT = 0.01  # a pixel that is lit (not 0) in this share of the images is so in half of the batches of 60: "often lit"
MOST = 0.85  # of all pixels: if more than this share is often lit, skipping the others does not pay
UNITS = 8  # in a group: more make larger unions, fewer make products too narrow for the processor


class Product(Protocol):
    """A way to multiply, for batches of one size."""

    def forward(self, x: np.ndarray, w: np.ndarray, out: np.ndarray) -> None:
        """Write x w.     x (B, I)   w as the layer's parameters are kept, (I, O) or in blocks   out (B, O)"""

    def gradient(self, x: np.ndarray, dz: np.ndarray, out: np.ndarray) -> None:
        """Write x^T dz as w is kept, x being the same as in `forward`.     dz (B, O)"""


class AllInputs:
    """Multiplies all inputs."""

    def __init__(self, batch: int, inputs: int, outputs: int, dtype: np.dtype) -> None:
        self._sizes = batch, inputs, outputs, dtype

    def forward(self, x: np.ndarray, w: np.ndarray, out: np.ndarray) -> None:
        np.matmul(x, w, out=out)

    def gradient(self, x: np.ndarray, dz: np.ndarray, out: np.ndarray) -> None:
        self._multiply(x.T, dz, out)

    @cached_property
    def _multiply(self) -> Multiply:
        return fastest_gradient(*self._sizes)  # not before it is needed: with most batch sizes nothing is trained


class OftenLit:
    """Multiplies the first `often` inputs; of the others only those lit in the batch, and only in examples with any."""

    def __init__(self, batch: int, often: int, outputs: int, dtype: np.dtype) -> None:
        self._often, self._always = often, AllInputs(batch, often, outputs, dtype)
        self._bits = np.dtype(f"i{dtype.itemsize}")

    def forward(self, x: np.ndarray, w: np.ndarray, out: np.ndarray) -> None:
        often, others = self._often, x[:, self._often :]
        self._always.forward(x[:, :often], w[:often], out)
        self._examples = np.bitwise_or.reduce(others.view(self._bits), axis=1).nonzero()[0]
        found = others[self._examples]
        lit = np.bitwise_or.reduce(found.view(self._bits), axis=0).nonzero()[0]
        self._x, self._lit = found[:, lit], often + lit
        out[self._examples] += self._x @ w[self._lit]

    def gradient(self, x: np.ndarray, dz: np.ndarray, out: np.ndarray) -> None:
        often = self._often
        self._always.gradient(x[:, :often], dz, out[:often])
        out[often:] = 0
        out[self._lit] = self._x.T @ dz[self._examples]


def often_lit_first(shown: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Return `inputs` (n,) with those often lit in `shown` (N, I) first and those never lit last, and two counts.

    The counts are of those often lit, and of those lit at all. If most are often lit, the order stays, and all count
    as often lit.
    """
    lit = np.count_nonzero(shown, axis=0)[inputs]
    often, ever = lit >= LIT * len(shown), lit > 0
    if often.mean() > MOST or not often.any():
        return inputs, len(inputs), len(inputs)
    order = np.concatenate([inputs[often], inputs[ever & ~often], inputs[~ever]])
    return order, int(often.sum()), int(ever.sum())


class Grouped:
    """Multiplies by groups, as `groups` makes them: W in blocks (G, K, UNITS), their `inputs` (G, K) out of `count`."""

    def __init__(self, batch: int, inputs: np.ndarray, count: int, units: int, dtype: np.dtype) -> None:
        self._inputs, self._units = inputs, units
        blocks, inner = inputs.shape
        self._columns = np.zeros((count + 1, batch), dtype)  # x^T; the last row stays 0, for what fills the blocks up
        self._picked = np.empty((blocks, inner, batch), dtype)
        self._z = np.empty((blocks, UNITS, batch), dtype)
        self._dz = np.zeros((batch, blocks * UNITS), dtype)  # units that fill the last group up keep a gradient of 0

    def forward(self, x: np.ndarray, w: np.ndarray, out: np.ndarray) -> None:
        self._columns[:-1] = x.T
        self._columns.take(self._inputs, axis=0, out=self._picked, mode="wrap")
        np.matmul(w.swapaxes(1, 2), self._picked, out=self._z)
        out[...] = self._z.reshape(-1, len(x))[: self._units].T

    def gradient(self, x: np.ndarray, dz: np.ndarray, out: np.ndarray) -> None:
        self._dz[:, : self._units] = dz
        blocks = np.ascontiguousarray(self._dz.reshape(len(dz), -1, UNITS).swapaxes(0, 1))
        np.matmul(self._picked, blocks, out=out)


def groups(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put units with similar inputs into groups of UNITS; the last may have fewer.

    mask (I, H) bool. Returns the units (H,), sorted by group, and each group's inputs (G, K), ascending and filled up
    with I. A group begins with the unit that has most inputs; then units join one by one, each time the one that adds
    the fewest inputs.
    """
    left = list(np.argsort(-mask.sum(axis=0), kind="stable"))
    units, unions = [], []
    while left:
        units.append(left.pop(0))
        union = mask[:, units[-1]].copy()
        for _ in range(min(UNITS - 1, len(left))):
            added = np.count_nonzero(mask[:, left] & ~union[:, None], axis=0)
            units.append(left.pop(int(added.argmin())))
            union |= mask[:, units[-1]]
        unions.append(np.flatnonzero(union))
    inputs = np.full((len(unions), max(1, max(map(len, unions)))), len(mask))
    for row, union in zip(inputs, unions, strict=True):
        row[: len(union)] = union
    return np.array(units), inputs


def in_blocks(numbers: np.ndarray, inputs: np.ndarray, fill: float) -> np.ndarray:
    """Put numbers (I, H) into the blocks (G, K, UNITS) of groups with these inputs (G, K), filled up with `fill`."""
    padded = np.full((len(numbers) + 1, len(inputs) * UNITS), fill, numbers.dtype)
    padded[:-1, : numbers.shape[1]] = numbers
    return padded.reshape(len(padded), -1, UNITS)[inputs, np.arange(len(inputs))[:, None]]
