"""Normalisation: of a batch (Ioffe & Szegedy 2015), one mean and variance per trial and channel, and of a layer."""

from operator import index

import numpy as np

from npticket.backend import Array, array_module
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep


class BatchNorm:
    """y = scale (x - mean) / sqrt(var + eps) + shift.     scale, shift, running_mean, running_var (T, C)

    x, y (T, B, C) or (T, B, H, W, C). In training, mean and variance are the batch's and the running ones move towards
    them by `momentum` (the variance unbiased, as PyTorch's); in prediction they are the running ones. The running
    statistics are buffers: they live among the parameters, are rewound with them, and no optimizer touches them.
    `momentum` and `eps` are PyTorch's by default; the paper of the lottery ticket does not give its own. ValueError
    unless momentum is from 0 to 1 and eps positive, and in training if a minibatch has one number of each channel.
    """

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        channels = index(channels)
        if channels < 1:
            raise ValueError(f"batch normalisation needs at least one channel, got {channels}")
        if not 0 <= momentum <= 1 or not eps > 0:
            raise ValueError(f"momentum is from 0 to 1 and eps positive, got {momentum} and {eps}")
        self.momentum, self.eps = momentum, eps
        self.layout = dict.fromkeys(("scale", "shift", "running_mean", "running_var"), (channels,))

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {name: np.full(shape, name in ("scale", "running_var"), float) for name, shape in self.layout.items()}

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        count = x[0, ..., 0].size
        mean = p["running_mean"] if step is None else _sum(x) / count
        centred = _minus(x, mean)  # before scaling: else digits are lost where |mean| is large
        if step is None:
            var = p["running_var"]
        else:
            check_count(count)
            var = _sum(centred * centred) / count
            for running, batch in (("running_mean", mean), ("running_var", var * (count / (count - 1)))):
                p[running][...] += self.momentum * (batch - p[running])
        inverse = 1 / array_module(x).sqrt(var + self.eps)
        y = _affine(centred, p["scale"] * inverse, p["shift"])

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array | None:
            # With xhat = (x - mean) / sqrt(var + eps):  dscale = sum dy xhat,  dshift = sum dy,  and, because every x
            # moves the mean and the variance too,  dx = scale / sqrt(var + eps) (dy - mean(dy) - xhat mean(dy xhat)).
            grad["shift"][...] = _sum(dy)
            grad["scale"][...] = _sum(dy * centred) * inverse
            if not need_dx:
                return None
            a = p["scale"] * inverse
            direct = _affine(dy, a, 0 * a)  # the sum makes 0 of most -0.0, which ReLU's gradient is full of
            if step is None:  # the statistics are constants
                return direct
            b = -a * inverse * grad["scale"] / count
            dx = _affine(centred, b, -a * grad["shift"] / count)
            dx += direct
            return dx

        return y, backward


def check_count(count: int) -> None:
    """Raise ValueError where there is one number of each channel, so that all would become 0 in training."""
    if count < 2:
        raise ValueError("batch normalisation needs at least two numbers of each channel: take a larger minibatch")


class LayerNorm:
    """y = scale (x - mean) / sqrt(var + eps) + shift, mean and variance over C (Ba et al. 2016).

    scale, shift (T, C)   x, y (T, ..., C). Training and prediction are the same. `eps` is BERT's by default. ValueError
    unless it is positive.
    """

    def __init__(self, size: int, eps: float = 1e-12) -> None:
        size = index(size)
        if size < 1:
            raise ValueError(f"layer normalisation needs at least one feature, got {size}")
        if not eps > 0:
            raise ValueError(f"eps is positive, got {eps}")
        self.eps, self.layout = eps, dict.fromkeys(("scale", "shift"), (size,))

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {name: np.full(shape, name == "scale", float) for name, shape in self.layout.items()}

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        wide = (len(p["scale"]), *(1,) * (x.ndim - 2), x.shape[-1])
        scale, shift = (p[name].reshape(wide) for name in ("scale", "shift"))
        xhat = x - x.mean(axis=-1, keepdims=True)
        inverse = 1 / array_module(x).sqrt((xhat * xhat).mean(axis=-1, keepdims=True) + self.eps)
        xhat *= inverse

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array:
            # Every feature moves mean and variance:  dx = (g - mean(g) - xhat mean(g xhat)) / sqrt(var + eps),
            # with g = scale dy and means over C.
            grad["shift"][...] = _sum(dy.reshape(len(dy), -1, x.shape[-1]))
            grad["scale"][...] = _sum((dy * xhat).reshape(len(dy), -1, x.shape[-1]))
            dx = dy * scale
            moved = (dx * xhat).mean(axis=-1, keepdims=True)
            dx -= dx.mean(axis=-1, keepdims=True)
            dx -= xhat * moved
            dx *= inverse
            return dx

        return xhat * scale + shift, backward


def _sum(x: Array) -> Array:
    """Sum over everything but trials and channels, (T, C): a product with ones is several times faster than sum()."""
    rows = _rows(x)
    ones = array_module(x).ones((1, 1, rows.shape[1]), x.dtype)
    return (ones @ rows).reshape(len(x), -1, x.shape[-1]).sum(axis=1)


def _affine(x: Array, a: Array, b: Array) -> Array:
    """a x + b with a, b (T, C)."""
    y = _rows(x) * _row(a, x)
    y += _row(b, x)
    return y.reshape(len(y), *x.shape[1:])  # of all trials, where x is one for all


def _minus(x: Array, b: Array) -> Array:
    """x - b with b (T, C)."""
    y = _rows(x) - _row(b, x)
    return y.reshape(len(y), *x.shape[1:])


def _row(values: Array, x: Array) -> Array:
    """Values (T, C) for a whole row of `_rows(x)`, (T, 1, W C): NumPy is slow on runs as short as C."""
    return array_module(x, values).tile(values[:, None], (1, 1, _rows(x).shape[-1] // x.shape[-1]))


def _rows(x: Array) -> Array:
    """x as (T, N, W C) for images, (T, B, C) otherwise."""
    return x.reshape(len(x), -1, x.shape[-2] * x.shape[-1]) if x.ndim == 5 else x
