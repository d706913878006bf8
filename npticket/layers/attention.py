"""Self-attention (Vaswani et al. 2017, section 3.2), and pooling, over tokens of which some are padding."""

import math

import numpy as np

from npticket.backend import Array, array_module
from npticket.layers.parameterless import Parameterless
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep

PROJECTIONS = ("query", "key", "value", "output")
NOWHERE = -1e30  # a score after which softmax is exactly 0, while no difference of two scores is NaN


class SelfAttention:
    """y = concat over heads of softmax(q k^T / sqrt(D)) v, times W_output + b_output; q, k, v = x W + b.

    Four W (T, C, C) and b (T, 1, C)   x, y (T, B, L, C), C = heads D   real (T or 1, B, L), False where a token is
    padding, which nobody looks at; by default, all are real. Weights start as N(0, 0.02^2), as BERT's.
    """

    def __init__(self, size: int, heads: int, std: float = 0.02) -> None:
        if min(size, heads) < 1 or size % heads:
            raise ValueError(f"attention needs a size that is a multiple of its heads, got {size} and {heads}")
        self.heads, self.std = heads, std
        self.layout = {
            f"{name}/{local}": (size if local == "W" else 1, size) for name in PROJECTIONS for local in ("W", "b")
        }

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        zeros = {name: np.zeros(shape) for name, shape in self.layout.items()}
        return zeros | {f"{name}/W": rng.normal(0, self.std, self.layout[f"{name}/W"]) for name in PROJECTIONS}

    def forward(
        self, p: Tree, x: Array, step: TrainingStep | None = None, real: Array | None = None
    ) -> tuple[Array, Backward]:
        trials, batch, length, size = x.shape
        scale = 1 / math.sqrt(size // self.heads)
        rows = x.reshape(trials, batch * length, size)

        def split(y: Array) -> Array:  # (T, B L, C) -> (T, B, heads, L, D)
            return y.reshape(len(y), batch, length, self.heads, -1).swapaxes(2, 3)

        q, k, v = (split(rows @ p[name]["W"] + p[name]["b"]) for name in PROJECTIONS[:3])
        scores = q @ k.swapaxes(-1, -2)
        scores *= scale
        if real is not None:
            scores = array_module(x, real).where(real[:, :, None, None], scores, scores.dtype.type(NOWHERE))
        looks = softmax(scores)  # at whom each token looks, (T, B, heads, L, L)
        heads = _joined(looks @ v)
        y = heads @ p["output"]["W"] + p["output"]["b"]

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array:
            # Of y = softmax(s) v:  dv = softmax^T dy,  dsoftmax = dy v^T,  ds = softmax (dsoftmax - row sum of
            # softmax dsoftmax), which is 0 where softmax is. Scores of padding are constant, also where all is padding.
            dz = split(through("output", heads, dy.reshape(len(dy), -1, size), grad))
            dv = looks.swapaxes(-1, -2) @ dz
            ds = dz @ v.swapaxes(-1, -2)
            ds -= (ds * looks).sum(axis=-1, keepdims=True)
            ds *= looks
            if real is not None:
                ds *= real[:, :, None, None]
            ds *= scale
            parts = zip(PROJECTIONS, (ds @ k, ds.swapaxes(-1, -2) @ q, dv), strict=False)
            return sum(through(name, rows, _joined(d), grad) for name, d in parts).reshape(dy.shape)

        def through(name: str, x: Array, dy: Array, grad: Tree) -> Array:
            """The backward pass of y = x W + b."""
            grad[name]["W"][...] = x.swapaxes(-1, -2) @ dy
            dy.sum(axis=-2, keepdims=True, out=grad[name]["b"])
            return dy @ p[name]["W"].swapaxes(-1, -2)

        return y.reshape(len(y), batch, length, size), backward


def _joined(y: Array) -> Array:
    """(T, B, heads, L, D) -> (T, B L, C)."""
    trials, batch, heads, length, size = y.shape
    return y.swapaxes(2, 3).reshape(trials, batch * length, heads * size)


def softmax(scores: Array) -> Array:
    """Return exp(scores), divided by its sum over the last axis; changed in place."""
    scores -= scores.max(axis=-1, keepdims=True)
    array_module(scores).exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


class MeanOverTokens(Parameterless):
    """y = the mean of an example's real tokens.     x (T, B, L, C)   real (T or 1, B, L)   y (T, B, C)

    An example without any gives 0.
    """

    def forward(
        self, p: Tree, x: Array, step: TrainingStep | None = None, real: Array | None = None
    ) -> tuple[Array, Backward]:
        xp = array_module(x)
        share = xp.ones((1, *x.shape[1:3]), x.dtype) if real is None else real.astype(x.dtype)
        share = (share / xp.maximum(share.sum(axis=-1, keepdims=True), 1))[:, :, None]  # (T or 1, B, 1, L)

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array:
            return share.swapaxes(-1, -2) * dy[:, :, None]

        return (share @ x)[:, :, 0], backward
