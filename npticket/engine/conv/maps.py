"""Maps, which stand between convolutions: sums of their outputs, rectified, a few rows at a time.

Rows of a map are made when a convolution is about to read them, and their gradients are passed on as soon as they are
final, so that both happen while the rows are in the cache.
"""

from collections.abc import Sequence
from typing import Optional, Protocol

import numpy as np

from npticket.engine.conv.layout import tile
from npticket.engine.conv.outputs import Output

ROUNDING = 32  # roundings, of a channel's largest value, that Winograd's convolution may be away from an exact 0


class Convolution(Protocol):
    """What every kind of convolution does: it reads a map, its source, or the images, and writes `out`.

    It is built from its filters, its source and `out`; it must call its source's `read_by` then.
    """

    out: Output

    def forward(self, images: np.ndarray) -> None:
        """Write y of `out`, and tell it when rows are final.     images (B, H, W, C), for the first convolution only"""

    def backward(self) -> None:
        """Write dw, dbias and dx of the source, unless another reader has: then add to it; pass on what is final."""


class Map:
    """x = relu(sum of outputs and, around them, an earlier map), and dL/dx.     x, dx[half_batch]: maps

    `pass_on` makes of dx the gradient of that sum. The ReLU takes x for 0 where it is no larger than the rounding of
    Winograd's convolution: where a filter sees nothing but zeros and its bias is still 0, exact arithmetic gives 0.
    That rounding is judged by the channel's largest value in half of the batch, which can be wrong in two ways: an
    image that is 1e3 times brighter takes some of the others' gradients away; and a channel whose values are all 0,
    before its bias has moved, though its filter's tiles are not, may get a gradient that should be 0.
    """

    def __init__(self, terms: Sequence[Output], around: Optional["Map"], relu: bool) -> None:
        first = terms[0]
        self.size, self.halves = first.map_size, first.halves
        self.height, self.width = self.size
        self._terms, self._around, self._relu = terms, around, relu
        self._channels = first.channels
        self._readers: list[Convolution] = []  # in the order in which they go forwards
        self._added_to: Map | None = None
        if around is not None:
            around.add_to(self)
        alone = first.keeps_z and len(terms) == 1 and not around
        self.x = first.z if alone else self.halves.maps(self.size, first.channels)
        self.dx: list[np.ndarray] = []
        for term in terms:
            term.read_by(self.dx)
        self._zeros = [np.zeros(count * first.channels, self.halves.dtype) for count in self.halves.counts]
        self._largest = [np.zeros_like(zeros) for zeros in self._zeros]  # values seen, by image and channel
        self._limits = [*self._largest]  # up to which the ReLU takes x for 0, when all of x has been seen
        self._made, self._passed = [0] * len(self._zeros), [0] * len(self._zeros)  # rows

    def add_to(self, later: "Map") -> None:
        """Take note of the later map to which this one is added as it is."""
        self._added_to = later

    def read_by(self, reader: Convolution) -> None:
        """Take note of a convolution that reads x; called when it is made."""
        self._readers.append(reader)

    def begin(self, training: bool) -> None:
        """Begin a new batch; in training, have memory for gradients."""
        for half_batch, largest in enumerate(self._largest):
            self._made[half_batch] = self._passed[half_batch] = 0
            largest[...] = 0
        if training and not self.dx:
            self.dx += self.halves.maps(self.size, self._channels)

    def make_rows(self, half_batch: int, upto: int) -> None:
        """Make the rows of x before row `upto` that have not been made yet."""
        first, upto = self._made[half_batch], min(upto, self.height)
        if upto <= first:
            return
        self._made[half_batch] = upto
        rows = slice(1 + first, 1 + upto)
        x = self.x[half_batch][rows]
        value = self._terms[0].value(half_batch, rows, "value")
        for term in self._terms[1:]:
            value += term.value(half_batch, rows, "term")
        if self._around is not None:
            value += self._around.x[half_batch][rows]
        if self._relu:
            pixels, largest = value.reshape(-1, value.shape[-1]), self._largest[half_batch]
            np.maximum(largest, np.maximum.reduce(pixels, axis=0), out=largest)
            np.maximum(largest, -np.minimum.reduce(pixels, axis=0), out=largest)
            np.maximum(value, self._zeros[half_batch], out=x)
        elif value is not x:
            x[...] = value

    def begin_gradient(self, half_batch: int, reader: Convolution) -> None:
        """Set dx to 0 if `reader`, which is going to add to it, is the first to go back."""
        if reader is self._readers[-1]:
            self.dx[half_batch][...] = 0

    def pass_on(self, half_batch: int, upto: int, reader: Convolution | None = None) -> None:
        """Make rows of dx before `upto` final and pass them on to the outputs, if `reader` is the last to add to them.

        Called by readers when they have added to these rows; rows that were passed on already are left alone.
        """
        first, upto = self._passed[half_batch], min(upto, self.height)
        if upto <= first or (self._readers and reader is not self._readers[0]):
            return
        self._passed[half_batch] = upto
        rows = slice(1 + first, 1 + upto)
        x, dx = self.x[half_batch][rows], self.dx[half_batch][rows]
        if self._added_to is not None:
            dx += self._added_to.dx[half_batch][rows]
        if self._relu:
            if first == 0:  # of this batch: all of x has been seen
                largest = self._largest[half_batch].reshape(-1, self._channels).max(axis=0)
                few = min(4, self.width) * self.halves.counts[half_batch]  # pixels at once, which is faster
                self._limits[half_batch] = tile(ROUNDING * np.finfo(largest.dtype).eps * largest, few)
            limit = self._limits[half_batch]
            dx *= (x.reshape(-1, len(limit)) > limit).reshape(x.shape)
        for term in self._terms:
            term.gradient_written(half_batch, rows)
