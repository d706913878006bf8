"""Losses of one trial, their gradients written where the engine wants them."""

from collections.abc import Callable
from functools import partial

import numpy as np

from npticket.loss import negligible, softmax_cross_entropy
from npticket.protocols import Loss

InPlace = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # (y (B, ...), targets (B, ...), dy) -> loss (1,)


def in_place(loss: Loss, batch: int) -> InPlace:
    """Return what writes the gradient of `loss` for a batch of this size to its third argument; it may change y."""
    if loss is softmax_cross_entropy:
        return partial(_softmax_cross_entropy, np.arange(batch))

    def copied(y: np.ndarray, targets: np.ndarray, dy: np.ndarray) -> np.ndarray:
        value, gradient = loss(y[None], targets[None])
        dy[...] = gradient[0]
        return value

    return copied


def _softmax_cross_entropy(rows: np.ndarray, logits: np.ndarray, labels: np.ndarray, dz: np.ndarray) -> np.ndarray:
    """As npticket.loss.softmax_cross_entropy.     rows = 0, 1, ... B - 1   logits, dz (B, C)   labels (B,)"""
    batch = len(logits)
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=dz)
    total = dz.sum(axis=1, keepdims=True)
    loss = (np.log(total[:, 0]) - logits[rows, labels]).sum(keepdims=True) / batch
    dz *= dz > negligible(dz) * total
    dz /= total * batch
    dz[rows, labels] -= 1 / batch
    return loss
