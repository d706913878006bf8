"""Embeddings: tables of which each row is a learned vector for a numbered thing, as a word or a position."""

from operator import index

import numpy as np

from npticket.backend import Array, array_module
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep

STD = 0.02  # of initial values, as BERT's (Devlin et al. 2019, released code)


class Embedding:
    """y[n] = table[x[n]].     table (T, V, C)   x (T or 1, N) integers from 0 to V - 1   y (T, N, C)

    x (1, N) is the same for all trials. x has no gradient, so this must be the first layer of a network. Tables start
    as N(0, std^2). They are not weights: pruning leaves them alone. ValueError for sizes below 1 and a std that is not
    positive.
    """

    def __init__(self, count: int, size: int, std: float = STD) -> None:
        count, size = index(count), index(size)
        if min(count, size) < 1:
            raise ValueError(f"an embedding needs at least one row of at least one number, got {count} of {size}")
        if not std > 0:
            raise ValueError(f"the standard deviation of initial values is positive, got {std}")
        self.layout, self.std = {"table": (count, size)}, std

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"table": rng.standard_normal(self.layout["table"]) * self.std}

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        table, xp = p["table"], array_module(p["table"], x)
        y = xp.stack([rows.take(x[t % len(x)], axis=0) for t, rows in enumerate(table)])

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> None:
            for t, rows in enumerate(grad["table"]):
                add_rows(x[t % len(x)], dy[t], out=rows)

        return y, backward


def add_rows(index: Array, rows: Array, out: Array) -> None:
    """Write into out[v] (V, C) the sum of the `rows` (N, C) whose `index` (N,) is v, and 0 where there is none.

    Equal indices are sorted together, and each run of them is added up in one order. `add.at` would be slow, and on a
    GPU it adds in an order that differs each time, and so do its roundings.
    """
    xp = array_module(index, rows, out)
    out[...] = 0
    if not index.size:
        return
    order = xp.argsort(index, kind="stable")
    numbers = index[order]
    starts = xp.flatnonzero(xp.concatenate([xp.ones(1, bool), numbers[1:] != numbers[:-1]]))
    out[numbers[starts]] = xp.add.reduceat(rows[order], starts, axis=0)
