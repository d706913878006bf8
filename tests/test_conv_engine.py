"""Law 13 for convolutional networks: the engine equals the plain layers, over random networks, batches, optimizers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npticket import nets
from npticket.engine.conv import ConvEngine, maps, supports, winograd_maps
from npticket.engine.conv.blueprint import recognise
from npticket.engine.conv.channels import living_channels
from npticket.engine.plain import Plain
from npticket.layers import (
    AveragePool,
    BatchNorm,
    Chain,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    MaxPool,
    ReLU,
    Residual,
)
from npticket.loss import softmax_cross_entropy
from npticket.nets import Net
from npticket.optimizers import SGD, Adam
from npticket.prune import dense_masks, prune_layerwise, random_scores
from npticket.streams import Place, TrainingStep, streams
from npticket.testing import check_engine
from npticket.testing.strategies import seeds
from npticket.tickets import rewind


def LOSS(y, labels):
    """Of maps, too, whose every number is a logit."""
    loss, dy = softmax_cross_entropy(y.reshape(*y.shape[:2], -1), labels)
    return loss, dy.reshape(y.shape)


sgd = lambda masks: SGD(masks, lr=0.05, momentum=0.9, weight_decay=0.01)  # noqa: E731

# Before batch normalisation a gradient may be 0 but for rounding, which Adam would divide by itself with a small eps.
optimizers = st.sampled_from([sgd, lambda masks: SGD(masks, lr=0.1), lambda masks: Adam(masks, lr=0.01, eps=0.001)])


@st.composite
def networks(draw):
    """A network of up to four stages, on maps of 16 x 16 to 2 x 2 pixels, with everything that the engine knows."""
    channels, height = draw(st.integers(1, 3)), draw(st.sampled_from([4, 8, 12, 16]))
    size = height, draw(st.sampled_from([height, 4, 8, 12, 16]))
    shape, layers = (*size, channels), {}
    for stage in range(draw(st.integers(1, 4))):
        filters = draw(st.integers(1, 3))
        if stage and draw(st.booleans()):
            stride = 2 if halves(size) and draw(st.booleans()) else 1
            layers[f"block{stage}"] = block(channels, filters, stride, draw(st.booleans()))
            pooled = False
        else:
            stride = 2 if not stage and halves(size) and draw(st.booleans()) else 1
            normed, pooled = draw(st.booleans()), stride == 1 and halves(size) and draw(st.booleans())
            layers[f"stage{stage}"] = step(channels, filters, normed, size, draw(st.booleans()), pooled, stride)
        size = tuple(n // (2 if stride == 2 or pooled else 1) for n in size)
        channels = filters
    head = draw(st.sampled_from(["flat", "averaged", "map"]))
    if head == "map":  # as a detector's
        layers["out"] = Conv2D(channels, 3, *draw(st.sampled_from([(1, 1, 0), (3, 1, 1)])))
        return Net("random", Chain(**layers), shape, (*size, 3))
    if head == "averaged":
        square = [AveragePool(size[0])] if size[0] == size[1] else []
        layers["pool"], size = draw(st.sampled_from([GlobalAveragePool(), *square])), (1, 1)
    layers["flatten"], layers["out"] = Flatten(), Dense(size[0] * size[1] * channels, 3)
    return Net("random", Chain(**layers), shape, (3,))


def chain(size=8, **layers):
    return Net("small", Chain(**layers), (size, size, 1), (3,))


def norm(channels):
    """With the usual eps, almost constant channels would be blown up, with their rounding, by 300 in each layer."""
    return BatchNorm(channels, eps=0.1)


def halves(size):
    return all(n % 8 == 0 for n in size) or size == (4, 4)


def step(channels, filters, normed, size, relu, pooled, stride):
    bias = not normed and size != (2, 2) and stride == 1
    layers = {"conv": Conv2D(channels, filters, stride=stride, padding=1, bias=bias)}
    if normed:
        layers["norm"] = norm(filters)
    if relu:
        layers["relu"] = ReLU()
    if pooled:
        layers["pool"] = MaxPool(2)
    return Chain(**layers)


def block(channels, filters, stride, relu):
    body = Chain(
        conv1=Conv2D(channels, filters, stride=stride, padding=1, bias=False),
        norm1=norm(filters),
        relu=ReLU(),
        conv2=Conv2D(filters, filters, padding=1, bias=False),
        norm2=norm(filters),
    )
    shortcut = None
    if stride == 2 or channels != filters:
        shortcut = Chain(conv=Conv2D(channels, filters, kernel=1, stride=stride, bias=False), norm=norm(filters))
    layers = {"sum": Residual(body, shortcut)}
    if relu:
        layers["relu"] = ReLU()
    return Chain(**layers)


def pruned(net, seed, rate=0.4):
    """Parameters at random, biases too, and random masks."""
    rng = np.random.default_rng(seed)
    theta0 = net.init(streams(seed, [0], "init"), np.float64)
    for name in theta0:
        if not name.endswith("/W"):
            theta0[name][...] += rng.uniform(0, 0.5, theta0[name].shape)
    scores = random_scores(theta0, streams(seed, [0], "mask"))
    masks = prune_layerwise(scores, dense_masks(theta0), dict.fromkeys(theta0.weights, rate))
    return rewind(theta0, masks), masks


def train(net, engines, seed, sizes=(4, 3, 4)):
    """Give the engines the same batches; return what they lose, know and predict in the end, side by side."""
    losses = []
    for i, (x, labels) in enumerate(noise(net, seed, sizes)):
        losses.append([engine.step(x, labels, TrainingStep(Place(seed), i)) for engine in engines])
    ends = [engine_end(engine, net) for engine in engines]
    x = np.random.default_rng(seed).normal(size=(1, 5, *net.input_shape))
    return np.array(losses).swapaxes(0, 1), ends, [engine.predict(x) for engine in engines]


def engine_end(engine, net):
    end = net.init(streams(0, [0], "init"), np.float64)
    engine.read(end)
    return end.flat


def noise(net, seed, sizes=(4, 3, 4)):
    """Minibatches of these sizes, whose values have both signs."""
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(size=(1, n, *net.input_shape)), rng.integers(0, math.prod(net.output_shape), (1, n))) for n in sizes
    ]


def assert_equal(net, start, masks, optimizer, seed, **sizes):
    check_engine(ConvEngine, net, start, masks, optimizer, noise(net, seed, **sizes), LOSS)


@settings(max_examples=150)
@given(networks(), optimizers, seeds)
def test_the_engine_is_plain(net, optimizer, seed):
    assert supports(net)
    start, masks = pruned(net, seed)
    before = start.flat.copy()
    assert_equal(net, start, masks, optimizer, seed)
    assert (start.flat == before).all()


@settings(max_examples=100)
@given(networks(), optimizers, seeds)
def test_channels_that_cannot_matter_make_no_difference(net, optimizer, seed):
    rng = np.random.default_rng(seed)
    start, masks = pruned(net, seed, rate=0)
    for name in start:
        if name.endswith("/b"):
            start[name][...] *= rng.choice([-1, 0, 1], start[name].shape)
        if name.endswith("/W"):
            mask = masks[name][0]
            mask[..., rng.random(mask.shape[-1]) < 0.5] = False  # no way in
            if mask.ndim == 4:
                mask[:, :, rng.random(mask.shape[2]) < 0.5] = False  # no way out
            else:
                mask[rng.random(len(mask)) < 0.5] = False
    assert_equal(net, rewind(start, masks), masks, optimizer, seed)


def test_a_pruned_network_really_gets_smaller():
    """Without batch normalisation one lacking way is enough, with it both have to be missing."""
    for net, left in ((nets.conv_4(), [64 - 20, 64 - 10, 128, 128]), (nets.vgg_19(width=32), [32 - 10, 32])):
        start, masks = pruned(net, 0, rate=0)
        first, second, third = [name for name in masks.weights if "conv" in name][:3]
        masks[first][..., :20] = False  # no way in
        masks[second][..., 10:20, :] = False  # no way out either for the second ten
        masks[third][..., :10, :] = False
        if net.name == "Conv-4":
            start["conv1/b"][...] = 0
        engine = ConvEngine(net, LOSS, rewind(start, masks), masks, lambda m: SGD(m, 0.1))
        engine.predict(np.zeros((1, 1, 32, 32, 3)))
        assert [filters.filters for filters in engine._filters.values()][: len(left)] == left


def test_channels_that_no_dense_layer_reads_are_left_out():
    """A large one, too, whose products two threads share."""
    net = nets.conv_2()
    start, masks = pruned(net, 0, rate=0)
    masks["fc1/W"][0].reshape(-1, 64, 256)[:, :5] = False
    engine = ConvEngine(net, LOSS, rewind(start, masks), masks, sgd)
    assert [filters.filters for filters in engine._filters.values()] == [64, 59]


def test_channels_without_a_way_in_are_left_out_unless_their_bias_is_or_may_become_positive():
    net = nets.conv_2()
    start, masks = pruned(net, 0, rate=0)
    masks["conv1/W"][..., :9] = False
    start["conv1/b"].ravel()[:9] = [-1, -1, -1, 0, 0, 0, 1, 1, 1]
    blueprint = recognise(net.body, net.input_shape)
    for decays, dead in ((False, {0, 1, 2, 3, 4, 5}), (True, set())):
        living = living_channels(blueprint, start, masks, decays)["conv1/"]
        assert set(range(64)) - set(living) == dead


@pytest.mark.parametrize(
    "net",
    [nets.conv_2(), nets.conv_4(dropout=0.5), nets.conv_6(), nets.vgg_19(width=2), nets.resnet(8, width=2)],
    ids=lambda net: net.name,
)
def test_the_papers_networks_are_plain(net):
    start, masks = pruned(net, 0)
    assert_equal(net, start, masks, sgd, 0, sizes=(3, 2))


@settings(max_examples=40)
@given(networks(), seeds, st.integers(1, 5))
def test_two_threads_give_the_same_bits_as_one(net, seed, batch):
    start, masks = pruned(net, seed)
    engines = [ConvEngine(net, LOSS, start, masks, sgd, threads) for threads in (1, 2)]
    for one, two in train(net, engines, seed, sizes=(batch, batch)):
        assert one.tobytes() == two.tobytes()


@settings(max_examples=10)
@given(networks(), seeds)
def test_pruned_weights_stay_0(net, seed):
    start, masks = pruned(net, seed)
    engine = ConvEngine(net, LOSS, start, masks, lambda m: Adam(m, lr=0.01))
    train(net, [engine], seed)
    end = engine_end(engine, net)
    assert not end[~masks.flat].any()
    assert np.isfinite(end).all()


@pytest.mark.parametrize("dark", [(*range(4, 9),), (*range(7), *range(8, 16))], ids=str)
def test_a_filter_that_sees_nothing_passes_no_gradient(monkeypatch, dark):
    """Where its bias is 0, its output is exactly 0, and Winograd's only but for rounding."""
    net = chain(16, a=Conv2D(1, 3, padding=1), relu=ReLU(), b=Conv2D(3, 3, padding=1), relu2=ReLU(), flatten=Flatten(),
                out=Dense(768, 3))  # fmt: skip
    start, masks = pruned(net, 0, rate=0)
    for name in ("a/b", "b/b"):
        start[name][...] = 0
    x = np.random.default_rng(0).normal(size=(1, 4, 16, 16, 1))
    x[:, :, dark] = 0

    def moved(engine):
        runner = engine(net, LOSS, start, masks, lambda masks: SGD(masks, lr=1.0))
        runner.step(x, np.zeros((1, 4), int), TrainingStep(Place(), 0))
        return engine_end(runner, net)

    np.testing.assert_allclose(moved(ConvEngine), moved(Plain), rtol=1e-10, atol=1e-12)
    monkeypatch.setattr(maps, "ROUNDING", 0)
    assert abs(moved(ConvEngine) - moved(Plain)).max() > 1e-4


@pytest.mark.parametrize("factor", [1, 1e2, 1e4, 1e6])
def test_a_large_channel_takes_no_gradient_from_small_ones(factor):
    """In float32, where a large channel's rounding is a small one's value, and some filters see nothing but zeros."""
    net = chain(16, a=Conv2D(1, 3, padding=1), relu=ReLU(), b=Conv2D(3, 3, padding=1), relu2=ReLU(), flatten=Flatten(),
                out=Dense(768, 3))  # fmt: skip
    wide, _ = pruned(net, 0, rate=0)
    for name in ("a/b", "b/b"):
        wide[name][...] = 0
    for name, following in (("a/W", wide["b/W"][..., 0, :]), ("b/W", wide["out/W"][:, ::3])):
        wide[name][..., 0] *= factor
        following[...] /= factor  # so that the function stays the same
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(1, 16, 16, 16, 1)).astype(np.float32), rng.integers(0, 3, (1, 16))
    x[:, :, 4:9] = 0
    wide = wide.like(wide.flat.astype(np.float32).astype(np.float64))
    moved = []
    for engine, dtype in ((Plain, np.float64), (ConvEngine, np.float32)):
        start = wide.like(wide.flat.astype(dtype))
        runner = engine(net, LOSS, start, dense_masks(start), lambda masks: SGD(masks, lr=1.0))
        runner.step(x.astype(dtype), labels, TrainingStep(Place(), 0))
        end = start.copy()
        runner.read(end)
        moved.append({name: (end[name] - start[name]).ravel() for name in ("a/b", "b/b")})
    for name, plain in moved[0].items():
        np.testing.assert_allclose(moved[1][name], plain, rtol=1e-3)


def test_the_comparison_of_engines_can_fail(monkeypatch):
    convs = {"a": Conv2D(1, 2, padding=1), "relu": ReLU(), "b": Conv2D(2, 2, padding=1)}
    net = chain(**convs, flatten=Flatten(), out=Dense(128, 3))
    start, masks = pruned(net, 0)
    assert_equal(net, start, masks, sgd, 0)
    monkeypatch.setattr(winograd_maps, "AT", winograd_maps.AT * (1 + 1e-7))
    with pytest.raises(AssertionError):
        assert_equal(net, start, masks, sgd, 0)


def test_other_parameters_are_taken_over_to_predict_with():
    """Weights, and batch normalisation's running statistics."""
    net = nets.vgg_19(width=1)
    start, masks = pruned(net, 0)
    engine, other = ConvEngine(net, LOSS, start, masks, sgd), start.like(start.flat * 1.5)
    x = np.random.default_rng(0).normal(size=(1, 3, *net.input_shape))
    engine.predict(x)
    engine.write(other)
    np.testing.assert_allclose(engine.predict(x), net.predict(other, x), rtol=1e-9, atol=1e-9)
    assert abs(engine.predict(x) - net.predict(start, x)).max() > 1e-3


def test_predicting_many_images_is_predicting_few_and_changes_nothing():
    net = nets.vgg_19(width=1)
    start, masks = pruned(net, 0)
    engine, x = (
        ConvEngine(net, LOSS, start, masks, sgd),
        np.random.default_rng(0).normal(size=(1, 130, 32, 32, 3)),
    )
    whole = engine.predict(x)
    for i in (0, 65, 129):
        np.testing.assert_allclose(engine.predict(x[:, i : i + 1]), whole[:, i : i + 1], rtol=1e-10, atol=1e-12)
    assert (engine_end(engine, net) == start.flat).all()
    np.testing.assert_allclose(whole, Plain(net, LOSS, start, masks, sgd).predict(x), rtol=1e-10, atol=1e-12)


def test_batch_norm_is_precise_where_the_mean_is_large():
    """In float32, with a mean a thousand times the deviation."""
    first = {"conv": Conv2D(1, 2, padding=1), "norm": BatchNorm(2), "relu": ReLU(), "pool": MaxPool(2)}
    net = chain(**first, conv2=Conv2D(2, 2, padding=1), flatten=Flatten(), out=Dense(32, 3))
    wide, _ = pruned(net, 0)
    wide["conv/b"][...] = 1000
    wide = wide.like(wide.flat.astype(np.float32).astype(np.float64))
    narrow = wide.like(wide.flat.astype(np.float32))
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(1, 16, 8, 8, 1)).astype(np.float32), rng.integers(0, 3, (1, 16))
    ends = []
    for engine, start, dtype in ((Plain, wide, np.float64), (ConvEngine, narrow, np.float32)):
        runner = engine(net, LOSS, start, dense_masks(start), lambda masks: SGD(masks, lr=1.0))
        runner.step(x.astype(dtype), labels, TrainingStep(Place(), 0))
        ends.append(start.copy())
        runner.read(ends[-1])
    for name in wide:
        if name != "conv/b":  # its gradient is 0, but for rounding
            moved = ends[0][name] - wide[name]
            np.testing.assert_allclose(ends[1][name] - narrow[name], moved, rtol=2e-3, atol=1e-3 * abs(moved).max())


first, out = Conv2D(1, 2, padding=1), {"flatten": Flatten(), "out": Dense(128, 3)}


@pytest.mark.parametrize(
    "net",
    [
        nets.lenet_300_100(),
        chain(conv=Conv2D(1, 2), **out),
        chain(14, conv=first, **out),
        chain(12, conv=first, pool=MaxPool(2), **out),
        chain(conv=first, drop=Dropout(0.5), **out),
        chain(conv=first, pool=MaxPool(4), **out),
        chain(conv=first, pool=MaxPool(2, 1), **out),
        chain(conv=first, pool=MaxPool(2, padding=1), **out),
        chain(conv=Conv2D(1, 2, 5, padding=2), **out),
        chain(conv=Conv2D(1, 2, stride=2, padding=1), **out),
        chain(conv=first, conv2=Conv2D(2, 2, 3, 3, padding=1), **out),
        chain(conv=first, conv2=Conv2D(2, 2, kernel=1), **out),
        chain(conv=first, sum=Residual(Chain(relu=ReLU())), **out),
        chain(conv=first, sum=Residual(Chain(conv=Conv2D(2, 2, stride=2, padding=1, bias=False))), **out),
        chain(conv=first, pool=AveragePool(4), **out),
        chain(conv=first, relu=ReLU(), relu2=ReLU(), **out),
        chain(conv=first),
        chain(conv=first, relu=ReLU(), pool=MaxPool(2), out=Conv2D(2, 3, kernel=1), more=Flatten()),
        chain(stage=Chain(conv=first, relu=ReLU()), head=Chain(out=Conv2D(2, 3, kernel=1))),
        Net("narrow", Chain(conv=first, pool=MaxPool(2), out=Conv2D(2, 3, kernel=1)), (4, 8, 1), (2, 4, 3)),
    ],
)
def test_other_networks_are_not_supported(net):
    assert not supports(net)
    with pytest.raises(ValueError, match=r"expected|cannot"):
        ConvEngine(net, LOSS, *pruned(net, 0), sgd)


def test_all_of_the_papers_convolutional_networks_are_supported():
    for make in (nets.conv_2, nets.conv_4, nets.conv_6, nets.resnet_18, nets.vgg_19):
        assert supports(make())
    assert supports(nets.conv_6(dropout=0.5))
    assert supports(nets.resnet(56, width=32))
    assert supports(nets.vgg_19(width=8))


def test_the_detector_is_plain_and_so_is_its_backbone():
    for net in (nets.detector(32, 64, filters=3), nets.detector_backbone(32, 32, filters=3)):
        start, masks = pruned(net, 0)
        assert_equal(net, start, masks, sgd, 0)
    assert supports(nets.detector()) and supports(nets.detector_backbone())


@pytest.mark.parametrize("kind", [Conv2D, BatchNorm, ReLU, MaxPool, Chain, Residual])
def test_what_is_derived_from_a_layer_is_not_taken_for_it(kind):
    """It may do something else: such a network is run by its own layers."""

    class Derived(kind):
        pass

    made = {Conv2D: Conv2D, BatchNorm: BatchNorm, ReLU: ReLU, MaxPool: MaxPool, Chain: Chain, Residual: Residual}
    for derived in (False, True):
        of = made | ({kind: Derived} if derived else {})
        inner = of[Chain](conv=of[Conv2D](2, 2, padding=1, bias=False), norm=of[BatchNorm](2))
        layers = {"conv": of[Conv2D](1, 2, padding=1), "relu": of[ReLU](), "pool": of[MaxPool](2)}
        body = Chain(**layers, block=of[Residual](inner), flatten=Flatten(), out=Dense(32, 3))
        assert supports(Net("small", body, (8, 8, 1), (3,))) != derived
