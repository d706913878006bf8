"""Convolutions by the taps of their kernels, where Winograd's does not pay, or has no stride and no kernel of 1 x 1."""

from collections.abc import Iterator

import numpy as np

from npticket.engine.conv.layout import BAND, bands
from npticket.engine.conv.maps import Convolution, Map
from npticket.engine.conv.outputs import Output
from npticket.engine.conv.threads import half_of
from npticket.engine.conv.weights import Filters
from npticket.engine.memory import aligned_zeros

SEEN = slice(0, 1), slice(0, 2), slice(1, 2)  # pixels i, of two, that a tap connects with outputs o = i - tap + 1


class Im2col(Convolution):
    """y = images * w + b, 3 x 3 with pad 1: windows become columns (9 C, pixels), with a row of ones for the bias."""

    def __init__(self, filters: Filters, out: Output) -> None:
        self.out, self._filters = out, filters
        size, channels, counts, dtype = out.size, filters.channels, out.halves.counts, filters.w.dtype
        rows = 9 * channels + (filters.b is not None)
        self._frames = [aligned_zeros((channels, size + 2, size + 2, count), dtype) for count in counts]
        self._columns = [aligned_zeros((rows, size, size, count), dtype) for count in counts]
        for columns in self._columns:
            columns[9 * channels :] = 1
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
        frame[:, 1:-1, 1:-1] = images[self.out.halves.images[half_batch]].transpose(3, 1, 2, 0)
        for i, j in np.ndindex(3, 3):
            first = (3 * i + j) * channels
            columns[first : first + channels] = frame[:, i : i + size, j : j + size]
        shape = len(columns), min(BAND, size) * min(4, size), -1  # one small product for each quarter of a row
        for rows in bands(size):
            quarters = columns[:, rows.start - 1 : rows.stop - 1].reshape(shape)
            y = self.out.rows(half_batch, rows).reshape(*quarters.shape[1:], -1)
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
        self._height, kernel = min(BAND, out.size), len(filters.w)
        self._taps = [(i - kernel // 2, j - kernel // 2) for i, j in np.ndindex(kernel, kernel)]
        self._dw = np.empty((len(out.halves.counts), kernel**2, *filters.w.shape[2:]), filters.w.dtype)

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
            y = self.out.rows(half_batch, rows).reshape(*seen.shape[1:3], -1)
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
            source.dx[half_batch][0] = 0  # what taps that reach above the map added there
            source.pass_on(half_batch, end if end == source.size else end - 1, self)

    def _gather(self, half_batch: int, rows: slice) -> np.ndarray:
        x, width, channels = self._source.x[half_batch], self.out.size, self._filters.channels
        shape = len(self._taps), self._height, width, x.shape[2]
        seen = self.out.halves.scratch[half_batch].array("seen", shape)
        for part, (of_x, columns) in zip(seen, self._windows(x, rows), strict=True):
            part[:, 0] = 0
            part[:, columns] = of_x
        # As matrices (taps, quarters of rows, W / 4 images, C), small enough for BLAS's small kernels.
        return seen.reshape(len(seen), self._height * min(4, width), -1, channels)

    def _windows(self, x: np.ndarray, rows: slice) -> Iterator[tuple[np.ndarray, slice]]:
        """Yield, for each tap, the pixels of a map that it sees, and for which columns: one may see the border."""
        stride = self._stride
        for down, right in self._taps:
            first = stride * (rows.start - 1) + 1 + down
            lines, columns = x[first : first + stride * self._height : stride], slice(int(right < 0), None)
            yield lines[:, stride - 1 : -1 : stride] if right < 0 else lines[:, right::stride], columns


class TwoByTwo(Convolution):
    """y = x * w, 3 x 3 with pad 1, of 2 x 2 maps: every output pixel sees every input pixel through one tap.

    y[o] = sum over i of x[i] w[i - o + 1], with pixels i, o in {0, 1}^2: 16 products without a zero, of all images and
    half of the channels: x (2, 2, B, C), w as a view (2, 2, 2, 2, C, K), y (2, 2, B, K).
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
