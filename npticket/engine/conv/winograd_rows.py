"""Winograd convolution of large maps: each chunk of the batch alone, one row of tiles at a time."""

from collections.abc import Callable
from functools import partial

import numpy as np

from npticket.engine.conv.layout import Scratch
from npticket.engine.conv.maps import Map
from npticket.engine.conv.outputs import Output
from npticket.engine.conv.threads import Team
from npticket.engine.conv.weights import WinogradFilters
from npticket.engine.conv.winograd import CENTRE, POINTS, TILE, InputTiles, OutputTiles
from npticket.engine.gemm import SMALL

SMALL_DU = 1 << 18  # values to add up and to transform, for which the other thread is not worth waking


class WinogradRows:
    """y = x * w + b with pad 1, and its gradients; what happens to rows before and after is for `source` and `out`."""

    def __init__(self, filters: WinogradFilters, source: Map, out: Output) -> None:
        self.source, self.out = source, out
        source.readers.append(self)
        self._filters = filters
        self._kernels: list[_Kernel] = []
        for chunk, images in enumerate(out.images):
            _Kernel.reserve(out.scratch[chunk], chunk, out.size // TILE, images, filters)

    def bind(self) -> None:
        """Take the scratch memory that was reserved."""
        self._kernels = [
            _Kernel(self.out.scratch[chunk], chunk, self.out.size // TILE, images, self._filters)
            for chunk, images in enumerate(self.out.images)
        ]

    def forward(self, team: Team) -> None:
        """Write y."""
        team.each(self._forward, len(self._kernels))

    def backward(self, team: Team) -> None:
        """Write dw, dbias and dx; other readers of x, which come before this one, add to dx later."""
        team.each(self._backward, len(self._kernels))
        du = [kernel.du for kernel in self._kernels]
        team.each(lambda part: self._filters.finish(part, du), is_small=du[0].size < SMALL_DU)
        if self._filters.db is not None:
            self._filters.db[...] = sum(kernel.dbias for kernel in self._kernels)

    def _forward(self, chunk: int) -> None:
        kernel, x, y = self._kernels[chunk], self.source.x[chunk], self.out.y[chunk]
        for start in range(0, self.out.size, TILE):
            rows = slice(1 + start, 1 + start + TILE)
            self.source.fill(chunk, start + TILE + 1)
            kernel.input.transform(x[start : start + POINTS])
            kernel.multiply()
            if self._filters.b is not None:
                kernel.centre += self._filters.b
            kernel.output.collect(y[rows])
            self.out.written(chunk, rows)

    def _backward(self, chunk: int) -> None:
        kernel, x, dx = self._kernels[chunk], self.source.x[chunk], self.source.dx[chunk]
        dx[:2] = 0
        kernel.dbias[...] = 0
        for start in range(0, self.out.size, TILE):
            dy = self.out.gradient(chunk, slice(1 + start, 1 + start + TILE))
            kernel.output.transform(dy)
            if self._filters.b is not None:
                kernel.dbias += kernel.ones @ kernel.centre
            kernel.input.transform(x[start : start + POINTS])
            kernel.weight_gradient(is_first=start == 0)
            kernel.input_gradient()
            kernel.input.spread(dx[start : start + POINTS])
            if self.source.readers[0] is self:
                end = start + TILE
                self.source.drain(chunk, end if end == self.out.size else end - 1)


class _Kernel:
    """V and M of a row of tiles of one chunk, which also hold their own gradients, dU, and products of them."""

    def __init__(self, scratch: Scratch, chunk: int, across: int, images: int, filters: WinogradFilters) -> None:
        c, k, tiles = filters.channels, filters.filters, across * images
        v = scratch.array("v", (POINTS, POINTS, across, images * c))
        m = scratch.array("m", (POINTS, POINTS, across, images * k))
        self.input, self.output = InputTiles(v, scratch), OutputTiles(m, scratch)
        v, m = v.reshape(POINTS**2, tiles, c), m.reshape(POINTS**2, tiles, k)
        self.centre, self.ones, self.dbias = m[CENTRE], np.ones(tiles, m.dtype), np.zeros(k, m.dtype)
        self.du = scratch.array(f"du {chunk}", (POINTS**2, c, k))
        self._part = scratch.array("part", self.du.shape)
        self._forward = product(v, filters.u, m)
        turned = v.transpose(0, 2, 1)
        self._weight_gradient = product(turned, m, self.du)
        self._more_weight_gradient = product(turned, m, self._part)
        self._input_gradient = product(m, filters.turned, v)

    @staticmethod
    def reserve(scratch: Scratch, chunk: int, across: int, images: int, filters: WinogradFilters) -> None:
        """Say how much scratch memory is needed."""
        c, k, tiles = filters.channels, filters.filters, across * images
        du = POINTS**2, c, k
        scratch.reserve(**{"v": (POINTS**2, tiles, c), "m": (POINTS**2, tiles, k), "part": du, f"du {chunk}": du})
        InputTiles.reserve(scratch, across, images * c)
        OutputTiles.reserve(scratch, across, images * k)

    def multiply(self) -> None:
        """M = V U."""
        self._forward()

    def weight_gradient(self, is_first: bool) -> None:
        """dU = V^T dM, or add it to what is there."""
        if is_first:
            self._weight_gradient()
        else:
            self._more_weight_gradient()
            self.du += self._part

    def input_gradient(self) -> None:
        """dV = dM U^T, in place of V."""
        self._input_gradient()


def product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> Callable[[], np.ndarray]:
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
