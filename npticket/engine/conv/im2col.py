"""The first convolution, whose input has too few channels for Winograd's to pay, by im2col."""

import numpy as np

from npticket.engine.conv.layout import BAND, bands
from npticket.engine.conv.maps import Convolution
from npticket.engine.conv.outputs import Output
from npticket.engine.conv.threads import Team
from npticket.engine.conv.weights import Filters


class Im2col(Convolution):
    """y = images * w + b, 3 x 3 with pad 1: windows become columns, kept for the weight gradient.

    The columns are (9 C, pixels); a last row of ones makes the bias one more weight.
    """

    def __init__(self, filters: Filters, out: Output) -> None:
        self.out, self._filters = out, filters
        size, channels, dtype = out.size, filters.channels, filters.w.dtype
        self._frames = [np.zeros((channels, size + 2, size + 2, count), dtype) for count in out.halves.counts]
        rows = 9 * channels + (filters.b is not None)
        self._columns = [np.ones((rows, size, size, count), dtype) for count in out.halves.counts]
        self._w = np.empty((rows, filters.filters), dtype)
        self._dw = [np.empty_like(self._w) for _ in out.halves.counts]

    def forward(self, team: Team, images: np.ndarray) -> None:
        """Write y.     images (B, H, W, C)"""
        weights = self._filters.w.reshape(-1, self._filters.filters)
        self._w[: len(weights)] = weights
        if self._filters.b is not None:
            self._w[-1] = self._filters.b
        team.each(lambda half_batch: self._forward(half_batch, images), len(self._columns))

    def backward(self, team: Team) -> None:
        """Write dw and dbias; there is no dx."""
        team.each(self._backward, len(self._columns))
        dw = sum(self._dw, np.zeros_like(self._w))
        self._filters.dw[...] = dw[: 9 * self._filters.channels].reshape(self._filters.dw.shape)
        if self._filters.db is not None:
            self._filters.db[...] = dw[-1]

    def _forward(self, half_batch: int, images: np.ndarray) -> None:
        size, channels, columns = self.out.size, self._filters.channels, self._columns[half_batch]
        frame = self._frames[half_batch]
        frame[:, 1:-1, 1:-1] = images[self.out.halves.images(half_batch)].transpose(3, 1, 2, 0)
        for i, j in np.ndindex(3, 3):
            first = (3 * i + j) * channels
            columns[first : first + channels] = frame[:, i : i + size, j : j + size]
        for rows in bands(size):
            quarters = columns[:, rows.start - 1 : rows.stop - 1].reshape(
                len(columns), min(BAND, size) * min(4, size), -1
            )
            y = self.out.y[half_batch][rows].reshape(*quarters.shape[1:], -1)
            np.matmul(quarters.transpose(1, 2, 0), self._w, out=y)  # one small product for each quarter of a row
            self.out.written(half_batch, rows)

    def _backward(self, half_batch: int) -> None:
        columns, dw = self._columns[half_batch], self._dw[half_batch]
        dw[...] = 0
        for rows in bands(self.out.size):
            dy = self.out.gradient(half_batch, rows).reshape(-1, self._filters.filters)
            dw += columns[:, rows.start - 1 : rows.stop - 1].reshape(len(columns), -1) @ dy
