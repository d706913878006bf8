"""Memory for arrays that are made once and used in every step."""

import math
from collections.abc import Sequence

import numpy as np

from npticket.backend import Dtype

LINE = 64  # bytes in a cache line


def aligned_zeros(shape: Sequence[int], dtype: Dtype) -> np.ndarray:
    """Return zeros that begin at a cache line; NumPy's own begin 16 or 32 bytes after one.

    With AVX-512 each load of a whole line from such an array would touch two lines: twice the time on some processors.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.zeros(size + LINE, np.uint8)
    begin = -memory.ctypes.data % LINE
    return memory[begin : begin + size].view(dtype).reshape(shape)
