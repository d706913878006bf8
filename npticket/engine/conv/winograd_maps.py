"""Winograd convolution of maps: large ones by rows of tiles, 4 x 4 ones, where a tile is an image, all at once."""

from collections.abc import Callable
from functools import partial

import numpy as np

from npticket.engine.conv.layout import bands
from npticket.engine.conv.maps import Convolution, Map
from npticket.engine.conv.outputs import Output
from npticket.engine.conv.weights import WinogradFilters
from npticket.engine.conv.winograd import AT, BT, CENTRE, POINTS, TILE, FromDomain, ToDomain
from npticket.engine.gemm import SMALL
from npticket.engine.threads import half_of

WHOLE = slice(1, 1 + TILE)  # all rows of a map of one tile
TOGETHER = 2  # rows of points at a time: few enough to stay in the L2 cache, and more would hardly save calls


class WinogradRows(Convolution):
    """y = x * w + b with pad 1, by each half of the batch alone, one row of tiles and some rows of points at a time."""

    def __init__(self, filters: WinogradFilters, source: Map, out: Output) -> None:
        self.out, self._filters, self._source = out, filters, source
        source.read_by(self)
        self._kernels = [_Kernel(filters, out, half_batch) for half_batch in range(len(out.halves.counts))]

    def forward(self, images: np.ndarray) -> None:
        self.out.halves.each(self._forward)

    def backward(self) -> None:
        self.out.halves.each(self._backward)
        self.out.halves.team.each(partial(self._filters.finish, du=[kernel.du for kernel in self._kernels]))
        if self._filters.db is not None:
            np.sum([kernel.dbias for kernel in self._kernels], axis=0, out=self._filters.db)

    def _forward(self, half_batch: int) -> None:
        kernel, x = self._kernels[half_batch], self._source.x[half_batch]
        for rows in bands(self.out.height):
            self._source.make_rows(half_batch, rows.stop)
            kernel.forward(x[rows.start - 1 : rows.stop + 1], self.out.rows(half_batch, rows))
            self.out.written(half_batch, rows)

    def _backward(self, half_batch: int) -> None:
        kernel, source = self._kernels[half_batch], self._source
        kernel.du[...], kernel.dbias[...] = 0, 0
        for rows in bands(self.out.height):
            dy = self.out.window(half_batch, rows)
            kernel.backward(source.x[half_batch][rows], dy, source.dx[half_batch][rows])
            source.pass_on(half_batch, rows.stop - 1, self)


class _Kernel:
    """What is done to one row of tiles of half of the batch, TOGETHER rows of points at a time; du adds up.

    Of these rows of points there is memory for V and M, as matrices (n, tiles, C), and seen as (TOGETHER, 6, across,
    slot). The bias is added to M at (CENTRE, CENTRE): in the row CENTRE % TOGETHER of those that hold it.
    """

    def __init__(self, filters: WinogradFilters, out: Output, half_batch: int) -> None:
        scratch, c, k = out.halves.scratch[half_batch], filters.channels, filters.filters
        across, count = out.width // TILE, out.halves.counts[half_batch]
        tiles = across * count
        shapes = {"v": (tiles, c), "m": (tiles, k), "part": (c, k)}
        v, m, self._part = (scratch.array(name, (TOGETHER * POINTS, *shapes[name])) for name in shapes)
        self._v, self._m = (a.reshape(TOGETHER, POINTS, across, -1) for a in (v, m))
        self._b, self._centre = filters.b, self._m[CENTRE % TOGETHER, CENTRE].reshape(-1, k)
        self._x_in = ToDomain(BT, across, count * c, scratch, "between 1")
        self._y_out = FromDomain(AT, across, count * k, scratch, "between 2")
        self._dy_in = ToDomain(BT, across, count * k, scratch, "between 1")
        self._x_spread = ToDomain(AT.T, across, count * c, scratch, "between 2")
        self._dx_out = FromDomain(AT, across, count * c, scratch, "between 3")
        self.du = scratch.array(f"du {half_batch}", (POINTS**2, c, k))
        self.dbias, self._ones = np.zeros(k, m.dtype), np.ones(TILE**2 * tiles, m.dtype)
        self._points = [slice(i, i + TOGETHER) for i in range(0, POINTS, TOGETHER)]
        planes = [slice(POINTS * p.start, POINTS * p.stop) for p in self._points]
        self._multiply = [blocked_product(v, filters.u[p], m) for p in planes]
        self._part_of_du, self._du = blocked_product(v.transpose(0, 2, 1), m, self._part), [self.du[p] for p in planes]
        self._multiply_back = [blocked_product(m, filters.turned[p], v) for p in planes]

    def forward(self, x: np.ndarray, y: np.ndarray) -> None:
        """Write y, (4, W, slot), of x, (6, W, slot)."""
        self._x_in.begin(x)
        for points, multiply in zip(self._points, self._multiply, strict=True):
            self._x_in.write(points, self._v)
            multiply()
            if points.start <= CENTRE < points.stop and self._b is not None:
                self._centre += self._b
            self._y_out.read(points, self._m)
        self._y_out.end(y)

    def backward(self, x: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> None:
        """Write dx, and add to du and dbias.     x, dx (4, W, slot)   dy (6, W, slot)"""
        if self._b is not None:
            self.dbias += self._ones @ dy[1:-1].reshape(len(self._ones), -1)
        self._dy_in.begin(dy)
        self._x_spread.begin(x)
        for i, points in enumerate(self._points):
            self._dy_in.write(points, self._m)
            self._x_spread.write(points, self._v)
            self._part_of_du()
            self._du[i] += self._part
            self._multiply_back[i]()
            self._dx_out.read(points, self._v)
        self._dx_out.end(dx)


class WinogradWhole(Convolution):
    """y = x * w + b with pad 1, of 4 x 4 maps: all images at once, as the weights are more than these.

    Each half multiplies 18 of the 36 matrices.     V, M (36, B, C)
    """

    def __init__(self, filters: WinogradFilters, source: Map, out: Output) -> None:
        self.out, self._filters, self._source = out, filters, source
        source.read_by(self)
        halves, c, k = out.halves, filters.channels, filters.filters
        shapes = {"all v": (halves.batch, c), "all m": (halves.batch, k), "all du": (c, k)}
        self._v, self._m, self._du = (halves.scratch[0].array(name, (POINTS**2, *shapes[name])) for name in shapes)
        self._domains = [
            (self._v[:, half].reshape(POINTS, POINTS, 1, -1), self._m[:, half].reshape(POINTS, POINTS, 1, -1))
            for half in halves.images
        ]

    def forward(self, images: np.ndarray) -> None:
        self.out.halves.each(self._gather)
        self.out.halves.team.each(self._multiply)
        if self._filters.b is not None:
            self._m[(POINTS + 1) * CENTRE] += self._filters.b
        self.out.halves.each(self._collect)

    def backward(self) -> None:
        self.out.halves.each(self._gather_gradient)
        if self._filters.db is not None:
            np.sum(self._m[(POINTS + 1) * CENTRE], axis=0, out=self._filters.db)
        self.out.halves.team.each(self._multiply_gradient)
        self.out.halves.each(self._spread)
        self.out.halves.team.each(partial(self._filters.finish, du=[self._du]))

    def _gather(self, half_batch: int) -> None:
        self._source.make_rows(half_batch, TILE)
        self._to_domain(BT, half_batch, self._source.x[half_batch], self._domains[half_batch][0])

    def _multiply(self, half_weights: int) -> None:
        planes = half_of(POINTS**2, half_weights)
        np.matmul(self._v[planes], self._filters.u[planes], out=self._m[planes])

    def _collect(self, half_batch: int) -> None:
        self._from_domain(AT, half_batch, self._domains[half_batch][1], self.out.rows(half_batch, WHOLE))
        self.out.written(half_batch, WHOLE)

    def _gather_gradient(self, half_batch: int) -> None:
        self._to_domain(AT.T, half_batch, self.out.gradient(half_batch, WHOLE), self._domains[half_batch][1])
        self._gather(half_batch)

    def _multiply_gradient(self, half_weights: int) -> None:
        planes = half_of(POINTS**2, half_weights)
        np.matmul(self._v[planes].swapaxes(1, 2), self._m[planes], out=self._du[planes])
        np.matmul(self._m[planes], self._filters.turned[planes], out=self._v[planes])

    def _spread(self, half_batch: int) -> None:
        dx = self._source.dx[half_batch][WHOLE]
        self._from_domain(BT.T[1:5], half_batch, self._domains[half_batch][0], dx)
        self._source.pass_on(half_batch, TILE, self)

    def _to_domain(self, matrix: np.ndarray, half_batch: int, rows: np.ndarray, domain: np.ndarray) -> None:
        scratch = self.out.halves.scratch[half_batch]
        way = ToDomain(matrix, 1, domain.shape[-1], scratch, "between 1")
        way.begin(rows)
        way.write(slice(None), domain)

    def _from_domain(self, matrix: np.ndarray, half_batch: int, domain: np.ndarray, rows: np.ndarray) -> None:
        scratch = self.out.halves.scratch[half_batch]
        way = FromDomain(matrix, 1, domain.shape[-1], scratch, "between 1")
        way.read(slice(None), domain)
        way.end(rows)


def blocked_product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> Callable[[], np.ndarray]:
    """Return a function that, whenever it is called, writes the stacked product a b to `out`.

    a (P, M, N)   b (P, N, K)   out (P, M, K). Where the whole is too large for BLAS's small kernels, columns of b are
    multiplied in blocks.
    """
    stack, rows, inner = a.shape
    columns = b.shape[2]
    for block in (64, 32):
        if columns % block == 0 and rows * inner * block <= SMALL < rows * inner * columns:
            b, out = (x.reshape(stack, -1, columns // block, block).transpose(0, 2, 1, 3) for x in (b, out))
            return partial(np.matmul, a[:, None], b, out=out)
    return partial(np.matmul, a, b, out=out)
