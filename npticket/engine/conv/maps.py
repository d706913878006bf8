"""Maps: the outputs of convolutions summed, pooled and rectified, a few rows at a time.

Rows of a map are made when a convolution is about to read them, and their gradients are passed on as soon as they are
final, so that both happen while the rows are in the cache.
"""

from collections.abc import Sequence

import numpy as np

from npticket.engine.conv.layout import blank, max_pool, max_pool_gradient
from npticket.engine.conv.outputs import Normalised, Output

ROUNDING = 32  # roundings, of the largest values of a map, that Winograd's convolution may be away from an exact 0


class Map:
    """x = pool(relu(sum of outputs and, around them, an earlier map)), and dL/dx.     x[chunk], dx[chunk]: maps

    Only the sum of a single output is ever pooled. A ReLU lets no gradient through where x is 0 but for rounding: where
    a filter sees nothing but zeros, and its bias is 0 as it is in the beginning, x would be 0 without.
    """

    def __init__(
        self, terms: Sequence[Output], around: "Map | None" = None, relu: bool = False, pooled: bool = False
    ) -> None:
        first = terms[0]
        self.size, self.living = first.size // 2 if pooled else first.size, first.living
        self.channels = len(self.living)
        self.images, self._scratch = first.images, first.scratch
        self._terms, self._around, self._relu, self._pooled = terms, around, relu, pooled
        self.readers: list[object] = []  # the convolutions that read x, in order
        self.adds_to: Map | None = None  # the later map that this one is added to as it is
        if around is not None:
            around.adds_to = self
        alone = not (pooled or around or len(terms) > 1 or isinstance(first, Normalised))
        self.x = first.y if alone else [self._blank(chunk) for chunk in range(len(self.images))]
        self.dx: list[np.ndarray] = []
        self._zeros = [np.zeros(n * self.channels, s.dtype) for n, s in zip(self.images, self._scratch, strict=False)]
        self._filled, self._drained, self._largest = [0], [0], [0.0]  # rows done, and the values seen, by chunk

    def begin(self, training: bool) -> None:
        """Forget the last batch; in training, have memory for gradients."""
        chunks = len(self.images)
        self._filled, self._drained, self._largest = [0] * chunks, [0] * chunks, [0.0] * chunks
        if training and not self.dx:
            self.dx = [self._blank(chunk) for chunk in range(len(self.images))]
            for term in self._terms:
                term.dz = [np.zeros_like(y) for y in term.y] if self._pooled else self.dx

    def fill(self, chunk: int, upto: int) -> None:
        """Make the rows of x before row `upto` that have not been made yet."""
        first, upto = self._filled[chunk], min(upto, self.size)
        if upto <= first:
            return
        self._filled[chunk] = upto
        rows = slice(1 + first, 1 + upto)
        x = self.x[chunk][rows]
        if self._pooled:
            max_pool(self._terms[0].value(chunk, slice(1 + 2 * first, 1 + 2 * upto), "value"), x)
            value = x
        else:
            value = self._sum(chunk, rows)
        if self._relu:
            some = value[0]  # one row tells enough
            self._largest[chunk] = max(self._largest[chunk], some.max(), -some.min())
            np.maximum(value, self._zeros[chunk], out=x)
        elif value is not x:
            x[...] = value

    def drain(self, chunk: int, upto: int) -> None:
        """Rows of dx before row `upto` are complete: pass on those that have not been."""
        first, upto = self._drained[chunk], min(upto, self.size)
        if upto <= first:
            return
        self._drained[chunk] = upto
        rows = slice(1 + first, 1 + upto)
        x, dx = self.x[chunk][rows], self.dx[chunk][rows]
        if self.adds_to is not None:
            dx += self.adds_to.dx[chunk][rows]
        if self._relu:
            dx *= x > ROUNDING * np.finfo(x.dtype).eps * self._largest[chunk]
        if self._pooled:
            rows = slice(1 + 2 * first, 1 + 2 * upto)
            value = self._terms[0].value(chunk, rows, "value")
            max_pool_gradient(value, x, dx, self._terms[0].dz[chunk][rows])
        for term in self._terms:
            term.gradient_written(chunk, rows)

    def _sum(self, chunk: int, rows: slice) -> np.ndarray:
        value = self._terms[0].value(chunk, rows, "value")
        for term in self._terms[1:]:
            value += term.value(chunk, rows, "term")
        if self._around is not None:
            value += self._around.x[chunk][rows]
        return value

    def _blank(self, chunk: int) -> np.ndarray:
        return blank(self.size, self.images[chunk], self.channels, self._scratch[chunk].dtype)
