"""Where survivors stand, as gaps between them of a few bits each (Han, Mao & Dally 2016, section 2, Figure 2)."""

import numpy as np


def to_gaps(alive: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return entries, survivors and fillers, of a mask (N,): how many zeros come before each, and which are fillers.

    A gap is below 2^bits. Where a survivor is further from the one before, fillers come between: each stands for one
    of the zeros, after the most that a gap can say, and so for 2^bits of them. Nothing follows the last survivor.
    """
    zeros = np.diff(np.flatnonzero(alive), prepend=-1) - 1
    fillers = zeros >> bits
    last = np.cumsum(fillers + 1) - 1  # where each survivor stands among the entries
    gaps, is_filler = np.full(len(zeros) + fillers.sum(), (1 << bits) - 1), np.ones(len(zeros) + fillers.sum(), bool)
    gaps[last], is_filler[last] = zeros & ((1 << bits) - 1), False
    return gaps, is_filler


def from_gaps(gaps: np.ndarray, is_filler: np.ndarray, size: int) -> np.ndarray:
    """Return where the survivors stand; ValueError if that is beyond `size`."""
    places = np.cumsum(gaps + 1) - 1
    if len(places) and places[-1] >= size:
        raise ValueError(f"there is an entry at {places[-1]:,}, beyond the {size:,} weights")
    return places[~is_filler]
