"""Rows of tiles on their way between a map and Winograd's domain, where they are 36 matrices (tiles, channels)."""

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
    """Tiles of 6 x 6 input pixels, `high` rows of `across` tiles at once; `domain` (6, 6, high, across slot) is V.

    A slot is a pixel of all images, (images, channels). Tile t needs the phases 0 to 3 of its own columns, phase 3 of
    tile t - 1 and phase 0 of tile t + 1: between the two transforms, rows stand with an empty slot at either end.
    """

    def __init__(self, domain: np.ndarray, across: int, scratch: Scratch) -> None:
        _, _, high, run = domain.shape
        slot = run // across
        self._by_column = domain.transpose(1, 0, 2, 3)
        half = scratch.array("half", (POINTS, high, TILE, run + 2 * slot))
        self._inside = half[..., slot:-slot]
        self._edges = half[:, :, 3, :slot], half[:, :, 0, -slot:]
        self._columns = half[:, :, 3, :run], self._inside.transpose(2, 0, 1, 3), half[:, :, 0, 2 * slot :]
        self._row_work = scratch.array("work", (WORK, high, TILE, run))
        self._column_work = scratch.array("work", (WORK, POINTS, high, run))
        self._whole = scratch.array("half", (POINTS, high, TILE, run))
        self._slot, self._run = slot, run

    @staticmethod
    def reserve(scratch: Scratch, high: int, across: int, slot: int) -> None:
        """Say how much scratch memory is needed."""
        run = across * slot
        scratch.reserve(half=(POINTS, high, TILE, run + 2 * slot), work=(WORK, POINTS, high, run))

    def transform(self, tiles: np.ndarray) -> None:
        """V = B^T d B.     tiles (6, high, 4, across slot)"""
        for edge in self._edges:
            edge[...] = 0
        input_transform(tiles[0], tiles[1:5], tiles[5], self._inside, self._row_work)
        input_transform(*self._columns, self._by_column, self._column_work)

    def spread(self, tiles: np.ndarray) -> None:
        """B V B^T: assigned to the last four rows of the tiles, added to the first two, which earlier tiles wrote."""
        slot, run, whole, m = self._slot, self._run, self._whole, self._by_column
        before = self._column_work[5]
        input_adjoint(m, [before, *whole.transpose(2, 0, 1, 3)], self._column_work)
        whole[:, :, 3, : run - slot] += before[..., slot:]
        whole[:, :, 0, slot:] += m[5][..., : run - slot]
        first, second = self._row_work[5:7]
        input_adjoint(whole, [first, second, *tiles[2:5]], self._row_work)
        tiles[5] = whole[5]
        tiles[0] += first
        tiles[1] += second


class OutputTiles:
    """Tiles of 4 x 4 output pixels, `high` rows of tiles at once; `domain` (6, 6, high, run) is M or its gradient."""

    def __init__(self, domain: np.ndarray, scratch: Scratch) -> None:
        _, _, high, run = domain.shape
        self._domain = domain
        self._half = scratch.array("half", (TILE, POINTS, high, run))
        self._work = scratch.array("work", (TILE, POINTS, high, run))
        self._half_by_column = self._half.transpose(1, 0, 2, 3)
        self._column_work = scratch.array("work", (TILE, TILE, high, run))

    @staticmethod
    def reserve(scratch: Scratch, high: int, run: int) -> None:
        """Say how much scratch memory is needed."""
        scratch.reserve(half=(TILE, POINTS, high, run), work=(TILE, POINTS, high, run))

    def collect(self, tiles: np.ndarray) -> None:
        """y = A^T M A.     tiles (4, high, 4, run)"""
        output_transform(self._domain, self._half, self._work)
        output_transform(self._half_by_column, tiles.transpose(2, 0, 1, 3), self._column_work)

    def transform(self, tiles: np.ndarray) -> None:
        """dM = A dy A^T.     tiles (4, high, 4, run)"""
        output_adjoint(tiles.transpose(2, 0, 1, 3), self._half_by_column, self._column_work)
        output_adjoint(self._half, self._domain, self._work)
