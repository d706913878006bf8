"""A row of tiles on its way between a map and Winograd's domain, where it is 36 matrices (tiles, channels)."""

import numpy as np

from npticket.engine.conv.scratch import Scratch
from npticket.engine.conv.winograd import (
    POINTS,
    TILE,
    WORK,
    input_adjoint,
    input_transform,
    output_adjoint,
    output_transform,
)


class InputTiles:
    """A row of tiles of 6 x 6 input pixels; `domain` (6, 6, across slot) is V or its gradient.

    A slot is a pixel of all images, (images, channels). Tile t needs the phases 0 to 3 of its own columns, phase 3 of
    tile t - 1 and phase 0 of tile t + 1: between the two transforms, rows stand with an empty slot at either end.
    """

    def __init__(self, domain: np.ndarray, across: int, scratch: Scratch) -> None:
        run = domain.shape[-1]
        slot = run // across
        self._by_column = domain.swapaxes(0, 1)
        half = scratch.array("half", (POINTS, TILE, run + 2 * slot))
        self._inside = half[..., slot:-slot]
        self._edges = half[:, 3, :slot], half[:, 0, -slot:]
        self._columns = half[:, 3, :run], self._inside.swapaxes(0, 1), half[:, 0, 2 * slot :]
        self._row_work = scratch.array("work", (WORK, TILE, run))
        self._column_work = scratch.array("work", (WORK, POINTS, run))
        self._whole = scratch.array("half", (POINTS, TILE, run))
        self._slot, self._run = slot, run

    @staticmethod
    def reserve(scratch: Scratch, across: int, slot: int) -> None:
        """Say how much scratch memory is needed."""
        scratch.reserve(half=(POINTS, TILE, across + 2, slot), work=(WORK, POINTS, across, slot))

    def transform(self, tiles: np.ndarray) -> None:
        """V = B^T d B.     tiles (6, 4, across slot)"""
        for edge in self._edges:
            edge[...] = 0
        input_transform(tiles[0], tiles[1:5], tiles[5], self._inside, self._row_work)
        input_transform(*self._columns, self._by_column, self._column_work)

    def spread(self, tiles: np.ndarray) -> None:
        """B V B^T: assigned to the last four rows of the tiles, added to the first two, which the row before wrote."""
        slot, run, whole, m = self._slot, self._run, self._whole, self._by_column
        before = self._column_work[5]
        input_adjoint(m, [before, *whole.swapaxes(0, 1)], self._column_work)
        whole[:, 3, : run - slot] += before[:, slot:]
        whole[:, 0, slot:] += m[5][:, : run - slot]
        first, second = self._row_work[5:7]
        input_adjoint(whole, [first, second, *tiles[2:5]], self._row_work)
        tiles[5] = whole[5]
        tiles[0] += first
        tiles[1] += second


class OutputTiles:
    """A row of tiles of 4 x 4 output pixels; `domain` (6, 6, across slot) is M or its gradient."""

    def __init__(self, domain: np.ndarray, scratch: Scratch) -> None:
        run = domain.shape[-1]
        self._domain = domain
        self._half = scratch.array("half", (TILE, POINTS, run))
        self._work = scratch.array("work", (TILE, POINTS, run))
        self._half_by_column = self._half.swapaxes(0, 1)
        self._column_work = scratch.array("work", (TILE, TILE, run))

    @staticmethod
    def reserve(scratch: Scratch, across: int, slot: int) -> None:
        """Say how much scratch memory is needed."""
        scratch.reserve(half=(TILE, POINTS, across, slot), work=(TILE, POINTS, across, slot))

    def collect(self, tiles: np.ndarray) -> None:
        """y = A^T M A.     tiles (4, 4, across slot)"""
        output_transform(self._domain, self._half, self._work)
        output_transform(self._half_by_column, tiles.swapaxes(0, 1), self._column_work)

    def transform(self, tiles: np.ndarray) -> None:
        """dM = A dy A^T.     tiles (4, 4, across slot)"""
        output_adjoint(tiles.swapaxes(0, 1), self._half_by_column, self._column_work)
        output_adjoint(self._half, self._domain, self._work)
