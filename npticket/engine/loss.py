"""Losses of one trial, their gradients written where the engine wants them."""

from collections.abc import Callable

import numpy as np

from npticket.loss import negligible, softmax_cross_entropy
from npticket.protocols import Loss

InPlace = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # (y (B, ...), targets (B, ...), dy) -> loss (1,)


def in_place(loss: Loss) -> InPlace:
    """Return what writes the gradient of `loss` to its third argument; it may change y."""
    if loss is softmax_cross_entropy:
        return _softmax_cross_entropy

    def copied(y: np.ndarray, targets: np.ndarray, dy: np.ndarray) -> np.ndarray:
        value, gradient = loss(y[None], targets[None])
        dy[...] = gradient[0]
        return value

    return copied


def _softmax_cross_entropy(logits: np.ndarray, labels: np.ndarray, dz: np.ndarray) -> np.ndarray:
    """As npticket.loss.softmax_cross_entropy.     logits, dz (B, C)   labels (B,)"""
    batch, rows = len(logits), np.arange(len(logits))
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=dz)
    total = dz.sum(axis=1, keepdims=True)
    loss = (np.log(total[:, 0]) - logits[rows, labels]).sum(keepdims=True) / batch
    dz *= dz > negligible(dz) * total
    dz /= total * batch
    dz[rows, labels] -= 1 / batch
    return loss
