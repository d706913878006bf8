"""A ticket for prediction: only what survives is kept, in a small file and in a form that is fast.

A file holds a bit per parameter, compressed, and the values of those that are not 0. There is no CSR form to predict
with: a multiplication in it takes NumPy a hundred times as long as BLAS takes in a dense matrix. `Grouped` pays.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np

from npticket.engine.living import dense_layers, living_units
from npticket.engine.products import groups, in_blocks
from npticket.export.checks import check_ticket
from npticket.files import writing
from npticket.params import Params
from npticket.protocols import Layer, Net
from npticket.reading import UnreadableError, read_npz

SPARSE = 0.026  # density of a matrix below which `Grouped` is faster than `Compact`, for a few examples and for many
DEAD_INPUTS = 0.15  # from this share of inputs without weights on, it pays to pick the other inputs out of a batch


class SparseNet:
    """f(x; kept * theta) for one trial: a dense network without its dead units; any other by its layers as they are."""

    def __init__(self, net: Net, theta: Params, kept: Params) -> None:
        self.net, self._kept = net, kept
        self._theta = theta.like(np.where(kept.flat, theta.flat, 0))
        self._stages = _stages(net.body, self._theta, kept) if dense_layers(net.body) else []
        self._chunk = min((product.chunk for product, _ in self._stages), default=Grouped.chunk)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return y (B, *output_shape).     x (B, *input_shape), as in training: see `Dataset.floats`

        These are floats, or tokens in uint16 for a network with an embedding. ValueError for another shape, TypeError
        for another type.
        """
        x = np.asarray(x)
        if x.shape[1:] != self.net.input_shape:
            shape = ", ".join(map(str, ("B", *self.net.input_shape)))
            raise ValueError(f"{self.net.name} takes inputs ({shape}), got {x.shape}")
        if x.dtype.kind != "f" and (self._stages or x.dtype != np.uint16):
            raise TypeError(f"inputs are {x.dtype}, expected what training takes: data.floats(inputs, dtype)")
        if not len(x):
            return np.empty((0, *self.net.output_shape), self._theta.flat.dtype)
        return np.concatenate([self._predict(x[i : i + self._chunk]) for i in range(0, len(x), self._chunk)])

    def save(self, path: str | Path) -> None:
        """Write a file that `load_sparse` reads, at once, as files.write does."""
        bits, values = np.packbits(self._kept.flat), self._theta.flat[self._kept.flat]
        with writing(path) as file:
            np.savez_compressed(file, layout=_layout(self.net), kept=bits, values=values, allow_pickle=False)

    def _predict(self, x: np.ndarray) -> np.ndarray:
        if not self._stages:
            return self.net.predict(self._theta, x[None])[0]
        h = x.reshape(len(x), -1)
        for i, (product, bias) in enumerate(self._stages):
            if i:
                np.maximum(h, np.zeros(h.shape[1], h.dtype), out=h)
            h = product(h)
            h += bias
        return h


class Compact:
    """x W for a dense matrix without the rows that are 0.     W (I, O)   x (B, I)"""

    chunk = 1000  # examples at a time, so that what is read and written stays in the cache

    def __init__(self, w: np.ndarray) -> None:
        alive = w.any(axis=1)
        self._inputs = np.flatnonzero(alive) if alive.mean() <= 1 - DEAD_INPUTS else None
        self._w = np.ascontiguousarray(w if self._inputs is None else w[self._inputs])
        self.order = np.arange(w.shape[1])

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return (x if self._inputs is None else x.take(self._inputs, axis=1)) @ self._w


class Grouped:
    """x W[:, order] for a sparse W (I, O), as a stack of small dense matrices: see engine.products.     x (B, I)"""

    chunk = 125  # fewer than above, as each input is gathered for several groups

    def __init__(self, w: np.ndarray) -> None:
        self.order, inputs = groups(w != 0)
        self._w = np.ascontiguousarray(in_blocks(w[:, self.order], inputs, 0).swapaxes(1, 2))
        self._inputs = np.minimum(inputs, len(w) - 1)  # what fills a group up has weights of 0, so any input will do

    def __call__(self, x: np.ndarray) -> np.ndarray:
        rows = np.ascontiguousarray(x.T)  # an input's values for the whole batch, which are gathered together
        product = self._w @ rows.take(self._inputs, axis=0)
        return product.reshape(-1, len(x))[: len(self.order)].T


def to_sparse(net: Net, theta: Params, masks: Params) -> SparseNet:
    """Return a ticket, trained or not, for prediction: f(x; masks * theta) for T = 1.

    ValueError or TypeError unless theta and masks are one trial's, of this network and finite.
    """
    check_ticket(net, theta, masks)
    kept = masks.like(masks.flat & (theta.flat != 0))
    if dense_layers(net.body):  # nothing is kept of units that cannot matter
        alive = living_units(net.body, theta, kept)
        for name, (before, after) in zip(dense_layers(net.body), pairwise(alive), strict=True):
            kept[f"{name}/W"][0] &= before[:, None] & after
            kept[f"{name}/b"][0] &= after
    return SparseNet(net, theta, kept)


def load_sparse(path: str | Path, net: Net) -> SparseNet:
    """Read a ticket of `net` that `SparseNet.save` wrote; UnreadableError, naming the file, if it is anything else."""
    size = (kept := Params.empty(net.body.layout, 1, bool)).flat.size
    found = read_npz(path, {"layout": np.array(_layout(net)).nbytes, "kept": size, "values": 8 * size})

    def need(holds: bool, what: str) -> None:
        if not holds:
            raise UnreadableError(f"{path} is not a sparse ticket of {net.name}: {what}")

    keys = {"layout", "kept", "values"}
    need(found.keys() == keys, f"it holds {sorted(found)}, expected {sorted(keys)}")
    layout, bits, values = found["layout"], found["kept"], found["values"]
    need(layout.dtype.kind == "U" and layout.tolist() == _layout(net), "its parameters are others")
    need(bits.dtype == np.uint8 and bits.shape == (-(-size // 8),), f"kept are not {size} packed bits")
    need(not np.unpackbits(bits)[size:].any(), f"kept have bits beyond {size}")
    kept.flat[0] = np.unpackbits(bits, count=size)
    count = np.count_nonzero(kept.flat)
    need(values.dtype in (np.float32, np.float64), f"values are {values.dtype}, expected float32 or float64")
    need(values.shape == (count,), f"there are {values.size} values for {count} parameters")
    need(bool(np.isfinite(values).all()), "there are values that are not finite")
    theta = kept.like(np.zeros(kept.flat.shape, values.dtype))
    theta.flat[kept.flat] = values
    return SparseNet(net, theta, kept)


def _stages(body: Layer, theta: Params, kept: Params) -> list[tuple[Compact | Grouped, np.ndarray]]:
    """Each layer of a dense network as a product and a bias, in an order of units that suits the products."""
    names, alive = dense_layers(body), living_units(body, theta, kept)
    order = np.arange(len(alive[0]))
    stages: list[tuple[Compact | Grouped, np.ndarray]] = []
    for name, after in zip(names, alive[1:], strict=True):
        units = np.flatnonzero(after)
        w = theta[f"{name}/W"][0][np.ix_(order, units)]
        is_sparse = np.count_nonzero(w) < SPARSE * w.any(axis=1).sum() * len(units)
        product = Grouped(w) if is_sparse and name != names[-1] else Compact(w)  # the outputs keep their order
        order = units[product.order]
        stages.append((product, theta[f"{name}/b"][0, 0][order]))
    return stages


def _layout(net: Net) -> list[str]:
    return [f"{name} {shape}" for name, shape in net.body.layout.items()]
