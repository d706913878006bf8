"""Convolutions of 4 x 4 and 2 x 2 maps, whose weights are more than the images.

So the two halves of the work are not halves of the batch, but of the products that are summed for all images.
"""

import numpy as np

from npticket.engine.conv.layout import inside
from npticket.engine.conv.maps import Convolution, Map
from npticket.engine.conv.outputs import Output
from npticket.engine.conv.threads import half_of
from npticket.engine.conv.weights import Filters, WinogradFilters
from npticket.engine.conv.winograd import CENTRE, POINTS, InputTiles, OutputTiles

SEEN = slice(0, 1), slice(0, 2), slice(1, 2)  # pixels i, of two, that a tap connects with outputs o = i - tap + 1


class WinogradWhole(Convolution):
    """y = x * w + b as in WinogradRows, where a tile is a whole image; each half multiplies 18 of the 36 matrices."""

    def __init__(self, filters: WinogradFilters, source: Map, out: Output) -> None:
        self.out, self._filters, self._source = out, filters, source
        source.read_by(self)
        halves, c, k = out.halves, filters.channels, filters.filters
        shapes = {"all v": (halves.batch, c), "all m": (halves.batch, k), "all du": (c, k)}
        self._v, self._m, self._du = (halves.scratch[0].array(v, (POINTS**2, *shapes[v])) for v in shapes)
        self._input, self._output = [], []
        for half_batch in range(len(halves.counts)):
            v, m = (a[:, halves.images(half_batch)].reshape(POINTS, POINTS, 1, -1) for a in (self._v, self._m))
            self._input.append(InputTiles(v, halves.scratch[half_batch]))
            self._output.append(OutputTiles(m, halves.scratch[half_batch]))

    def forward(self, images: np.ndarray) -> None:
        self.out.halves.each(self._gather)
        self.out.halves.team.each(self._multiply)
        if self._filters.b is not None:
            self._m[CENTRE] += self._filters.b
        self.out.halves.each(self._collect)

    def backward(self) -> None:
        self.out.halves.each(self._gather_gradient)
        if self._filters.db is not None:
            np.sum(self._m[CENTRE], axis=0, out=self._filters.db)
        self.out.halves.team.each(self._multiply_gradient)
        self.out.halves.each(self._spread)
        self.out.halves.team.each(lambda half_weights: self._filters.finish(half_weights, [self._du]))

    def _gather(self, half_batch: int) -> None:
        self._source.make_rows(half_batch, self._source.size)
        self._input[half_batch].to_domain(self._source.x[half_batch])

    def _multiply(self, half_weights: int) -> None:
        planes = half_of(POINTS**2, half_weights)
        np.matmul(self._v[planes], self._filters.u[planes], out=self._m[planes])

    def _collect(self, half_batch: int) -> None:
        self._output[half_batch].from_domain(inside(self.out.y[half_batch]))
        self.out.written(half_batch, slice(1, -1))

    def _gather_gradient(self, half_batch: int) -> None:
        self._output[half_batch].from_domain_gradient(self.out.gradient(half_batch, slice(1, -1)))
        self._input[half_batch].to_domain(self._source.x[half_batch])

    def _multiply_gradient(self, half_weights: int) -> None:
        planes = half_of(POINTS**2, half_weights)
        np.matmul(self._v[planes].swapaxes(1, 2), self._m[planes], out=self._du[planes])
        np.matmul(self._m[planes], self._filters.turned[planes], out=self._v[planes])

    def _spread(self, half_batch: int) -> None:
        self._source.dx[half_batch][:2] = 0
        self._input[half_batch].to_domain_gradient(self._source.dx[half_batch])
        self._source.pass_on(half_batch, self._source.size, self)


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
        self.out.written(half_batch, slice(1, -1))

    def _gather_gradient(self, half_batch: int) -> None:
        self._gather(half_batch)
        dy = self._y[:, :, self.out.halves.images(half_batch)]
        dy[...] = self.out.gradient(half_batch, slice(1, -1)).reshape(dy.shape)

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
