"""Winograd convolution of 4 x 4 maps: a tile is a whole image, and the weights are more than the images.

So the two halves of the work are not halves of the batch, but 18 of the 36 matrix products each, for all images.
"""

import numpy as np

from npticket.engine.conv.layout import inside
from npticket.engine.conv.maps import Convolution, Map
from npticket.engine.conv.outputs import Output
from npticket.engine.conv.threads import Team, half_of
from npticket.engine.conv.weights import WinogradFilters
from npticket.engine.conv.winograd import CENTRE, POINTS, InputTiles, OutputTiles, reserve_tiles


class WinogradWhole(Convolution):
    """y = x * w + b with pad 1, and its gradients, as in WinogradRows."""

    def __init__(self, filters: WinogradFilters, source: Map, out: Output) -> None:
        self.out, self._filters, self._source = out, filters, source
        source.read_by(self)
        batch, c, k = out.halves.batch, filters.channels, filters.filters
        self._shapes = {"all_v": (POINTS**2, batch, c), "all_m": (POINTS**2, batch, k), "all_du": (POINTS**2, c, k)}
        out.halves.scratch[0].reserve(**self._shapes)
        for images, scratch in zip(out.halves.counts, out.halves.scratch, strict=False):
            reserve_tiles(scratch, 1, images * c, images * k)

    def bind(self) -> None:
        """Take the scratch memory that was reserved."""
        halves = self.out.halves
        self._v, self._m, self._du = (halves.scratch[0].array(*item) for item in self._shapes.items())
        self._input, self._output = [], []
        for half_batch in range(len(halves)):
            v, m = (a[:, halves.images(half_batch)].reshape(POINTS, POINTS, 1, -1) for a in (self._v, self._m))
            self._input.append(InputTiles(v, halves.scratch[half_batch]))
            self._output.append(OutputTiles(m, halves.scratch[half_batch]))

    def forward(self, team: Team, images: np.ndarray) -> None:
        """Write y."""
        team.each(self._gather, len(self._input))
        team.each(self._multiply)
        if self._filters.b is not None:
            self._m[CENTRE] += self._filters.b
        team.each(self._collect, len(self._input))

    def backward(self, team: Team) -> None:
        """Write dw, dbias and dx; other readers of x, which come before this one, add to dx later."""
        team.each(self._gather_gradient, len(self._input))
        if self._filters.db is not None:
            np.sum(self._m[CENTRE], axis=0, out=self._filters.db)
        team.each(self._multiply_gradient)
        team.each(self._spread, len(self._input))
        team.each(lambda half_weights: self._filters.finish(half_weights, [self._du]))

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
