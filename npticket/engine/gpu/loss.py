"""Softmax cross-entropy and its gradient in one kernel."""

from npticket.backend import Array, array_module
from npticket.engine.gpu.kernels import Source, kernel, sum_rows

# loss.softmax_cross_entropy, one example at a time: its part of the mean over a batch, and of that one's gradient.
CROSS_ENTROPY: Source = (
    "raw T z, L label, int32 classes, int32 batch",
    "T loss, raw T dz",
    """
    const ptrdiff_t first = ptrdiff_t(i) * classes;
    T top = z[first], total = 0;
    for (int c = 1; c < classes; ++c)
        if (z[first + c] > top) top = z[first + c];
    for (int c = 0; c < classes; ++c) total += exp(z[first + c] - top);
    const T log_total = log(total);
    for (int c = 0; c < classes; ++c)
        dz[first + c] = (exp(z[first + c] - top - log_total) - (c == int(label))) / batch;
    loss = (top + log_total - z[first + int(label)]) / batch;
    """,
    "cross_entropy",
)


def cross_entropy(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Return the loss of each trial (T,) and its gradient (T, B, C).     logits (T, B, C)   labels (T, B)"""
    xp, (trials, batch, classes) = array_module(logits, labels), logits.shape
    logits = xp.ascontiguousarray(logits)
    each, gradient = xp.empty((trials, batch), logits.dtype), xp.empty_like(logits)
    kernel(xp, CROSS_ENTROPY)(logits, labels, classes, batch, each, gradient)
    loss = xp.empty(trials, logits.dtype)
    sum_rows(each[:, :, None], loss[:, None])
    return loss, gradient
