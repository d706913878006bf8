"""A row of tiles on its way between a map and Winograd's domain, where it is 36 matrices (tiles, channels).

Each transform is one product with a small matrix along the rows of the tiles and one along their columns. For these,
the memory in Winograd's domain (6, 6, tiles across, slot) is seen as (6, tiles across, 6, slot), and each row of pixels
between the two transforms as tiles. A slot is one pixel of all images, (images, channels).
"""

import numpy as np

from npticket.engine.conv.scratch import Scratch
from npticket.engine.conv.winograd import AT, BT, POINTS, TILE


class InputTiles:
    """Tiles of 6 x 6 input pixels; `domain` (6, 6, across, slot) is V or its gradient."""

    def __init__(self, domain: np.ndarray, scratch: Scratch) -> None:
        _, _, across, slot = domain.shape
        self._bt = BT.astype(domain.dtype)
        self._b = np.ascontiguousarray(self._bt.T)
        self._b_inside, self._b_outside = self._b[1:5].copy(), self._b[::5].copy()
        self._domain = domain.swapaxes(1, 2)
        half = scratch.array("half", (POINTS, TILE * across + 2, slot))  # with the pixels left and right of the map
        self._border, self._inside = half[:, :: TILE * across + 1], half[:, 1:-1].swapaxes(0, 1)
        row, column, item = half.strides
        shape = POINTS, across, POINTS, slot
        self._seen = np.lib.stride_tricks.as_strided(half, shape, (row, TILE * column, column, item))
        self._whole = scratch.array("half", (POINTS, across, TILE, slot))
        self._outside = scratch.array("work", (POINTS, across, 2, slot))
        self._above = scratch.array("work", (TILE * across, 2, slot))

    @staticmethod
    def reserve(scratch: Scratch, across: int, slot: int) -> None:
        """Say how much scratch memory is needed."""
        scratch.reserve(half=(POINTS, TILE * across + 2, slot), work=(POINTS, across, 2, slot))

    def transform(self, rows: np.ndarray) -> None:
        """V = B^T d B.     rows (6, W, slot)"""
        np.matmul(self._bt, rows.swapaxes(0, 1), out=self._inside)
        self._border[...] = 0
        np.matmul(self._bt, self._seen, out=self._domain)

    def spread(self, rows: np.ndarray) -> None:
        """B V B^T: assigned to the last four rows, added to the first two, which the row of tiles above wrote."""
        whole, outside = self._whole, self._outside
        np.matmul(self._b_inside, self._domain, out=whole)
        np.matmul(self._b_outside, self._domain, out=outside)
        whole[:, :-1, 3] += outside[:, 1:, 0]
        whole[:, 1:, 0] += outside[:, :-1, 1]
        columns = whole.reshape(POINTS, -1, whole.shape[-1]).swapaxes(0, 1)
        np.matmul(self._b[2:], columns, out=rows[2:].swapaxes(0, 1))
        np.matmul(self._b[:2], columns, out=self._above)
        rows[:2] += self._above.swapaxes(0, 1)


class OutputTiles:
    """Tiles of 4 x 4 output pixels; `domain` (6, 6, across, slot) is M or its gradient."""

    def __init__(self, domain: np.ndarray, scratch: Scratch) -> None:
        _, _, across, slot = domain.shape
        self._at = AT.astype(domain.dtype)
        self._a = np.ascontiguousarray(self._at.T)
        self._domain = domain.swapaxes(1, 2)
        self._half = scratch.array("half", (POINTS, across, TILE, slot))
        self._columns = self._half.reshape(POINTS, -1, slot).swapaxes(0, 1)

    @staticmethod
    def reserve(scratch: Scratch, across: int, slot: int) -> None:
        """Say how much scratch memory is needed."""
        scratch.reserve(half=(POINTS, across, TILE, slot))

    def collect(self, rows: np.ndarray) -> None:
        """y = A^T M A.     rows (4, W, slot)"""
        np.matmul(self._at, self._domain, out=self._half)
        np.matmul(self._at, self._columns, out=rows.swapaxes(0, 1))

    def transform(self, rows: np.ndarray) -> None:
        """dM = A dy A^T.     rows (4, W, slot)"""
        np.matmul(self._a, rows.swapaxes(0, 1), out=self._columns)
        np.matmul(self._a, self._half, out=self._domain)
