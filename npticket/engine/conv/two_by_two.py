"""Convolution of 2 x 2 maps: every output pixel sees every input pixel through one tap, 16 products without a zero."""

import numpy as np

from npticket.engine.conv.layout import inside
from npticket.engine.conv.maps import Convolution, Map
from npticket.engine.conv.outputs import Output
from npticket.engine.conv.threads import Team, half_of
from npticket.engine.conv.weights import Filters

SEEN = (
    slice(0, 1),
    slice(0, 2),
    slice(1, 2),
)  # pixels i, of two, that a tap connects with outputs o = i - tap + 1


class TwoByTwo(Convolution):
    """y = x * w, 3 x 3 with pad 1: y[o] = sum over i of x[i] w[i - o + 1], with pixels i, o in {0, 1}^2.

    Products are of all images and half of the channels: x (2, 2, B, C), w as a view (2, 2, 2, 2, C, K), y (2, 2, B, K).
    """

    def __init__(self, filters: Filters, source: Map, out: Output) -> None:
        self.out, self._filters, self._source = out, filters, source
        source.read_by(self)
        down, right, channel, filter_ = filters.w.strides
        self._pairs = np.lib.stride_tricks.as_strided(
            filters.w[1:, 1:], (2, 2, 2, 2, *filters.w.shape[2:]), (down, right, -down, -right, channel, filter_)
        )
        x, y = ((2, 2, out.halves.batch, channels) for channels in (filters.channels, filters.filters))
        self._shapes = {"all x": x, "all dx": x, "all y": y}
        out.halves.scratch[0].reserve(**self._shapes)

    def bind(self) -> None:
        """Take the memory that both threads use."""
        self._x, self._dx, self._y = (self.out.halves.scratch[0].array(*item) for item in self._shapes.items())

    def forward(self, team: Team, images: np.ndarray) -> None:
        """Write y."""
        team.each(self._gather, len(self.out.halves))
        team.each(self._multiply)
        team.each(self._collect, len(self.out.halves))

    def backward(self, team: Team) -> None:
        """Write dw and dx; other readers of x, which come before this one, add to dx later."""
        team.each(self._gather_gradient, len(self.out.halves))
        team.each(self._multiply_gradient)
        team.each(self._spread, len(self.out.halves))

    def _gather(self, half_batch: int) -> None:
        self._source.make_rows(half_batch, 2)
        x = self._x[:, :, self.out.halves.images(half_batch)]
        x[...] = inside(self._source.x[half_batch]).reshape(x.shape)

    def _multiply(self, half_weights: int) -> None:
        filters = half_of(self._filters.filters, half_weights)
        products = self._products(half_weights, filters)
        np.matmul(self._x[:, :, None, None], self._pairs[..., filters], out=products)
        np.add.reduce(products, axis=(0, 1), out=self._y[..., filters])

    def _collect(self, half_batch: int) -> None:
        y = inside(self.out.y[half_batch])
        y[...] = self._y[:, :, self.out.halves.images(half_batch)].reshape(y.shape)
        self.out.written(half_batch, slice(1, 3))

    def _gather_gradient(self, half_batch: int) -> None:
        self._gather(half_batch)
        dy = self._y[:, :, self.out.halves.images(half_batch)]
        dy[...] = self.out.gradient(half_batch, slice(1, 3)).reshape(dy.shape)

    def _multiply_gradient(self, half_weights: int) -> None:
        x, dy = self._x, self._y
        channels = half_of(self._filters.channels, half_weights)
        for i, j in np.ndindex(3, 3):
            by = dy[SEEN[2 - i], SEEN[2 - j]].reshape(-1, dy.shape[-1])
            seen = x[SEEN[i], SEEN[j], :, channels].reshape(len(by), -1)
            np.matmul(seen.T, by, out=self._filters.dw[i, j, channels])
        products = self._products(half_weights, channels)
        np.matmul(dy, self._pairs[..., channels, :].swapaxes(-1, -2), out=products)
        np.add.reduce(products, axis=(2, 3), out=self._dx[..., channels])

    def _spread(self, half_batch: int) -> None:
        dx = inside(self._source.dx[half_batch])
        dx[...] = self._dx[:, :, self.out.halves.images(half_batch)].reshape(dx.shape)
        self._source.pass_on(half_batch, 2, self)

    def _products(self, half_weights: int, channels: slice) -> np.ndarray:
        shape = 2, 2, 2, 2, self.out.halves.batch, channels.stop - channels.start
        return self.out.halves.scratch[half_weights].array("work", shape)
