"""Softmax cross-entropy of one trial, with sums over long rows, which are faster."""

import numpy as np

from npticket.loss import negligible


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As npticket.loss.softmax_cross_entropy, the sums rounded in another way.     logits (1, B, C)   labels (1, B)"""
    z, batch = logits[0].T.copy(), logits.shape[1]
    hits = labels[0], np.arange(batch)
    z -= np.maximum.reduce(z, axis=0)
    p = np.exp(z)
    total = np.add.reduce(p, axis=0)
    loss = np.log(total) - z[hits]
    p *= p > negligible(p) * total
    p /= total * batch
    p[hits] -= 1 / batch
    return np.add.reduce(loss, keepdims=True) / batch, p.T[None]
