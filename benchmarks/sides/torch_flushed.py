"""PyTorch eager with subnormal numbers taken for 0.

Moments of weights that get no gradient decay to subnormal numbers, with which a processor is slow: some 800 steps after
the last gradient. PyTorch's switch sets the mode of the thread, and would make NumPy faster, too: it is on in this
side's calls alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from sides import torch_eager


@contextmanager
def flushed() -> Iterator[None]:
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


class Training(torch_eager.Training):
    """One network in training; see sides/__init__.py."""

    def step(self, given: torch.Tensor) -> torch.Tensor:
        with flushed():
            return super().step(given)

    def evaluate(self, *args: Any, **options: Any) -> tuple[float, float]:
        with flushed():
            return super().evaluate(*args, **options)
