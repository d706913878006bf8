"""Files of a few bytes: a name and version, the SHA-256 of all the rest, numbers and codes; read within bounds."""

import struct
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np

from npticket.backend import Dtype
from npticket.export import huffman
from npticket.files import write
from npticket.params import Shapes
from npticket.reading import UnreadableError, read_bytes

MOST_TABLES = 1 << 16  # bytes that the tables and sizes of a layer take, at most
Lengths = Callable[[np.ndarray], np.ndarray]  # of the codes of symbols, from how often each occurs


def seal(path: str | Path, kind: bytes, body: bytes) -> None:
    """Write a file that `Sealed` reads: complete, or what was there before stays. `kind` has 8 bytes."""
    write(path, kind + sha256(kind + body).digest() + body)


def coded(symbols: np.ndarray, alphabet: int, lengths_of: Lengths) -> bytes:
    """Return symbols (N,), below `alphabet`, as the lengths of their codes, how many bytes follow, and these."""
    lengths = lengths_of(np.bincount(symbols, minlength=alphabet))
    bits = huffman.encode(symbols, lengths)
    return lengths.tobytes() + struct.pack("<I", len(bits)) + bits


def written(shapes: Shapes) -> bytes:
    """Return names and shapes of parameters: what a network must have for a file to be about it."""
    return sha256(repr([(name, tuple(shape)) for name, shape in shapes.items()]).encode()).digest()[:8]


class Sealed:
    """A file that was sealed, from its beginning: nothing is taken that is not there. `at` is how far it was read."""

    def __init__(self, path: str | Path, kind: bytes, most: int) -> None:
        content = read_bytes(path, most + MOST_TABLES)
        said, check, self._body, self.at = content[:8], content[8:40], content[40:], 0
        if said != kind:
            raise UnreadableError(f"{path} begins with {said!r}, expected {kind!r}")
        if sha256(kind + self._body).digest() != check:
            raise UnreadableError(f"{path} was changed since it was written: its SHA-256 is another")

    def take(self, count: int) -> bytes:
        """Take so many bytes; ValueError if there are fewer."""
        if count > len(self._body) - self.at:
            raise ValueError(f"it ends after {len(self._body):,} bytes, {count:,} were expected from {self.at:,} on")
        self.at += count
        return self._body[self.at - count : self.at]

    def numbers(self, form: str) -> tuple[int, ...]:
        """Take numbers as `struct` says."""
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def array(self, dtype: Dtype, count: int) -> np.ndarray:
        """Take an array (count,)."""
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize), dtype)

    def symbols(self, count: int, alphabet: int) -> tuple[np.ndarray, int]:
        """Take what `coded` made of `count` symbols; return them, and how many bits their codes have."""
        lengths = self.array(np.uint8, alphabet)
        found = huffman.decode(self.take(*self.numbers("<I")), count, lengths)
        return found, int(lengths[found].sum(dtype=np.int64))

    def end(self) -> None:
        """Raise ValueError unless all was taken."""
        if self.at < len(self._body):
            raise ValueError(f"there are {len(self._body) - self.at:,} bytes too many")
