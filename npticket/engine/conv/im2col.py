"""The first convolution, whose input has too few channels for Winograd's to pay, by im2col."""

from collections.abc import Iterator

import numpy as np

from npticket.engine.conv.outputs import Output
from npticket.engine.conv.threads import Team
from npticket.engine.conv.weights import Filters


class Im2col:
    """y = images * w + b, 3 x 3 with pad 1: windows become columns, kept for the weight gradient.

    The columns are (9 C, pixels); a last row of ones makes the bias one more weight.
    """

    def __init__(self, filters: Filters, out: Output) -> None:
        self.out, self._filters = out, filters
        size, channels, dtype = out.size, filters.channels, filters.w.dtype
        self._frames = [np.zeros((channels, size + 2, size + 2, n), dtype) for n in out.images]
        rows = 9 * channels + (filters.b is not None)
        self._columns = [np.ones((rows, size, size, n), dtype) for n in out.images]
        self._w = np.empty((rows, filters.filters), dtype)
        self._dw = [np.empty_like(self._w) for _ in out.images]
        self._height = min(4, size)
        self.batch: np.ndarray | None = None  # (B, H, W, C), to be set before `forward`

    def bind(self) -> None:
        """Nothing to take."""

    def forward(self, team: Team) -> None:
        """Write y."""
        weights = self._filters.w.reshape(-1, self._filters.filters)
        self._w[: len(weights)] = weights
        if self._filters.b is not None:
            self._w[-1] = self._filters.b
        team.each(self._forward, len(self._columns))

    def backward(self, team: Team) -> None:
        """Write dw and dbias; there is no dx."""
        team.each(self._backward, len(self._columns))
        dw = sum(self._dw)
        self._filters.dw[...] = dw[: 9 * self._filters.channels].reshape(self._filters.dw.shape)
        if self._filters.db is not None:
            self._filters.db[...] = dw[-1]

    def _forward(self, chunk: int) -> None:
        images, columns = self.out.images, self._columns[chunk]
        first = sum(images[:chunk])
        frame = self._frames[chunk]
        frame[:, 1:-1, 1:-1] = self.batch[first : first + images[chunk]].transpose(3, 1, 2, 0)
        size, channels = self.out.size, self._filters.channels
        for i, j in np.ndindex(3, 3):
            first = (3 * i + j) * channels
            columns[first : first + channels] = frame[:, i : i + size, j : j + size]
        for rows in self._rows():
            quarters = columns[:, rows.start - 1 : rows.stop - 1].reshape(len(columns), self._height * min(4, size), -1)
            y = self.out.y[chunk][rows].reshape(*quarters.shape[1:], -1)
            np.matmul(quarters.transpose(1, 2, 0), self._w, out=y)  # one small product for each quarter of a row
            self.out.written(chunk, rows)

    def _backward(self, chunk: int) -> None:
        columns, dw = self._columns[chunk], self._dw[chunk]
        dw[...] = 0
        for rows in self._rows():
            dy = self.out.gradient(chunk, rows).reshape(-1, self._filters.filters)
            dw += columns[:, rows.start - 1 : rows.stop - 1].reshape(len(columns), -1) @ dy

    def _rows(self) -> Iterator[slice]:
        for start in range(1, self.out.size + 1, self._height):
            yield slice(start, start + self._height)
