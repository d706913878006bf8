"""Law 13: every fast path equals the plain one, over random networks, masks, batches and optimizers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import datasets, fits, nets, optimizers, rates, seeds, thetas

from npticket import nets as library
from npticket.engine import plan
from npticket.engine.compact import Compact, is_dense, living_units
from npticket.engine.packed import Packed
from npticket.layers import Chain, Dense, ReLU
from npticket.optimizers import SGD, Adam
from npticket.params import Params
from npticket.prune import dense_masks, prune_layerwise, random_scores
from npticket.streams import TrainingStep, streams
from npticket.tickets import rewind
from npticket.train import fit


@st.composite
def pruned(draw):
    """A dense network, one trial, with whole inputs, units and layers cut off, and biases of any sign."""
    net, seed = draw(nets()), draw(seeds)
    rng = np.random.default_rng(seed)
    theta0 = net.init(streams(seed, [0], "init"), np.float64)
    for name in theta0:
        if name.endswith("/b"):
            theta0[name][...] = rng.choice([-0.5, 0, 0, 0.5], theta0[name].shape)
    masks = prune_layerwise(random_scores(theta0, [rng]), dense_masks(theta0), {n: draw(rates) for n in net.rates})
    for name in net.rates:
        masks[name][0][rng.random(masks[name].shape[1]) < 0.3] = False  # rows: units without a way out
        masks[name][0][:, rng.random(masks[name].shape[2]) < 0.3] = False  # columns: without a way in
    return net, rewind(theta0, masks), masks


def batches(net, seed, steps=8, size=7):
    rng = np.random.default_rng(seed)
    return rng.random((steps, 1, size, *net.input_shape)), rng.integers(0, net.classes, (steps, 1, size))


@given(pruned(), optimizers, seeds)
def test_compact_is_plain(case, optimizer, seed):
    net, start, masks = case
    engines = [plan(net, start, masks, optimizer, name) for name in ("plain", "compact")]
    assert isinstance(engines[1], Compact)
    before = start.flat.copy()
    x, labels = batches(net, seed)
    for i in range(len(x)):
        step = TrainingStep(0, [0], 0, i)
        losses = [engine.step(x[i], labels[i], step) for engine in engines]
        np.testing.assert_allclose(*losses, rtol=1e-10, atol=1e-12)
    logits = [engine.predict(x[0]) for engine in engines]
    np.testing.assert_allclose(*logits, rtol=1e-10, atol=1e-12)
    ends = [start.like(np.full_like(start.flat, np.nan)) for _ in engines]
    for engine, end in zip(engines, ends, strict=True):
        engine.read(end)
    np.testing.assert_allclose(ends[0].flat, ends[1].flat, rtol=1e-10, atol=1e-12)
    assert not ends[1].flat[~masks.flat].any()
    assert (start.flat == before).all()


@settings(max_examples=20)
@given(fits())
def test_a_whole_fit_comes_to_the_same(case):
    case = case | {"start": case["start"].trial(0), "masks": case["masks"].trial(0)}
    plain, compact = (fit(**case, engine=engine) for engine in ("plain", "compact"))
    np.testing.assert_allclose(plain.end.flat, compact.end.flat, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(plain.val_loss, compact.val_loss, rtol=1e-10)


@given(thetas(), optimizers, st.floats(0, 1), seeds)
def test_packed_is_bit_for_bit_what_the_optimizer_does(case, optimizer, share, seed):
    _, theta0 = case
    theta0, rng = theta0.trial(0), np.random.default_rng(seed)
    masks = theta0.like(rng.random(theta0.flat.shape) < share)
    ours, theirs = rewind(theta0, masks), rewind(theta0, masks)
    packed, whole = Packed(optimizer, masks), optimizer(masks)
    for gradients in rng.normal(size=(5, *theta0.flat.shape)):
        packed.step(ours, theta0.like(gradients.copy()))
        whole.step(theirs, theta0.like(gradients.copy()))
    assert ours.flat.tobytes() == theirs.flat.tobytes()


def test_packed_leaves_buffers_alone():
    theta = Params({"norm/scale": (3,), "norm/running_mean": (3,)}, np.ones((1, 6)))
    packed = Packed(lambda masks: SGD(masks, lr=1.0), dense_masks(theta))
    packed.step(theta, theta.like(np.ones((1, 6))))
    assert theta.flat.tolist() == [[0, 0, 0, 1, 1, 1]]


def test_which_units_live_by_hand():
    """Four inputs, three hidden units, two outputs."""
    net = library.Net("by hand", Chain(a=Dense(4, 3), relu=ReLU(), b=Dense(3, 2)), (4,), 2, {"a/W": 0.2, "b/W": 0.2})
    theta = net.init(streams(0, [0], "init"))
    masks = dense_masks(theta)
    masks["a/W"][0] = [[1, 0, 0], [0, 0, 1], [0, 0, 0], [1, 0, 1]]  # nothing leads to unit 1; input 2 leads nowhere
    masks["b/W"][0] = [[1, 1], [1, 0], [0, 0]]  # unit 2 leads nowhere, so input 1 does not either
    alive = living_units(net.body, theta, masks)
    assert [units.tolist() for units in alive] == [
        [True, False, False, True], [True, False, False], [True, True]
    ]  # fmt: skip
    theta["a/b"][0, 0, 1] = 0.1  # now unit 1 is on whatever comes in
    assert living_units(net.body, theta, masks)[1].tolist() == [True, True, False]


def test_nothing_left_is_still_a_network():
    net = library.lenet_300_100()
    theta = net.init(streams(0, [0], "init"), np.float64)
    masks = dense_masks(theta)
    for name in net.rates:
        masks[name][...] = False
    start = rewind(theta, masks)
    x, labels = batches(net, 0, steps=3)
    ends = []
    for engine in ("plain", "compact"):
        runner = plan(net, start, masks, lambda m: Adam(m, lr=0.1), engine)
        for i in range(3):
            runner.step(x[i], labels[i], TrainingStep(0, [0], 0, i))
        ends.append(start.copy())
        runner.read(ends[-1])
    np.testing.assert_allclose(ends[0].flat, ends[1].flat, rtol=1e-10, atol=1e-12)
    assert ends[1]["out/b"].any()  # biases of the outputs still learn


def test_a_pruned_lenet_really_gets_smaller():
    net = library.lenet_300_100()
    theta = net.init(streams(0, [0], "init"))
    masks = dense_masks(theta)
    masks["fc1/W"][0, :200] = False
    masks["fc1/W"][0, :, :100] = False
    engine = plan(net, rewind(theta, masks), masks, lambda m: Adam(m, lr=1e-3), "compact")
    assert {name: shape for name, shape in engine._plain.theta.shapes.items() if name.endswith("W")} == {
        "fc1/W": (584, 200), "fc2/W": (200, 100), "out/W": (100, 10)
    }  # fmt: skip
    decayed = plan(net, rewind(theta, masks), masks, lambda m: SGD(m, lr=0.1, weight_decay=0.1), "compact")
    assert decayed._plain.theta.shapes["fc1/W"] == (784, 300)  # weight decay moves what has no gradient


def test_only_dense_networks_lose_units_and_only_one_trial_alone():
    assert is_dense(library.lenet_300_100().body)
    assert not is_dense(library.conv_2().body)
    assert not is_dense(Chain(a=Dense(2, 3), b=Dense(3, 2)))  # no ReLU: a unit's output could be its bias
    net = library.lenet_300_100()
    theta = net.init(streams(0, range(2), "init"))
    assert not isinstance(plan(net, theta, dense_masks(theta), lambda m: SGD(m, 0.1), "compact"), Compact)
    with pytest.raises(ValueError, match="no engine 'warp'; there is plain, compact"):
        plan(net, theta, dense_masks(theta), lambda m: SGD(m, 0.1), "warp")


@settings(max_examples=10)
@given(datasets(), seeds)
def test_the_comparison_of_engines_can_fail(data, seed):
    """With units taken out under weight decay, which is what Compact refuses to do."""
    net = library.Net("small", Chain(a=Dense(6, 3), relu=ReLU(), b=Dense(3, 3)), (6,), 3, {"a/W": 0.2})
    theta = net.init(streams(seed, [0], "init"), np.float64)
    masks = dense_masks(theta)
    masks["b/W"][0, 0] = False  # unit 0 has no way out, but its incoming weights decay
    decay = lambda masks: SGD(masks, lr=0.1, weight_decay=0.1)  # noqa: E731
    ends = []
    for optimizer in (decay, lambda masks: Hidden(decay(masks))):
        runner = plan(net, rewind(theta, masks), masks, optimizer, "plain" if optimizer is decay else "compact")
        runner.step(np.ones((1, 2, 6)), np.zeros((1, 2), int), TrainingStep(0, [0], 0, 0))
        ends.append(theta.copy())
        runner.read(ends[-1])
    assert abs(ends[0].flat - ends[1].flat).max() > 1e-6


class Hidden:
    """An optimizer that does not say that it decays weights."""

    def __init__(self, optimizer):
        self.step = optimizer.step
