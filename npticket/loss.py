"""Softmax cross-entropy per trial, and its gradient.

loss = mean over the batch of  -log softmax(z)[label];  d loss / dz = (softmax(z) - onehot(label)) / B.
"""

import numpy as np

from npticket.backend import Array, array_module


def softmax_cross_entropy(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Return the loss of each trial (T,) and its gradient (T, B, C).     logits (T, B, C)   labels (T, B)

    The mean is over B and never over T: trials do not touch each other.
    """
    xp, batch = array_module(logits, labels), logits.shape[1]
    log_p = logits - logits.max(axis=-1, keepdims=True)
    log_p -= xp.log(xp.exp(log_p).sum(axis=-1, keepdims=True))
    hit = labels[..., None] == xp.arange(logits.shape[-1])
    loss = xp.where(hit, log_p, 0).sum(axis=(1, 2)) / -batch
    p = xp.exp(log_p)
    p *= p > negligible(p)
    return loss, (p - hit) / batch


def score(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Return summed loss (T,) and number of correct predictions (T,).     logits (T, B, C)   labels (T or 1, B)"""
    xp = array_module(logits, labels)
    z = xp.ascontiguousarray(logits.swapaxes(1, 2))  # sums over long rows are faster: (T, C, B)
    z -= z.max(axis=1, keepdims=True)
    loss = xp.log(xp.exp(z).sum(axis=1)) - xp.take_along_axis(z, labels[:, None], axis=1)[:, 0]
    return loss.sum(axis=1), (logits.argmax(axis=-1) == labels).sum(axis=-1)


def negligible(p: Array) -> float:
    """Up to which size a probability counts as 0 in the gradient, 1.1e-19 in float32: it moves no weight.

    Late in training most are so small that they, or their products with weights, would be subnormal numbers, which
    cost a processor several times as much. Who drops them multiplies, and does not assign: a product keeps NaN.
    """
    return float(np.finfo(p.dtype).tiny) ** 0.5
