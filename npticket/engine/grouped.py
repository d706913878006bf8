"""A sparse layer as a stack of small dense products: hidden units that share inputs share a block.

At a few percent of the weights a unit sees a few dozen of the inputs, but a product with scattered single weights is
slower than one with all the zeros. Between the two: groups of a few units with similar inputs, each group a dense block
over the union of them. The blocks hold a third of the layer at 3 % of its weights, and are multiplied in one call.
"""

import numpy as np

UNITS = 8  # in a group: more make larger unions, fewer make products too narrow for the processor
SPARSE = 0.06  # of the weights: from here on it is worth looking for groups
WORTH_IT = 0.5  # of the multiplications of the other way


def groups(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put units with similar inputs into groups of UNITS; the last may have fewer.

    mask (I, H) bool. Returns the units (H,), group after group, and each group's inputs (G, K), ascending and filled up
    with I. A group begins with the unit that has most inputs, and takes, one by one, what adds the fewest.
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


class Grouped:
    """z = x W and dL/dW = x^T dz for W in blocks (G, K, UNITS), whose units stand in the order of the groups."""

    def __init__(self, batch: int, inputs: np.ndarray, count: int, units: int, dtype: np.dtype) -> None:
        """`inputs` (G, K) as from `groups`, of `count` inputs and `units` hidden units in all."""
        self._inputs = inputs
        blocks, inner = inputs.shape
        self._columns = np.zeros((count + 1, batch), dtype)  # x^T; the last row stays 0, for what fills the blocks up
        self._picked = np.empty((blocks, inner, batch), dtype)
        self._z = np.empty((blocks, UNITS, batch), dtype)
        self._dz = np.zeros((batch, blocks * UNITS), dtype)  # units that fill the last group up keep a gradient of 0
        self._units = units

    def forward(self, x: np.ndarray, w: np.ndarray, out: np.ndarray) -> None:
        """Write x W.     x (B, I)   w (G, K, UNITS)   out (B, H)"""
        self._columns[:-1] = x.T
        self._columns.take(self._inputs, axis=0, out=self._picked, mode="wrap")
        np.matmul(w.swapaxes(1, 2), self._picked, out=self._z)
        out[...] = self._z.reshape(-1, len(x))[: self._units].T

    def gradient(self, x: np.ndarray, dz: np.ndarray, out: np.ndarray) -> None:
        """Write x^T dz, x being the same as in `forward`.     dz (B, H)   out (G, K, UNITS)"""
        self._dz[:, : self._units] = dz
        blocks = np.ascontiguousarray(self._dz.reshape(len(dz), -1, UNITS).swapaxes(0, 1))
        np.matmul(self._picked, blocks, out=out)
