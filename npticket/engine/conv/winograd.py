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
"""

import numpy as np

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
AT = np.array(
    [
        [1, 1, 1, 1, 1, 0],
        [0, 1, -1, 2, -2, 0],
        [0, 1, 1, 4, 4, 0],
        [0, 1, -1, 8, -8, 1],
    ]
)
POINTS = 6  # per dimension
TILE = 4  # outputs per dimension
CENTRE = 7  # of the 36: the product at the points (1, 1), of which A^T M A adds the same to every output of a tile
