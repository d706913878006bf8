"""Convolutions with a stride, or of 1 x 1 pixels: one matrix product per tap of the kernel, a few rows at a time."""

from collections.abc import Iterator

import numpy as np

from npticket.engine.conv.layout import BAND, bands
from npticket.engine.conv.maps import Convolution, Map
from npticket.engine.conv.outputs import Output
from npticket.engine.conv.weights import Filters


class Strided(Convolution):
    """y = x * w with stride 1 or 2: what each tap sees is gathered, (taps, quarters of rows, pixels, C)."""

    def __init__(self, filters: Filters, source: Map, out: Output, stride: int) -> None:
        self.out, self._filters, self._source, self._stride = out, filters, source, stride
        source.read_by(self)
        kernel = len(filters.w)
        self._taps = [(i - kernel // 2, j - kernel // 2) for i, j in np.ndindex(kernel, kernel)]
        self._height = min(BAND, out.size)
        shape = len(out.halves.counts), kernel**2, filters.channels, filters.filters
        self._dw = np.empty(shape, filters.w.dtype)

    def forward(self, images: np.ndarray) -> None:
        self.out.halves.each(self._forward)

    def backward(self) -> None:
        self.out.halves.each(self._backward)
        self._filters.dw[...] = self._dw.sum(axis=0).reshape(self._filters.dw.shape)

    def _forward(self, half_batch: int) -> None:
        w = self._filters.w.reshape(len(self._taps), 1, *self._filters.w.shape[2:])
        for rows in bands(self.out.size):
            self._source.make_rows(half_batch, self._stride * (rows.stop - 1) + 1)
            seen = self._gather(half_batch, rows)
            y = self.out.y[half_batch][rows].reshape(seen.shape[1], seen.shape[2], -1)
            if len(seen) == 1:
                np.matmul(seen[0], w[0], out=y)
            else:
                parts = self.out.halves.scratch[half_batch].array("work", (len(seen), *y.shape))
                np.add.reduce(np.matmul(seen, w, out=parts), axis=0, out=y)
            self.out.written(half_batch, rows)

    def _backward(self, half_batch: int) -> None:
        turned = self._filters.w.reshape(self._dw[0].shape).swapaxes(1, 2)[:, None].copy()
        dw, source = self._dw[half_batch], self._source
        dw[...] = 0
        source.begin_gradient(half_batch, self)
        for rows in bands(self.out.size):
            seen = self._gather(half_batch, rows)
            dy = self.out.gradient(half_batch, rows).reshape(*seen.shape[1:3], -1)
            dw += np.matmul(seen.swapaxes(2, 3), dy).sum(axis=1)
            np.matmul(dy, turned, out=seen)
            self._scatter(half_batch, rows, seen)
            end = self._stride * (rows.stop - 1)
            source.pass_on(half_batch, end if end == source.size else end - 1, self)

    def _gather(self, half_batch: int, rows: slice) -> np.ndarray:
        """Return what the taps see of x for some rows of y."""
        halves, width = self.out.halves, self.out.size
        shape = len(self._taps), self._height, width, halves.counts[half_batch] * self._filters.channels
        seen = halves.scratch[half_batch].array("seen", shape)
        for tap, (of_x, columns) in enumerate(self._windows(self._source.x[half_batch], rows)):
            seen[tap, :, 0] = 0
            seen[tap, :, columns] = of_x
        # As matrices (taps, quarters of rows, W / 4 images, C), small enough for BLAS's small kernels.
        return seen.reshape(len(seen), self._height * min(4, width), -1, self._filters.channels)

    def _scatter(self, half_batch: int, rows: slice, matrices: np.ndarray) -> None:
        """Add what belongs to the pixels that the taps saw to dx."""
        dseen = matrices.reshape(len(self._taps), self._height, self.out.size, -1)
        for tap, (of_dx, columns) in enumerate(self._windows(self._source.dx[half_batch], rows)):
            of_dx += dseen[tap, :, columns]

    def _windows(self, x: np.ndarray, rows: slice) -> Iterator[tuple[np.ndarray, slice]]:
        """Yield, for each tap, the pixels of a map that it sees, and for which columns: one may see the border."""
        stride = self._stride
        for down, right in self._taps:
            first = stride * (rows.start - 1) + 1 + down
            lines = x[first : first + stride * self._height : stride]
            if right < 0:
                yield lines[:, stride - 1 : -1 : stride], slice(1, None)
            else:
                yield lines[:, right::stride], slice(None)
