"""Softmax cross-entropy per trial, and its gradient.

loss = mean over the batch of  -log softmax(z)[label];  d loss / dz = (softmax(z) - onehot(label)) / B.
"""

import numpy as np

from npticket.backend import Array, array_module


def softmax_cross_entropy(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Return the loss of each trial (T,) and its gradient (T, B, C).     logits (T, B, C)   labels (T, B)

    The mean is over B and never over T: trials do not touch each other.
    """
    log_p, hit = _log_softmax(logits, labels)
    xp = array_module(logits)
    batch = logits.shape[1]
    loss = xp.where(hit, log_p, 0).sum(axis=(1, 2)) / -batch
    p = xp.exp(log_p)
    p *= p > negligible(p)
    return loss, (p - hit) / batch


def score(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Return summed loss (T,) and number of correct predictions (T,).     logits (T, B, C)   labels (T or 1, B)"""
    log_p, hit = _log_softmax(logits, labels)
    loss = array_module(logits).where(hit, log_p, 0).sum(axis=(1, 2))
    return -loss, (logits.argmax(axis=-1) == labels).sum(axis=-1)


def negligible(p: Array) -> float:
    """Up to which size a probability counts as 0 in the gradient, 1.1e-19 in float32: it moves no weight.

    Late in training most are so small that they, or their products with weights, would be subnormal numbers, which
    cost a processor several times as much. Who drops them multiplies, and does not assign: a product keeps NaN.
    """
    return float(np.finfo(p.dtype).tiny) ** 0.5


def _log_softmax(logits: Array, labels: Array) -> tuple[Array, Array]:
    """log softmax(logits), and where each label's class stands.     both (T, B, C)"""
    xp = array_module(logits, labels)
    log_p = logits - logits.max(axis=-1, keepdims=True)
    log_p -= xp.log(xp.exp(log_p).sum(axis=-1, keepdims=True))
    return log_p, labels[..., None] == xp.arange(logits.shape[-1])
