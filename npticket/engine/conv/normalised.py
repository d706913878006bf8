"""Outputs of convolutions that are batch-normalised.

Batch normalisation needs sums over the whole batch, one before anyone can read z and one before the convolution can go
back. They are added up as rows come in, while these are in the cache.
"""

import numpy as np

from npticket.engine.conv.blueprint import Unit
from npticket.engine.conv.layout import Halves, doubled, tile
from npticket.engine.conv.outputs import Output
from npticket.engine.conv.weights import Local
from npticket.layers.norm import check_count

UNCERTAIN = 100  # where mean^2 is more than so many variances, the variance is computed again from centred values


class Normalised(Output):
    """An Output followed by batch normalisation (npticket.layers.BatchNorm): z = a y + b, and then pooled or not.

    With centred y, inv = 1 / sqrt(var + eps) and N values per channel, dscale = inv sum dz y, dshift = sum dz and
    dy = a (dz + slope y + offset) with slope = -inv dscale / N, offset = -dshift / N - slope mean.
    `p` and `grad` hold the layer's parameters and their gradients, (1, C) each, of all channels: of those that are not
    `living`, y is 0.
    """

    keeps_z = False

    def __init__(self, unit: Unit, living: np.ndarray, halves: Halves, p: Local, grad: Local) -> None:
        super().__init__(unit.size, len(living), halves, unit.pooled)
        self._y = halves.maps(unit.size, len(living))
        assert unit.norm is not None
        self._living, self._layer, self._p, self._grad = living, unit.norm[1], p, grad
        self._count = halves.batch * self.height * self.width
        self._sums = [np.zeros((2, count * self.channels), halves.dtype) for count in halves.counts]

    def begin(self, training: bool) -> None:
        super().begin(training)
        if training:
            check_count(self._count)
        else:
            self._set_scale(self._of_living("running_mean"), self._of_living("running_var"))
        for sums in self._sums:
            sums[...] = 0

    def rows(self, half_batch: int, rows: slice) -> np.ndarray:
        return self._y[half_batch][rows]

    def written(self, half_batch: int, rows: slice) -> None:
        if self._training:
            self._add(half_batch, self._y[half_batch][rows], self._y[half_batch][rows])

    def finish(self) -> None:
        if not self._training:
            return
        mean, var = self._mean_and_variance()
        batch_mean = mean
        if (mean * mean > UNCERTAIN * var).any():
            shift = mean.astype(self.halves.dtype)  # as it will be subtracted
            tiled = self._tile(shift)
            self.halves.each(lambda half_batch: self._centre(half_batch, tiled[half_batch]))
            mean, var = self._mean_and_variance()
            batch_mean = mean + shift
        self._set_scale(mean, var)
        unbiased = var * (self._count / (self._count - 1))
        for name, batch in (("running_mean", batch_mean), ("running_var", unbiased)):
            whole = np.zeros(self._p[name].shape)
            whole[0, self._living] = batch
            self._p[name] += self._layer.momentum * (whole - self._p[name])

    def value(self, half_batch: int, rows: slice, name: str) -> np.ndarray:
        of_y = rows if self._pooling is None else doubled(rows)
        y, z = self._y[half_batch][of_y], self._scratch(half_batch, name, of_y)
        np.multiply(y, self._a[half_batch], out=z)
        z += self._b[half_batch]
        if self._pooling is None:
            return z
        pooled = self.halves.scratch[half_batch].array("pooled", (len(y) // 2, self.map_size[1], y.shape[-1]))
        self._pooling.pool(half_batch, rows, z, pooled, self._training)
        return pooled

    def gradient_written(self, half_batch: int, rows: slice) -> None:
        rows = rows if self._pooling is None else doubled(rows)
        self._add(half_batch, self._unpooled(half_batch, rows), self._y[half_batch][rows])

    def finish_gradient(self) -> None:
        total, product = self._totals()
        dscale = (product - self._mean * total) * self._inverse
        for name, gradient in (("shift", total), ("scale", dscale)):
            self._grad[name][...] = 0
            self._grad[name][0, self._living] = gradient
        slope = -self._inverse * dscale / self._count
        offset = -total / self._count - slope * self._mean
        self._slope, self._offset = self._tile(slope), self._tile(offset)

    def _unpooled(self, half_batch: int, rows: slice) -> np.ndarray:
        """Return rows of the gradient of a y + b."""
        if self._pooling is None:
            return self._dz[half_batch][rows]
        gradient = self._scratch(half_batch, "unpooled", rows)
        super()._write_gradient(half_batch, rows, gradient)
        return gradient

    def _write_gradient(self, half_batch: int, rows: slice, out: np.ndarray) -> None:
        np.multiply(self._y[half_batch][rows], self._slope[half_batch], out=out)
        out += self._offset[half_batch]
        out += self._unpooled(half_batch, rows)
        out *= self._a[half_batch]

    def _add(self, half_batch: int, values: np.ndarray, factors: np.ndarray) -> None:
        """Add up values and values * factors, rows of maps."""
        sums, lines = self._sums[half_batch], values.reshape(-1, values.shape[-1])
        sums[0] += np.ones(len(lines), lines.dtype) @ lines  # faster than np.add.reduce
        sums[1] += np.einsum("lc,lc->c", lines, factors.reshape(lines.shape))

    def _totals(self) -> np.ndarray:
        """Return both sums over the whole batch, (2, C); the next ones begin at 0."""
        totals = np.zeros((2, self.channels))
        for sums in self._sums:
            totals += sums.reshape(2, -1, self.channels).sum(axis=1, dtype=np.float64)
            sums[...] = 0
        return totals

    def _mean_and_variance(self) -> tuple[np.ndarray, np.ndarray]:
        mean, square = self._totals() / self._count
        return mean, np.maximum(square - mean * mean, 0)

    def _centre(self, half_batch: int, shift: np.ndarray) -> None:
        """Subtract `shift` (images C,) from y: then it is precise where the mean is much larger than the deviation."""
        y = self._y[half_batch][1:-1]
        y -= shift
        self._add(half_batch, y, y)

    def _set_scale(self, mean: np.ndarray, var: np.ndarray) -> None:
        self._mean, self._inverse = mean, 1 / np.sqrt(var + self._layer.eps)
        self._scale = self._of_living("scale") * self._inverse
        self._a, self._b = self._tile(self._scale), self._tile(self._of_living("shift") - mean * self._scale)

    def _of_living(self, name: str) -> np.ndarray:
        return self._p[name][0, self._living].astype(np.float64)

    def _tile(self, values: np.ndarray) -> list[np.ndarray]:
        """Return values per channel as values per image and channel, for each half."""
        return [tile(values.astype(self.halves.dtype), count) for count in self.halves.counts]
