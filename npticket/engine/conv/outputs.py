"""Outputs of convolutions, as they are or batch-normalised.

Batch normalisation needs sums over the whole batch, one before anyone can read z and one before the convolution can go
back. They are added up as rows come in, while these are in the cache.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from npticket.engine.conv.layout import Scratch, blank
from npticket.engine.conv.threads import Team

UNCERTAIN = 100  # where mean^2 is more than so many variances, the variance is computed again from centred values


class Output:
    """y of a convolution and dL/dy, in two chunks of the batch.     y[chunk], dz[chunk]: maps of the `living` channels

    dz is the gradient of what `value` returns; whoever reads that decides where it is.
    """

    def __init__(self, size: int, living: np.ndarray, images: Sequence[int], scratch: Sequence[Scratch]) -> None:
        self.size, self.living, self.images, self.scratch = size, living, images, scratch
        self.channels = len(living)
        self.y = [blank(size, n, self.channels, s.dtype) for n, s in zip(images, scratch, strict=False)]
        self.dz: list[np.ndarray] = []

    def begin(self, training: bool) -> None:
        """Forget the last batch."""

    def written(self, chunk: int, rows: slice) -> None:
        """These rows of y are as they will be."""

    def finish(self, team: Team) -> None:
        """All rows of all chunks were written."""

    def value(self, chunk: int, rows: slice, name: str) -> np.ndarray:
        """Rows of what follows, in memory that the caller may write to: y itself or scratch memory called `name`."""
        return self.y[chunk][rows]

    def gradient_written(self, chunk: int, rows: slice) -> None:
        """These rows of dz are as they will be."""

    def finish_gradient(self) -> None:
        """All rows of dz in all chunks were written."""

    def gradient(self, chunk: int, rows: slice) -> np.ndarray:
        """Rows of dL/dy."""
        return self.dz[chunk][rows]


class Normalised(Output):
    """The same, followed by batch normalisation (npticket.layers.BatchNorm): z = a y + b.

    With centred y, inv = 1 / sqrt(var + eps) and N values per channel, dscale = inv sum dz y, dshift = sum dz and
    dy = a dz + slope y + offset with slope = -a inv dscale / N, offset = -a dshift / N - slope mean.
    `p` and `grad` hold the layer's parameters and their gradients, (1, C) each, of all channels: of those that are not
    living, y is 0.
    """

    def __init__(
        self,
        size: int,
        living: np.ndarray,
        images: Sequence[int],
        scratch: Sequence[Scratch],
        layer: Any,
        p: dict[str, np.ndarray],
        grad: dict[str, np.ndarray],
    ) -> None:
        super().__init__(size, living, images, scratch)
        self._layer, self._p, self._grad = layer, p, grad
        self._count = sum(images) * size * size
        self._sums = [np.zeros((2, n * self.channels), s.dtype) for n, s in zip(images, scratch, strict=False)]
        self._training = False

    def begin(self, training: bool) -> None:
        self._training = training
        if not training:
            self._set_scale(self._of_living("running_mean"), self._of_living("running_var"))
        for sums in self._sums:
            sums[...] = 0

    def written(self, chunk: int, rows: slice) -> None:
        if self._training:
            y = self._lines(self.y[chunk][rows])
            self._add(chunk, y, y)

    def finish(self, team: Team) -> None:
        if not self._training:
            return
        mean, var = self._mean_and_variance()
        shift = None
        if (mean * mean > UNCERTAIN * var).any():
            shift = mean.astype(self._p["scale"].dtype)  # as it will be subtracted
            tiled = self._tile(shift)
            team.each(lambda chunk: self._centre(chunk, tiled[chunk]), len(self.images))
            mean, var = self._mean_and_variance()
        self._set_scale(mean, var)
        batch_mean = mean if shift is None else mean + shift
        unbiased = var * (self._count / max(1, self._count - 1))
        for name, batch in (("running_mean", batch_mean), ("running_var", unbiased)):
            whole = np.zeros(self._p[name].shape)
            whole[0, self.living] = batch
            self._p[name] += self._layer.momentum * (whole - self._p[name])

    def value(self, chunk: int, rows: slice, name: str) -> np.ndarray:
        y = self.y[chunk][rows]
        z = self.scratch[chunk].array(name, y.shape)
        np.multiply(y, self._a[chunk], out=z)
        z += self._b[chunk]
        return z

    def gradient_written(self, chunk: int, rows: slice) -> None:
        self._add(chunk, self._lines(self.dz[chunk][rows]), self._lines(self.y[chunk][rows]))

    def finish_gradient(self) -> None:
        total, product = self._totals()
        dscale = (product - self._mean * total) * self._inverse
        for name, gradient in (("shift", total), ("scale", dscale)):
            self._grad[name][...] = 0
            self._grad[name][0, self.living] = gradient
        slope = -self._scale * self._inverse * dscale / self._count
        offset = -self._scale * total / self._count - slope * self._mean
        self._slope, self._offset = self._tile(slope), self._tile(offset)

    def gradient(self, chunk: int, rows: slice) -> np.ndarray:
        y, dz, scratch = self.y[chunk][rows], self.dz[chunk][rows], self.scratch[chunk]
        dy, product = scratch.array("dy", y.shape), scratch.array("work", y.shape)
        np.multiply(dz, self._a[chunk], out=dy)
        np.multiply(y, self._slope[chunk], out=product)
        dy += product
        dy += self._offset[chunk]
        return dy

    def _lines(self, rows: np.ndarray) -> np.ndarray:
        return rows.reshape(-1, rows.shape[-1])

    def _add(self, chunk: int, values: np.ndarray, factors: np.ndarray) -> None:
        """Add up values and values * factors, (lines, images * channels) each."""
        sums = self._sums[chunk]
        sums[0] += np.add.reduce(values, axis=0)
        product = self.scratch[chunk].array("work", values.shape)
        np.multiply(values, factors, out=product)
        sums[1] += np.add.reduce(product, axis=0)

    def _totals(self) -> np.ndarray:
        """Both sums over the whole batch, (2, C); the next ones begin at 0."""
        totals = sum(sums.reshape(2, -1, self.channels).sum(axis=1, dtype=np.float64) for sums in self._sums)
        for sums in self._sums:
            sums[...] = 0
        return totals

    def _mean_and_variance(self) -> tuple[np.ndarray, np.ndarray]:
        mean, square = self._totals() / self._count
        return mean, np.maximum(square - mean * mean, 0)

    def _centre(self, chunk: int, shift: np.ndarray) -> None:
        """Subtract `shift` (images C,) from y: then it is precise where the mean is much larger than the deviation."""
        y = self._lines(self.y[chunk][1:-1])
        y -= shift
        self._add(chunk, y, y)

    def _set_scale(self, mean: np.ndarray, var: np.ndarray) -> None:
        self._mean, self._inverse = mean, 1 / np.sqrt(var + self._layer.eps)
        self._scale = self._of_living("scale") * self._inverse
        self._a, self._b = self._tile(self._scale), self._tile(self._of_living("shift") - mean * self._scale)

    def _of_living(self, name: str) -> np.ndarray:
        return self._p[name][0, self.living].astype(np.float64)

    def _tile(self, values: np.ndarray) -> list[np.ndarray]:
        """Values per channel as values per image and channel, for each chunk."""
        values = values.astype(self.scratch[0].dtype)
        return [np.broadcast_to(values, (n, len(values))).ravel() for n in self.images]  # np.tile is slower
