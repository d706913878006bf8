"""A dataset in files that several processes map into their memory, so that all share one copy and none can write."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from npticket.datasets.dataset import Dataset, Split

SPLITS = ("train", "validation", "test")


class Shared:
    """Stands for `data` wherever it is sent to; calling it gives the dataset, once per process.

    `folder` holds the arrays as long as anybody uses them.
    """

    def __init__(self, data: Dataset, folder: str | Path) -> None:
        self._folder = str(folder)
        self._rest = (data.name, data.classes, data.source, data.caveat, data.scale, data.shift)
        for name in SPLITS:
            split = getattr(data, name)
            for what in ("inputs", "targets"):
                np.save(Path(folder) / f"{name}-{what}.npy", getattr(split, what), allow_pickle=False)

    def __call__(self) -> Dataset:
        return _open(self._folder, self._rest)


@lru_cache(maxsize=1)
def _open(folder: str, rest: tuple) -> Dataset:
    name, *others = rest
    train, validation, test = (
        Split(*(_map(Path(folder) / f"{split}-{what}.npy") for what in ("inputs", "targets"))) for split in SPLITS
    )
    return Dataset(name, train, validation, test, *others)


def _map(path: Path) -> np.ndarray:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
