"""Outputs of convolutions, as they are or pooled."""

import numpy as np

from npticket.engine.conv.layout import BAND, Halves, Pooling, Size, halved


class Output:
    """y of a convolution, of `size`, z = y or, if `pooled`, z = max_pool(y), and dL/dy.

    z[half_batch]: maps of so many `channels`, of `map_size`. Of y that is pooled only the rows exist that are being
    written.
    """

    keeps_z = True  # else y is kept, and z is made of it whenever it is read

    def __init__(self, size: Size, channels: int, halves: Halves, pooled: bool) -> None:
        (self.height, self.width), self.channels, self.halves = size, channels, halves
        self.map_size = (size[0] // 2, size[1] // 2) if pooled else size
        if self.keeps_z:
            self.z = halves.maps(self.map_size, channels)
        self._pooling = Pooling(self.map_size, channels, halves) if pooled else None
        self._is_z = self.keeps_z and not pooled  # y, and so are their gradients

    def read_by(self, dz: list[np.ndarray]) -> None:
        """Remember the list that will hold dL/dz: the map that reads z fills it."""
        self._dz = dz

    def begin(self, training: bool) -> None:
        """Forget the last batch."""
        self._training = training

    def rows(self, half_batch: int, rows: slice) -> np.ndarray:
        """Return where a convolution is to write rows of y."""
        if self._pooling is None:
            return self.z[half_batch][rows]
        return self._scratch(half_batch, "y", rows)

    def written(self, half_batch: int, rows: slice) -> None:
        """Called when these rows of y are final."""
        if self._pooling is not None:
            pooled = halved(rows)
            y, z = self.rows(half_batch, rows), self.z[half_batch][pooled]
            self._pooling.pool(half_batch, pooled, y, z, self._training)

    def finish(self) -> None:
        """Called when all rows of y are final in both halves."""

    def value(self, half_batch: int, rows: slice, name: str) -> np.ndarray:
        """Return rows of z, which the caller may write to: of z itself, or in scratch memory called `name`."""
        return self.z[half_batch][rows]

    def gradient_written(self, half_batch: int, rows: slice) -> None:
        """Called when these rows of dL/dz are final."""

    def finish_gradient(self) -> None:
        """Called when all rows of dL/dz are final in both halves."""

    def gradient(self, half_batch: int, rows: slice) -> np.ndarray:
        """Return rows of dL/dy; call it when all of dL/dz is final."""
        if self._is_z:
            return self._dz[half_batch][rows]
        dy = self._scratch(half_batch, "dy", rows)
        self._write_gradient(half_batch, rows, dy)
        return dy

    def window(self, half_batch: int, rows: slice) -> np.ndarray:
        """Return a band of dL/dy with one row more above and below; call it for one band after the other.

        Memory for the band and, as what is pooled comes by twos, up to two rows beside it moves down a map. Of 8 rows:

            . . 1 2 3 4 5 6             the band 1 to 4: above the map are zeros, all other rows are new
                    3 4 5 6 7 8 . .     the band 5 to 8: 3 to 6 are as the band before left them, 7 and 8 are new
        """
        if self._is_z:
            return self._dz[half_batch][rows.start - 1 : rows.stop + 1]
        more = 1 if self._pooling is None else 2
        first = rows.start - more  # the map's row where the memory begins
        window = self._scratch(half_batch, "window", slice(first, rows.start + BAND + more))
        known = more if rows.start == 1 else 2 * more
        window[:known] = 0 if rows.start == 1 else window[BAND:]
        end = min(len(window), 1 + self.height - first)
        self._write_gradient(half_batch, slice(first + known, first + end), window[known:end])
        window[end:] = 0
        return window[more - 1 : more + BAND + 1]

    def _write_gradient(self, half_batch: int, rows: slice, out: np.ndarray) -> None:
        """Write rows of dL/dy; of what is pooled, an even number from an odd one on."""
        assert self._pooling is not None
        pooled = halved(rows)
        self._pooling.gradient(half_batch, pooled, self._dz[half_batch][pooled], out)

    def _scratch(self, half_batch: int, name: str, rows: slice) -> np.ndarray:
        """Memory for so many rows of y."""
        slot = self.halves.counts[half_batch] * self.channels
        return self.halves.scratch[half_batch].array(name, (rows.stop - rows.start, self.width, slot))
