"""A dataset in files that several processes map into their memory, so that all share one copy and none can write."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from npticket.datasets.dataset import SPLITS, Dataset, Split


class Shared:
    """Stands for `data` wherever it is sent to; calling it gives the dataset, once per process.

    `folder` holds the arrays as long as anybody uses them.
    """

    def __init__(self, data: Dataset, folder: str | Path) -> None:
        self._folder = str(folder)
        self._rest = (data.name, data.classes, data.source, data.caveat, data.scale, data.shift)
        for name in SPLITS:
            for what in ("inputs", "targets"):
                np.save(Path(folder) / f"{name}-{what}.npy", getattr(getattr(data, name), what), allow_pickle=False)

    def __call__(self) -> Dataset:
        return _open(self._folder, self._rest)


@lru_cache(maxsize=1)
def _open(folder: str, rest: tuple) -> Dataset:
    def read(name: str) -> np.ndarray:
        return np.asarray(np.load(Path(folder) / f"{name}.npy", mmap_mode="r", allow_pickle=False))

    train, validation, test = (Split(read(f"{name}-inputs"), read(f"{name}-targets")) for name in SPLITS)
    name, *others = rest
    return Dataset(name, train, validation, test, *others)
