"""Law 13: every fast path equals the plain one, over random networks, masks, batches and optimizers."""

import sys
from dataclasses import replace
from functools import partial
from itertools import islice

import numpy as np
import pytest
from cases import paper_rates, set_to
from hypothesis import given, settings
from hypothesis import strategies as st

from npticket import datasets
from npticket import nets as library
from npticket.datasets import Dataset, Split
from npticket.engine import ENGINES, PerTrial, dense, gemm, plan, products
from npticket.engine.dense import DenseEngine
from npticket.engine.living import dense_layers, living_units
from npticket.engine.optimizers import Packed
from npticket.engine.plain import Plain
from npticket.engine.products import Grouped, groups
from npticket.layers import (
    BatchNorm,
    Chain,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    MaxPool,
    ReLU,
)
from npticket.optimizers import SGD, Adam
from npticket.params import Params
from npticket.prune import Layerwise, Rule, dense_masks, magnitude, prune_layerwise, random_scores
from npticket.streams import Place, TrainingStep, streams
from npticket.task import CLASSIFY
from npticket.testing import batches, check_engine
from npticket.testing.strategies import datasets as random_datasets
from npticket.testing.strategies import fits, optimizers, pruned_nets, seeds, thetas
from npticket.tickets import find_tickets, rewind
from npticket.train import Setting, fit


@pytest.mark.parametrize("grouped", [False, True])
@given(pruned_nets(), optimizers, seeds, st.booleans())
def test_fast_is_plain(grouped, case, optimizer, seed, looks_first):
    with pytest.MonkeyPatch.context() as patch:
        if grouped:  # always, not only where it pays
            patch.setattr(dense, "SPARSE", 2)
            patch.setattr(dense, "WORTH_IT", np.inf)
        compare(*case, optimizer, seed, looks_first)


def fast(kinds, given=None):
    """Makes the fast engine, one of `kinds`, which looks at the inputs to come if they are `given`."""

    def make(net, loss, start, masks, optimizer):
        shown = None if given is None else np.concatenate([x.reshape(-1, *net.input_shape) for x, _ in given])
        engine = plan(net, CLASSIFY, start, masks, optimizer, shown=shown)
        assert isinstance(engine, kinds)
        return engine

    return make


def compare(net, start, masks, optimizer, seed, looks_first):
    given = batches(net, start.trials, seed)
    make = fast(DenseEngine if start.trials == 1 else PerTrial, given if looks_first else None)
    check_engine(make, net, start, masks, optimizer, given)


@settings(max_examples=5)
@given(seeds, optimizers, st.booleans())
def test_a_sparse_lenet_is_run_in_groups_and_is_plain(seed, optimizer, looks_first):
    net = library.lenet_300_100((50, 20))
    theta0 = net.init(streams(seed, [0], "init"), np.float64)
    rates = {"fc1/W": 0.99, "fc2/W": 0.8, "out/W": 0.5}
    masks = prune_layerwise(random_scores(theta0, streams(seed, [0], "mask")), dense_masks(theta0), rates)
    start = rewind(theta0, masks)
    compare(net, start, masks, optimizer, seed, looks_first)
    engine = plan(net, CLASSIFY, start, masks, optimizer)
    assert isinstance(engine._layers(7, training=True)[0].product, Grouped)


def test_groups_by_hand():
    """Nine units: the one with most inputs comes first, then who shares them; the ninth is alone in its group."""
    mask = np.zeros((5, 9), bool)
    mask[[0, 1], 4] = mask[0, 0] = mask[1, 1] = mask[0, 2] = mask[1, 3] = mask[0, 5] = mask[1, 6] = True
    mask[[2, 3], 7] = mask[3, 8] = True
    units, picked = groups(mask)
    # 4 and 7 have two inputs. With 4's, {0, 1}, six units add nothing; then 8 adds one input, 7 would add two.
    assert units[0] == 4 and set(units[1:7]) == {0, 1, 2, 3, 5, 6} and units[7:].tolist() == [8, 7]
    assert picked.tolist() == [[0, 1, 3], [2, 3, 5]]


def test_groups_of_nothing():
    units, picked = groups(np.zeros((4, 2), bool))
    assert (sorted(units), picked.tolist()) == ([0, 1], [[4]])


@settings(max_examples=20)
@given(fits())
def test_a_whole_fit_comes_to_the_same(case):
    fast, plain = (fit(**set_to(case, engine=engine)) for engine in ENGINES)
    np.testing.assert_allclose(fast.end.flat, plain.end.flat, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(fast["val_loss"], plain["val_loss"], rtol=1e-10)


OF_INTEGERS = {
    "dense": Chain(flatten=Flatten(), fc1=Dense(64, 5), relu=ReLU(), out=Dense(5, 3)),
    "convolution": Chain(c1=Conv2D(1, 4, padding=1), r1=ReLU(), c2=Conv2D(4, 4, padding=1), r2=ReLU(), p=MaxPool(),
                         flatten=Flatten(), out=Dense(64, 3)),
    "norm": Chain(c1=Conv2D(1, 4, padding=1), n1=BatchNorm(4), r1=ReLU(), p=GlobalAveragePool(), out=Dense(4, 3)),
}  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("body", OF_INTEGERS)
def test_inputs_in_uint16_count_as_the_numbers_that_they_are(body, engine):
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 9, (20, 8, 8, 1), dtype=np.uint16) * (rng.random((20, 8, 8, 1)) < rng.random((8, 8, 1)))
    inputs[:, 4:] *= rng.random((20, 4, 8, 1)) < 0.02  # some pixels are rarely lit
    net = library.Net("small", OF_INTEGERS[body], (8, 8, 1), (3,))
    theta, ends = net.init(streams(0, [0], "init")), []
    for dtype in (np.uint16, np.float32):
        split = Split(inputs.astype(dtype), np.arange(20) % 3)
        setting = Setting(lambda m: SGD(m, lr=0.01), steps=6, batch=4, validate_every=2, engine=engine)
        ends.append(fit(net, CLASSIFY, theta, dense_masks(theta), Dataset("n", split, split, split, 3, "t"), setting))
    np.testing.assert_allclose(ends[0].end.flat, ends[1].end.flat, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ends[0]["val_loss"], ends[1]["val_loss"], rtol=1e-5)


def test_pixels_are_in_their_places_while_augmentation_moves_them():
    """The fast engine puts pixels in an order of its own: an epoch's changes must come before that."""
    net = library.Net("small", Chain(flatten=Flatten(), out=Dense(6, 3)), (2, 3), (3,))
    images = np.zeros((20, 2, 3), np.uint8)
    images[:, 1, 2] = images[::2, 0, 0] = 255  # the last pixel is lit most often, the four between them never
    split = Split(images, np.arange(20) % 3)
    theta = net.init(streams(0, [0], "init"), np.float64)

    class Mirror:
        def to(self, xp):
            return self

        def apply(self, images, examples):
            assert images.shape[2:] == (2, 3)
            return images[..., ::-1, :]

    data = Dataset("small", split, split, split, 3, "a test")
    setting = Setting(lambda m: SGD(m, lr=0.1), steps=5, batch=4, augment=lambda *epoch: Mirror())
    ends = [
        fit(net, CLASSIFY, theta, dense_masks(theta), data, replace(setting, engine=engine)).end.flat
        for engine in ENGINES
    ]
    np.testing.assert_allclose(*ends, rtol=1e-10)


def test_both_engines_find_the_same_tickets():
    """Five rounds of LeNet in float64, on real digits: which weights go does not hang on how sums are rounded."""
    data, net = datasets.mnist(), library.lenet_300_100()
    theta0 = net.init(streams(0, [0], "init"), np.float64)
    prune, found = Rule(magnitude, Layerwise(paper_rates(net))), []
    for engine in ENGINES:
        setting = Setting(lambda masks: Adam(masks, lr=1.2e-3), steps=20, engine=engine)
        train = lambda start, masks: fit(net, CLASSIFY, start, masks, data, setting).end  # noqa: E731
        found.append(list(islice(find_tickets(theta0, dense_masks(theta0), train=train, prune=prune), 5)))
    for fast, plain in zip(*found, strict=True):
        assert (fast.masks.flat == plain.masks.flat).all()
        assert (fast.start.flat == plain.start.flat).all()
        np.testing.assert_allclose(fast.end.flat, plain.end.flat, rtol=1e-8, atol=1e-10)
    assert fast.masks.flat.mean() < 0.42


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


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 40), st.integers(1, 12), seeds)
def test_cut_products_are_whole_products(rows, inner, columns, block, seed):
    rng = np.random.default_rng(seed)
    a, b, out = rng.random((rows, inner)), rng.random((inner, columns)), np.full((rows, columns), np.nan)
    gemm.in_rows(a, b, out, min(block, rows))
    np.testing.assert_allclose(out, a @ b, rtol=1e-13)


@given(st.integers(1, 3000), st.integers(1, 2_000_000))
def test_blocks_are_small_and_about_equal(size, others):
    block = gemm.block_size(size, others)
    assert block * others <= gemm.SMALL
    assert (block == size) == (size * others <= gemm.SMALL), "what is small is whole"
    if block:
        assert -(-size // block) == -(-size // (gemm.SMALL // others)), "no more blocks than needed"


def test_a_way_with_other_bits_takes_no_part(monkeypatch):
    def wrong(a, b, out, block):
        np.matmul(a, b, out=out)
        out[0, 0] = np.nextafter(out[0, 0], 2)

    monkeypatch.setattr(gemm, "in_rows", wrong)
    monkeypatch.setattr(gemm, "fastest", lambda ways, *arguments: ways[-1])
    assert gemm.fastest_gradient(60, 300, 300, np.float32) is np.matmul


def test_nothing_is_timed_to_predict(monkeypatch):
    """Batches to predict have sizes of their own, and every round has a new engine."""
    net = library.lenet_300_100()
    theta = net.init(streams(0, [0], "init"))
    engine, timed = plan(net, CLASSIFY, theta, dense_masks(theta), lambda m: SGD(m, lr=0.1)), []
    monkeypatch.setattr(gemm, "fastest", lambda ways, *arguments: timed.append(ways) or ways[0])
    monkeypatch.setattr(gemm, "in_rows", lambda a, b, out, block: np.matmul(a, b, out=out))  # same bits on any machine
    x = np.random.default_rng(0).random((1, 60, 28, 28), np.float32)
    engine.predict(engine.prepare(x))
    assert not timed
    engine.step(engine.prepare(x), np.zeros((1, 60), int), TrainingStep(Place(), 0))
    assert len(timed) == 2, "the last layer is small"


@pytest.mark.parametrize("rate", [0, 0.5, 0.9])
def test_timing_does_not_decide_about_results(rate, monkeypatch):
    """The first of the ways that take part or the last: the same bits, in float32 and at LeNet's sizes."""
    net = library.lenet_300_100()
    theta0 = net.init(streams(0, [0], "init"))
    scores = random_scores(theta0, streams(0, [0], "mask"))
    masks = prune_layerwise(scores, dense_masks(theta0), dict.fromkeys(theta0.weights, rate))
    rng = np.random.default_rng(0)
    x = rng.random((6, 1, 60, 28, 28), np.float32) * (rng.random((28, 28)) < 0.7)
    labels = rng.integers(0, 10, (6, 1, 60))
    ends = []
    for which in (0, -1):
        for module in (gemm, sys.modules[Packed.__module__]):
            monkeypatch.setattr(module, "fastest", lambda ways, *arguments, which=which: ways[which])
        engine = plan(net, CLASSIFY, rewind(theta0, masks), masks, lambda m: Adam(m, lr=1.2e-3), shown=x[0, 0])
        for number in range(len(x)):
            engine.step(engine.prepare(x[number]), labels[number], TrainingStep(Place(0, [0], 0), number))
        ends.append(theta0.copy())
        engine.read(ends[-1])
    assert (ends[0].flat == ends[1].flat).all()
    assert (ends[0].flat != rewind(theta0, masks).flat).any()


def test_the_fastest_way_is_taken():
    slow, quick = lambda: sum(range(20_000)), lambda: None
    assert gemm.fastest([slow, quick]) is quick
    assert gemm.fastest([quick, slow]) is quick


def test_what_was_taken_is_noted_with_its_sizes():
    a, b, out = np.ones((4, 3)), np.ones((3, 2)), np.empty((4, 2))
    slow = lambda *_: sum(range(20_000))  # noqa: E731
    for quick, name in ((np.matmul, "matmul"), (partial(gemm.in_rows, block=2), "in_rows of 2")):
        with gemm.choices() as outer:
            with gemm.choices() as chosen:
                gemm.fastest([slow, quick], a, b, out)
            gemm.fastest([slow, np.matmul], b, a[:2], np.empty((3, 3)))
        assert list(chosen.values()) == [f"(4, 3) x (3, 2): {name}"]
        assert len(outer) == 2 and chosen.items() < outer.items()


def test_often_lit_pixels_come_first_by_hand():
    shown = np.zeros((200, 5))
    shown[:, 1] = shown[:2, 3] = shown[:1, 4] = 1  # 100 %, 1 % and 0.5 % of the images
    order, often, ever = products.often_lit_first(shown, np.array([0, 1, 3, 4]))
    assert (order.tolist(), often, ever) == ([1, 3, 4, 0], 2, 3)
    order, often, ever = products.often_lit_first(np.ones((9, 5)), np.array([0, 3]))
    assert (order.tolist(), often, ever) == ([0, 3], 2, 2), "nothing to skip"


@given(st.booleans(), seeds)
def test_what_is_shown_lights_all_that_training_does(whole, seed):
    rng = np.random.default_rng(seed)
    inputs = rng.integers(-1, 2, (2500, 40)) * (rng.random((2500, 40)) < rng.choice([0, 0.0005, 0.5], 40))
    inputs = abs(inputs).astype(np.uint8) if whole else inputs.astype(float)
    split = Split(inputs, np.zeros(2500, int))
    shown = Dataset("some", split, split, split, 2, "a test").sample(np.float32)
    assert len(shown) < 1010 and shown.dtype == np.float32
    assert (shown.any(axis=0) == inputs.any(axis=0)).all()


def test_which_units_live_by_hand():
    """Four inputs, three hidden units, two outputs."""
    net = library.Net("by hand", Chain(a=Dense(4, 3), relu=ReLU(), b=Dense(3, 2)), (4,), (2,))
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
    for name in theta.weights:
        masks[name][...] = False
    given = batches(net, 1, steps=3)
    end = check_engine(fast(DenseEngine, given), net, rewind(theta, masks), masks, lambda m: Adam(m, lr=0.1), given)
    assert end["out/b"].any()  # biases of the outputs still learn


def test_a_pruned_lenet_really_gets_smaller():
    net = library.lenet_300_100()
    theta = net.init(streams(0, [0], "init"))
    masks = dense_masks(theta)
    masks["fc1/W"][0, :200] = False
    masks["fc1/W"][0, :, :100] = False
    start = rewind(theta, masks)
    engine = plan(net, CLASSIFY, start, masks, lambda m: Adam(m, lr=1e-3))
    assert engine.prepare(np.zeros((5, 28, 28))).shape == (5, 584)
    assert [layer.w.shape for layer in engine._layers(5, training=True)] == [(584, 200), (200, 100), (100, 10)]
    decayed = plan(net, CLASSIFY, start, masks, lambda m: SGD(m, lr=0.1, weight_decay=0.1))
    assert decayed.prepare(np.zeros((5, 28, 28))).shape == (5, 784)  # weight decay moves what has no gradient


def test_what_runs_what():
    assert dense_layers(library.lenet_300_100().body) == ["fc1", "fc2", "out"]
    assert not dense_layers(library.conv_2().body)
    assert not dense_layers(Chain(a=Dense(2, 3), b=Dense(3, 2)))  # no ReLU: a unit's output could be its bias
    net = library.lenet_300_100()
    theta = net.init(streams(0, range(2), "init"))
    with pytest.raises(ValueError, match="no engine 'warp'; there is fast, plain"):
        plan(net, CLASSIFY, theta, dense_masks(theta), lambda m: SGD(m, 0.1), "warp")


class Doubled(Chain):
    def forward(self, p, x, step=None):
        y, backward = super().forward(p, 2 * x, step)
        return y, lambda dy, grad, need_dx=True: backward(2 * dy, grad, need_dx)


class Halved(Dense):
    def forward(self, p, x, step=None):
        y, backward = super().forward(p, x / 2, step)
        return y, lambda dy, grad, need_dx=True: backward(dy, grad, need_dx)


class Leaky(ReLU):
    def forward(self, p, x, step=None):
        slope = np.where(x > 0, 1, 0.1)
        return slope * x, lambda dy, grad, need_dx=True: slope * dy


class Backwards(Flatten):
    def forward(self, p, x, step=None):
        y, backward = super().forward(p, x, step)
        return y[..., ::-1].copy(), backward


@pytest.mark.parametrize(
    "body",
    [
        Doubled(flatten=Flatten(), a=Dense(6, 4), relu=ReLU(), b=Dense(4, 3)),
        Chain(flatten=Flatten(), a=Halved(6, 4), relu=ReLU(), b=Dense(4, 3)),
        Chain(flatten=Flatten(), a=Dense(6, 4), relu=Leaky(), b=Dense(4, 3)),
        Chain(flatten=Backwards(), a=Dense(6, 4), relu=ReLU(), b=Dense(4, 3)),
    ],
    ids=lambda body: "-".join(type(layer).__name__ for layer in (body, *body.layers.values())),
)
def test_what_is_derived_from_a_layer_is_not_taken_for_it(body):
    """By the engines, and where a prediction is the forward pass without a way back."""
    net = library.Net("derived", body, (2, 3), (3,))
    theta = net.init(streams(0, [0], "init"), np.float64)
    given = batches(net, 1, steps=4)
    x, _ = given[0]
    assert (net.predict(theta, x) == net.forward(theta, x)[0]).all()
    check_engine(fast(Plain, given), net, theta, dense_masks(theta), lambda m: SGD(m, lr=0.1), given)
    plain = Chain(flatten=Flatten(), a=Dense(6, 4), relu=ReLU(), b=Dense(4, 3))
    assert abs(library.Net("plain", plain, (2, 3), (3,)).predict(theta, x) - net.predict(theta, x)).max() > 1e-3


def test_large_logits_do_not_overflow():
    net = library.Net("small", Chain(a=Dense(2, 3)), (2,), (3,))
    theta = net.init(streams(0, [0], "init"))
    theta["a/W"][...] = [[1000, -1000, 0], [0, 500, -500]]
    x, labels = np.eye(2, dtype=np.float32)[None], np.array([[0, 1]])
    make = partial(plan, net, CLASSIFY, theta, dense_masks(theta), lambda m: SGD(m, 0.1))
    losses = [make(engine).step(x, labels, TrainingStep(Place(0, [0], 0), 0)) for engine in ENGINES]
    assert losses == [0, 0]


def test_predictions_are_the_callers():
    net = library.lenet_300_100((5, 4))
    theta = net.init(streams(0, [0], "init"))
    engine = plan(net, CLASSIFY, theta, dense_masks(theta), lambda m: SGD(m, 0.1))
    images = engine.prepare(np.random.default_rng(0).random((2, 1, 3, 28, 28), np.float32))
    first = engine.predict(images[0])
    before = first.copy()
    engine.predict(images[1])
    assert (first == before).all()


@pytest.mark.parametrize(
    "body",
    [
        Chain(a=Dense(6, 4), b=Dense(4, 3)),  # no ReLU: run by the layers, with packed survivors
        Chain(a=Dense(6, 4), relu=ReLU(), drop=Dropout(0.5), b=Dense(4, 3)),  # each trial has a stream of its own
        Chain(a=Dense(6, 3)),
    ],
)
def test_trials_in_lock_step_are_what_they_are_alone(body):
    net = library.Net("small", body, (6,), (3,))
    theta0 = net.init(streams(0, [4, 9], "init"), np.float64)
    theta0["a/b"][...] = 0.5  # so that the units are on
    masks = prune_layerwise(random_scores(theta0, streams(0, [4, 9], "mask")), dense_masks(theta0), {"a/W": 0.5})
    start, optimizer = rewind(theta0, masks), lambda m: Adam(m, lr=0.01)
    rng = np.random.default_rng(0)
    x, labels = rng.random((8, 2, 7, 6)), rng.integers(0, 3, (8, 2, 7))
    assert (np.ptp(net.forward(start, x[0])[0], axis=1) > 0).all(), "what goes in must matter"
    together, plain = (plan(net, CLASSIFY, start, masks, optimizer, engine) for engine in ENGINES)
    alone = [plan(net, CLASSIFY, start.trial(t), masks.trial(t), optimizer) for t in range(2)]
    for i in range(len(x)):
        for engine in (together, plain):
            engine.step(x[i], labels[i], TrainingStep(Place(0, [4, 9], 0), i))
        for t, engine in enumerate(alone):
            engine.step(
                engine.prepare(x[i, t : t + 1]), labels[i, t : t + 1], TrainingStep(Place(0, [[4, 9][t]], 0), i)
            )
    ends = [start.copy() for _ in range(3)]
    together.read(ends[0])
    plain.read(ends[1])
    for t, engine in enumerate(alone):
        engine.read(ends[2].trial(t))
    assert ends[0].flat.tobytes() == ends[2].flat.tobytes()
    np.testing.assert_allclose(ends[0].flat, ends[1].flat, rtol=1e-10, atol=1e-12)


@settings(max_examples=10)
@given(random_datasets(), seeds)
def test_the_comparison_of_engines_can_fail(data, seed):
    """With units taken out under weight decay, which is what the engine refuses to do."""
    net = library.Net("small", Chain(a=Dense(6, 3), relu=ReLU(), b=Dense(3, 3)), (6,), (3,))
    theta = net.init(streams(seed, [0], "init"), np.float64)
    masks = dense_masks(theta)
    masks["b/W"][0, 0] = False  # unit 0 has no way out, but its incoming weights decay
    decay = lambda masks: SGD(masks, lr=0.1, weight_decay=0.1)  # noqa: E731
    ends = []
    for optimizer, engine in ((decay, "plain"), (lambda masks: Lying(decay(masks)), "fast")):
        runner = plan(net, CLASSIFY, rewind(theta, masks), masks, optimizer, engine)
        runner.step(np.ones((1, 2, 6)), np.zeros((1, 2), int), TrainingStep(Place(0, [0], 0), 0))
        ends.append(theta.copy())
        runner.read(ends[-1])
    assert abs(ends[0].flat - ends[1].flat).max() > 1e-6


class Lying:
    """An optimizer that says that it does not decay weights, and does."""

    elementwise, decays = True, False

    def __init__(self, optimizer):
        self.step = optimizer.step
