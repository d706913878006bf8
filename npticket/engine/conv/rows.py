"""Winograd convolution of large maps: each chunk of the batch alone, one or two rows of tiles at a time."""

import numpy as np

from npticket.engine.conv.filters import WinogradFilters
from npticket.engine.conv.images import as_tiles, overlapping_tiles
from npticket.engine.conv.maps import Map
from npticket.engine.conv.outputs import Output
from npticket.engine.conv.scratch import Scratch
from npticket.engine.conv.team import Team
from npticket.engine.conv.tiles import InputTiles, OutputTiles
from npticket.engine.conv.winograd import CENTRE, POINTS, TILE
from npticket.engine.gemm import SMALL


class RowsOfTiles:
    """y = x * w + b with pad 1, and its gradients; what happens to rows before and after is up to `source` and `out`.

    bias, dbias (K,), or None.
    """

    def __init__(
        self, filters: WinogradFilters, bias: np.ndarray | None, dbias: np.ndarray | None, source: Map, out: Output
    ) -> None:
        self.source, self.out = source, out
        source.readers.append(self)
        self._filters, self._bias, self._dbias = filters, bias, dbias
        self._high = 2 if out.size == 2 * TILE else 1
        self._starts = range(0, out.size, TILE * self._high)
        self._kernels: list[_Kernel] = []
        across = out.size // TILE
        for chunk, images in enumerate(out.images):
            _Kernel.reserve(out.scratch[chunk], chunk, self._high, across, images, filters)

    def bind(self) -> None:
        """Take the scratch memory that was reserved."""
        across = self.out.size // TILE
        self._kernels = [
            _Kernel(self.out.scratch[chunk], chunk, self._high, across, images, self._filters)
            for chunk, images in enumerate(self.out.images)
        ]
        for chunk, kernel in enumerate(self._kernels):
            kernel.x = [overlapping_tiles(self.source.x[chunk], i, self._high) for i in self._starts]

    def forward(self, team: Team) -> None:
        """Write y."""
        team.each(self._forward, len(self._kernels))

    def backward(self, team: Team) -> None:
        """Write dw, dbias and dx; other readers of x, which come before this one, add to dx later."""
        team.each(self._backward, len(self._kernels))
        team.each(lambda half: self._filters.finish(half, [kernel.du for kernel in self._kernels]))
        if self._dbias is not None:
            self._dbias[...] = sum(kernel.dbias for kernel in self._kernels)

    def _forward(self, chunk: int) -> None:
        kernel, height = self._kernels[chunk], TILE * self._high
        y = self.out.y[chunk]
        for tile_row, start in enumerate(self._starts):
            rows = slice(1 + start, 1 + start + height)
            self.source.fill(chunk, start + height + 1)
            kernel.input.transform(kernel.x[tile_row])
            kernel.multiply()
            if self._bias is not None:
                kernel.centre += self._bias
            kernel.output.collect(as_tiles(y[rows]))
            self.out.written(chunk, rows)

    def _backward(self, chunk: int) -> None:
        kernel, height, dx = self._kernels[chunk], TILE * self._high, self.source.dx[chunk]
        if not kernel.dx:
            kernel.dx = [overlapping_tiles(dx, i, self._high) for i in self._starts]
        dx[:2] = 0
        kernel.dbias[...] = 0
        for tile_row, start in enumerate(self._starts):
            dy = self.out.gradient(chunk, slice(1 + start, 1 + start + height))
            kernel.output.transform(as_tiles(dy))
            if self._bias is not None:
                kernel.dbias += kernel.ones @ kernel.centre
            kernel.input.transform(kernel.x[tile_row])
            kernel.weight_gradient(is_first=start == 0)
            kernel.input_gradient()
            kernel.input.spread(kernel.dx[tile_row])
            if self.source.readers[0] is self:
                end = start + height
                self.source.drain(chunk, end if end == self.out.size else end - 1)


class _Kernel:
    """V and M of some rows of tiles of one chunk, which also hold their own gradients, dU, and products of them."""

    def __init__(
        self, scratch: Scratch, chunk: int, high: int, across: int, images: int, filters: WinogradFilters
    ) -> None:
        c, k, count = filters.channels, filters.filters, high * across * images
        v = scratch.array("v", (POINTS, POINTS, high, across * images * c))
        m = scratch.array("m", (POINTS, POINTS, high, across * images * k))
        self.input, self.output = InputTiles(v, across, scratch), OutputTiles(m, scratch)
        v, m = v.reshape(POINTS**2, count, c), m.reshape(POINTS**2, count, k)
        self.centre, self.ones = m[CENTRE], np.ones(count, m.dtype)
        self.du = scratch.array(f"du {chunk}", (POINTS**2, c, k))
        self._part = scratch.array("part", self.du.shape)
        self._forward = in_blocks(v, filters.u, m)
        turned = v.transpose(0, 2, 1)
        self._weight_gradient = in_blocks(turned, m, self.du)
        self._more_weight_gradient = in_blocks(turned, m, self._part)
        self._input_gradient = in_blocks(m, filters.turned, v)
        self.dbias = np.zeros(k, m.dtype)
        self.x: list[np.ndarray] = []  # the tiles of x and dx that belong to each row of tiles
        self.dx: list[np.ndarray] = []

    @staticmethod
    def reserve(scratch: Scratch, chunk: int, high: int, across: int, images: int, filters: WinogradFilters) -> None:
        """Say how much scratch memory is needed."""
        c, k, count = filters.channels, filters.filters, high * across * images
        du = POINTS**2, c, k
        scratch.reserve(**{"v": (POINTS**2, count, c), "m": (POINTS**2, count, k), "part": du, f"du {chunk}": du})
        InputTiles.reserve(scratch, high, across, images * c)
        OutputTiles.reserve(scratch, high, across * images * k)

    def multiply(self) -> None:
        """M = V U."""
        _matmul(*self._forward)

    def weight_gradient(self, is_first: bool) -> None:
        """dU = V^T dM, or add it to what is there."""
        if is_first:
            _matmul(*self._weight_gradient)
        else:
            _matmul(*self._more_weight_gradient)
            self.du += self._part

    def input_gradient(self) -> None:
        """dV = dM U^T, in place of V."""
        _matmul(*self._input_gradient)


def in_blocks(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Views for the stacked product a b, columns of b in blocks for BLAS's small kernels where the whole is too large.

    a (P, M, N)   b (P, N, K)   out (P, M, K)
    """
    stack, rows, inner = a.shape
    columns = b.shape[2]
    for block in (64, 32):
        if columns % block == 0 and rows * inner * block <= SMALL < rows * inner * columns:
            b, out = (x.reshape(stack, -1, columns // block, block).transpose(0, 2, 1, 3) for x in (b, out))
            return a[:, None], b, out
    return a, b, out


def _matmul(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    np.matmul(a, b, out=out)
