"""A dataset shared by processes on one machine: its arrays are files, which each process maps into memory."""

from pathlib import Path

import numpy as np

from npticket.backend import Array
from npticket.datasets.dataset import SPLITS, Dataset, Split
from npticket.datasets.lazy import Lazy

PARTS = ("inputs", "targets")


class Shared:
    """Writes `data` into `folder`; sent to another process and called there, it returns the dataset.

    A process maps the files into memory once. `Lazy` inputs are not written: they are read again in each process.
    """

    def __init__(self, data: Dataset, folder: str | Path) -> None:
        self._folder = str(folder)
        self._rest = (data.name, data.classes, data.source, data.caveat, data.scale, data.shift)
        arrays = {f"{name}-{what}": getattr(getattr(data, name), what) for name in SPLITS for what in PARTS}
        self._lazy = {name: array for name, array in arrays.items() if isinstance(array, Lazy)}
        for name in arrays.keys() - self._lazy:
            np.save(Path(folder) / f"{name}.npy", arrays[name], allow_pickle=False)

    def __call__(self) -> Dataset:
        if self._folder not in _mapped:
            _mapped.clear()
            train, validation, test = (Split(*(self._read(f"{name}-{what}") for what in PARTS)) for name in SPLITS)
            _mapped[self._folder] = Dataset(self._rest[0], train, validation, test, *self._rest[1:])
        return _mapped[self._folder]

    def _read(self, name: str) -> Array:
        there, path = self._lazy.get(name), Path(self._folder) / f"{name}.npy"
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False)) if there is None else there


_mapped: dict[str, Dataset] = {}  # by folder, the last one alone
