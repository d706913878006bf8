"""Memory that the layers of a network use in turn, so that it stays in the cache."""

import math
from collections import Counter

import numpy as np


class Scratch:
    """Named pieces of memory, each as large as the largest that was reserved or asked for under its name."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype
        self._sizes: Counter[str] = Counter()
        self._memory: dict[str, np.ndarray] = {}

    def reserve(self, **shapes: tuple[int, ...]) -> None:
        """Say what will be asked for: those who keep what they are given should all do so before the first asks."""
        self._sizes |= Counter({name: math.prod(shape) for name, shape in shapes.items()})

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The beginning of a piece of memory, of that shape; others may have written to it since the last time."""
        size = math.prod(shape)
        memory = self._memory.get(name)
        if memory is None or len(memory) < size:
            memory = self._memory[name] = np.empty(max(size, self._sizes[name]), self.dtype)
        return memory[:size].reshape(shape)
