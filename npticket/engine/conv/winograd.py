"""Winograd's convolution F(4 x 4, 3 x 3): 36 multiplications instead of 144 (Winograd 1980; Lavin & Gray 2016).

In one dimension, four outputs of a filter with three taps, y_k = d_k w_0 + d_k+1 w_1 + d_k+2 w_2, take 12
multiplications. Turned round this is a product of polynomials: its transpose, for given w, takes y to the coefficients
of w(s) y(s), which has degree 2 + 3 and is known from its values at six points. There, the product is one
multiplication each. With the points 0, 1, -1, 2, -2 and infinity (where the value is the leading coefficient),

    y = A^T [(G w) * (B^T d)]        A^T (4, 6)    G (6, 3)    B^T (6, 6)

G and A evaluate polynomials of 3 and 4 coefficients at the points, B^T is the transpose of the interpolation. The
denominators that interpolation brings are moved into G, so that A and B hold small whole numbers: products with them
are a few sums. In two dimensions, along rows and columns, y = A^T [(G w G^T) * (B^T d B)] A takes a tile d of 6 x 6
pixels, of which neighbouring tiles share two rows or columns, to 4 x 4 outputs, with 36 products. Summed over channels,
each of the 36 is a matrix product of all tiles, V (T, C), with the transformed weights, U (C, K).

The gradients are those of any bilinear map, with the transposes of the same matrices:

    dM = A dy A^T      dU = V^T dM      dw = G^T dU G      dV = dM U^T      dd = B dV B^T   (overlapping tiles add up)

The functions below apply B^T, B, A^T and A along the first axis of arrays, adding whole stacks of slices at once.
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
WORK = 8  # slices of scratch memory that a transform may need


def input_transform(first: np.ndarray, middle: np.ndarray, last: np.ndarray, out: np.ndarray, work: np.ndarray) -> None:
    """out = B^T d for d = (first, *middle, last).     first, last (...)   middle (4, ...)   out (6, ...)"""
    p, four, sums = work[:4], work[4:6], work[6:8]
    np.subtract(middle[1], first, out=p[0])
    np.subtract(middle[2:], middle[:2], out=p[1:3])
    np.subtract(last, middle[2], out=p[3])
    np.multiply(p[:2], 4, out=four)
    np.subtract(p[2:], four, out=out[::5])
    np.multiply(middle[:2], 4, out=four)
    np.subtract(middle[2:], four, out=sums)
    odd, even = sums
    np.add(even, odd, out=out[1])
    np.subtract(even, odd, out=out[2])
    odd, even = p[1:3]
    odd += odd
    np.add(even, odd, out=out[3])
    np.subtract(even, odd, out=out[4])


def input_adjoint(m: np.ndarray, out: list[np.ndarray], work: np.ndarray) -> None:
    """out = the first five of B m; the sixth is m[5] itself.     m (6, ...)   out 5 arrays (...)"""
    plus, minus, five = work[:2], work[2:4], work[4]
    np.add(m[1:5:2], m[2:5:2], out=plus)
    np.subtract(m[1:5:2], m[2:5:2], out=minus)
    np.multiply(m[0], 4, out=out[0])
    np.add(plus[0], plus[1], out=out[4])
    out[4] += m[0]
    plus[0] *= -3
    plus[0] -= out[4]
    np.subtract(plus[0], out[0], out=out[2])
    minus[1] += minus[1]
    np.add(minus[0], minus[1], out=minus[1])
    np.multiply(m[5], 5, out=five)
    np.subtract(minus[1], five, out=out[3])
    minus[0] *= -3
    minus[0] -= out[3]
    np.subtract(minus[0], m[5], out=out[1])


def output_transform(m: np.ndarray, out: np.ndarray, work: np.ndarray) -> None:
    """out = A^T m.     m (6, ...)   out (4, ...)"""
    plus, minus = work[:2], work[2:4]
    np.add(m[1:5:2], m[2:5:2], out=plus)
    np.subtract(m[1:5:2], m[2:5:2], out=minus)
    np.add(plus[0], plus[1], out=out[0])
    out[0] += m[0]
    plus[1] *= 4
    np.add(plus[0], plus[1], out=out[2])
    minus[1] += minus[1]
    np.add(minus[0], minus[1], out=out[1])
    minus[1] *= 4
    minus[0] += minus[1]
    np.add(minus[0], m[5], out=out[3])


def output_adjoint(y: np.ndarray, out: np.ndarray, work: np.ndarray) -> None:
    """out = A y.     y (4, ...)   out (6, ...)"""
    sums, weighted = work[:2], work[2:4]
    np.add(y[:2], y[2:], out=sums)
    np.add(sums[0], sums[1], out=out[1])
    np.subtract(sums[0], sums[1], out=out[2])
    np.multiply(y[2:], 4, out=weighted)
    weighted += y[:2]
    weighted[1] += weighted[1]
    np.add(weighted[0], weighted[1], out=out[3])
    np.subtract(weighted[0], weighted[1], out=out[4])
    out[::5] = y[::3]
