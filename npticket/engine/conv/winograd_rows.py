"""Winograd convolution of large maps: each half of the batch alone, one row of tiles at a time."""

from collections.abc import Callable
from functools import partial

import numpy as np

from npticket.engine.conv.layout import bands
from npticket.engine.conv.maps import Convolution, Map
from npticket.engine.conv.outputs import Output
from npticket.engine.conv.weights import WinogradFilters
from npticket.engine.conv.winograd import CENTRE, POINTS, TILE, InputTiles, OutputTiles
from npticket.engine.gemm import SMALL

SMALL_DU = 1 << 18  # values to add up and to transform, for which the other thread is not worth waking


class WinogradRows(Convolution):
    """y = x * w + b with pad 1, and its gradients; what happens to rows before and after is for `source` and `out`."""

    def __init__(self, filters: WinogradFilters, source: Map, out: Output) -> None:
        self.out, self._filters, self._source = out, filters, source
        source.read_by(self)
        self._kernels = [_Kernel(filters, out, half_batch) for half_batch in range(len(out.halves.counts))]

    def forward(self, images: np.ndarray) -> None:
        self.out.halves.each(self._forward)

    def backward(self) -> None:
        self.out.halves.each(self._backward)
        du = [kernel.du for kernel in self._kernels]
        self.out.halves.team.each(partial(self._filters.finish, du=du), is_small=du[0].size < SMALL_DU)
        if self._filters.db is not None:
            np.sum([kernel.dbias for kernel in self._kernels], axis=0, out=self._filters.db)

    def _forward(self, half_batch: int) -> None:
        kernel, x, y = self._kernels[half_batch], self._source.x[half_batch], self.out.y[half_batch]
        for rows in bands(self.out.size):
            self._source.make_rows(half_batch, rows.stop)
            kernel.input.to_domain(x[rows.start - 1 : rows.stop + 1])
            kernel.multiply()
            if self._filters.b is not None:
                kernel.centre += self._filters.b
            kernel.output.from_domain(y[rows])
            self.out.written(half_batch, rows)

    def _backward(self, half_batch: int) -> None:
        kernel, x, dx = self._kernels[half_batch], self._source.x[half_batch], self._source.dx[half_batch]
        dx[:2] = 0
        kernel.dbias[...] = 0
        for rows in bands(self.out.size):
            seen, end = slice(rows.start - 1, rows.stop + 1), rows.stop - 1
            kernel.output.from_domain_gradient(self.out.gradient(half_batch, rows))
            if self._filters.b is not None:
                kernel.dbias += kernel.ones @ kernel.centre
            kernel.input.to_domain(x[seen])
            kernel.weight_gradient(is_first=rows.start == 1)
            kernel.input_gradient()
            kernel.input.to_domain_gradient(dx[seen])
            self._source.pass_on(half_batch, end if end == self.out.size else end - 1, self)


class _Kernel:
    """V and M of a row of tiles of half of the batch, which also hold their own gradients; dU, and parts of it.

    `multiply` writes M = V U, `input_gradient` dV = dM U^T in place of V.
    """

    def __init__(self, filters: WinogradFilters, out: Output, half_batch: int) -> None:
        scratch, c, k, across = out.halves.scratch[half_batch], filters.channels, filters.filters, out.size // TILE
        tiles = across * out.halves.counts[half_batch]
        v, m = scratch.array("v", (POINTS**2, tiles, c)), scratch.array("m", (POINTS**2, tiles, k))
        self.du, self._part = (scratch.array(name, (POINTS**2, c, k)) for name in (f"du {half_batch}", "part"))
        self.input = InputTiles(v.reshape(POINTS, POINTS, across, -1), scratch)
        self.output = OutputTiles(m.reshape(POINTS, POINTS, across, -1), scratch)
        self.centre, self.ones, self.dbias = m[CENTRE], np.ones(tiles, m.dtype), np.zeros(k, m.dtype)
        turned = v.transpose(0, 2, 1)
        self.multiply = blocked_product(v, filters.u, m)
        self.input_gradient = blocked_product(m, filters.turned, v)
        self._weight_gradient = blocked_product(turned, m, self.du)
        self._more_weight_gradient = blocked_product(turned, m, self._part)

    def weight_gradient(self, is_first: bool) -> None:
        """Write dU = V^T dM, or add it to what is there."""
        if is_first:
            self._weight_gradient()
        else:
            self._more_weight_gradient()
            self.du += self._part


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
