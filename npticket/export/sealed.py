"""Small binary files: 8 bytes that name the format and its version, the SHA-256 of the rest, numbers and codes."""

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
Lengths = Callable[[np.ndarray], np.ndarray]  # (how often each symbol occurs) -> the length of its code in bits


def seal(path: str | Path, kind: bytes, body: bytes) -> None:
    """Write a file that `Sealed` reads, at once, as files.write does; `kind`, of 8 bytes, is the format's name."""
    write(path, kind + sha256(kind + body).digest() + body)


def coded(symbols: np.ndarray, alphabet: int, lengths_of: Lengths) -> bytes:
    """Return symbols (N,), numbers below `alphabet`, as bytes: the lengths of codes, the number of bytes, the codes."""
    lengths = lengths_of(np.bincount(symbols, minlength=alphabet))
    bits = huffman.encode(symbols, lengths)
    return lengths.tobytes() + struct.pack("<I", len(bits)) + bits


def written(shapes: Shapes) -> bytes:
    """Return 8 bytes of a hash of parameters' names and shapes, by which a file shows to which network it belongs."""
    return sha256(repr([(name, tuple(shape)) for name, shape in shapes.items()]).encode()).digest()[:8]


class Sealed:
    """Reads a file that `seal` wrote, piece by piece; `at` is how many bytes were taken.

    `most` is the largest size of its body in bytes. UnreadableError if it is larger, of another kind, or was changed.
    """

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
        """Take the numbers of a format of `struct`."""
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def array(self, dtype: Dtype, count: int) -> np.ndarray:
        """Take an array (count,), which cannot be written to."""
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize), dtype)

    def symbols(self, count: int, alphabet: int) -> tuple[np.ndarray, int]:
        """Take `count` symbols that `coded` wrote; return them (count,), and how many bits their codes have in all."""
        lengths = self.array(np.uint8, alphabet)
        found = huffman.decode(self.take(*self.numbers("<I")), count, lengths)
        return found, int(lengths[found].sum(dtype=np.int64))

    def end(self) -> None:
        """Raise ValueError unless all was taken."""
        if self.at < len(self._body):
            raise ValueError(f"there are {len(self._body) - self.at:,} bytes too many")
