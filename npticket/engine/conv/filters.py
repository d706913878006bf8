"""The weights of a convolution as the engine's kernels want them, and their gradient put back where it belongs."""

import numpy as np

from npticket.engine.conv.winograd import POINTS, G

TURNED = 128 * 256  # up to so many weights per tap, a transposed copy is worth making


class Filters:
    """w (K, K, C, O) and its gradient dw, parts of the engine's parameters.

    Work on them is done in two halves, `half` 0 and 1, of the input channels.
    """

    def __init__(self, w: np.ndarray, dw: np.ndarray) -> None:
        self.w, self.dw = w, dw
        self.channels, self.filters = w.shape[2:]

    def prepare(self, half: int) -> None:
        """The weights have changed."""

    def half(self, half: int) -> slice:
        """The input channels of a half."""
        middle = (self.channels + 1) // 2
        return slice(0, middle) if half == 0 else slice(middle, self.channels)


class WinogradFilters(Filters):
    """u = G w G^T, the weights in Winograd's domain (36, C, O), and `turned`, the same transposed."""

    def __init__(self, w: np.ndarray, dw: np.ndarray) -> None:
        super().__init__(w, dw)
        self._g = np.kron(G, G).astype(w.dtype)
        self.u = np.empty((POINTS**2, self.channels, self.filters), w.dtype)
        self._copies = self.channels * self.filters <= TURNED
        self.turned = self.u.transpose(0, 2, 1)
        if self._copies:
            self.turned = np.empty(self.turned.shape, w.dtype)

    def prepare(self, half: int) -> None:
        part = self.half(half)
        np.matmul(self._g, self._columns(self.w, part), out=self._columns(self.u, part))
        if self._copies:
            self.turned[:, :, part] = self.u[:, part].transpose(0, 2, 1)

    def finish(self, half: int, du: list[np.ndarray]) -> None:
        """dw = G^T du G, with du the sum of these, of which the first is overwritten."""
        part = self.half(half)
        total, *others = (self._columns(d, part) for d in du)
        for other in others:
            total += other
        np.matmul(self._g.T, total, out=self._columns(self.dw, part))

    def _columns(self, a: np.ndarray, part: slice) -> np.ndarray:
        """a (..., C, O) as a matrix of which each row holds the weights of some input channels."""
        columns = slice(part.start * self.filters, part.stop * self.filters)
        return a.reshape(-1, self.channels * self.filters)[:, columns]
