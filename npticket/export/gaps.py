"""Where survivors stand, as gaps between them of a few bits each (Han, Mao & Dally 2016, section 2, Figure 2)."""

import numpy as np


def to_gaps(alive: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the gap before each entry, and which entries are fillers, for a mask (N,).

    An entry is a survivor or a filler; its gap is the number of zeros between it and the entry before, below 2^bits.
    Where survivors are further apart, fillers come between them: each is one of the zeros, with the largest gap before
    it, and so takes up 2^bits zeros. There is no entry after the last survivor.
    """
    zeros = np.diff(np.flatnonzero(alive), prepend=-1) - 1
    fillers = zeros >> bits
    last = np.cumsum(fillers + 1) - 1  # where each survivor stands among the entries
    gaps, is_filler = np.full(len(zeros) + fillers.sum(), (1 << bits) - 1), np.ones(len(zeros) + fillers.sum(), bool)
    gaps[last], is_filler[last] = zeros & ((1 << bits) - 1), False
    return gaps, is_filler


def from_gaps(gaps: np.ndarray, is_filler: np.ndarray, size: int) -> np.ndarray:
    """Return the survivors' places, from what `to_gaps` returned; ValueError if one is beyond `size`."""
    places = np.cumsum(gaps + 1) - 1
    if len(places) and places[-1] >= size:
        raise ValueError(f"there is an entry at {places[-1]:,}, beyond the {size:,} weights")
    return places[~is_filler]
