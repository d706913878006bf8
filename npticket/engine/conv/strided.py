"""Convolutions with a stride, or of 1 x 1 pixels: one matrix product per tap of the kernel, a few rows at a time."""

from collections.abc import Iterator

import numpy as np

from npticket.engine.conv.maps import Map
from npticket.engine.conv.outputs import Output
from npticket.engine.conv.threads import Team
from npticket.engine.conv.weights import Filters


class Strided:
    """y = x * w with stride 1 or 2: what each tap sees is gathered, (taps, quarters of rows, pixels, C)."""

    def __init__(self, filters: Filters, stride: int, source: Map, out: Output) -> None:
        self.source, self.out = source, out
        source.readers.append(self)
        self._filters, self._stride = filters, stride
        kernel = len(filters.w)
        self._taps = [(i - kernel // 2, j - kernel // 2) for i, j in np.ndindex(kernel, kernel)]
        self._height = min(4, out.size)
        self._dw = [np.empty((len(self._taps), *filters.w.shape[2:]), s.dtype) for s in out.scratch]

    def bind(self) -> None:
        """Nothing to take."""

    def forward(self, team: Team) -> None:
        """Write y."""
        team.each(self._forward, len(self.out.images))

    def backward(self, team: Team) -> None:
        """Write dw and this convolution's part of dx."""
        chunks = len(self.out.images)
        team.each(self._backward, chunks)
        self._filters.dw[...] = sum(self._dw[:chunks]).reshape(self._filters.dw.shape)

    def _forward(self, chunk: int) -> None:
        w = self._filters.w.reshape(len(self._taps), 1, *self._filters.w.shape[2:])
        for rows in self._rows():
            self.source.fill(chunk, self._stride * (rows.stop - 1) + 1)
            seen = self._gather(chunk, rows)
            y = self.out.y[chunk][rows].reshape(seen.shape[1], seen.shape[2], -1)
            if len(seen) == 1:
                np.matmul(seen[0], w[0], out=y)
            else:
                parts = self.out.scratch[chunk].array("work", (len(seen), *y.shape))
                np.add.reduce(np.matmul(seen, w, out=parts), axis=0, out=y)
            self.out.written(chunk, rows)

    def _backward(self, chunk: int) -> None:
        turned = self._filters.w.reshape(self._dw[0].shape).swapaxes(1, 2)[:, None].copy()
        dw, source = self._dw[chunk], self.source
        dw[...] = 0
        if source.readers[-1] is self:
            source.dx[chunk][...] = 0
        for rows in self._rows():
            seen = self._gather(chunk, rows)
            dy = self.out.gradient(chunk, rows).reshape(*seen.shape[1:3], -1)
            dw += np.matmul(seen.swapaxes(2, 3), dy).sum(axis=1)
            np.matmul(dy, turned, out=seen)
            self._scatter(chunk, rows, seen)
            if source.readers[0] is self:
                end = self._stride * (rows.stop - 1)
                source.drain(chunk, end if end == source.size else end - 1)

    def _rows(self) -> Iterator[slice]:
        for start in range(1, self.out.size + 1, self._height):
            yield slice(start, start + self._height)

    def _gather(self, chunk: int, rows: slice) -> np.ndarray:
        """What the taps see of x for some rows of y."""
        seen = self._seen(chunk)
        for tap, (of_x, columns) in enumerate(self._windows(self.source.x[chunk], rows)):
            seen[tap, :, 0] = 0
            seen[tap, :, columns] = of_x
        return self._as_matrices(seen)

    def _scatter(self, chunk: int, rows: slice, matrices: np.ndarray) -> None:
        """Add what belongs to the pixels that the taps saw to dx."""
        dseen = matrices.reshape(self._seen(chunk).shape)
        for tap, (of_dx, columns) in enumerate(self._windows(self.source.dx[chunk], rows)):
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

    def _seen(self, chunk: int) -> np.ndarray:
        """Scratch memory (taps, rows, W, images C)."""
        width, slot = self.out.size, self.out.images[chunk] * self._filters.channels
        return self.out.scratch[chunk].array("seen", (len(self._taps), self._height, width, slot))

    def _as_matrices(self, seen: np.ndarray) -> np.ndarray:
        """The same as matrices (taps, quarters of rows, W / 4 images, C), small enough for BLAS's small kernels."""
        return seen.reshape(len(seen), self._height * min(4, self.out.size), -1, self._filters.channels)
