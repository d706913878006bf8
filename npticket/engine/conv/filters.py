"""The parameters of a convolution as the engine's kernels want them, and their gradients put back where they belong."""

import numpy as np

from npticket.engine.conv.team import half
from npticket.engine.conv.winograd import POINTS, G

TURNED = 128 * 256  # up to so many weights per tap, a transposed copy is worth making


class Filters:
    """Weights w (K, K, C, O) and bias b (O,), or None, with their gradients dw and db, for living channels only.

    `p` and `grad` are the layer's parameters and their gradients, `inputs` and `outputs` the numbers of the channels
    that are left; where all are, w, b, dw and db are the parameters' own memory. Work on weights is done in two
    parts, 0 and 1: halves of the input channels.
    """

    def __init__(
        self, p: dict[str, np.ndarray], grad: dict[str, np.ndarray], inputs: np.ndarray, outputs: np.ndarray
    ) -> None:
        self._p, self._grad, self.inputs, self.outputs = p, grad, inputs, outputs
        self.channels, self.filters = len(inputs), len(outputs)
        self.w, self.dw, self.b, self.db = p["W"][0], grad["W"][0], None, None
        if "b" in p:
            self.b, self.db = p["b"].reshape(-1), grad["b"].reshape(-1)
        self._is_whole = self.w.shape[2:] == (self.channels, self.filters)
        if not self._is_whole:
            self.w, self.dw = np.empty((2, *self.w.shape[:2], self.channels, self.filters), self.w.dtype)
            if self.b is not None:
                self.b, self.db = np.empty((2, self.filters), self.w.dtype)

    def prepare(self, part: int) -> None:
        """The parameters have changed."""
        if self._is_whole:
            return
        inputs = half(part, self.channels)
        self.w[:, :, inputs] = self._p["W"][0][:, :, self.inputs[inputs, None], self.outputs]
        if self.b is not None and part == 0:
            self.b[...] = self._p["b"].reshape(-1)[self.outputs]

    def put_back(self) -> None:
        """dw and db have been written: everything else has no gradient."""
        if self._is_whole:
            return
        self._grad["W"][...] = 0
        self._grad["W"][0][:, :, self.inputs[:, None], self.outputs] = self.dw
        if self.db is not None:
            self._grad["b"][...] = 0
            self._grad["b"].reshape(-1)[self.outputs] = self.db


class WinogradFilters(Filters):
    """u = G w G^T, the weights in Winograd's domain (36, C, O), and `turned`, the same transposed."""

    def __init__(
        self, p: dict[str, np.ndarray], grad: dict[str, np.ndarray], inputs: np.ndarray, outputs: np.ndarray
    ) -> None:
        super().__init__(p, grad, inputs, outputs)
        self._g = np.kron(G, G).astype(self.w.dtype)
        self.u = np.empty((POINTS**2, self.channels, self.filters), self.w.dtype)
        self._copies = self.channels * self.filters <= TURNED
        self.turned = self.u.transpose(0, 2, 1)
        if self._copies:
            self.turned = np.empty(self.turned.shape, self.w.dtype)

    def prepare(self, part: int) -> None:
        """Transform half of the weights."""
        super().prepare(part)
        inputs = half(part, self.channels)
        np.matmul(self._g, self._by_input(self.w, inputs), out=self._by_input(self.u, inputs))
        if self._copies:
            self.turned[:, :, inputs] = self.u[:, inputs].transpose(0, 2, 1)

    def finish(self, part: int, du: list[np.ndarray]) -> None:
        """dw = G^T du G for half of the weights, with du the sum of these, of which the first is overwritten."""
        inputs = half(part, self.channels)
        total, *others = (self._by_input(d, inputs) for d in du)
        for other in others:
            total += other
        np.matmul(self._g.T, total, out=self._by_input(self.dw, inputs))

    def _by_input(self, a: np.ndarray, inputs: slice) -> np.ndarray:
        """a (..., C, O) as a stack of matrices (taps or points, O), one for each of these input channels."""
        return a.reshape(-1, self.channels, self.filters)[:, inputs].swapaxes(0, 1)
