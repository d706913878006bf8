"""The weights of convolutions as the engine's kernels want them, and their gradients put back where they belong."""

from collections.abc import Mapping

import numpy as np

from npticket.engine.conv.blueprint import Unit
from npticket.engine.conv.layout import aligned_zeros
from npticket.engine.conv.winograd import POINTS, TILE, G
from npticket.engine.threads import half_of
from npticket.layers import Layer
from npticket.params import Params

TURNED = 128 * 256  # up to so many weights per tap, a transposed copy is worth making

Local = dict[str, np.ndarray]  # a layer's parameters, or their gradients, by their local names


class Filters:
    """Weights w (K, K, C, O) and bias b (O,), or None, with their gradients dw and db, for living channels only.

    `p` and `grad` are the layer's parameters and their gradients, `inputs` and `outputs` the numbers of the channels
    that are left. If all are, w, b, dw and db are the parameters' own memory, else copies. Work on weights is done in
    two halves, 0 and 1, of the input channels.
    """

    def __init__(self, p: Local, grad: Local, inputs: np.ndarray, outputs: np.ndarray) -> None:
        self._p, self._grad, self._inputs, self.outputs = p, grad, inputs, outputs
        self.channels, self.filters = len(inputs), len(outputs)
        self.w, self.dw, self.b, self.db = p["W"][0], grad["W"][0], None, None
        if "b" in p:
            self.b, self.db = p["b"].reshape(-1), grad["b"].reshape(-1)
        self._is_whole = self.w.shape[2:] == (self.channels, self.filters)
        if not self._is_whole:
            self.w, self.dw = np.empty((2, *self.w.shape[:2], self.channels, self.filters), self.w.dtype)
            if self.b is not None:
                self.b, self.db = np.empty((2, self.filters), self.w.dtype)

    def prepare(self, half_weights: int) -> None:
        """Copy the parameters into w and b; call it for both halves whenever the parameters have changed."""
        if self._is_whole:
            return
        inputs = half_of(self.channels, half_weights)
        self.w[:, :, inputs] = self._p["W"][0][:, :, self._inputs[inputs, None], self.outputs]
        if self.b is not None and half_weights == 0:
            self.b[...] = self._p["b"].reshape(-1)[self.outputs]

    def put_back(self) -> None:
        """Copy dw and db, when they are final, into the layer's gradients, which are 0 for other channels."""
        if self._is_whole:
            return
        self._grad["W"][...] = 0
        self._grad["W"][0][:, :, self._inputs[:, None], self.outputs] = self.dw
        if self.db is not None:
            self._grad["b"][...] = 0
            self._grad["b"].reshape(-1)[self.outputs] = self.db


class WinogradFilters(Filters):
    """u = G w G^T, the weights in Winograd's domain (36, C, O), and `turned`, those that take dy to dx, (36, O, C).

    `reversed_taps` says which of the two ways of npticket.engine.conv.winograd takes dy to dx: by U' or, if not, by u.
    """

    def __init__(self, p: Local, grad: Local, inputs: np.ndarray, outputs: np.ndarray, reversed_taps: bool) -> None:
        super().__init__(p, grad, inputs, outputs)
        self._g = np.kron(G, G).astype(self.w.dtype)
        self._back = np.ascontiguousarray(self._g[:, ::-1]) if reversed_taps else self._g
        self.u = aligned_zeros((POINTS**2, self.channels, self.filters), self.w.dtype)
        self._u_back = aligned_zeros(self.u.shape, self.w.dtype) if reversed_taps else self.u
        self._copies, turned = self.channels * self.filters <= TURNED, self._u_back.transpose(0, 2, 1)
        self.turned = aligned_zeros(turned.shape, turned.dtype) if self._copies else turned

    def prepare(self, half_weights: int) -> None:
        super().prepare(half_weights)
        inputs = half_of(self.channels, half_weights)
        np.matmul(self._g, self._by_input(self.w, inputs), out=self._by_input(self.u, inputs))
        if self._u_back is not self.u:
            np.matmul(self._back, self._by_input(self.w, inputs), out=self._by_input(self._u_back, inputs))
        if self._copies:
            self.turned[:, :, inputs] = self._u_back[:, inputs].transpose(0, 2, 1)

    def finish(self, half_weights: int, du: list[np.ndarray]) -> None:
        """Write dw for half of the weights, given dU as a list of arrays to add up; the first is overwritten."""
        inputs = half_of(self.channels, half_weights)
        total, *others = (self._by_input(d, inputs) for d in du)
        for other in others:
            total += other
        np.matmul(self._back.T, total, out=self._by_input(self.dw, inputs))

    def _by_input(self, a: np.ndarray, inputs: slice) -> np.ndarray:
        """View a (..., C, O) as a stack of matrices (taps or points, O), one for each of these input channels."""
        return a.reshape(-1, self.channels, self.filters)[:, inputs].swapaxes(0, 1)


def filters_of(unit: Unit, theta: Params, grads: Params, living: Mapping[str, np.ndarray]) -> Filters:
    """Return the filters of a unit's convolution, in Winograd's domain if it has tiles."""
    inputs = living[unit.source.prefix] if unit.source else np.arange(unit.shape[2])
    has_tiles = unit.source and unit.size != (2, 2) and (unit.shape[0], unit.conv.stride) == (3, 1)
    p, grad = (local(params, unit.prefix, unit.conv) for params in (theta, grads))
    if has_tiles:
        return WinogradFilters(p, grad, inputs, living[unit.prefix], reversed_taps=unit.size != (TILE, TILE))
    return Filters(p, grad, inputs, living[unit.prefix])


def local(params: Params, prefix: str, layer: Layer) -> Local:
    """Return the parameters of a layer, or their gradients, by their local names."""
    return {name: params[f"{prefix}{name}"] for name in layer.layout}
