"""Convolutions that gather what each tap of the kernel sees, for products with its weights, a few rows at a time.

The first has too few input channels for Winograd's to pay; Winograd's cannot have a stride, or a kernel of 1 x 1.
"""

from collections.abc import Iterator

import numpy as np

from npticket.engine.conv.layout import BAND, bands
from npticket.engine.conv.maps import Convolution, Map
from npticket.engine.conv.outputs import Output
from npticket.engine.conv.weights import Filters


class Im2col(Convolution):
    """y = images * w + b, 3 x 3 with pad 1: windows become columns, kept for the weight gradient; there is no dx.

    The columns are (9 C, pixels); a last row of ones makes the bias one more weight.
    """

    def __init__(self, filters: Filters, out: Output) -> None:
        self.out, self._filters = out, filters
        size, channels, counts, dtype = out.size, filters.channels, out.halves.counts, filters.w.dtype
        rows = 9 * channels + (filters.b is not None)
        self._frames = [np.zeros((channels, size + 2, size + 2, count), dtype) for count in counts]
        self._columns = [np.ones((rows, size, size, count), dtype) for count in counts]
        self._w = np.empty((rows, filters.filters), dtype)
        self._dw = np.empty((len(counts), *self._w.shape), dtype)

    def forward(self, images: np.ndarray) -> None:
        weights = self._filters.w.reshape(-1, self._filters.filters)
        self._w[: len(weights)] = weights
        if self._filters.b is not None:
            self._w[-1] = self._filters.b
        self.out.halves.each(lambda half_batch: self._forward(half_batch, images))

    def backward(self) -> None:
        self.out.halves.each(self._backward)
        dw = self._dw.sum(axis=0)
        self._filters.dw[...] = dw[: 9 * self._filters.channels].reshape(self._filters.dw.shape)
        if self._filters.db is not None:
            self._filters.db[...] = dw[-1]

    def _forward(self, half_batch: int, images: np.ndarray) -> None:
        size, channels = self.out.size, self._filters.channels
        frame, columns = self._frames[half_batch], self._columns[half_batch]
        frame[:, 1:-1, 1:-1] = images[self.out.halves.images(half_batch)].transpose(3, 1, 2, 0)
        for i, j in np.ndindex(3, 3):
            first = (3 * i + j) * channels
            columns[first : first + channels] = frame[:, i : i + size, j : j + size]
        shape = len(columns), min(BAND, size) * min(4, size), -1  # one small product for each quarter of a row
        for rows in bands(size):
            quarters = columns[:, rows.start - 1 : rows.stop - 1].reshape(shape)
            y = self.out.y[half_batch][rows].reshape(*quarters.shape[1:], -1)
            np.matmul(quarters.transpose(1, 2, 0), self._w, out=y)
            self.out.written(half_batch, rows)

    def _backward(self, half_batch: int) -> None:
        columns, dw = self._columns[half_batch], self._dw[half_batch]
        dw[...] = 0
        for rows in bands(self.out.size):
            dy = self.out.gradient(half_batch, rows).reshape(-1, self._filters.filters)
            dw += columns[:, rows.start - 1 : rows.stop - 1].reshape(len(columns), -1) @ dy


class Strided(Convolution):
    """y = x * w with stride 1 or 2: what each tap sees is gathered, (taps, quarters of rows, pixels, C)."""

    def __init__(self, filters: Filters, source: Map, out: Output) -> None:
        self.out, self._filters, self._source, self._stride = out, filters, source, source.size // out.size
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
        w = self._filters.w.reshape(self._dw[0].shape)[:, None]
        for rows in bands(self.out.size):
            self._source.make_rows(half_batch, self._stride * (rows.stop - 1) + 1)
            seen = self._gather(half_batch, rows)
            y = self.out.y[half_batch][rows].reshape(*seen.shape[1:3], -1)
            if len(seen) == 1:
                np.matmul(seen[0], w[0], out=y)
            else:
                parts = self.out.halves.scratch[half_batch].array("work", (len(seen), *y.shape))
                np.add.reduce(np.matmul(seen, w, out=parts), axis=0, out=y)
            self.out.written(half_batch, rows)

    def _backward(self, half_batch: int) -> None:
        dw, source = self._dw[half_batch], self._source
        turned = self._filters.w.reshape(dw.shape).swapaxes(1, 2)[:, None].copy()
        dw[...] = 0
        source.begin_gradient(half_batch, self)
        for rows in bands(self.out.size):
            seen = self._gather(half_batch, rows)
            dy = self.out.gradient(half_batch, rows).reshape(*seen.shape[1:3], -1)
            dw += np.matmul(seen.swapaxes(2, 3), dy).sum(axis=1)
            dseen = np.matmul(dy, turned, out=seen).reshape(len(seen), self._height, self.out.size, -1)
            for part, (of_dx, columns) in zip(dseen, self._windows(source.dx[half_batch], rows), strict=True):
                of_dx += part[:, columns]
            end = self._stride * (rows.stop - 1)
            source.pass_on(half_batch, end if end == source.size else end - 1, self)

    def _gather(self, half_batch: int, rows: slice) -> np.ndarray:
        """Return what the taps see of x for some rows of y."""
        halves, width, channels = self.out.halves, self.out.size, self._filters.channels
        shape = len(self._taps), self._height, width, halves.counts[half_batch] * channels
        seen = halves.scratch[half_batch].array("seen", shape)
        for part, (of_x, columns) in zip(seen, self._windows(self._source.x[half_batch], rows), strict=True):
            part[:, 0] = 0
            part[:, columns] = of_x
        # As matrices (taps, quarters of rows, W / 4 images, C), small enough for BLAS's small kernels.
        return seen.reshape(len(seen), self._height * min(4, width), -1, channels)

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
