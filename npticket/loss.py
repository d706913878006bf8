"""Softmax cross-entropy per trial, and its gradient.

loss = mean over the batch of  -log softmax(z)[label];  d loss / dz = (softmax(z) - onehot(label)) / B.
With weights w it is the weighted mean: 1 / B becomes w / sum(w), so that a weight of 3 is the example three times.
"""

import numpy as np

from npticket.backend import Array, Dtype, array_module


def softmax_cross_entropy(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Return the loss of each trial (T,) and its gradient (T, B, C).     logits (T, B, C)   labels (T, B)

    Labels are integers from 0 to C - 1. The mean is over B and never over T: trials do not touch each other.
    """
    log_p, dz = _log_p_and_gradient(logits, labels)
    return log_p.sum(axis=(1, 2)) / -logits.shape[1], dz / logits.shape[1]


def weighted_softmax_cross_entropy(logits: Array, targets: Array) -> tuple[Array, Array]:
    """Return the weighted loss of each trial (T,) and its gradient (T, B, C).     logits (T, B, C)   targets (T, B, 2)

    Targets are a label and its weight, which is not negative. Where all of a batch's are 0, so are loss and gradient.
    """
    labels, weights = split_weights(targets, logits.dtype)
    log_p, dz = _log_p_and_gradient(logits, labels)
    weights = weights[..., None]
    total = weights.sum(axis=(1, 2))
    total += total == 0
    return (weights * log_p).sum(axis=(1, 2)) / -total, weights * dz / total[:, None, None]


def split_weights(targets: Array, dtype: Dtype) -> tuple[Array, Array]:
    """Return labels (...) as integers and weights (...) as `dtype`.     targets (..., 2)"""
    return targets[..., 0].astype(int), targets[..., 1].astype(dtype)


def _log_p_and_gradient(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Return log softmax(z) at the label, 0 elsewhere, and softmax(z) - onehot(label), (T, B, C) each."""
    xp = array_module(logits, labels)
    log_p = logits - logits.max(axis=-1, keepdims=True)
    log_p -= xp.log(xp.exp(log_p).sum(axis=-1, keepdims=True))
    hit = labels[..., None] == xp.arange(logits.shape[-1])
    p = xp.exp(log_p)
    p *= p > negligible(p)
    return xp.where(hit, log_p, 0), p - hit


def score(logits: Array, labels: Array, weights: Array | None = None) -> tuple[Array, Array]:
    """Return the summed loss (T,) and how many predictions are correct (T,); with `weights`, both are weighted sums.

    logits (T, B, C)   labels, weights (T or 1, B)
    """
    xp = array_module(logits, labels)
    z = xp.ascontiguousarray(logits.swapaxes(1, 2))  # sums over long rows are faster: (T, C, B)
    z = z - z.max(axis=1, keepdims=True)  # in new memory: z may be the logits themselves
    losses = xp.log(xp.exp(z).sum(axis=1)) - xp.take_along_axis(z, labels[:, None], axis=1)[:, 0]
    correct = logits.argmax(axis=-1) == labels
    if weights is not None:
        losses, correct = losses * weights, correct * weights
    return losses.sum(axis=1), correct.sum(axis=-1)


def negligible(p: Array) -> float:
    """Return the largest probability that the gradient takes for 0, 1.1e-19 in float32: too little to move a weight.

    Late in training most are so small that they, or their products with weights, would be subnormal numbers, which
    cost a processor several times as much. To drop them, multiply by `p > negligible(p)`: a product keeps NaN.
    """
    return float(np.finfo(p.dtype).tiny) ** 0.5
