"""What the code under test is compared with: textbook formulas and naive loops, no matter how slow."""

import tracemalloc
from contextlib import contextmanager

import numpy as np


def cross_entropy(logits, labels):
    """Mean over one trial's batch of -log softmax(logits)[label]; logits (B, C), labels (B,)."""
    total = 0.0
    for z, label in zip(logits, labels, strict=True):
        total -= z[label] - np.log(sum(np.exp(v) for v in z))
    return total / len(labels)


def sgd(theta, gradients, mask, lr, momentum, weight_decay):
    """The end of a sequence of SGD steps; gradients[t] is the gradient at step t. Vectors."""
    theta, v = theta.copy(), np.zeros_like(theta)
    for t, g in enumerate(gradients):
        for i in np.flatnonzero(mask):
            v[i] = momentum * v[i] + g[i] + weight_decay * theta[i]
            theta[i] -= lr(t) * v[i]
    return theta


def adam(theta, gradients, mask, lr, weight_decay=0, beta1=0.9, beta2=0.999, eps=1e-8):
    """Algorithm 1 of Kingma & Ba 2015, survivor by survivor; decoupled decay as in Loshchilov & Hutter 2019."""
    theta, m, v = theta.copy(), np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        for i in np.flatnonzero(mask):
            m[i] = beta1 * m[i] + (1 - beta1) * g[i]
            v[i] = beta2 * v[i] + (1 - beta2) * g[i] ** 2
            m_hat, v_hat = m[i] / (1 - beta1**t), v[i] / (1 - beta2**t)
            theta[i] -= lr(t - 1) * (m_hat / (np.sqrt(v_hat) + eps) + weight_decay * theta[i])
    return theta


def convolve(x, w, b, stride, pad):
    """Six nested loops; x (B, H, W, C), w (K, K, C, O), b (O,)."""
    batch, height, width, channels = x.shape
    kernel, _, _, filters = w.shape
    out = [(n + 2 * pad - kernel) // stride + 1 for n in (height, width)]
    y = np.zeros((batch, *out, filters)) + b
    for n, h, v in np.ndindex(batch, *out):
        for i, j in np.ndindex(kernel, kernel):
            row, column = h * stride + i - pad, v * stride + j - pad
            if 0 <= row < height and 0 <= column < width:
                for c in range(channels):
                    y[n, h, v] += x[n, row, column, c] * w[i, j, c]
    return y


def pool(x, size, reduce, stride=None, pad=0):
    """`reduce` over what lies in the map of each size x size square; x (B, H, W, C)."""
    batch, height, width, channels = x.shape
    stride = stride or size
    y = np.zeros((batch, *((n + 2 * pad - size) // stride + 1 for n in (height, width)), channels))
    for n, h, w, c in np.ndindex(y.shape):
        rows, columns = (slice(max(0, k * stride - pad), k * stride - pad + size) for k in (h, w))
        y[n, h, w, c] = reduce(x[n, rows, columns, c])
    return y


@contextmanager
def traced():
    """What says, afterwards, how many bytes were held at a time at most."""
    tracemalloc.start()
    try:
        most = []
        yield lambda: most[0]
        most.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
