"""A trained ticket in a file of codes (Han, Mao & Dally 2016): shared values, gaps between survivors, Huffman codes.

    8 bytes that name the format and its version, 32 of SHA-256, 8 of a hash of the network's layout; then for each
    parameter (in brackets: bytes)

    weights    bits of a gap (1), number of entries (4), number of values in the codebook (2), whether there are
               fillers (1); the codebook (4 each); for the values, and then for the gaps: the length of each symbol's
               code (1 each), how many bytes of codes follow (4), and these
    others     values as they are (4 each)

Entries are survivors and fillers (see gaps.py), sorted by the unit that a weight leads to. As a symbol, a filler is
number n of a codebook of n values. A layer with more than MOST_SHARED different values, or that is smaller so, has no
codebook but the value of each entry (4), 0 for fillers. Numbers are little-endian.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from npticket.export.checks import check_ticket, check_weights_only
from npticket.export.gaps import from_gaps, to_gaps
from npticket.export.huffman import huffman_lengths
from npticket.export.sealed import MOST_TABLES, Lengths, Sealed, coded, seal, written
from npticket.params import Params
from npticket.protocols import Net
from npticket.reading import BROKEN, UnreadableError, reason

KIND, HEAD = b"nptcomp1", "<BIHB"
MOST_SHARED, MOST_GAP_BITS = 4096, 8


@dataclass(frozen=True)
class Size:
    """What a layer takes in a file. Of its `weights`, `kept` survive; with fillers these are `entries`.

    The codes of values and of gaps are counted in bits, tables and codebook in bytes.
    """

    weights: int
    kept: int
    entries: int
    value_bits: int
    gap_bits: int
    table_bytes: int

    @property
    def bytes(self) -> float:
        """All of it, in bytes."""
        return (self.value_bits + self.gap_bits) / 8 + self.table_bytes


@dataclass(frozen=True)
class Compressed:
    """The content of a file: parameters and masks of one trial, and what each layer with weights takes."""

    theta: Params
    masks: Params
    sizes: dict[str, Size]


def write_compressed(
    path: str | Path, net: Net, theta: Params, masks: Params, gap_bits: int = 5, lengths_of: Lengths = huffman_lengths
) -> None:
    """Write a trained ticket, T = 1. The file is small if the weights share a few values.

    A surviving weight that is 0 is read back as pruned. `gap_bits`, 0 to 8, is the number of bits of a gap before it is
    coded. `lengths_of` chooses the codes. ValueError for parameters that are not the network's, not float32 or not
    finite, and for masks that prune other parameters than weights.
    """
    check_ticket(net, theta, masks)
    check_weights_only(masks)
    if theta.flat.dtype != np.float32:
        raise ValueError(f"expected parameters in float32, got {theta.flat.dtype}: take "
                         "theta.like(theta.flat.astype(np.float32))")  # fmt: skip
    if not 0 <= gap_bits <= MOST_GAP_BITS:
        raise ValueError(f"gaps have 0 to {MOST_GAP_BITS} bits, got {gap_bits}")
    body = [written(theta.shapes)]
    for name in theta:
        values = by_unit(theta[name][0])
        if name in theta.weights:
            body.append(_layer(np.where(by_unit(masks[name][0]), values, 0), gap_bits, lengths_of))
        else:
            body.append(values.astype("<f4").tobytes())
    seal(path, KIND, b"".join(body))


def read_compressed(path: str | Path, net: Net) -> Compressed:
    """Read what `write_compressed` wrote, to the same bits; UnreadableError, naming the file, for anything else."""
    theta, sizes = Params.empty(net.body.layout, 1), dict[str, Size]()
    masks = theta.like(np.ones(theta.flat.shape, bool))
    file = Sealed(path, KIND, 12 * theta.flat.size + MOST_TABLES * len(theta))
    try:
        if file.take(8) != written(theta.shapes):
            raise ValueError("its parameters are others")
        for name in theta:
            if name in theta.weights:
                values, sizes[name] = _read_layer(file, theta[name].size)
                by_unit_back(masks[name][0], values != 0)
            else:
                values = file.array("<f4", theta[name].size)
            if not np.isfinite(values).all():
                raise ValueError(f"{name} is not finite")
            by_unit_back(theta[name][0], values)
        file.end()
    except BROKEN as error:
        raise UnreadableError(f"{path} is no compressed {net.name}: {reason(error, path)}") from error
    return Compressed(theta, masks, sizes)


def by_unit(array: np.ndarray) -> np.ndarray:
    """Return a parameter's values (N,) sorted by the unit or filter that they lead to, which is the last axis of W."""
    return np.moveaxis(array, -1, 0).ravel()


def by_unit_back(out: np.ndarray, values: np.ndarray) -> None:
    """Write values (N,) in the order of `by_unit` into an array in its own order."""
    turned = np.moveaxis(out, -1, 0)
    turned[...] = values.reshape(turned.shape)


def _layer(values: np.ndarray, gap_bits: int, lengths_of: Lengths) -> bytes:
    """A layer of weights (N,), 0 where there is none: with a codebook, or without where that is smaller."""
    alive = values != 0
    gap_bits = 0 if alive.all() else gap_bits
    gaps, is_filler = to_gaps(alive, gap_bits)
    codebook, codes = np.unique(values[alive], return_inverse=True)
    entries, fillers = np.zeros(len(gaps), "<f4"), int(is_filler.any())
    entries[~is_filler] = values[alive]
    shared, content = 0, entries.tobytes()
    if 0 < len(codebook) <= MOST_SHARED:
        symbols = np.full(len(gaps), len(codebook))
        symbols[~is_filler] = codes
        with_codebook = codebook.astype("<f4").tobytes() + coded(symbols, len(codebook) + fillers, lengths_of)
        if len(with_codebook) < len(content):
            shared, content = len(codebook), with_codebook
    head = struct.pack(HEAD, gap_bits, len(gaps), shared, fillers)
    return head + content + (coded(gaps, 1 << gap_bits, lengths_of) if len(gaps) else b"")


def _read_layer(file: Sealed, size: int) -> tuple[np.ndarray, Size]:
    """The weights of a layer (N,), and what they take."""
    begin, values = file.at, np.zeros(size, np.float32)
    gap_bits, entries, shared, fillers = file.numbers(HEAD)
    if gap_bits > MOST_GAP_BITS or entries > size or shared > MOST_SHARED or fillers > 1:
        raise ValueError(f"{entries:,} entries, {shared:,} values, {gap_bits} bits a gap do not suit {size:,} weights")
    if not entries:
        return values, Size(size, 0, 0, 0, 0, file.at - begin)
    if shared:
        codebook = np.append(file.array("<f4", shared), np.zeros(fillers, np.float32))
        symbols, value_bits = file.symbols(entries, shared + fillers)
        found = codebook[symbols]
    else:
        found, value_bits = file.array("<f4", entries), 32 * entries
    gaps, codes = file.symbols(entries, 1 << gap_bits)
    places = from_gaps(gaps, found == 0, size)
    values[places] = found[found != 0]
    tables = file.at - begin - -(-value_bits // 8) - -(-codes // 8)
    return values, Size(size, len(places), entries, value_bits, codes, tables)
