"""The IDX format of MNIST: two zero bytes, type 0x08, number of axes, big-endian sizes, then the bytes themselves."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from npticket.datasets.dataset import DataError


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """Return the uint8 array in an IDX file, raw or gzipped (.gz); DataError says what is wrong with the file."""
    raw = path.read_bytes()
    if path.suffix == ".gz":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path} is not a complete gzip file ({error}); delete it and fetch it again") from error
    if len(raw) < 4 * (1 + ndim):
        raise DataError(f"{path} is cut off: {len(raw)} bytes do not even hold the header")
    expected = bytes([0, 0, 8, ndim])
    if raw[:4] != expected:
        raise DataError(
            f"{path} starts with {raw[:4].hex()}, an IDX file of {ndim}-d bytes with {expected.hex()}: "
            "is it another file, or (1f8b) gzipped without the ending .gz?"
        )
    shape = tuple(np.frombuffer(raw, ">i4", ndim, offset=4))
    size = int(np.prod(shape, dtype=np.int64))
    body = len(raw) - 4 * (1 + ndim)
    if body != size:
        raise DataError(
            f"{path} announces {'x'.join(map(str, shape))} = {size} bytes and holds {body}; "
            "delete it and fetch it again"
        )
    return np.frombuffer(raw, np.uint8, offset=4 * (1 + ndim)).reshape(shape)
