"""Outputs of convolutions, as they are or batch-normalised.

Batch normalisation needs sums over the whole batch, one before anyone can read z and one before the convolution can go
back. They are added up as rows come in, while these are in the cache.
"""

import numpy as np

from npticket.engine.conv.layout import Halves
from npticket.engine.conv.weights import Local
from npticket.layers import BatchNorm

UNCERTAIN = 100  # where mean^2 is more than so many variances, the variance is computed again from centred values


class Output:
    """y of a convolution and dL/dy.     y[half_batch]: maps of so many `channels`, `size` pixels high and wide"""

    def __init__(self, size: int, channels: int, halves: Halves) -> None:
        self.size, self.channels, self.halves = size, channels, halves
        self.y = halves.maps(size, channels)

    def read_by(self, dz: list[np.ndarray]) -> None:
        """Take the gradient of what `value` returns from these maps of its one reader, which may still be to come."""
        self._dz = dz

    def begin(self, training: bool) -> None:
        """Forget the last batch."""

    def written(self, half_batch: int, rows: slice) -> None:
        """Called when these rows of y are final."""

    def finish(self) -> None:
        """Called when all rows of y are final in both halves."""

    def value(self, half_batch: int, rows: slice, name: str) -> np.ndarray:
        """Return rows of z, which the caller may write to: of y itself, or in scratch memory called `name`."""
        return self.y[half_batch][rows]

    def gradient_written(self, half_batch: int, rows: slice) -> None:
        """Called when these rows of dz are final."""

    def finish_gradient(self) -> None:
        """Called when all rows of dz are final in both halves."""

    def gradient(self, half_batch: int, rows: slice) -> np.ndarray:
        """Return rows of dL/dy; call it when all of dz is final."""
        return self._dz[half_batch][rows]


class Normalised(Output):
    """The same, followed by batch normalisation (npticket.layers.BatchNorm): z = a y + b.

    With centred y, inv = 1 / sqrt(var + eps) and N values per channel, dscale = inv sum dz y, dshift = sum dz and
    dy = a dz + slope y + offset with slope = -a inv dscale / N, offset = -a dshift / N - slope mean.
    `p` and `grad` hold the layer's parameters and their gradients, (1, C) each, of all channels: of those that are not
    `living`, y is 0.
    """

    def __init__(self, size: int, living: np.ndarray, halves: Halves, layer: BatchNorm, p: Local, grad: Local) -> None:
        super().__init__(size, len(living), halves)
        self._living, self._layer, self._p, self._grad = living, layer, p, grad
        self._count = halves.batch * size * size
        self._sums = [np.zeros((2, count * self.channels), halves.dtype) for count in halves.counts]

    def begin(self, training: bool) -> None:
        self._training = training
        if not training:
            self._set_scale(self._of_living("running_mean"), self._of_living("running_var"))
        for sums in self._sums:
            sums[...] = 0

    def written(self, half_batch: int, rows: slice) -> None:
        if self._training:
            self._add(half_batch, self.y[half_batch][rows], self.y[half_batch][rows])

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
        unbiased = var * (self._count / max(1, self._count - 1))
        for name, batch in (("running_mean", batch_mean), ("running_var", unbiased)):
            whole = np.zeros(self._p[name].shape)
            whole[0, self._living] = batch
            self._p[name] += self._layer.momentum * (whole - self._p[name])

    def value(self, half_batch: int, rows: slice, name: str) -> np.ndarray:
        y = self.y[half_batch][rows]
        z = self.halves.scratch[half_batch].array(name, y.shape)
        np.multiply(y, self._a[half_batch], out=z)
        z += self._b[half_batch]
        return z

    def gradient_written(self, half_batch: int, rows: slice) -> None:
        self._add(half_batch, self._dz[half_batch][rows], self.y[half_batch][rows])

    def finish_gradient(self) -> None:
        total, product = self._totals()
        dscale = (product - self._mean * total) * self._inverse
        for name, gradient in (("shift", total), ("scale", dscale)):
            self._grad[name][...] = 0
            self._grad[name][0, self._living] = gradient
        slope = -self._scale * self._inverse * dscale / self._count
        offset = -self._scale * total / self._count - slope * self._mean
        self._slope, self._offset = self._tile(slope), self._tile(offset)

    def gradient(self, half_batch: int, rows: slice) -> np.ndarray:
        y, scratch = self.y[half_batch][rows], self.halves.scratch[half_batch]
        dy, product = scratch.array("dy", y.shape), scratch.array("work", y.shape)
        np.multiply(self._dz[half_batch][rows], self._a[half_batch], out=dy)
        np.multiply(y, self._slope[half_batch], out=product)
        dy += product
        dy += self._offset[half_batch]
        return dy

    def _add(self, half_batch: int, values: np.ndarray, factors: np.ndarray) -> None:
        """Add up values and values * factors, rows of maps."""
        sums, lines = self._sums[half_batch], values.reshape(-1, values.shape[-1])
        sums[0] += np.add.reduce(lines, axis=0)
        product = self.halves.scratch[half_batch].array("work", lines.shape)
        np.multiply(lines, factors.reshape(lines.shape), out=product)
        sums[1] += np.add.reduce(product, axis=0)

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
        y = self.y[half_batch][1:-1]
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


def tile(values: np.ndarray, images: int) -> np.ndarray:
    """Return values per channel (C,) as values per image and channel (images C,)."""
    return np.broadcast_to(values, (images, len(values))).ravel()  # np.tile is slower
