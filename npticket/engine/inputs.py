"""The first layer of a dense network, whose inputs are pixels: most of them are black, and most of its weights go.

Both ways give z = x W and dL/dW = x^T dz, and differ in what they leave out. A pixel that is exactly 0 in a whole batch
needs no multiplication: it adds nothing to z, and the gradient of its weights is exactly 0.
"""

from typing import Protocol

import numpy as np

from npticket.engine.gemm import fastest_product

LIT = 0.01  # pixels that are not 0 in this share of the images are in half of the batches of 60, and always multiplied
MOST = 0.85  # of all pixels: if more than this share is often lit, looking for the others does not pay


def often_lit_first(shown: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, int]:
    """Return `inputs` with the often lit ones before the others, and how many these are; as they were if most are.

    shown (N, I) some of the images     inputs (n,) numbers of pixels
    """
    often = np.count_nonzero(shown, axis=0)[inputs] >= LIT * len(shown)
    if often.mean() > MOST or not often.any():
        return inputs, len(inputs)
    return np.concatenate([inputs[often], inputs[~often]]), int(often.sum())


class Product(Protocol):
    """How a layer is multiplied: x w, and x^T dz for the same x."""

    def forward(self, x: np.ndarray, w: np.ndarray, out: np.ndarray) -> None:
        """Write x w.     x (B, I)   w as the layer's parameters are kept   out (B, O)"""
        ...

    def gradient(self, x: np.ndarray, dz: np.ndarray, out: np.ndarray) -> None:
        """Write x^T dz as w is kept, x being the same as in `forward`.     dz (B, O)"""
        ...


class AllInputs:
    """All inputs, every time."""

    def __init__(self, batch: int, inputs: int, outputs: int, dtype: np.dtype) -> None:
        self._forward = fastest_product(batch, inputs, outputs, dtype)
        self._gradient = fastest_product(inputs, batch, outputs, dtype, transposed=True)

    def forward(self, x: np.ndarray, w: np.ndarray, out: np.ndarray) -> None:
        """Write x w.     x (B, I)   w (I, O)   out (B, O)"""
        self._forward(x, w, out)

    def gradient(self, x: np.ndarray, dz: np.ndarray, out: np.ndarray) -> None:
        """Write x^T dz, x being the same as in `forward`.     out (I, O)"""
        self._gradient(x.T, dz, out)


class OftenLit:
    """The first `often` inputs every time, of the others those that are not 0 in the batch at hand."""

    def __init__(self, batch: int, often: int, outputs: int, dtype: np.dtype) -> None:
        self._often, self._always = often, AllInputs(batch, often, outputs, dtype)
        self._lit = np.empty(0, int)  # those of the others that are not 0 in the batch
        self._x = np.empty((batch, 0), dtype)
        self._z = np.empty((batch, outputs), dtype)

    def forward(self, x: np.ndarray, w: np.ndarray, out: np.ndarray) -> None:
        """Write x w.     x (B, I)   w (I, O)   out (B, O)"""
        often = self._often
        self._always.forward(x[:, :often], w[:often], out)
        rest = x[:, often:]
        self._lit = np.bitwise_or.reduce(rest.view(f"i{x.itemsize}"), axis=0).nonzero()[0]
        if len(self._lit):
            self._x = rest.take(self._lit, axis=1)
            np.matmul(self._x, w[often:].take(self._lit, axis=0), out=self._z)
            out += self._z

    def gradient(self, x: np.ndarray, dz: np.ndarray, out: np.ndarray) -> None:
        """Write x^T dz, x being the same as in `forward`.     out (I, O)"""
        often = self._often
        self._always.gradient(x[:, :often], dz, out[:often])
        out[often:] = 0
        if len(self._lit):
            out[often + self._lit] = self._x.T @ dz
