"""The paper's six networks: weight counts, structure, whole gradients, and the laws on a net with batch norm."""

import tracemalloc
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npticket import nets
from npticket.datasets import Dataset, Split
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
from npticket.nets import Net
from npticket.optimizers import SGD, Adam
from npticket.prune import Globally, Rule, dense_masks, magnitude
from npticket.record import join_trials
from npticket.streams import Place, streams
from npticket.task import CLASSIFY
from npticket.testing import check_gradient, check_magnitude, check_round
from npticket.testing.strategies import seeds
from npticket.tickets import find_tickets, rewind
from npticket.train import Setting, fit


@pytest.mark.parametrize(
    ("make", "weights", "convolutions"),
    [
        (nets.lenet_300_100, 266_200, 0),
        (nets.lenet_5, 430_500, 500 + 25_000),
        (nets.conv_2, 4_300_992, 38_592),
        (nets.conv_4, 2_425_024, 259_776),
        (nets.conv_6, 2_261_184, 1_144_512),
        (nets.resnet_18, 270_896, 267_696 + 2_560),
        (nets.vgg_19, 20_024_000, 20_018_880),
    ],
)
def test_weight_counts_are_the_papers(make, weights, convolutions):
    layout = make().body.layout
    sizes = {name: int(np.prod(shape)) for name, shape in layout.items() if name.endswith("/W")}
    assert sum(sizes.values()) == weights
    assert sum(size for name, size in sizes.items() if len(layout[name]) == 4) == convolutions


@pytest.mark.parametrize(("drawn", "wrong"), [(("W",), "fc/b"), (("W", "b", "scale"), "fc/scale")])
def test_a_layer_that_does_not_draw_what_it_has_is_named(drawn, wrong):
    class Forgetful(Dense):
        def init(self, rng):
            return {name: np.ones((4, 2)) for name in drawn}

    with pytest.raises(ValueError, match=f"layout and init of net do not name the same: {wrong}"):
        Net("net", Chain(fc=Forgetful(4, 2)), (4,), (2,)).init(streams(0, [0], "init"))


def test_bad_depths_are_refused():
    for depth in (18, 2, 0):
        with pytest.raises(ValueError, match="6 n \\+ 2"):
            nets.resnet(depth)


def test_depth_and_width_of_the_residual_network():
    for depth, convolutions in ((8, 7), (20, 19)):  # 1 + 3 stages x 1 or 3 blocks x 2
        names = [name for name in nets.resnet(depth).body.layout if name.endswith("/W") and "/shortcut/" not in name]
        assert len(names) == convolutions + 1  # and the output layer
    assert nets.resnet(depth=20, width=32).body.layout["out/W"] == (128, 10)


def small_conv_net():
    """Conv-2's shape at a reduced width: two convolutions, max-pooling, dense layers."""
    body = Chain(
        conv1=Conv2D(3, 2, padding=1), relu1=ReLU(), conv2=Conv2D(2, 3, padding=1), relu2=ReLU(), pool=MaxPool(2),
        flatten=Flatten(), fc1=Dense(48, 5), fc_relu1=ReLU(), out=Dense(5, 4),
    )  # fmt: skip
    return Net("small conv", body, (8, 8, 3), (4,))


def small_vgg():
    """VGG-19's shape at a reduced size."""
    body = Chain(
        conv1=Conv2D(3, 2, padding=1, bias=False), norm1=BatchNorm(2), relu1=ReLU(), pool1=MaxPool(2),
        conv2=Conv2D(2, 3, padding=1, bias=False), norm2=BatchNorm(3), relu2=ReLU(), pool2=AveragePool(2),
        flatten=Flatten(), out=Dense(12, 4),
    )  # fmt: skip
    return Net("small VGG", body, (8, 8, 3), (4,))


def small_resnet():
    """The CIFAR residual network at depth 8 and width 2, for images of 8 x 8 pixels."""
    net = nets.resnet(depth=8, width=2, classes=4)
    assert isinstance(net.body.layers["pool"], GlobalAveragePool)  # so any image size will do
    return Net("small ResNet", net.body, (8, 8, 3), (4,))


RULE = Rule(magnitude, Globally({"out/W": 0, "*/shortcut/*": 0, "*/W": 0.2}))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: nets.lenet_300_100((1, 2, 3)), r"two numbers of hidden units, got \(1, 2, 3\)"),
        (lambda: nets.lenet_5((1,)), "two numbers of filters"),
        (lambda: nets.lenet_5(input_shape=(28,)), r"takes images .* got inputs of shape \(28,\)"),
    ],
)
def test_other_lenets_are_refused_in_words(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_what_lacks_the_axis_of_trials_is_refused_in_words():
    net = nets.lenet_300_100()
    theta = net.init(streams(0, [0], "init"))
    with pytest.raises(ValueError, match=r"shape \(5, 28, 28\), expected .*is the trials axis missing"):
        net.predict(theta, np.zeros((5, 28, 28), np.float32))
    with pytest.raises(TypeError, match="init takes a generator for each trial"):
        net.init(3)
    with pytest.raises(ValueError, match="a layer's name has no slash, got fc/1"):
        Chain(**{"fc/1": Dense(2, 3)})


def small_lenet_5():
    """LeNet-5 at a reduced width."""
    return nets.lenet_5(filters=(2, 3), hidden=5)


SMALL = [nets.lenet_300_100, small_lenet_5, small_conv_net, small_vgg, small_resnet]


@pytest.mark.parametrize("make", SMALL)
def test_whole_network_gradient_in_training(make):
    net = make()
    rng = np.random.default_rng(0)
    theta = net.init(streams(0, range(2), "init"), np.float64)
    theta.flat[...] += 0.05 * rng.normal(size=theta.flat.shape)  # biases, shifts and scales off their round values
    check_gradient(net.body, rng.normal(size=(2, 6, *net.input_shape)), theta=theta, training=True)


@st.composite
def runs(draw):
    """Everything `fit` needs for a small residual network with batch norm, one to three trials."""
    net, seed, trials = small_resnet(), draw(seeds), draw(st.integers(1, 3))
    rng = np.random.default_rng(seed)
    parts = [Split(rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8), rng.integers(0, 4, n)) for n in (20, 7, 9)]
    optimizer = draw(
        st.sampled_from([lambda m: SGD(m, 0.05, momentum=0.9, weight_decay=0.01), lambda m: Adam(m, 0.01)])
    )
    theta0 = net.init(streams(seed, range(trials), "init"))
    setting = Setting(optimizer, steps=4, batch=6, validate_every=2)
    return net, theta0, Dataset("random", *parts, 4, "a test"), setting, Place(seed, range(trials))


@settings(max_examples=8)
@given(runs())
def test_the_laws_hold_with_batch_norm_and_global_pruning(case):
    net, theta0, *rest = case
    rounds = list(
        islice(
            find_tickets(
                theta0,
                dense_masks(theta0),
                train=lambda start, masks: fit(net, CLASSIFY, start, masks, *rest).end,
                prune=RULE,
            ),
            3,
        )
    )
    check_round(rounds[0], theta0)
    for previous, round in pairwise(rounds):
        check_round(round, theta0, previous)
        check_magnitude(round, previous)
    for round in rounds:
        for name in theta0.buffers:  # rewound with the rest, moved by training
            assert round.start[name].tobytes() == theta0[name].tobytes()
            assert (round.end[name] != theta0[name]).any()
            assert round.masks[name].all()
        for name in theta0:
            if name not in RULE.scope.names(theta0):
                assert round.masks[name].all()


@settings(max_examples=8)
@given(runs())
def test_a_trial_among_others_is_the_trial_alone_with_batch_norm(case):
    net, theta0, data, setting, place = case
    masks = RULE(theta0, dense_masks(theta0))
    start = rewind(theta0, masks)
    together = fit(net, CLASSIFY, start, masks, data, setting, place)
    alone = join_trials(
        [fit(net, CLASSIFY, start.trial(t), masks.trial(t), data, setting, place.of([t])) for t in range(theta0.trials)]
    )
    np.testing.assert_array_equal(together.end.flat, alone.end.flat)
    np.testing.assert_array_equal(together["val_loss"], alone["val_loss"])


def test_no_optimizer_moves_the_running_statistics():
    net = small_resnet()
    theta = net.init(streams(0, [0], "init"))
    for name in theta.buffers:
        theta[name][...] = 5
    for optimizer in (
        SGD(dense_masks(theta), 0.1, momentum=0.9, weight_decay=0.5),
        Adam(dense_masks(theta), 0.1),
    ):
        for _ in range(3):
            optimizer.step(theta, theta.like(np.ones_like(theta.flat)))
    assert all((theta[name] == 5).all() for name in theta.buffers)
    assert (theta["conv/W"] != 5).all()


def kinds(layer):
    """The layers that a layer consists of, in order, as short words."""
    if isinstance(layer, Chain):
        return " ".join(kinds(part) for part in layer.layers.values())
    if isinstance(layer, Residual):
        around = "x" if layer.shortcut is None else kinds(layer.shortcut)
        return f"[{kinds(layer.body)} + {around}]"
    name = {Conv2D: "conv", ReLU: "relu", Dense: "fc", MaxPool: "max", AveragePool: "mean", BatchNorm: "norm"}.get(
        type(layer), type(layer).__name__.lower()
    )
    if isinstance(layer, Conv2D):
        kernel, _, channels, filters = layer.layout["W"]
        return f"{name}{kernel}/{layer.stride}p{layer.padding}:{channels}-{filters}"
    if isinstance(layer, Dense):
        return f"{name}:{'-'.join(map(str, layer.layout['W']))}"
    if isinstance(layer, MaxPool | AveragePool):
        return f"{name}{layer.size}"
    return f"{name}{layer.rate}" if isinstance(layer, Dropout) else name


def pair(before, width):
    return f"conv3/1p1:{before}-{width} relu conv3/1p1:{width}-{width} relu max2 "


def dense(inputs, drop=""):
    return f"flatten fc:{inputs}-256 relu{drop} fc:256-256 relu{drop} fc:256-10"


def test_a_prediction_is_the_output_of_the_forward_pass_in_less_memory():
    """Bit for bit, through chains in residual blocks, too."""
    net = nets.resnet(depth=20, width=8)
    theta = net.init(streams(0, range(2), "init"))
    x = np.random.default_rng(0).random((1, 20, *net.input_shape), np.float32)
    peaks, outputs = [], []
    for run in (lambda: net.forward(theta, x)[0], lambda: net.predict(theta, x)):
        tracemalloc.start()
        outputs.append(run())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (outputs[0] == outputs[1]).all()
    assert peaks[1] < peaks[0] / 2


def test_all_trials_may_be_shown_one_input_whatever_layer_comes_first():
    rng = np.random.default_rng(0)
    body = Chain(norm=BatchNorm(3), flatten=Flatten(), out=Dense(12, 2))
    net = Net("normalised inputs", body, (2, 2, 3), (2,))
    theta, x = net.init(streams(0, [0, 1], "init"), np.float64), rng.normal(size=(1, 4, 2, 2, 3))
    theta["norm/running_mean"][...] = rng.normal(size=(2, 3))
    expected = net.predict(theta, x.repeat(2, axis=0))
    assert (net.predict(theta, x) == expected).all() and (net.forward(theta, x)[0] == expected).all()


def test_the_conv_nets_are_built_as_in_the_papers_table():
    lenet_5 = "onechannel conv5/1p0:1-20 max2 conv5/1p0:20-50 max2 flatten fc:800-500 relu fc:500-10"
    assert kinds(nets.lenet_5().body) == lenet_5
    assert kinds(nets.conv_2().body) == pair(3, 64) + dense(16_384)
    assert kinds(nets.conv_4().body) == pair(3, 64) + pair(64, 128) + dense(8_192)
    assert kinds(nets.conv_6().body) == pair(3, 64) + pair(64, 128) + pair(128, 256) + dense(4_096)
    assert kinds(nets.conv_2(dropout=0.5).body) == pair(3, 64) + dense(16_384, " dropout0.5")


def test_vgg_19_is_built_as_in_the_papers_table():
    expected, channels = [], 3
    for group, (width, count) in enumerate(((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))):
        for _ in range(count):
            expected += [f"conv3/1p1:{channels}-{width}", "norm", "relu"]
            channels = width
        expected.append("max2" if group < 4 else "mean2")
    assert kinds(nets.vgg_19().body) == " ".join([*expected, "flatten", "fc:512-10"])


def test_the_residual_network_is_built_as_he_et_al_say():
    def block(before, width):
        stride = 1 if before == width else 2
        body = f"conv3/{stride}p1:{before}-{width} norm relu conv3/1p1:{width}-{width} norm"
        around = "x" if before == width else f"conv1/2p0:{before}-{width} norm"
        return f"[{body} + {around}] relu"

    widths = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
    blocks = [block(*both) for both in pairwise(widths)]
    expected = ["conv3/1p1:3-16 norm relu", *blocks, "globalaveragepool", "fc:64-10"]
    assert kinds(nets.resnet_18().body) == " ".join(expected)
