"""The first convolution, whose input has too few channels for Winograd's to pay, by im2col."""

import numpy as np

from npticket.engine.conv.layout import BAND, bands
from npticket.engine.conv.maps import Convolution
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
        self._w, self._dw = (
            np.empty((rows, filters.filters), dtype),
            np.empty((len(counts), rows, filters.filters), dtype),
        )

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
