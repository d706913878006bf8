"""A dataset as three splits of images in uint8, made floats batch by batch, or of words or other numbers."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np

from npticket.backend import Array, Dtype, array_module, to_device
from npticket.datasets.lazy import Lazy
from npticket.reading import shown
from npticket.streams import stream

Scale = float | tuple[float, ...] | np.ndarray
SPLITS = ("train", "validation", "test")
LONGEST = 500  # characters of what is said of data beside every result
SAMPLE = 1000  # training examples, at most, that an engine may look at before it begins


class DataError(ValueError):
    """Data that is missing, damaged or not what was asked for; the message says which and what to do."""


@dataclass(frozen=True)
class Split:
    """Examples: inputs (N, ...), images as uint8, words as uint16; targets (N, ...), classes as integers (N,)

    Lists, data frames, tensors and files mapped into memory become arrays, without a copy where that is possible;
    inputs may be `Lazy`. DataError for what does not have a number in each place, as NumPy's masked arrays.
    """

    inputs: Array
    targets: Array

    def __post_init__(self) -> None:
        for name in ("inputs", "targets"):
            object.__setattr__(self, name, _array(name, getattr(self, name)))

    def __len__(self) -> int:
        return len(self.targets)

    def __repr__(self) -> str:
        return f"Split({len(self)} inputs of shape {self.inputs.shape[1:]})"

    def take(self, index: Array) -> "Split":
        lazy = isinstance(self.inputs, Lazy)
        return Split(self.inputs.chosen(index) if lazy else self.inputs[index], self.targets[index])


@dataclass(frozen=True)
class Dataset:
    """Train, validation and test splits; a uint8 pixel p enters the network as p * scale + shift, a float as it is.

    `scale` and `shift` are numbers, or tuples with one for each channel, or arrays with one for each part of an input.

    Inputs in uint16 are indices of things, such as words: they stay integers.

    `classes` is the number of classes if targets are integers from 0 to classes - 1, None for other targets; `source`
    is where the data came from; `caveat` a phrase that every table and figure must show, "" for the original data.
    DataError if inputs and targets do not fit each other, are empty or have values that are not allowed.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int | None
    source: str
    caveat: str = ""
    scale: Scale = 1 / 255
    shift: Scale = 0.0

    def __post_init__(self) -> None:
        for what in ("name", "source", "caveat"):
            if not (text := getattr(self, what)).isprintable() or (len(text) > LONGEST and what != "source"):
                at_most = "" if what == "source" else f"at most {LONGEST} "
                raise DataError(f"the {what} of data is {at_most}printable characters, got {shown(text)}")
        for what in SPLITS:
            _check(f"{self.name} {what}", getattr(self, what), self.classes)
        shapes = {what: getattr(self, what).inputs.shape[1:] for what in SPLITS}
        if len(set(shapes.values())) != 1:
            raise DataError(f"{self.name} has inputs of different shapes: {shapes}")
        types = {what: getattr(self, what).inputs.dtype for what in SPLITS}
        if len({"floats" if dtype.kind == "f" else str(dtype) for dtype in types.values()}) != 1:
            said = ", ".join(f"{what} {dtype}" for what, dtype in types.items())
            raise DataError(f"{self.name} has inputs of different types, of which only uint8 is scaled: {said}")

    def to(self, xp: ModuleType) -> "Dataset":
        """The same data, and several scales and shifts, as arrays of module `xp`."""
        scale, shift = (_changed(value, lambda several: to_device(several, xp)) for value in (self.scale, self.shift))
        data = replace(self, scale=scale, shift=shift)
        return data._each(lambda split: Split(to_device(split.inputs, xp), to_device(split.targets, xp)))

    def prepared(self, prepare: Callable[[Array], Array]) -> "Dataset":
        """Return the same data with all inputs as `prepare` returns them, and scale and shift in their order."""
        shape = self.train.inputs.shape[1:]

        def changed(inputs: Array) -> Array:
            return inputs.prepared(prepare) if isinstance(inputs, Lazy) else prepare(inputs)

        def spread(several: Array) -> Array:
            return prepare(array_module(several).broadcast_to(several, (1, *shape)))[0]

        data = replace(self, scale=_changed(self.scale, spread), shift=_changed(self.shift, spread))
        return data._each(lambda split: Split(changed(split.inputs), split.targets))

    def floats(self, inputs: Array, dtype: Dtype) -> Array:
        """Turn some inputs (..., *shape) into what the network is shown: uint8 scaled and shifted, uint16 as it is."""
        inputs = inputs[:] if isinstance(inputs, Lazy) else inputs
        if inputs.dtype.kind == "f":
            return inputs.astype(dtype)
        if inputs.dtype == np.uint16:
            return inputs
        x = inputs.astype(dtype)  # faster than a product of two types
        x *= _changed(self.scale, lambda several: several.astype(dtype))
        if not isinstance(self.shift, float | int) or self.shift:
            x += _changed(self.shift, lambda several: several.astype(dtype))
        return x

    def sample(self, dtype: Dtype) -> Array | None:
        """Return some training inputs as floats (N, ...), the last two being the maximum and the minimum of all.

        So a pixel that is 0 in these is 0 in every training input. None if inputs are lazy, as all would have to be
        read.
        """
        inputs, xp = self.train.inputs, array_module(self.train.inputs)
        if isinstance(inputs, Lazy):
            return None
        some = inputs[:: len(inputs) // SAMPLE + 1], inputs.max(axis=0)[None], inputs.min(axis=0)[None]
        return self.floats(xp.concatenate(some), dtype)

    def at_most(self, most: int) -> "Dataset":
        """The same data with at most so many examples of each split, drawn once for ever; with all if `most` is 0."""

        def some(split: Split) -> Split:
            if not 0 < most < len(split):
                return split
            chosen = np.sort(stream(0, 0, "evaluated").permutation(len(split))[:most])
            return split.take(to_device(chosen, array_module(split.inputs)))

        return self._each(some)

    def _each(self, change: Callable[[Split], Split]) -> "Dataset":
        return replace(self, train=change(self.train), validation=change(self.validation), test=change(self.test))


def split_off(data: Split, count: int, seed: int) -> tuple[Split, Split]:
    """Return (rest, `count` randomly chosen examples), each in the original order; the choice is a function of seed."""
    if not 0 < count < len(data):
        raise DataError(f"cannot set aside {count} of {len(data)} examples")
    chosen = np.zeros(len(data), bool)
    chosen[stream(seed, 0, "split").permutation(len(data))[:count]] = True
    return data.take(~chosen), data.take(chosen)


def _changed(value: Scale, change: Callable[[Array], Array]) -> Scale:
    """Return a number as it is, several as an array that is changed."""
    if isinstance(value, float | int):
        return value
    return change(np.asarray(value) if isinstance(value, tuple | list) else value)


def _array(name: str, values: Array) -> Array:
    """An array of numbers from lists, data frames and the like; arrays are returned as they are."""
    with suppress(TypeError):
        array_module(values)
        return values
    if isinstance(values, np.ma.MaskedArray):
        raise DataError(f"the {name} are a masked array, and a network needs a number in each place: fill it "
                        "(a.filled(...)), or leave the masked examples out")  # fmt: skip
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # uneven lists; tensors elsewhere than in the main memory
        raise DataError(f"the {name} are no array, and cannot be made one: {error}") from error
    if array.dtype.kind not in "biuf":
        raise DataError(f"the {name} are {type(values).__name__} of {array.dtype}, expected an array of numbers")
    return array


def _check(what: str, split: Split, classes: int | None) -> None:
    inputs, targets = split.inputs, split.targets
    xp = array_module(inputs, targets)
    if inputs.ndim < 2 or len(inputs) != len(targets) or (classes is not None and targets.ndim != 1):
        shapes = f"{inputs.shape} inputs do not go with {targets.shape} targets"
        raise DataError(f"{what}: {shapes}; expected (N, ...) and (N,)")
    if not len(targets):
        raise DataError(f"{what} is empty")
    if classes is not None:
        if targets.dtype.kind not in "iu":
            raise DataError(f"{what}: labels are {targets.dtype}, expected integers")
        if targets.min() < 0 or targets.max() >= classes:
            raise DataError(f"{what}: labels run from {targets.min()} to {targets.max()}, expected 0 to {classes - 1}")
    if inputs.dtype.kind == "f":
        if not xp.isfinite(inputs).all():
            raise DataError(f"{what}: there are inputs with NaN or infinite numbers, or too large for {inputs.dtype}")
    elif inputs.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{what}: inputs are {inputs.dtype}, expected uint8 or floating point: take .astype(np.uint8) "
                        "of pixels from 0 to 255, .astype(np.float32) of other numbers, uint16 of words")  # fmt: skip
