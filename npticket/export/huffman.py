"""Canonical Huffman codes: their lengths from how often symbols occur (Huffman 1952), bits from symbols, and back.

A symbol that does not occur has no code: its length is 0. A canonical code follows from its lengths alone: codes of one
length are consecutive numbers in the order of symbols, and shorter ones come first. In an alphabet of one symbol codes
have no bits; if only one symbol of a larger alphabet occurs, its code has one.
"""

from heapq import heapify, heappop, heappush

import numpy as np

LONGEST = 48  # bits of a code: it takes more than 2^32 symbols to need that many
PIECE = 1 << 16  # bytes of codes that are decoded at a time, as each bit takes some 30 bytes of memory meanwhile


def huffman_lengths(counts: np.ndarray) -> np.ndarray:
    """Return the lengths of Huffman codes in bits, (A,) uint8: the fewest bits in all for these counts (A,)."""
    lengths = np.zeros(len(counts), np.uint8)
    used = np.flatnonzero(counts).tolist()
    if len(counts) > 1:
        lengths[used] = len(used) == 1
    heap = [(int(counts[symbol]), symbol, [symbol]) for symbol in used]
    heapify(heap)
    while len(heap) > 1:
        (one, first, left), (other, _, right) = heappop(heap), heappop(heap)
        lengths[left + right] += 1
        heappush(heap, (one + other, first, left + right))
    return lengths


def fixed_lengths(counts: np.ndarray) -> np.ndarray:
    """Return the same length for every symbol, (A,) uint8: that of plain binary numbers, whatever the counts."""
    return np.full(len(counts), (len(counts) - 1).bit_length(), np.uint8)


def encode(symbols: np.ndarray, lengths: np.ndarray) -> bytes:
    """Return the codes of symbols (N,) one after the other, with zeros up to the next byte."""
    code, size = _codes(lengths)[symbols], lengths[symbols].astype(np.int64)
    first = np.cumsum(size) - size
    bits = np.zeros(size.sum(), np.uint8)
    for i in range(int(lengths.max(initial=0))):
        there = size > i
        bits[first[there] + i] = code[there] >> (size[there] - 1 - i) & 1
    return np.packbits(bits).tobytes()


def decode(data: bytes, count: int, lengths: np.ndarray) -> np.ndarray:
    """Return the `count` symbols that `encode` wrote as `data`; ValueError for data or lengths that it cannot write."""
    check_lengths(lengths)
    if len(lengths) == 1:
        if data:
            raise ValueError("there are bits for an alphabet of one symbol")
        return np.zeros(count, np.int64)
    bits, used = 8 * len(data), lengths[lengths > 0]
    if not count * int(used.min()) <= bits < count * int(used.max()) + 8:  # checked before memory of `count` is made
        raise ValueError(f"{bits:,} bits cannot be those of {count:,} symbols")
    found, done, at = np.empty(count, np.int64), 0, 0
    while done < count:
        first = at // 8
        symbols, sizes = _begun(data[first : first + PIECE + LONGEST // 8], lengths)
        places, end = list[int](), min(8 * (first + PIECE), bits)
        while at < end and done + len(places) < count and sizes[at - 8 * first]:
            places.append(at - 8 * first)
            at += sizes[at - 8 * first]
        if not places:
            raise ValueError(f"there is no code at bit {at:,}")
        found[done : done + len(places)] = symbols[places]
        done += len(places)
    left = bits - at
    if not 0 <= left < 8 or (left and data[-1] & ((1 << left) - 1)):
        raise ValueError(f"{bits:,} bits are not those of {count:,} symbols")
    return found


def _begun(data: bytes, lengths: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """For each bit: the symbol whose code would begin there, and that code's length, 0 if none would."""
    bits, longest = np.unpackbits(np.frombuffer(data, np.uint8)), int(lengths.max())
    symbols, starts, ends = _intervals(lengths, longest)
    padded, window = np.append(bits, np.zeros(longest, np.uint8)), np.zeros(len(bits), np.int64)
    for i in range(longest):
        window = window << 1 | padded[i : i + len(bits)]
    codes = np.searchsorted(starts, window, side="right") - 1
    found = symbols[codes]
    return found, np.where(window < ends[codes], lengths[found], 0).tolist()


def check_lengths(lengths: np.ndarray) -> None:
    """Raise ValueError unless there is a prefix-free code of such lengths, by Kraft's inequality."""
    if not len(lengths) or (len(lengths) > 1) != bool(lengths.any()) or lengths.max() > LONGEST:
        raise ValueError(f"the {len(lengths)} lengths of codes are not from 1 to {LONGEST}")
    if len(lengths) > 1 and sum(1 << (LONGEST - size) for size in lengths.tolist() if size) > 1 << LONGEST:
        raise ValueError("there are too many short codes for a code without prefixes")


def _codes(lengths: np.ndarray) -> np.ndarray:
    """The codes of all symbols as numbers, (A,) int64."""
    codes, longest = np.zeros(len(lengths), np.int64), int(lengths.max(initial=0))
    symbols, starts, _ = _intervals(lengths, longest)
    codes[symbols] = starts >> (longest - lengths[symbols].astype(np.int64))
    return codes


def _intervals(lengths: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The symbols with codes in canonical order, and which numbers of `longest` bits begin with each: from, up to."""
    symbols = np.flatnonzero(lengths)
    symbols = symbols[np.argsort(lengths[symbols], kind="stable")]
    ends = np.cumsum(1 << (longest - lengths[symbols].astype(np.int64)))
    return symbols, np.append(0, ends)[: len(symbols)], ends
