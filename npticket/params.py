"""Parameters of T trials as one flat (T, P) array with named views into it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import NoReturn

import numpy as np

from npticket.backend import Array, Dtype, array_module, to_device, to_host

Shapes = Mapping[str, tuple[int, ...]]
Tree = Mapping[str, Array]  # parameters nested by layer, as layers take them: {"fc1": {"W": ..., "b": ...}}


class Params:
    """Named views into one flat array.    flat (T, P)    params["fc1/W"] (T, I, O)

    `shapes` maps each name, "layer/W", to its shape without the trials axis, in the order of the flat layout.
    The same class holds parameters, gradients, scores and (with dtype bool) masks. A view is never a copy:
    writing to `params["fc1/W"]` writes to `params.flat`. ValueError if `flat` has not the shape that `shapes` need.
    """

    def __init__(self, shapes: Shapes, flat: Array) -> None:
        sizes = [math.prod(shape) for shape in shapes.values()]
        if flat.ndim != 2 or flat.shape[1] != sum(sizes):
            raise ValueError(
                f"flat has shape {flat.shape}, the parameters need (trials, {sum(sizes)}): is the trials axis missing?"
            )
        self.shapes = dict(shapes)
        self.flat = flat
        self.tree: dict[str, Array] = {}  # the same views nested by layer, as the layers take them
        self._views: dict[str, Array] = {}
        start = 0
        for (name, shape), size in zip(self.shapes.items(), sizes, strict=True):
            view = flat[:, start : start + size].reshape(len(flat), *shape)
            self._views[name] = view
            *layers, local = name.split("/")
            node = self.tree
            for layer in layers:
                node = node.setdefault(layer, {})
            node[local] = view
            start += size

    @classmethod
    def empty(cls, shapes: Shapes, trials: int, dtype: Dtype = np.float32, xp: ModuleType = np) -> "Params":
        """Return Params of `trials` trials, of which no value has been set yet."""
        return cls(shapes, xp.empty((trials, sum(map(math.prod, shapes.values()))), dtype))

    def __getitem__(self, name: str) -> Array:
        try:
            return self._views[name]
        except KeyError:
            raise KeyError(f"no parameter {name!r}; there are {', '.join(self._views)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        return f"Params({self.trials} trials, {self.flat.shape[1]} each, {self.flat.dtype}: {', '.join(self)})"

    def __reduce__(self) -> tuple[type, tuple[Shapes, Array]]:
        """Copy and pickle names and flat array alone: a copy must make views into its own flat array."""
        return Params, (self.shapes, self.flat)

    def __array__(self, dtype: Dtype | None = None, copy: bool | None = None) -> NoReturn:
        """Refuse: NumPy would otherwise take the list of names for the values."""
        raise TypeError("Params are several arrays: name one of them, params['fc1/W'], or take all as params.flat")

    def __array_function__(self, *call: object) -> NoReturn:
        """Refuse here, too, for functions that keep the error to themselves: array_equal would say False."""
        self.__array__()

    @property
    def trials(self) -> int:
        """T, the number of independent networks."""
        return len(self.flat)

    @property
    def weights(self) -> list[str]:
        """Names of the weights: what pruning may touch and density counts. Biases and the like are not weights."""
        return [name for name in self if name.split("/")[-1] == "W"]

    @property
    def buffers(self) -> list[str]:
        """Names of what training changes but no optimizer does: the running statistics of batch normalisation."""
        return [name for name in self if name.split("/")[-1].startswith("running_")]

    def like(self, flat: Array) -> "Params":
        """Return Params with the same names and shapes over another flat array (T', P), which is not copied."""
        return Params(self.shapes, flat)

    def copy(self) -> "Params":
        """Return Params of the same values that share no memory with these."""
        return self.like(self.flat.copy())

    def to(self, xp: ModuleType) -> "Params":
        """Return the same values as an array of module `xp`; no copy if they are one already."""
        return self.like(to_host(self.flat) if xp is np else to_device(self.flat, xp))

    def trial(self, t: int) -> "Params":
        """Return row `t` (-1 is the last) alone, as Params with T = 1 that share memory with these."""
        if not -self.trials <= t < self.trials:
            raise IndexError(f"there is no trial {t}: these are parameters of {self.trials}, from 0 on")
        t %= self.trials
        return self.like(self.flat[t : t + 1])


def stack(parts: Sequence[Params]) -> Params:
    """Join Params along the trials axis, into new memory; ValueError unless they are laid out alike."""
    if wrong := next((part for part in parts if list(part.shapes.items()) != list(parts[0].shapes.items())), None):
        raise ValueError(f"only what is laid out alike can be joined, got {parts[0].shapes} and {wrong.shapes}")
    xp = array_module(*(part.flat for part in parts))
    return parts[0].like(xp.concatenate([part.flat for part in parts]))


def check_masks(params: Params, masks: Params) -> None:
    """Raise TypeError or ValueError, naming the parameter, unless `masks` are bool and laid out as `params` are.

    Running statistics, which the layers themselves move, cannot be pruned.
    """
    if not isinstance(masks, Params):
        raise TypeError(f"masks are {type(masks).__name__}, expected Params, as dense_masks(theta) makes them")
    if masks.flat.dtype != bool:
        raise TypeError(f"masks are {masks.flat.dtype}, expected bool: take masks.like(masks.flat != 0)")
    for name in params:
        shape = masks[name].shape if name in masks.shapes else None
        if shape != params[name].shape:
            raise ValueError(
                f"masks[{name!r}] has shape {shape}, the parameter has {params[name].shape}: "
                "is the trials axis missing?"
            )
    if list(masks) != list(params):  # in another order, flat arrays would not belong together
        names = f"there are masks for {', '.join(masks)}, and parameters {', '.join(params)}"
        raise ValueError(f"{names}: they must be the same, in the same order")
    if pruned := [name for name in masks.buffers if not masks[name].all()]:
        raise ValueError(f"running statistics cannot be pruned, and the masks of {', '.join(pruned)} do so")


def pack(masks: Params) -> np.ndarray:
    """Return the masks (1, P) of one trial as bits, eight to a byte: uint8 (ceil(P / 8),); or ValueError."""
    if masks.trials != 1:
        raise ValueError(f"masks of one trial are packed at a time, got those of {masks.trials}: take masks.trial(t)")
    return np.packbits(to_host(masks.flat)[0])


def unpack(bits: np.ndarray, params: Params) -> Params:
    """Return the masks (1, P) of one trial from the bits that `pack` made, laid out as `params` are; or ValueError."""
    if len(bits) != (count := -(-params.flat.shape[1] // 8)):
        raise ValueError(f"masks of {params.flat.shape[1]:,} parameters are {count:,} bytes, got {len(bits):,}")
    return params.like(np.unpackbits(bits, count=params.flat.shape[1]).astype(bool)[None])
