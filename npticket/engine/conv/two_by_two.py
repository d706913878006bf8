"""Convolution of 2 x 2 maps: every output pixel sees every input pixel through one tap, 16 products without a zero."""

import numpy as np

from npticket.engine.conv.layout import inside
from npticket.engine.conv.maps import Map
from npticket.engine.conv.outputs import Output
from npticket.engine.conv.threads import Team, half_of
from npticket.engine.conv.weights import Filters


class TwoByTwo:
    """y = x * w, 3 x 3 with pad 1: y[o] = sum over i of x[i] w[i - o + 1], with pixels i, o in {0, 1}^2.

    Products are of all images and half of the channels: x (2, 2, B, C), w as a view (2, 2, 2, 2, C, K), y (2, 2, B, K).
    """

    def __init__(self, filters: Filters, source: Map, out: Output) -> None:
        self.source, self.out = source, out
        source.readers.append(self)
        self._filters = filters
        down, right, channel, filter_ = filters.w.strides
        self._pairs = np.lib.stride_tricks.as_strided(
            filters.w[1:, 1:], (2, 2, 2, 2, *filters.w.shape[2:]), (down, right, -down, -right, channel, filter_)
        )

    def bind(self) -> None:
        """Have the memory that both threads will use made before they do."""
        for name, channels in (("x", self._filters.channels), ("dx", self._filters.channels), ("y", self.out.channels)):
            self._all(f"all {name}", channels)

    def forward(self, team: Team) -> None:
        """Write y."""
        chunks = len(self.out.images)
        team.each(self._gather, chunks)
        team.each(self._multiply)
        team.each(self._collect, chunks)

    def backward(self, team: Team) -> None:
        """Write dw and dx; other readers of x, which come before this one, add to dx later."""
        chunks = len(self.out.images)
        team.each(self._gather_gradient, chunks)
        team.each(self._multiply_gradient)
        team.each(self._spread, chunks)

    def _gather(self, chunk: int) -> None:
        self.source.fill(chunk, 2)
        x = self._part(self._all("all x", self._filters.channels), chunk)
        x[...] = inside(self.source.x[chunk]).reshape(x.shape)

    def _multiply(self, part: int) -> None:
        x, y = self._all("all x", self._filters.channels), self._all("all y", self._filters.filters)
        filters = half_of(self._filters.filters, part)
        products = self._products(part, filters)
        np.matmul(x[:, :, None, None], self._pairs[..., filters], out=products)
        np.add.reduce(products, axis=(0, 1), out=y[..., filters])

    def _collect(self, chunk: int) -> None:
        y = inside(self.out.y[chunk])
        y[...] = self._part(self._all("all y", self._filters.filters), chunk).reshape(y.shape)
        self.out.written(chunk, slice(1, 3))

    def _gather_gradient(self, chunk: int) -> None:
        self._gather(chunk)
        dy = self._part(self._all("all y", self._filters.filters), chunk)
        dy[...] = self.out.gradient(chunk, slice(1, 3)).reshape(dy.shape)

    def _multiply_gradient(self, part: int) -> None:
        x, dy = self._all("all x", self._filters.channels), self._all("all y", self._filters.filters)
        channels = half_of(self._filters.channels, part)
        for i, j in np.ndindex(3, 3):
            by = dy[_outputs(i), _outputs(j)].reshape(-1, dy.shape[-1])
            seen = x[_inputs(i), _inputs(j), :, channels].reshape(len(by), -1)
            np.matmul(seen.T, by, out=self._filters.dw[i, j, channels])
        products = self._products(part, channels)
        np.matmul(dy, self._pairs[..., channels, :].swapaxes(-1, -2), out=products)
        np.add.reduce(products, axis=(2, 3), out=self._all("all dx", self._filters.channels)[..., channels])

    def _spread(self, chunk: int) -> None:
        dx = inside(self.source.dx[chunk])
        dx[...] = self._part(self._all("all dx", self._filters.channels), chunk).reshape(dx.shape)
        if self.source.readers[0] is self:
            self.source.drain(chunk, 2)

    def _all(self, name: str, channels: int) -> np.ndarray:
        """Scratch memory for a map of all images (2, 2, B, channels)."""
        return self.out.scratch[0].array(name, (2, 2, sum(self.out.images), channels))

    def _part(self, a: np.ndarray, chunk: int) -> np.ndarray:
        """The images of a chunk."""
        first = sum(self.out.images[:chunk])
        return a[:, :, first : first + self.out.images[chunk]]

    def _products(self, part: int, channels: slice) -> np.ndarray:
        shape = (2, 2, 2, 2, sum(self.out.images), channels.stop - channels.start)
        return self.out.scratch[part].array("work", shape)


def _inputs(tap: int) -> slice:
    """The pixels i, of two, that a tap connects with an output o = i - tap + 1, of two."""
    return slice(max(0, tap - 1), 2 + min(0, tap - 1))


def _outputs(tap: int) -> slice:
    """Those outputs."""
    return _inputs(2 - tap)
