"""Winograd convolution of 4 x 4 maps: a tile is a whole image, and the weights are more than the images.

So the two parts of the work are not halves of the batch, but half of the 36 matrix products each, for all images.
"""

import numpy as np

from npticket.engine.conv.layout import inside
from npticket.engine.conv.maps import Map
from npticket.engine.conv.outputs import Output
from npticket.engine.conv.threads import Team, half_of
from npticket.engine.conv.weights import WinogradFilters
from npticket.engine.conv.winograd import CENTRE, POINTS, InputTiles, OutputTiles


class WinogradWhole:
    """y = x * w + b with pad 1, and its gradients, as in WinogradRows."""

    def __init__(self, filters: WinogradFilters, source: Map, out: Output) -> None:
        self.source, self.out = source, out
        source.readers.append(self)
        self._filters = filters
        batch, c, k = sum(out.images), filters.channels, filters.filters
        out.scratch[0].reserve(all_v=(POINTS**2, batch, c), all_m=(POINTS**2, batch, k), all_du=(POINTS**2, c, k))
        for images, scratch in zip(out.images, out.scratch, strict=False):
            InputTiles.reserve(scratch, 1, images * c)
            OutputTiles.reserve(scratch, 1, images * k)

    def bind(self) -> None:
        """Take the scratch memory that was reserved."""
        batch, c, k = sum(self.out.images), self._filters.channels, self._filters.filters
        shared = self.out.scratch[0]
        self._v, self._m = shared.array("all_v", (POINTS**2, batch, c)), shared.array("all_m", (POINTS**2, batch, k))
        self._du = shared.array("all_du", (POINTS**2, c, k))
        self._input, self._output = [], []
        first = 0
        for images, scratch in zip(self.out.images, self.out.scratch, strict=False):
            v, m = (
                domain.reshape(POINTS, POINTS, 1, -1)[..., first * channels : (first + images) * channels]
                for domain, channels in ((self._v, c), (self._m, k))
            )
            self._input.append(InputTiles(v, scratch))
            self._output.append(OutputTiles(m, scratch))
            first += images

    def forward(self, team: Team) -> None:
        """Write y."""
        chunks = len(self._input)
        team.each(self._gather, chunks)
        team.each(self._multiply)
        if self._filters.b is not None:
            self._m[CENTRE] += self._filters.b
        team.each(self._collect, chunks)

    def backward(self, team: Team) -> None:
        """Write dw, dbias and dx; other readers of x, which come before this one, add to dx later."""
        chunks = len(self._input)
        team.each(self._gather_gradient, chunks)
        if self._filters.db is not None:
            np.sum(self._m[CENTRE], axis=0, out=self._filters.db)
        team.each(self._multiply_gradient)
        team.each(self._spread, chunks)
        team.each(lambda part: self._filters.finish(part, [self._du]))

    def _gather(self, chunk: int) -> None:
        self.source.fill(chunk, self.source.size)
        self._input[chunk].transform(self.source.x[chunk])

    def _multiply(self, part: int) -> None:
        planes = half_of(POINTS**2, part)
        np.matmul(self._v[planes], self._filters.u[planes], out=self._m[planes])

    def _collect(self, chunk: int) -> None:
        self._output[chunk].collect(inside(self.out.y[chunk]))
        self.out.written(chunk, slice(1, -1))

    def _gather_gradient(self, chunk: int) -> None:
        self._output[chunk].transform(self.out.gradient(chunk, slice(1, -1)))
        self._input[chunk].transform(self.source.x[chunk])

    def _multiply_gradient(self, part: int) -> None:
        planes = half_of(POINTS**2, part)
        np.matmul(self._v[planes].swapaxes(1, 2), self._m[planes], out=self._du[planes])
        np.matmul(self._m[planes], self._filters.turned[planes], out=self._v[planes])

    def _spread(self, chunk: int) -> None:
        self.source.dx[chunk][:2] = 0
        self._input[chunk].spread(self.source.dx[chunk])
        if self.source.readers[0] is self:
            self.source.drain(chunk, self.source.size)
