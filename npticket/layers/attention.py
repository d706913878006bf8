"""Self-attention (Vaswani et al. 2017, section 3.2), and pooling, over the tokens of sentences."""

import math
from operator import index

import numpy as np

from npticket.backend import Array, array_module
from npticket.layers.parameterless import Parameterless
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep

PROJECTIONS = ("query", "key", "value", "output")
NOWHERE = -1e30  # a score of which softmax makes exactly 0; of -inf alone, as in an empty sentence, it would make NaN


class Tokens:
    """Where the N tokens of B sentences of length L stand: `real` (B, L) is False where a sentence is padded.

    Layers are given the tokens alone, one sentence after the other, as about half of a minibatch is padding.
    `indices` (N,) are those of the tokens among all B L.
    """

    def __init__(self, real: Array) -> None:
        self.real, self.indices = real, array_module(real).flatnonzero(real)

    def taken(self, x: Array) -> Array:
        """Take the tokens out of padded sentences: (T, B, L, C) -> (T, N, C)."""
        return x.reshape(len(x), -1, x.shape[-1]).take(self.indices, axis=1)

    def placed(self, x: Array) -> Array:
        """Put tokens into sentences padded with 0: (T, N, C) -> (T, B, L, C)."""
        y = array_module(x).zeros((len(x), self.real.size, x.shape[-1]), x.dtype)
        y[:, self.indices] = x
        return y.reshape(len(x), *self.real.shape, -1)


def one_sentence(x: Array) -> Tokens:
    """Return where the tokens of x (T, N, C) stand if they are one sentence."""
    return Tokens(array_module(x).ones((1, x.shape[1]), bool))


class SelfAttention:
    """y = concat over heads of softmax(q k^T / sqrt(D)) v, times W_output + b_output; q, k, v = x W + b.

    Four W (T, C, C) and b (T, 1, C)   x, y (T, N, C), C = heads D

    Each of the N tokens attends to the tokens of its own sentence; without `tokens`, all N are one sentence. Weights
    start as N(0, std^2), by default 0.02^2 as BERT's, and biases at 0. ValueError for a size that is no multiple of
    `heads`, and a std that is not positive.
    """

    def __init__(self, size: int, heads: int, std: float = 0.02) -> None:
        size, heads = index(size), index(heads)
        if min(size, heads) < 1 or size % heads:
            raise ValueError(f"attention needs a size that is a multiple of its heads, got {size} and {heads}")
        if not std > 0:
            raise ValueError(f"the standard deviation of initial weights is positive, got {std}")
        self.heads, self.std = heads, std
        self.layout = {
            f"{name}/{local}": (size if local == "W" else 1, size) for name in PROJECTIONS for local in ("W", "b")
        }

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        zeros = {name: np.zeros(shape) for name, shape in self.layout.items()}
        return zeros | {f"{name}/W": rng.normal(0, self.std, self.layout[f"{name}/W"]) for name in PROJECTIONS}

    def forward(
        self, p: Tree, x: Array, step: TrainingStep | None = None, tokens: Tokens | None = None
    ) -> tuple[Array, Backward]:
        tokens = tokens or one_sentence(x)
        scale = 1 / math.sqrt(x.shape[-1] // self.heads)

        def split(y: Array) -> Array:  # (T, N, C) -> (T, B, heads, L, D)
            return tokens.placed(y).reshape(len(y), *tokens.real.shape, self.heads, -1).swapaxes(2, 3)

        def joined(y: Array) -> Array:  # and back
            return tokens.taken(y.swapaxes(2, 3).reshape(len(y), *tokens.real.shape, -1))

        q, k, v = (split(x @ p[name]["W"] + p[name]["b"]) for name in PROJECTIONS[:3])
        scores = q @ k.swapaxes(-1, -2)
        scores *= scale
        if tokens.indices.size < tokens.real.size:
            scores = array_module(x).where(tokens.real[:, None, None], scores, scores.dtype.type(NOWHERE))
        attention = softmax(scores)  # how much each token attends to each other, (T, B, heads, L, L)
        heads = joined(attention @ v)

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array:
            # Of y = softmax(s) v:  dv = softmax^T dy,  dsoftmax = dy v^T,  ds = softmax (dsoftmax - row sum of
            # softmax dsoftmax), which is 0 for padded keys, as softmax is. For padded queries `split` makes dz 0.
            dz = split(through("output", heads, dy, grad))
            dv = attention.swapaxes(-1, -2) @ dz
            ds = dz @ v.swapaxes(-1, -2)
            ds -= (ds * attention).sum(axis=-1, keepdims=True)
            ds *= attention
            ds *= scale
            parts = zip(PROJECTIONS, (ds @ k, ds.swapaxes(-1, -2) @ q, dv), strict=False)
            return sum(through(name, x, joined(d), grad) for name, d in parts)

        def through(name: str, x: Array, dy: Array, grad: Tree) -> Array:
            """The backward pass of y = x W + b."""
            grad[name]["W"][...] = x.swapaxes(-1, -2) @ dy
            dy.sum(axis=-2, keepdims=True, out=grad[name]["b"])
            return dy @ p[name]["W"].swapaxes(-1, -2)

        return heads @ p["output"]["W"] + p["output"]["b"], backward


def softmax(scores: Array) -> Array:
    """Return exp(scores), divided by its sum over the last axis, written over `scores`."""
    scores -= scores.max(axis=-1, keepdims=True)
    array_module(scores).exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


class MeanOverTokens(Parameterless):
    """y = the mean of a sentence's tokens.     x (T, N, C), for the N tokens of B sentences   y (T, B, C)

    A sentence without any token gives 0. Without `tokens`, all N are one sentence.
    """

    def forward(
        self, p: Tree, x: Array, step: TrainingStep | None = None, tokens: Tokens | None = None
    ) -> tuple[Array, Backward]:
        tokens = tokens or one_sentence(x)
        share = tokens.real.astype(x.dtype)
        share = (share / array_module(x).maximum(share.sum(axis=-1, keepdims=True), 1))[:, None]  # (B, 1, L)

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array:
            return tokens.taken(share.swapaxes(-1, -2) * dy[:, :, None])

        return (share @ tokens.placed(x))[:, :, 0], backward
