"""A sparse ticket predicts what the plain network predicts, comes back from its file, and refuses other files."""

import re
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npticket import nets as library
from npticket.export import sparse as export
from npticket.export.sparse import Compact, Grouped, load_sparse, to_sparse
from npticket.layers import BatchNorm, Chain, Conv2D, Dense, GlobalAveragePool, ReLU
from npticket.prune import dense_masks, prune_layerwise, random_scores
from npticket.streams import streams
from npticket.testing.strategies import pruned_nets, rates, seeds
from npticket.tickets import rewind


def pruned_lenet(rate, dtype=np.float32):
    net = library.lenet_300_100()
    theta0 = net.init(streams(0, [0], "init"), dtype)
    scores = random_scores(theta0, [np.random.default_rng(0)])
    masks = prune_layerwise(scores, dense_masks(theta0), dict.fromkeys(theta0.weights, rate))
    return net, rewind(theta0, masks), masks


def plain(net, theta, x):
    return net.forward(theta, x[None])[0][0]


def assert_predicts_the_same(ticket, net, theta, x):
    expected, given = plain(net, theta, x), x.copy()
    np.testing.assert_allclose(ticket.predict(x), expected, rtol=1e-10, atol=1e-12)
    assert (x == given).all()


@given(pruned_nets(1), seeds, st.integers(1, 9), st.sampled_from([0.0, 0.05, 1.1]))
def test_logits_are_the_plain_networks(case, seed, batch, below):
    """With every layer compact (below 0), all but the last grouped (below 1.1), or as by default."""
    net, theta, masks = case
    x = np.random.default_rng(seed).normal(size=(batch, *net.input_shape))
    before = theta.flat.copy(), masks.flat.copy()
    with mock.patch.object(export, "SPARSE", below):
        assert_predicts_the_same(to_sparse(net, theta, masks), net, theta, x)
    assert (theta.flat == before[0]).all() and (masks.flat == before[1]).all()


def test_the_comparison_can_fail():
    net, theta, masks = pruned_lenet(0.9, np.float64)
    x = np.random.default_rng(0).random((3, 28, 28))
    ticket = to_sparse(net, theta, masks)
    assert_predicts_the_same(ticket, net, theta, x)
    theta["fc1/W"][masks["fc1/W"]] += 1e-6
    with pytest.raises(AssertionError):
        assert_predicts_the_same(ticket, net, theta, x)


def test_an_encoder_reads_tokens():
    sizes = library.Sizes(pieces=9, length=5, size=4, layers=1, heads=2, inner=6)
    net = library.Net("tiny", library.Encoder(sizes, 3), (5,), (3,))
    theta = net.init(streams(0, [0], "init"), np.float64)
    masks = prune_layerwise(
        random_scores(theta, streams(0, [0], "mask")), dense_masks(theta), {"layer0/feed/inner/W": 0.5}
    )
    tokens = np.random.default_rng(0).integers(0, 9, (300, 5), np.uint16)  # 0 is padding; more than a chunk
    assert_predicts_the_same(to_sparse(net, theta, masks), net, rewind(theta, masks), tokens)
    with pytest.raises(TypeError, match="inputs are int64"):
        to_sparse(net, theta, masks).predict(tokens.astype(int))


@pytest.mark.parametrize("rate", [0, 0.5, 0.97, 0.999, 1 - 1e-9])
def test_lenet_predicts_the_same_labels_in_float32(rate):
    net, theta, masks = pruned_lenet(rate)
    x = np.random.default_rng(1).random((2101, 28, 28), np.float32)  # more than two chunks
    logits = to_sparse(net, theta, masks).predict(x)
    assert logits.dtype == np.float32
    assert (logits.argmax(axis=1) == plain(net, theta, x).argmax(axis=1)).all()


@pytest.mark.parametrize(("rate", "form"), [(0.9, Compact), (0.98, Grouped)])
def test_which_form_a_layer_gets(rate, form):
    (first, _), *_, (last, _) = to_sparse(*pruned_lenet(rate))._stages
    assert type(first) is form
    assert type(last) is Compact  # so that the outputs keep their order


@st.composite
def convolutional(draw):
    """A network with batch normalisation, which runs through the plain layers."""
    body = Chain(
        conv=Conv2D(1, 3, bias=False), norm=BatchNorm(3), relu=ReLU(), pool=GlobalAveragePool(), out=Dense(3, 2)
    )
    net = library.Net("convolutional", body, (4, 5, 1), (2,))
    theta0 = net.init(streams(draw(seeds), [0], "init"), np.float64)
    theta0["norm/running_mean"][...] = draw(st.floats(-1, 1))
    scores = random_scores(theta0, streams(draw(seeds), [0], "mask"))
    masks = prune_layerwise(scores, dense_masks(theta0), {"conv/W": draw(rates)})
    return net, rewind(theta0, masks), masks


@given(convolutional(), seeds)
def test_a_convolutional_network_predicts_exactly_the_same(tmp_path_factory, case, seed):
    net, theta, masks = case
    x = np.random.default_rng(seed).normal(size=(3, 4, 5, 1))
    ticket = to_sparse(net, theta, masks)
    path = tmp_path_factory.mktemp("sparse") / "t.npz"
    ticket.save(path)
    for each in (ticket, load_sparse(path, net)):
        assert (each.predict(x) == plain(net, theta, x)).all()


@given(pruned_nets(1), seeds)
def test_it_comes_back_from_its_file(tmp_path_factory, case, seed):
    net, theta, masks = case
    theta = theta.like(theta.flat.astype(np.float32))
    path = tmp_path_factory.mktemp("sparse") / "ticket"  # without .npz: the name is the one that was given
    ticket = to_sparse(net, theta, masks)
    ticket.save(path)
    x = np.random.default_rng(seed).normal(size=(4, *net.input_shape)).astype(np.float32)
    assert load_sparse(path, net).predict(x).tobytes() == ticket.predict(x).tobytes()


def test_the_file_gets_smaller_as_weights_go(tmp_path):
    sizes = []
    for rate in (0, 0.5, 0.9, 0.99):
        to_sparse(*pruned_lenet(rate)).save(tmp_path / "t.npz")
        sizes.append((tmp_path / "t.npz").stat().st_size)
    dense = 4 * 266_610
    assert sizes[0] < 1.01 * dense and sizes[1] < 0.55 * dense and sizes[2] < 0.13 * dense and sizes[3] < 0.02 * dense


def test_what_cannot_be_exported():
    net, theta, masks = pruned_lenet(0.5)
    two = net.init(streams(0, range(2), "init"))
    with pytest.raises(ValueError, match=r"one trial is exported at a time, got 2: use theta.trial\(t\)"):
        to_sparse(net, two, dense_masks(two))
    with pytest.raises(ValueError, match="the parameters are not those of Conv-2"):
        to_sparse(library.conv_2(), theta, masks)
    with pytest.raises(TypeError, match="masks are float32, expected bool"):
        to_sparse(net, theta, theta)
    with pytest.raises(
        ValueError, match=r"masks\['fc1/W'\] has shape \(2, 784, 300\), the parameter has \(1, 784, 300\)"
    ):
        to_sparse(net, theta, dense_masks(two))
    with pytest.raises(TypeError, match="inputs are uint8, expected what training takes"):
        to_sparse(net, theta, masks).predict(np.zeros((1, 28, 28), np.uint8))
    with pytest.raises(TypeError, match="inputs are uint16, expected what training takes"):
        to_sparse(net, theta, masks).predict(np.zeros((1, 28, 28), np.uint16))
    with pytest.raises(ValueError, match=r"takes inputs \(B, 28, 28\), got \(28, 28\)"):
        to_sparse(net, theta, masks).predict(np.zeros((28, 28), np.float32))
    theta["out/b"][...] = np.inf
    with pytest.raises(ValueError, match="not finite"):
        to_sparse(net, theta, masks)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"kept": None}, "it holds ['layout', 'values'], expected ['kept', 'layout', 'values']"),
        ({"extra": np.zeros(1)}, "it has the unknown 'extra', expected "),
        ({"layout": np.array(["a/W (2, 3)"])}, "its parameters are others"),
        ({"layout": np.zeros(6)}, "its parameters are others"),
        ({"kept": np.zeros(33_327, np.int8)}, "kept are not 266610 packed bits"),
        ({"kept": np.zeros(3, np.uint8)}, "kept are not 266610 packed bits"),
        ({"kept": np.full(33_327, 255, np.uint8)}, "kept have bits beyond 266610"),
        ({"values": np.zeros(3, np.int32)}, "values are int32, expected float32 or float64"),
        ({"values": np.zeros(3, np.float32)}, "there are 3 values for 1 parameters"),
        ({"values": np.full(1, np.nan)}, "there are values that are not finite"),
        ({"values": np.array([None])}, "Python objects, for one, are never read"),
    ],
)
def test_other_files_are_refused(tmp_path, changes, complaint):
    net = library.lenet_300_100()
    bits = np.zeros(33_327, np.uint8)
    bits[0] = 1
    layout = [f"{name} {shape}" for name, shape in net.body.layout.items()]
    content = {"layout": layout, "kept": bits, "values": np.ones(1, np.float32)} | changes
    path = tmp_path / "t.npz"
    np.savez(path, **{name: value for name, value in content.items() if value is not None})
    with pytest.raises(ValueError, match=re.escape(complaint)) as error:
        load_sparse(path, net)
    assert str(path) in str(error.value)


def test_a_file_that_is_cut_off_or_missing(tmp_path):
    net, theta, masks = pruned_lenet(0.9)
    to_sparse(net, theta, masks).save(tmp_path / "t.npz")
    whole = (tmp_path / "t.npz").read_bytes()
    for content in (b"", b"no zip", whole[: len(whole) // 2], whole[:1000] + b"....." + whole[1005:]):
        (tmp_path / "t.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"t\.npz cannot be read"):
            load_sparse(tmp_path / "t.npz", net)
    np.save(tmp_path / "t.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"t\.npy cannot be read"):
        load_sparse(tmp_path / "t.npy", net)
    with pytest.raises(FileNotFoundError):
        load_sparse(tmp_path / "nowhere.npz", net)
