"""Compressed networks and tickets' files: back to the same bits, as large as counted, and other files refused."""

import struct
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npticket import nets
from npticket.export import compressed, read_compressed, read_ticket, write_compressed, write_ticket
from npticket.export.huffman import fixed_lengths, huffman_lengths
from npticket.prune import dense_masks, density, prune_layerwise, random_scores
from npticket.reading import UnreadableError
from npticket.streams import streams
from npticket.testing.strategies import seeds
from npticket.tickets import rewind

NET, CONV = nets.lenet_300_100([5, 4]), nets.lenet_5((2, 3), 4)
rates = st.sampled_from([0, 0.3, 0.9, 0.97])
BODY = 40  # bytes before it


def pruned(net, rate, seed=0, values=0):
    """A ticket of which each layer has so many values, or all different ones."""
    theta0 = net.init(streams(seed, [0], "init"))
    masks = prune_layerwise(random_scores(theta0, [np.random.default_rng(seed)]), dense_masks(theta0),
                            dict.fromkeys(theta0.weights, rate))  # fmt: skip
    for name in theta0.weights if values else ():
        theta0[name][...] = np.random.default_rng(seed).integers(1, values + 1, theta0[name].shape) / 7 - 0.3
    theta0.flat[:, -1] = -0.0  # of a bias: every bit comes back
    return rewind(theta0, masks), masks


@settings(max_examples=40)
@given(st.sampled_from([NET, CONV]), rates, seeds, st.sampled_from([0, 1, 2, 30]), st.integers(0, 8),
       st.sampled_from([fixed_lengths, huffman_lengths]))  # fmt: skip
def test_it_comes_back_bit_for_bit(tmp_path_factory, net, rate, seed, values, gap_bits, lengths_of):
    theta, masks = pruned(net, rate, seed, values)
    path = tmp_path_factory.mktemp("compressed") / "c"
    write_compressed(path, net, theta, masks, gap_bits, lengths_of)
    back = read_compressed(path, net)
    assert back.theta.flat.tobytes() == theta.flat.tobytes()
    assert back.masks.flat.tobytes() == masks.flat.tobytes()
    others = sum(theta[name].nbytes for name in theta if name not in theta.weights)
    assert sum(-(-size.value_bits // 8) - (-size.gap_bits // 8) + size.table_bytes for size in back.sizes.values()) == (
        path.stat().st_size - BODY - 8 - others
    )
    for name, size in back.sizes.items():
        assert (size.weights, size.kept) == (theta[name].size, masks[name].sum())
        assert size.kept <= size.entries <= size.weights


def test_a_layer_by_hand(tmp_path):
    """Four units of ten inputs with 2 bits a gap: fillers after four zeros, values of fewer bits the more frequent."""
    net = nets.lenet_300_100([5, 4])
    theta, masks = pruned(net, 0)
    masks["out/W"][...] = False
    masks["out/W"][0, 0, [0, 1, 9]] = masks["out/W"][0, 3, 9] = True  # units' inputs: at 0, 4, 36 and 39 of 40
    theta["out/W"][...] = 0.5
    theta["out/W"][0, 0, 1] = -1
    write_compressed(tmp_path / "c", net, rewind(theta, masks), masks, 2)
    size = read_compressed(tmp_path / "c", net).sizes["out/W"]
    # 0 | 3 zeros, 4 | 31 zeros: 7 fillers of 4 and 3 more, 36 | 2 zeros, 39
    assert (size.kept, size.entries) == (4, 11)
    assert size.value_bits == 7 * 1 + 3 * 2 + 1 * 2  # fillers, 0.5, -1
    assert size.gap_bits == 9 * 1 + 2 * 2  # gaps of 3, one of 0 and one of 2
    assert size.table_bytes == 8 + 2 * 4 + 3 + 4 + 4 + 4  # head, codebook, lengths, counts of bytes
    assert size.bytes == (15 + 13) / 8 + size.table_bytes


def test_fewer_values_and_huffman_codes_make_it_smaller(tmp_path):
    sizes = []
    for values, lengths_of in ((0, fixed_lengths), (30, fixed_lengths), (30, huffman_lengths)):
        write_compressed(tmp_path / "c", NET, *pruned(NET, 0.9, values=values), 5, lengths_of)
        sizes.append((tmp_path / "c").stat().st_size)
    assert sizes[0] > 2 * sizes[1] and sizes[1] > sizes[2]
    assert sizes[0] < 0.2 * pruned(NET, 0.9)[0].flat.nbytes


@settings(max_examples=30)
@given(st.sampled_from([NET, CONV]), rates, st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))
def test_a_ticket_comes_back_from_seed_and_mask(tmp_path_factory, net, rate, seed, trial):
    theta0 = net.init(streams(seed, [trial], "init"))
    _, masks = pruned(net, rate, seed)
    path = tmp_path_factory.mktemp("ticket") / "t"
    write_ticket(path, net, seed, trial, masks)
    back = read_ticket(path, net)
    assert (back.seed, back.trial) == (seed, trial)
    assert back.start.flat.tobytes() == rewind(theta0, masks).flat.tobytes()
    assert back.masks.flat.tobytes() == masks.flat.tobytes()


@pytest.mark.parametrize(
    ("seed", "trial", "message"),
    [
        (-1, 0, "the seed must be an integer from 0 on"),
        (1 << 64, 0, "seed"),
        (0.5, 0, "seed"),
        (0, 1 << 32, "the trial"),
    ],
)
def test_a_seed_that_finds_no_place_is_refused(seed, trial, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_ticket(tmp_path / "t", NET, seed, trial, pruned(NET, 0.9)[1])
    assert not (tmp_path / "t").exists()


def test_a_random_mask_takes_little_more_than_its_entropy(tmp_path):
    net = nets.lenet_300_100()
    _, masks = pruned(net, 0.9)
    write_ticket(tmp_path / "t", net, 0, 0, masks)
    p = density(masks)[0]
    entropy = -266_200 * (p * np.log2(p) + (1 - p) * np.log2(1 - p)) / 8
    assert entropy < (tmp_path / "t").stat().st_size < 1.02 * entropy + 200


def files(tmp_path):
    """One of each kind, and how it is read."""
    theta, masks = pruned(NET, 0.9, values=6)
    write_compressed(tmp_path / "c", NET, theta, masks, 2)
    write_ticket(tmp_path / "t", NET, 3, 1, masks)
    return [(tmp_path / "c", read_compressed), (tmp_path / "t", read_ticket)]


def test_every_byte_is_under_the_checksum(tmp_path):
    for path, read in files(tmp_path):
        good = path.read_bytes()
        for i in [*range(60), *range(60, len(good), 17)]:
            path.write_bytes(good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :])
            with pytest.raises(UnreadableError, match=path.name):
                read(path, NET)
        for other in (b"", good[:-1], good + b"\0", good[:39]):
            path.write_bytes(other)
            with pytest.raises(UnreadableError, match=path.name):
                read(path, NET)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_was_sealed_by_others_is_read_within_bounds_or_refused(tmp_path_factory, data):
    """Sizes and tables are held against the network, not only against the checksum."""
    path, read = data.draw(st.sampled_from(files(tmp_path_factory.mktemp("mutated"))))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(BODY, len(content) - 1))] = data.draw(st.sampled_from([0, 1, 7, 254, 255]))
    body = bytes(content[BODY : data.draw(st.sampled_from([len(content), len(content) - 5, BODY + 12]))])
    path.write_bytes(content[:8] + sha256(content[:8] + body).digest() + body)
    try:
        back = read(path, NET)
    except UnreadableError as error:
        assert str(path) in str(error)
    else:
        assert np.isfinite(back.theta.flat if read is read_compressed else back.start.flat).all()


@pytest.mark.parametrize(
    ("at", "form", "value", "message"),
    [
        (BODY, "<Q", 0, "its parameters are others"),
        (BODY + 8, "<B", 9, "9 bits a gap do not suit 3,920 weights"),
        (BODY + 9, "<I", 2**32 - 1, "4,294,967,295 entries"),
        (BODY + 13, "<H", 65_535, "65,535 values"),
        (BODY + 16, "<f", np.inf, "fc1/W is not finite"),
        (BODY + 16 + 24, "<Q", 0x0101010101010101, "too many short codes"),
        (BODY + 16 + 24 + 7, "<I", 2**31, "ends after"),
    ],
)
def test_what_is_wrong_is_said(at, form, value, message, tmp_path):
    (path, read), _ = files(tmp_path)
    content = bytearray(path.read_bytes())
    content[at : at + struct.calcsize(form)] = struct.pack(form, value)
    body = bytes(content[BODY:])
    path.write_bytes(content[:8] + sha256(content[:8] + body).digest() + body)
    with pytest.raises(UnreadableError, match=rf"/c is no compressed LeNet-5-4: .*{message}"):
        read(path, NET)


def test_another_networks_file_and_what_cannot_be_written(tmp_path):
    (path, _), (ticket, _) = files(tmp_path)
    for read, file in ((read_compressed, path), (read_ticket, ticket)):
        with pytest.raises(UnreadableError, match=r"LeNet-6-4: its parameters are others"):
            read(file, nets.lenet_300_100([6, 4]))
    with pytest.raises(UnreadableError, match="begins with b'nptseed1', expected b'nptcomp1'"):
        read_compressed(ticket, NET)
    theta, masks = pruned(NET, 0.5)
    two = NET.init(streams(0, range(2), "init"))
    with pytest.raises(ValueError, match="one trial is exported at a time, got 2"):
        write_compressed(path, NET, two, dense_masks(two))
    with pytest.raises(ValueError, match="one trial is exported at a time, got 2"):
        write_ticket(path, NET, 0, 0, dense_masks(two))
    with pytest.raises(TypeError, match="masks are float32, expected bool"):
        write_ticket(path, NET, 0, 0, theta)
    with pytest.raises(ValueError, match=r"masks\['fc1/W'\] has shape"):
        write_ticket(path, NET, 0, 0, pruned(nets.lenet_300_100(), 0.5)[1])
    with pytest.raises(ValueError, match="expected parameters in float32, got float64"):
        write_compressed(path, NET, theta.like(theta.flat.astype(float)), masks)
    with pytest.raises(ValueError, match="0 to 8 bits, got 9"):
        write_compressed(path, NET, theta, masks, 9)
    masks["fc1/b"][...] = False
    with pytest.raises(ValueError, match="only weights can be pruned, and masks prune fc1/b"):
        write_compressed(path, NET, theta, masks)
    with pytest.raises(ValueError, match="masks prune fc1/b"):
        write_ticket(path, NET, 0, 0, masks)
    assert compressed.MOST_SHARED < 1 << 16  # which its place in the file can say
