"""Winograd's convolution F(4 x 4, 3 x 3): 36 multiplications instead of 144 (Winograd 1980; Lavin & Gray 2016).

In one dimension, four outputs of a filter with three taps, y_k = d_k w_0 + d_k+1 w_1 + d_k+2 w_2, take 12
multiplications. Turned round this is a product of polynomials: its transpose, for given w, takes y to the coefficients
of w(s) y(s), which has degree 2 + 3 and is known from its values at six points. There, the product is one
multiplication each. With the points 0, 1, -1, 2, -2 and infinity (where the value is the leading coefficient),

    y = A^T [(G w) * (B^T d)]        A^T (4, 6)    G (6, 3)    B^T (6, 6)

G and A evaluate polynomials of 3 and 4 coefficients at the points, B^T is the transpose of the interpolation; the
denominators that interpolation brings are moved into G, so that A and B hold whole numbers. In two dimensions, along
rows and columns, y = A^T [(G w G^T) * (B^T d B)] A takes a tile d of 6 x 6 pixels, of which neighbouring tiles share
two rows or columns, to 4 x 4 outputs, with 36 products. Summed over channels, each of the 36 is a matrix product of all
tiles, V (T, C), with the transformed weights, U (C, K).

The gradients are those of any bilinear map, with the transposes of the same matrices:

    dM = A dy A^T      dU = V^T dM      dw = G^T dU G      dV = dM U^T      dd = B dV B^T   (overlapping tiles add up)

A multiplication by A or B, 6 x 6 at most, costs little if it is one matrix product for very many tiles and channels:
BLAS's kernels for small matrices, where it has them, make it several times faster than adding arrays up one by one.

Here a row of tiles goes between a map and the domain, where it is 36 matrices (tiles, channels). Each transform is one
product with a small matrix along the rows of the tiles and one along their columns. For these, the memory in the domain
(6, 6, tiles across, slot) is seen as (6, tiles across, 6, slot), and each row of pixels between the two transforms as
tiles. A slot is one pixel of all images, (images, channels).
"""

import numpy as np

from npticket.engine.conv.layout import Scratch

G = np.array(
    [
        [1 / 4, 0, 0],  # 0
        [-1 / 6, -1 / 6, -1 / 6],  # 1
        [-1 / 6, 1 / 6, -1 / 6],  # -1
        [1 / 24, 1 / 12, 1 / 6],  # 2
        [1 / 24, -1 / 12, 1 / 6],  # -2
        [0, 0, 1],  # infinity
    ]
)
BT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
AT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])
POINTS = 6  # per dimension
TILE = 4  # outputs per dimension
CENTRE = 7  # of the 36: the product at the points (1, 1), of which A^T M A adds the same to every output of a tile


class InputTiles:
    """Tiles of 6 x 6 input pixels; `domain` (6, 6, across, slot) is V or its gradient."""

    def __init__(self, domain: np.ndarray, scratch: Scratch) -> None:
        _, _, across, slot = domain.shape
        self._bt = BT.astype(domain.dtype)
        self._b = np.ascontiguousarray(self._bt.T)
        self._b_inside, self._b_outside = self._b[1:5].copy(), self._b[::5].copy()
        self._domain = domain.swapaxes(1, 2)
        between = scratch.array("between", (POINTS, TILE * across + 2, slot))  # the pixels beside the map, too
        self._border, self._inside = between[:, :: TILE * across + 1], between[:, 1:-1].swapaxes(0, 1)
        row, column, item = between.strides
        shape = POINTS, across, POINTS, slot
        self._seen = np.lib.stride_tricks.as_strided(between, shape, (row, TILE * column, column, item))
        self._whole = scratch.array("between", (POINTS, across, TILE, slot))
        self._outside = scratch.array("work", (POINTS, across, 2, slot))
        self._above = scratch.array("work", (TILE * across, 2, slot))

    def to_domain(self, rows: np.ndarray) -> None:
        """V = B^T d B.     rows (6, W, slot)"""
        np.matmul(self._bt, rows.swapaxes(0, 1), out=self._inside)
        self._border[...] = 0
        np.matmul(self._bt, self._seen, out=self._domain)

    def to_domain_gradient(self, rows: np.ndarray) -> None:
        """dd = B dV B^T: assigned to the last four rows, added to the first two, which the row of tiles above wrote."""
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
        self._between = scratch.array("between", (POINTS, across, TILE, slot))
        self._columns = self._between.reshape(POINTS, -1, slot).swapaxes(0, 1)

    def from_domain(self, rows: np.ndarray) -> None:
        """y = A^T M A.     rows (4, W, slot)"""
        np.matmul(self._at, self._domain, out=self._between)
        np.matmul(self._at, self._columns, out=rows.swapaxes(0, 1))

    def from_domain_gradient(self, rows: np.ndarray) -> None:
        """dM = A dy A^T.     rows (4, W, slot)"""
        np.matmul(self._a, rows.swapaxes(0, 1), out=self._columns)
        np.matmul(self._a, self._between, out=self._domain)
