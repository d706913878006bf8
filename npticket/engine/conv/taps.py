"""Convolutions by the taps of their kernels, where Winograd's cannot be used (strides, 1 x 1) or does not pay."""

from collections.abc import Iterator

import numpy as np

from npticket.engine.conv.layout import BAND, aligned_zeros, bands
from npticket.engine.conv.maps import Convolution, Map
from npticket.engine.conv.outputs import Output
from npticket.engine.conv.weights import Filters
from npticket.engine.gemm import SMALL
from npticket.engine.threads import half_of

SEEN = slice(0, 1), slice(0, 2), slice(1, 2)  # pixels i, of two, that a tap connects with outputs o = i - tap + 1


class Im2col(Convolution):
    """y = images * w + b, 3 x 3 with pad 1, stride 1 or 2: windows become columns (9 C, pixels), ones for the bias."""

    def __init__(self, filters: Filters, out: Output, stride: int) -> None:
        self.out, self._filters, self._stride, height, width = out, filters, stride, out.height, out.width
        channels, counts, dtype = filters.channels, out.halves.counts, filters.w.dtype
        rows = 9 * channels + (filters.b is not None)
        self._frames = [aligned_zeros((channels, stride * height + 2, stride * width + 2, n), dtype) for n in counts]
        self._columns = [aligned_zeros((rows, height, width, count), dtype) for count in counts]
        for columns in self._columns:
            columns[9 * channels :] = 1
        self._w = np.empty((rows, filters.filters), dtype)
        self._dw = np.empty((len(counts), *self._w.shape), dtype)

    def forward(self, images: np.ndarray) -> None:
        self._w[: 9 * self._filters.channels] = self._filters.w.reshape(-1, self._filters.filters)
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
        height, width, s, channels = self.out.height, self.out.width, self._stride, self._filters.channels
        frame, columns = self._frames[half_batch], self._columns[half_batch]
        frame[:, 1:-1, 1:-1] = images[self.out.halves.images[half_batch]].transpose(3, 1, 2, 0)
        for i, j in np.ndindex(3, 3):
            first = (3 * i + j) * channels
            columns[first : first + channels] = frame[:, i : i + s * height : s, j : j + s * width : s]
        shape = len(columns), min(BAND, height) * min(4, width), -1  # one small product for each quarter of a row
        for rows in bands(height):
            quarters = columns[:, rows.start - 1 : rows.stop - 1].reshape(shape)
            y = self.out.rows(half_batch, rows).reshape(*quarters.shape[1:], -1)
            np.matmul(quarters.transpose(1, 2, 0), self._w, out=y)
            self.out.written(half_batch, rows)

    def _backward(self, half_batch: int) -> None:
        columns, dw = self._columns[half_batch], self._dw[half_batch]
        dw[...] = 0
        for rows in bands(self.out.height):
            dy = self.out.gradient(half_batch, rows).reshape(-1, self._filters.filters)
            dw += columns[:, rows.start - 1 : rows.stop - 1].reshape(len(columns), -1) @ dy


class Strided(Convolution):
    """y = x * w with stride 1 or 2, tap by tap: the pixels of a band that a tap sees are gathered and multiplied."""

    def __init__(self, filters: Filters, source: Map, out: Output) -> None:
        self.out, self._filters, self._source, self._stride = out, filters, source, source.height // out.height
        source.read_by(self)
        self._height, kernel = min(BAND, out.height), len(filters.w)
        self._taps = [(i - kernel // 2, j - kernel // 2) for i, j in np.ndindex(kernel, kernel)]
        self._dw = np.empty((len(out.halves.counts), kernel**2, *filters.w.shape[2:]), filters.w.dtype)
        whole = self._height * out.width * max(out.halves.counts) * filters.w[0, 0].size <= SMALL
        self._pieces = 1 if whole else self._height * min(4, out.width)

    def forward(self, images: np.ndarray) -> None:
        self.out.halves.each(self._forward)

    def backward(self) -> None:
        self.out.halves.each(self._backward)
        self._filters.dw[...] = self._dw.sum(axis=0).reshape(self._filters.dw.shape)

    def _forward(self, half_batch: int) -> None:
        x, weights = self._source.x[half_batch], self._filters.w.reshape(self._dw[0].shape)
        for rows in bands(self.out.height):
            self._source.make_rows(half_batch, self._stride * (rows.stop - 1) + 1)
            y = self._quarters(self.out.rows(half_batch, rows), self._filters.filters)
            part = self.out.halves.scratch[half_batch].array("work", y.shape)
            for k, window in enumerate(self._windows(x, rows)):
                np.matmul(self._gather(half_batch, *window), weights[k], out=part if k else y)
                if k:
                    y += part
            self.out.written(half_batch, rows)

    def _backward(self, half_batch: int) -> None:
        dw, source = self._dw[half_batch], self._source
        turned = self._filters.w.reshape(dw.shape).swapaxes(1, 2).copy()
        dw[...] = 0
        source.begin_gradient(half_batch, self)
        for rows in bands(self.out.height):
            dy = self._quarters(self.out.gradient(half_batch, rows), self._filters.filters)
            windows = (self._windows(map_[half_batch], rows) for map_ in (source.x, source.dx))
            for k, (of_x, (dx, columns)) in enumerate(zip(*windows, strict=True)):
                seen = self._gather(half_batch, *of_x)
                dw[k] += np.matmul(seen.swapaxes(1, 2), dy).sum(axis=0)
                np.matmul(dy, turned[k], out=seen)
                dx += seen.reshape(self._height, self.out.width, -1)[:, columns]
            end = self._stride * (rows.stop - 1)
            source.dx[half_batch][0] = 0  # what taps that reach above the map added there
            source.pass_on(half_batch, end if end == source.height else end - 1, self)

    def _gather(self, half_batch: int, pixels: np.ndarray, columns: slice) -> np.ndarray:
        """Copy what a tap sees: pixels of the map, in these columns, and zeros beside it."""
        shape = self._height, self.out.width, pixels.shape[2]
        seen = self.out.halves.scratch[half_batch].array("seen", shape)
        seen[:, 0] = 0
        seen[:, columns] = pixels
        return self._quarters(seen, self._filters.channels)

    def _quarters(self, rows: np.ndarray, channels: int) -> np.ndarray:
        """View rows as matrices small enough for BLAS's small kernels: (quarters of rows, W / 4 images, channels)."""
        return rows.reshape(self._pieces, -1, channels)

    def _windows(self, x: np.ndarray, rows: slice) -> Iterator[tuple[np.ndarray, slice]]:
        """Yield, for each tap, the pixels of a map that it sees, and for which columns: one may see the border."""
        stride = self._stride
        for down, right in self._taps:
            first = stride * (rows.start - 1) + 1 + down
            lines, columns = x[first : first + stride * self._height : stride], slice(int(right < 0), None)
            yield lines[:, stride - 1 : -1 : stride] if right < 0 else lines[:, right::stride], columns


class TwoByTwo(Convolution):
    """y = x * w, 3 x 3 with pad 1, of 2 x 2 maps: every output pixel sees every input pixel through one tap.

    y[o] = sum over i of x[i] w[i - o + 1], i, o in {0, 1}^2.     x (2, 2, B, C)   w (2, 2, 2, 2, C, K)   y (2, 2, B, K)
    """

    def __init__(self, filters: Filters, source: Map, out: Output) -> None:
        self.out, self._filters, self._source = out, filters, source
        source.read_by(self)
        down, right, *others = filters.w.strides
        shape, strides = (2, 2, 2, 2, *filters.w.shape[2:]), (down, right, -down, -right, *others)
        self._pairs = np.lib.stride_tricks.as_strided(filters.w[1:, 1:], shape, strides)
        x, y = ((2, 2, out.halves.batch, channels) for channels in (filters.channels, filters.filters))
        shapes = {"all x": x, "all dx": x, "all y": y}
        self._x, self._dx, self._y = (out.halves.scratch[0].array(*item) for item in shapes.items())

    def forward(self, images: np.ndarray) -> None:
        self.out.halves.each(self._gather)
        self.out.halves.team.each(self._multiply)
        self.out.halves.each(self._collect)

    def backward(self) -> None:
        self.out.halves.each(self._gather_gradient)
        self.out.halves.team.each(self._multiply_gradient)
        self.out.halves.each(self._spread)

    def _gather(self, half_batch: int) -> None:
        self._source.make_rows(half_batch, 2)
        x = self._x[:, :, self.out.halves.images[half_batch]]
        x[...] = self._source.x[half_batch][1:-1].reshape(x.shape)

    def _multiply(self, half_weights: int) -> None:
        filters = half_of(self._filters.filters, half_weights)
        products = self._products(half_weights, filters)
        np.matmul(self._x[:, :, None, None], self._pairs[..., filters], out=products)
        np.add.reduce(products, axis=(0, 1), out=self._y[..., filters])

    def _collect(self, half_batch: int) -> None:
        y = self.out.rows(half_batch, slice(1, 3))
        y[...] = self._y[:, :, self.out.halves.images[half_batch]].reshape(y.shape)
        self.out.written(half_batch, slice(1, 3))

    def _gather_gradient(self, half_batch: int) -> None:
        self._gather(half_batch)
        dy = self._y[:, :, self.out.halves.images[half_batch]]
        dy[...] = self.out.gradient(half_batch, slice(1, 3)).reshape(dy.shape)

    def _multiply_gradient(self, half_weights: int) -> None:
        x, dy, channels = self._x, self._y, half_of(self._filters.channels, half_weights)
        for i, j in np.ndindex(3, 3):
            by = dy[SEEN[2 - i], SEEN[2 - j]].reshape(-1, dy.shape[-1])
            seen = x[SEEN[i], SEEN[j], :, channels].reshape(len(by), -1)
            np.matmul(seen.T, by, out=self._filters.dw[i, j, channels])
        products = self._products(half_weights, channels)
        np.matmul(dy, self._pairs[..., channels, :].swapaxes(-1, -2), out=products)
        np.add.reduce(products, axis=(2, 3), out=self._dx[..., channels])

    def _spread(self, half_batch: int) -> None:
        dx = self._source.dx[half_batch][1:-1]
        dx[...] = self._dx[:, :, self.out.halves.images[half_batch]].reshape(dx.shape)
        self._source.pass_on(half_batch, 2, self)

    def _products(self, half_weights: int, channels: slice) -> np.ndarray:
        shape = 2, 2, 2, 2, self.out.halves.batch, channels.stop - channels.start
        return self.out.halves.scratch[half_weights].array("work", shape)
