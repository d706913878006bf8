"""A ticket in a file: its mask, and instead of theta0 the seed that theta0 is a function of.

    8 bytes that name the format and its version, 32 of SHA-256, 8 of a hash of the network's layout; the seed (8), the
    trial (4); then for each parameter of weights EVERYTHING (1) if nothing is pruned; or the bits of a gap (1), the
    number of entries (4), the length of each symbol's code (1 each), how many bytes of codes follow (4), and these

(In brackets: bytes.) Entries are survivors and fillers, as in a compressed network; symbols are gaps, and one more for
a filler. Each layer has the number of bits for a gap that makes it smallest. The file holds no trained weights: to get
them, train again, with the same recipe and on the same machine for the same bits.
"""

import struct
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import numpy as np

from npticket.export.checks import check_weights_only
from npticket.export.compressed import MOST_GAP_BITS, by_unit, by_unit_back
from npticket.export.gaps import from_gaps, to_gaps
from npticket.export.huffman import huffman_lengths
from npticket.export.sealed import MOST_TABLES, Sealed, coded, seal, written
from npticket.params import Params, check_masks
from npticket.protocols import Net
from npticket.reading import BROKEN, UnreadableError, reason
from npticket.streams import streams
from npticket.tickets import rewind

KIND, EVERYTHING = b"nptseed1", 255


@dataclass(frozen=True)
class Ticket:
    """A ticket, T = 1: `start`, the initial values under `masks`, and the seed and the trial that they come from."""

    seed: int
    trial: int
    start: Params
    masks: Params


def write_ticket(path: str | Path, net: Net, seed: int, trial: int, masks: Params) -> None:
    """Write the ticket of a trial, T = 1, whose theta0 is `net.init(Place(seed, [trial]).rngs("init"))`.

    ValueError or TypeError for masks that are not the network's or prune other parameters than weights; ValueError for
    a seed or trial that is no integer from 0 on.
    """
    if masks.trials != 1:
        raise ValueError(f"one trial is exported at a time, got {masks.trials}: use masks.trial(t)")
    check_masks(Params.empty(net.body.layout, 1), masks)
    check_weights_only(masks)
    for what, number, below in (("seed", seed, 1 << 64), ("trial", trial, 1 << 32)):
        if not isinstance(number, Integral) or not 0 <= number < below:
            raise ValueError(f"the {what} must be an integer from 0 on, below {below}, got {number!r}")
    layers = (_layer(by_unit(masks[name][0])) for name in masks.weights)
    seal(path, KIND, written(masks.shapes) + struct.pack("<QI", seed, trial) + b"".join(layers))


def read_ticket(path: str | Path, net: Net) -> Ticket:
    """Read what `write_ticket` wrote, and draw theta0 again, to the same bits; UnreadableError for another file."""
    masks = Params.empty(net.body.layout, 1, bool)
    masks.flat[...] = True
    file = Sealed(path, KIND, 2 * masks.flat.size + MOST_TABLES * len(masks))
    try:
        if file.take(8) != written(masks.shapes):
            raise ValueError("its parameters are others")
        seed, trial = file.numbers("<QI")
        for name in masks.weights:
            by_unit_back(masks[name][0], _read_layer(file, masks[name].size))
        file.end()
    except BROKEN as error:
        raise UnreadableError(f"{path} is no ticket of {net.name}: {reason(error, path)}") from error
    return Ticket(seed, trial, rewind(net.init(streams(seed, [trial], "init")), masks), masks)


def _layer(alive: np.ndarray) -> bytes:
    """The bytes of a layer's mask (N,), with the number of bits for a gap that makes them fewest."""
    if alive.all():
        return bytes([EVERYTHING])
    return min((_in_gaps(alive, bits) for bits in range(MOST_GAP_BITS + 1)), key=len)


def _in_gaps(alive: np.ndarray, bits: int) -> bytes:
    gaps, is_filler = to_gaps(alive, bits)
    head = struct.pack("<BI", bits, len(gaps))
    return head + coded(gaps + is_filler, (1 << bits) + 1, huffman_lengths) if len(gaps) else head


def _read_layer(file: Sealed, size: int) -> np.ndarray:
    """The mask of a layer of `size` weights (N,)."""
    (bits,) = file.numbers("<B")
    if bits == EVERYTHING:
        return np.ones(size, bool)
    (entries,) = file.numbers("<I")
    if bits > MOST_GAP_BITS or entries > size:
        raise ValueError(f"{entries:,} entries, {bits} bits a gap, do not suit {size:,} weights")
    alive = np.zeros(size, bool)
    if entries:
        symbols, _ = file.symbols(entries, (1 << bits) + 1)
        is_filler = symbols == 1 << bits
        alive[from_gaps(symbols - is_filler, is_filler, size)] = True
    return alive
