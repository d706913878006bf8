"""Winograd convolution of maps: of large ones by rows of tiles, of 4 x 4 ones, where a tile is an image, by weights."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from npticket.engine.conv.layout import bands
from npticket.engine.conv.maps import Convolution, Map
from npticket.engine.conv.outputs import Output
from npticket.engine.conv.threads import half_of
from npticket.engine.conv.weights import WinogradFilters
from npticket.engine.conv.winograd import CENTRE, POINTS, TILE, InputTiles, OutputTiles
from npticket.engine.gemm import SMALL

WHOLE = slice(1, 1 + TILE)  # all rows of a map of one tile
SMALL_DU = 1 << 18  # values to add up and to transform, for which the other thread is not worth waking

VM = tuple[np.ndarray, np.ndarray]


class _Winograd(Convolution):
    """y = x * w + b with pad 1: how rows come to V, from M and back.     domains: V, M of each half, (36, tiles, C)"""

    def __init__(self, filters: WinogradFilters, source: Map, out: Output, domains: Sequence[VM]) -> None:
        self.out, self._filters, self._source = out, filters, source
        source.read_by(self)
        self._input, self._output, shape = [], [], (POINTS, POINTS, out.size // TILE, -1)
        for (v, m), scratch in zip(domains, out.halves.scratch, strict=False):
            self._input.append(InputTiles(v.reshape(shape), scratch))
            self._output.append(OutputTiles(m.reshape(shape), scratch))

    def _gather(self, half_batch: int, rows: slice) -> None:
        self._source.make_rows(half_batch, rows.stop)
        self._input[half_batch].to_domain(self._source.x[half_batch][rows.start - 1 : rows.stop + 1])

    def _collect(self, half_batch: int, rows: slice) -> None:
        self._output[half_batch].from_domain(self.out.y[half_batch][rows])
        self.out.written(half_batch, rows)

    def _gather_gradient(self, half_batch: int, rows: slice) -> None:
        self._output[half_batch].from_domain_gradient(self.out.gradient(half_batch, rows))
        self._gather(half_batch, rows)

    def _spread(self, half_batch: int, rows: slice) -> None:
        dx, end = self._source.dx[half_batch], rows.stop - 1
        if rows.start == 1:
            dx[:2] = 0
        self._input[half_batch].to_domain_gradient(dx[rows.start - 1 : rows.stop + 1])
        self._source.pass_on(half_batch, end if end == self.out.size else end - 1, self)


class WinogradRows(_Winograd):
    """Each half of the batch alone, one row of tiles at a time."""

    def __init__(self, filters: WinogradFilters, source: Map, out: Output) -> None:
        self._kernels = [_Kernel(filters, out, half_batch) for half_batch in range(len(out.halves.counts))]
        super().__init__(filters, source, out, [(kernel.v, kernel.m) for kernel in self._kernels])

    def forward(self, images: np.ndarray) -> None:
        self.out.halves.each(self._forward)

    def backward(self) -> None:
        self.out.halves.each(self._backward)
        du = [kernel.du for kernel in self._kernels]
        self.out.halves.team.each(partial(self._filters.finish, du=du), is_small=du[0].size < SMALL_DU)
        if self._filters.db is not None:
            np.sum([kernel.dbias for kernel in self._kernels], axis=0, out=self._filters.db)

    def _forward(self, half_batch: int) -> None:
        kernel = self._kernels[half_batch]
        for rows in bands(self.out.size):
            self._gather(half_batch, rows)
            kernel.multiply()
            if self._filters.b is not None:
                kernel.m[CENTRE] += self._filters.b
            self._collect(half_batch, rows)

    def _backward(self, half_batch: int) -> None:
        kernel = self._kernels[half_batch]
        kernel.dbias[...] = 0
        for rows in bands(self.out.size):
            self._gather_gradient(half_batch, rows)
            if self._filters.b is not None:
                kernel.dbias += kernel.ones @ kernel.m[CENTRE]
            if rows.start == 1:
                kernel.weight_gradient()
            else:
                kernel.part_of_it()
                kernel.du += kernel.part
            kernel.input_gradient()
            self._spread(half_batch, rows)


class _Kernel:
    """V and M of a row of tiles of half of the batch, which also hold their own gradients; dU, and parts of it.

    `multiply` writes M = V U, `weight_gradient` dU = V^T dM, and `part_of_it` a part of it that is to be added;
    `input_gradient` dV = dM U^T in place of V.
    """

    def __init__(self, filters: WinogradFilters, out: Output, half_batch: int) -> None:
        scratch, c, k = out.halves.scratch[half_batch], filters.channels, filters.filters
        tiles = out.size // TILE * out.halves.counts[half_batch]
        shapes = {"v": (tiles, c), "m": (tiles, k), f"du {half_batch}": (c, k), "part": (c, k)}
        self.v, self.m, self.du, self.part = (scratch.array(name, (POINTS**2, *shapes[name])) for name in shapes)
        self.ones, self.dbias = np.ones(tiles, self.m.dtype), np.zeros(k, self.m.dtype)
        self.multiply = blocked_product(self.v, filters.u, self.m)
        self.input_gradient = blocked_product(self.m, filters.turned, self.v)
        turned = self.v.transpose(0, 2, 1)
        self.weight_gradient = blocked_product(turned, self.m, self.du)
        self.part_of_it = blocked_product(turned, self.m, self.part)


class WinogradWhole(_Winograd):
    """All images at once, as the weights are more than these; each half multiplies 18 of the 36 matrices."""

    def __init__(self, filters: WinogradFilters, source: Map, out: Output) -> None:
        halves, c, k = out.halves, filters.channels, filters.filters
        shapes = {"all v": (halves.batch, c), "all m": (halves.batch, k), "all du": (c, k)}
        self._v, self._m, self._du = (halves.scratch[0].array(name, (POINTS**2, *shapes[name])) for name in shapes)
        super().__init__(filters, source, out, [(self._v[:, half], self._m[:, half]) for half in halves.images])

    def forward(self, images: np.ndarray) -> None:
        self.out.halves.each(partial(self._gather, rows=WHOLE))
        self.out.halves.team.each(self._multiply)
        if self._filters.b is not None:
            self._m[CENTRE] += self._filters.b
        self.out.halves.each(partial(self._collect, rows=WHOLE))

    def backward(self) -> None:
        self.out.halves.each(partial(self._gather_gradient, rows=WHOLE))
        if self._filters.db is not None:
            np.sum(self._m[CENTRE], axis=0, out=self._filters.db)
        self.out.halves.team.each(self._multiply_gradient)
        self.out.halves.each(partial(self._spread, rows=WHOLE))
        self.out.halves.team.each(partial(self._filters.finish, du=[self._du]))

    def _multiply(self, half_weights: int) -> None:
        planes = half_of(POINTS**2, half_weights)
        np.matmul(self._v[planes], self._filters.u[planes], out=self._m[planes])

    def _multiply_gradient(self, half_weights: int) -> None:
        planes = half_of(POINTS**2, half_weights)
        np.matmul(self._v[planes].swapaxes(1, 2), self._m[planes], out=self._du[planes])
        np.matmul(self._m[planes], self._filters.turned[planes], out=self._v[planes])


def blocked_product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> Callable[[], np.ndarray]:
    """Return a function that writes the stacked product a b of what these hold then.

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
