"""The encoder of BERT (Devlin et al. 2019; Vaswani et al. 2017, Figure 1, left): sentences to vectors, or to classes.

Sentences are numbers of word pieces (T, B, L), padded with 0 to one length. Everything after the tables has the shape
(T, N, C), a row for each of the N tokens that are not padding: nothing is computed for padding.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from npticket.backend import Array, array_module, to_host
from npticket.layers import (
    GELU,
    Chain,
    Dense,
    Embedding,
    LayerNorm,
    MeanOverTokens,
    SelfAttention,
    Tokens,
)
from npticket.layers.compose import joined
from npticket.layers.embedding import STD
from npticket.params import Tree
from npticket.protocols import Backward, Layer
from npticket.reading import shown
from npticket.streams import TrainingStep

MOST_LAYERS = 1_000


@dataclass(frozen=True)
class Sizes:
    """How large an encoder is; by default as paraphrase-MiniLM-L3-v2.

    `pieces` are the rows of the table of word pieces, `size` the features C, `inner` the units of a block's hidden
    layer, `length` the most tokens of a sentence, `eps` that of LayerNorm. ValueError for sizes that no encoder has.
    """

    pieces: int
    size: int = 384
    layers: int = 3
    heads: int = 12
    inner: int = 1536
    length: int = 512
    eps: float = 1e-12

    def __post_init__(self) -> None:
        for name in ("pieces", "size", "layers", "heads", "inner", "length"):
            if not isinstance(value := getattr(self, name), int | np.integer) or value is True or value < 1:
                raise ValueError(f"an encoder's {name} must be an integer of at least 1, got {shown(value)}")
        if self.layers > MOST_LAYERS:
            raise ValueError(f"an encoder has at most {MOST_LAYERS:,} layers, got {self.layers:,}")
        if self.size % self.heads:
            raise ValueError(f"an encoder's size is a multiple of its heads, got {self.size:,} and {self.heads:,}")
        if not isinstance(self.eps, float | int) or not 0 < self.eps < 1:
            raise ValueError(f"an encoder's eps must be a number between 0 and 1, got {shown(self.eps)}")


class Parts:
    """Named layers, with their layout and initial values; classes derived from it say how they are connected."""

    def __init__(self, **parts: Layer) -> None:
        self.parts = parts
        self.layout = joined({name: part.layout for name, part in parts.items()})

    def init(self, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
        return joined({name: part.init(rng) for name, part in self.parts.items()})


class Block(Parts):
    """h = norm(x + attention(x)), y = norm(h + feed(h)), feed being dense, GELU, dense.     x, y (T, N, C)"""

    def __init__(self, sizes: Sizes) -> None:
        self.attention = SelfAttention(sizes.size, sizes.heads, STD)
        self.norms = LayerNorm(sizes.size, sizes.eps), LayerNorm(sizes.size, sizes.eps)
        self.feed = Chain(
            inner=Dense(sizes.size, sizes.inner, STD), gelu=GELU(), outer=Dense(sizes.inner, sizes.size, STD)
        )
        super().__init__(
            attention=self.attention, attention_norm=self.norms[0], feed=self.feed, feed_norm=self.norms[1]
        )

    def forward(
        self, p: Tree, x: Array, step: TrainingStep | None = None, tokens: Tokens | None = None
    ) -> tuple[Array, Backward]:
        looked, attention_back = self.attention.forward(p["attention"], x, step, tokens)
        h, first_back = self.norms[0].forward(p["attention_norm"], x + looked)
        fed, feed_back = self.feed.forward(p["feed"], h, step)
        y, second_back = self.norms[1].forward(p["feed_norm"], h + fed)

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array:
            dh = second_back(dy, grad["feed_norm"])
            dh = dh + feed_back(dh, grad["feed"])
            dx = first_back(dh, grad["attention_norm"])
            return dx + attention_back(dx, grad["attention"])

        return y, backward


class Encoder(Parts):
    """Embeddings of words and positions, added and normalised; `layers` blocks; the mean over tokens; a dense layer.

    x (T or 1, B, L) integers, 0 for padding   y (T, B, outputs), or without `outputs` the means (T, B, C)

    Trials that see different sentences, x of T rows, are computed one by one, as their numbers of tokens differ.
    """

    def __init__(self, sizes: Sizes, outputs: int | None = None) -> None:
        self.words = Embedding(sizes.pieces, sizes.size, STD)
        self.positions, self.norm = Embedding(sizes.length, sizes.size, STD), LayerNorm(sizes.size, sizes.eps)
        self.blocks = {f"layer{i}": Block(sizes) for i in range(sizes.layers)}
        self.mean, self.out = MeanOverTokens(), Dense(sizes.size, outputs, STD) if outputs else None
        last = {"out": self.out} if self.out else {}
        super().__init__(words=self.words, positions=self.positions, norm=self.norm, **self.blocks, **last)

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        if len(x) == 1:
            return self._together(p, x, step)
        parts = [self._together(_trial(p, t), x[t : t + 1], step) for t in range(len(x))]

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> None:
            for t, (_, part_backward) in enumerate(parts):
                part_backward(dy[t : t + 1], _trial(grad, t))

        return array_module(x).concatenate([y for y, _ in parts]), backward

    def _together(self, p: Tree, x: Array, step: TrainingStep | None) -> tuple[Array, Backward]:
        filled = np.flatnonzero(to_host(x.any(axis=(0, 1))))
        length = int(filled[-1]) + 1 if filled.size else 1  # up to the last that is no padding
        x = x[0, :, :length]
        tokens = Tokens(x != 0)
        words, words_back = self.words.forward(p["words"], x.reshape(1, -1)[:, tokens.indices])
        positions, positions_back = self.positions.forward(p["positions"], tokens.indices[None] % x.shape[1])
        y, norm_back = self.norm.forward(p["norm"], words + positions)
        backs = []
        for name, block in self.blocks.items():
            y, back = block.forward(p[name], y, step, tokens)
            backs.append((name, back))
        y, mean_back = self.mean.forward({}, y, step, tokens)
        out_back = None
        if self.out is not None:
            y, out_back = self.out.forward(p["out"], y, step)

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> None:
            dy = mean_back(dy if out_back is None else out_back(dy, grad["out"]), {})
            while backs:  # each cache dies as soon as it was used
                name, back = backs.pop()
                dy = back(dy, grad[name])
            dy = norm_back(dy, grad["norm"])
            positions_back(dy, grad["positions"])
            words_back(dy, grad["words"])

        return y, backward


def _trial(tree: Tree, t: int) -> Tree:
    """Trial `t` alone."""
    return {name: _trial(part, t) if isinstance(part, Mapping) else part[t : t + 1] for name, part in tree.items()}
