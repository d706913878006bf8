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

The gradients are convolutions again. That of d is the convolution of dy with the taps reversed. That of the taps is,
read from the other end, dw_2-a = sum over q of x_q dy_q+a-1: the same sum, in which x and dy change places. So with
the tiles of 6 x 6 of dy, and those of 4 x 4 of x, which do not overlap,

    Y = B^T dy B     X = A x A^T     dU' = X^T Y     dx = A^T (Y U') A     dw = J G^T dU' G J     U' = G J w J G^T

where J reverses the order of the taps, and U' is transposed, (K, C). Where there is but one tile, and U' would be more
work than the maps, the transposes of the same three matrices do, as for any bilinear map:

    M' = A dy A^T     dU = V^T M'     dx = B (M' U^T) B^T     dw = G^T dU G

A multiplication by A or B, 6 x 6 at most, costs little if it is one matrix product for very many tiles and channels:
BLAS's kernels for small matrices, where it has them, make it several times faster than adding arrays up one by one.

Here a row of tiles goes between a map and the domain, where it is 36 matrices (tiles, channels). Each transform is one
product with a small matrix along the rows of the tiles and six, one for each row of points, along their columns: so no
more than a sixth of the domain need exist at a time. A slot is one pixel of all images, (images, channels).
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
CENTRE = 1  # the point 1: what is added to M at (1, 1), A^T M A adds to every output of a tile


class ToDomain:
    """Takes a row of tiles to the domain: B^T d B for tiles of 6 x 6 pixels, which overlap, A d A^T for 4 x 4.

    `matrix` (6, pixels of a tile in a row); `name` is that of the scratch memory between the two products.
    """

    def __init__(self, matrix: np.ndarray, across: int, slot: int, scratch: Scratch, name: str) -> None:
        self._matrix = np.ascontiguousarray(matrix, scratch.dtype)
        tile, width = matrix.shape[1], TILE * across
        margin = (tile - TILE) // 2  # pixels beside the map
        between = scratch.array(name, (POINTS, width + 2 * margin, slot))
        self._inside = between[:, margin : margin + width].swapaxes(0, 1)
        self._beside = between[:, :: width + 1][:, : 2 * margin]
        row, column, item = between.strides
        shape = POINTS, across, tile, slot
        self._tiles = np.lib.stride_tricks.as_strided(between, shape, (row, TILE * column, column, item))

    def begin(self, rows: np.ndarray) -> None:
        """Read the pixels.     rows (6 or 4, W, slot)"""
        np.matmul(self._matrix, rows.swapaxes(0, 1), out=self._inside)
        self._beside[...] = 0

    def write(self, points: slice, domain: np.ndarray) -> None:
        """Write some rows of points.     domain (n, 6, across, slot)"""
        np.matmul(self._matrix, self._tiles[points], out=domain.swapaxes(1, 2))


class FromDomain:
    """Takes a row of tiles from the domain: A^T m A or, for the inner pixels of 6 x 6, B m B^T.     matrix (4, 6)"""

    def __init__(self, matrix: np.ndarray, across: int, slot: int, scratch: Scratch, name: str) -> None:
        self._matrix = np.ascontiguousarray(matrix, scratch.dtype)
        self._between = scratch.array(name, (POINTS, across, TILE, slot))
        self._columns = self._between.reshape(POINTS, -1, slot).swapaxes(0, 1)

    def read(self, points: slice, domain: np.ndarray) -> None:
        """Read some rows of points.     domain (n, 6, across, slot)"""
        np.matmul(self._matrix, domain.swapaxes(1, 2), out=self._between[points])

    def end(self, rows: np.ndarray) -> None:
        """Write the pixels.     rows (4, W, slot)"""
        np.matmul(self._matrix, self._columns, out=rows.swapaxes(0, 1))
