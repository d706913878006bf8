"""Huffman codes and gaps: prefix-free, as short as can be, and back to the same symbols, or refused."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npticket.export import huffman
from npticket.export.gaps import from_gaps, to_gaps
from npticket.export.huffman import LONGEST, check_lengths, decode, encode, fixed_lengths, huffman_lengths

counts = st.lists(st.one_of(st.integers(0, 5), st.integers(0, 10**6)), min_size=2, max_size=40).filter(any)
symbols = st.integers(1, 20).flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n - 1), min_size=1, max_size=200))
)


def texts(lengths):
    """The canonical code of each symbol as a text of bits, by counting."""
    code, last, found = 0, 0, {}
    for size, symbol in sorted((size, symbol) for symbol, size in enumerate(lengths.tolist()) if size):
        code = code << (size - last)
        found[symbol], last, code = f"{code:0{size}b}", size, code + 1
    return found


@given(counts)
def test_codes_are_prefix_free_and_within_one_bit_of_the_entropy(counts):
    counts = np.array(counts)
    lengths = huffman_lengths(counts)
    assert ((lengths > 0) == (counts > 0)).all()
    codes = sorted(texts(lengths).values())
    assert not any(other.startswith(one) for one, other in pairwise(codes))
    p = counts[counts > 0] / counts.sum()
    entropy, mean = -(p * np.log2(p)).sum(), (counts * lengths).sum() / counts.sum()
    assert entropy - 1e-9 <= mean < entropy + 1 or (len(p) == 1 and mean == 1)


@given(st.lists(st.integers(1, 50), min_size=2, max_size=7))
def test_no_prefix_free_code_is_shorter(counts):
    """Against all lengths that Kraft's inequality allows."""
    best = {}

    def shortest(i, room, most):
        if i == len(counts):
            return 0
        if (i, room) not in best:
            options = (counts[i] * n + shortest(i + 1, room - 2.0**-n, most) for n in range(1, most) if 2.0**-n <= room)
            best[i, room] = min(options, default=np.inf)
        return best[i, room]

    assert (huffman_lengths(np.array(counts)) * np.array(counts)).sum() == shortest(0, 1.0, len(counts) + 1)


def test_a_code_by_hand():
    lengths = huffman_lengths(np.array([5, 1, 0, 1, 2]))  # 1 + 1, then 2 + 2, then 4 + 5
    assert lengths.tolist() == [1, 3, 0, 3, 2]
    assert texts(lengths) == {0: "0", 4: "10", 1: "110", 3: "111"}
    assert encode(np.array([4, 0, 3, 1]), lengths) == bytes([0b10011111, 0b00000000])
    assert huffman_lengths(np.array([0, 7, 0])).tolist() == [0, 1, 0] and huffman_lengths(np.array([7])).tolist() == [0]
    assert fixed_lengths(np.zeros(5)).tolist() == [3] * 5


@given(symbols, st.sampled_from([huffman_lengths, fixed_lengths]))
def test_symbols_come_back(case, lengths_of):
    n, symbols = case
    lengths = lengths_of(np.bincount(symbols, minlength=n))
    data = encode(np.array(symbols), lengths)
    assert len(data) == -(-int(lengths[symbols].sum(dtype=int)) // 8)
    bits = "".join(texts(lengths)[s] for s in symbols) if n > 1 else ""
    assert "".join(f"{byte:08b}" for byte in data).startswith(bits)
    assert decode(data, len(symbols), lengths).tolist() == symbols


@given(symbols, st.binary(max_size=30), st.integers(0, 100))
def test_other_bits_are_other_symbols_or_refused(case, data, count):
    n, symbols = case
    lengths = huffman_lengths(np.bincount(symbols, minlength=n))
    try:
        found = decode(data, count, lengths)
    except ValueError:
        return
    assert encode(found, lengths) == data and len(found) == count


@given(symbols, st.integers(1, 9), st.binary(max_size=30), st.integers(0, 100))
def test_pieces_are_the_whole(case, piece, data, count):
    """Of codes up to 48 bits long, and of bits that are none."""
    n, symbols = case
    for lengths in (huffman_lengths(np.bincount(symbols, minlength=n)), np.minimum(np.arange(1, 2 * n + 1), LONGEST)):
        codes = encode(np.array(symbols), lengths) if n > 1 else b""
        for one in ((codes, len(symbols)), (data, count)):
            whole = outcome(*one, lengths)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(huffman, "PIECE", piece)
                assert outcome(*one, lengths) == whole


def outcome(data, count, lengths):
    try:
        return decode(data, count, lengths.astype(np.uint8)).tolist()
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("lengths", [[1, 1], [1, LONGEST, LONGEST]])
def test_more_bits_than_symbols_have_take_no_memory(lengths):
    """A megabyte for 200,000 symbols: refused, or read a piece at a time."""
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"8,000,000 bits (cannot be|are not) those of 200,000 symbols"):
        decode(bytes(10**6), 200_000, np.array(lengths, np.uint8))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 40e6


@pytest.mark.parametrize(
    ("lengths", "message"),
    [([], "lengths"), ([0, 0], "lengths"), ([1], "lengths"), ([1, LONGEST + 1], "lengths"), ([1, 1, 1], "too many"),
     ([1, 2, 3, 3, 48], "too many")],
)  # fmt: skip
def test_lengths_of_no_code_are_refused(lengths, message):
    with pytest.raises(ValueError, match=message):
        check_lengths(np.array(lengths, np.uint8))


@given(st.lists(st.booleans(), max_size=80), st.integers(0, 4))
def test_gaps_say_where_survivors_stand(alive, bits):
    """Entry by entry, as Figure 2 of the paper: a filler where a gap would be larger than its bits can say."""
    alive, expected, zeros = np.array(alive, bool), [], 0
    for one in alive:
        if one:
            expected.append((zeros, False))
            zeros = 0
        else:
            zeros += 1
            if zeros == 1 << bits:
                expected.append((zeros - 1, True))
                zeros = 0
    while expected and expected[-1][1]:  # nothing follows the last survivor
        expected.pop()
    gaps, is_filler = to_gaps(alive, bits)
    assert list(zip(gaps.tolist(), is_filler.tolist(), strict=True)) == expected
    assert from_gaps(gaps, is_filler, len(alive)).tolist() == np.flatnonzero(alive).tolist()
    if alive.any():
        with pytest.raises(ValueError, match="beyond"):
            from_gaps(gaps, is_filler, np.flatnonzero(alive)[-1])
