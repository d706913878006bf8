"""What the GPU engine's kernels compute, one by one, tried on the CPU; and that whatever is wrong with one is found."""

from functools import partial
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from on_device import compare, convolutional, given_optimizers, tickets
from strict import StrictArray, strict

from npticket.engine.gpu import conv, kernels, layers, lockstep, norm, winograd, winograd_kernels
from npticket.engine.gpu import loss as gpu_loss
from npticket.engine.gpu.layers import fused_layers
from npticket.engine.gpu.lockstep import Gpu, Unfused
from npticket.layers import BatchNorm, Chain, Conv2D, Dense, Flatten, MaxPool, ReLU
from npticket.loss import softmax_cross_entropy
from npticket.nets import Net
from npticket.optimizers import SGD, Adam
from npticket.params import Params
from npticket.prune import dense_masks
from npticket.streams import streams
from npticket.testing.strategies import seeds, trial_counts


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(1, 3 * kernels.ROWS**2), st.integers(1, 3), seeds)
def test_sums_and_moments_over_many_rows(trials, rows, channels, seed):
    """Of numbers far from 0, too: the variance does not drown in the mean."""
    x = np.random.default_rng(seed).normal(1e6, 1, (trials, rows, channels))
    on_device = strict.asarray(x)
    total = strict.empty((trials, channels))
    kernels.sum_rows(on_device, total)
    np.testing.assert_allclose(total.get(), x.sum(axis=1), rtol=1e-13)
    mean, m2 = (part.get() for part in norm.moments(on_device))
    np.testing.assert_allclose(mean, x.mean(axis=1), rtol=1e-14)
    np.testing.assert_allclose(m2, x.var(axis=1) * rows, rtol=1e-8, atol=1e-8)


@settings(deadline=None)
@given(trial_counts, st.integers(1, 6), st.integers(2, 12), st.sampled_from([np.uint8, np.int64]), seeds)
def test_cross_entropy(trials, batch, classes, dtype, seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(trials, batch, classes)) * rng.choice([1, 1000])
    labels = rng.integers(0, classes, (trials, batch)).astype(dtype)
    found = gpu_loss.cross_entropy(strict.asarray(z), strict.asarray(labels))
    assert all(isinstance(part, StrictArray) for part in found)
    turned = gpu_loss.cross_entropy(in_another_order(z), strict.asarray(labels))
    for ours, same, plain in zip(found, turned, softmax_cross_entropy(z, labels), strict=True):
        np.testing.assert_allclose(ours.get(), plain, rtol=1e-10, atol=1e-12)
        assert (same.get() == ours.get()).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.tuples(*[st.integers(3, 7)] * 2), seeds)
def test_of_equal_pixels_the_first_is_the_largest(size, shape, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, (2, 2, *shape, 2)).astype(float)
    plain, plain_backward = MaxPool(size).forward({}, x)
    ours, backward = layers.MaxPool(size).forward({}, strict.asarray(x))
    dy = rng.normal(size=plain.shape)
    assert (ours.get() == plain).all()
    assert (backward(strict.asarray(dy), {}).get() == plain_backward(dy, {})).all()


def test_nan_is_not_hidden():
    z = np.array([[[0.0, np.nan, 1.0]]])
    assert np.isnan(gpu_loss.cross_entropy(strict.asarray(z), strict.asarray(np.array([[0]])))[0].get()).all()
    body = fused_layers(Chain(fc=Dense(1, 1), relu=ReLU(), lone=ReLU(), flat=Flatten()))
    p = {"fc": {"W": strict.asarray(np.array([[[np.nan]]])), "b": strict.asarray(np.zeros((1, 1, 1)))}}
    assert np.isnan(body.forward(p, strict.asarray(np.ones((1, 1, 1))))[0].get()).all()
    for where in range(4):
        square = np.zeros((1, 1, 2, 2, 1))
        square[0, 0, where // 2, where % 2] = np.nan
        assert np.isnan(layers.MaxPool(2).forward({}, strict.asarray(square))[0].get()).all()


def test_a_pruned_weight_does_not_move_whatever_its_gradient():
    alive, p = SimpleNamespace(flat=strict.asarray(np.array([True, False]))), strict.asarray(np.zeros(2))
    optimizer = lockstep.fused(Adam(dense_masks(convolutional().init(streams(0, [0], "init"))), 0.1), alive)
    optimizer.step(SimpleNamespace(flat=p), SimpleNamespace(flat=strict.asarray(np.array([1.0, np.inf]))))
    assert p.get()[0] != 0 and p.get()[1].tobytes() == np.float64(0).tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("plain", [Adam, partial(SGD, momentum=0.9)], ids=["adam", "sgd"])
def test_kernels_forget_moments_before_they_become_subnormal(plain, dtype):
    """As optimizers.flush does, at the same steps; NaN and infinity stay."""
    rng = np.random.default_rng(0)
    theta = Params({"a/W": (40,)}, rng.normal(size=(1, 40)).astype(dtype))
    masks = dense_masks(theta)
    ours = lockstep.fused(plain(masks, 0.01), SimpleNamespace(flat=strict.asarray(masks.flat)))
    theirs, p = plain(masks, 0.01), SimpleNamespace(flat=strict.asarray(theta.flat))
    moment = "_m" if plain is Adam else "_v"  # its first
    for step in range(1_200 if dtype == np.float32 else 7_500):
        g = rng.normal(size=(1, 40)) * 10.0 ** rng.integers(-9, 3, (1, 40)) * (step < 7)
        ours.step(p, SimpleNamespace(flat=strict.asarray(g.astype(dtype))))
        theirs.step(theta, theta.like(g.astype(dtype)))
        kept = ours._moments[0].get()
        assert not ((kept != 0) & (abs(kept) < np.finfo(dtype).tiny)).any()
        assert ((kept == 0) == (getattr(theirs, moment) == 0)).all()
    np.testing.assert_allclose(p.flat.get(), theta.flat, rtol=1e-5 if dtype == np.float32 else 1e-12)
    assert not kept.any()
    for bad in (np.nan, np.inf):
        for step in range(60):
            g = np.full((1, 40), bad if not step else 0, dtype)
            ours.step(p, SimpleNamespace(flat=strict.asarray(g)))
        assert not np.isfinite(p.flat.get()).any()
        assert not np.isfinite(ours._moments[0].get()).any()


def test_a_relu_is_joined_to_what_ends_by_adding_an_offset():
    body = fused_layers(convolutional().body)
    assert list(body.layers) == ["conv", "norm", "wide", "pool", "lone", "flat", "fc", "drop", "out"]
    assert body.layout == convolutional().body.layout
    assert fused_layers(Chain(a=Dense(2, 2), r=ReLU(), s=ReLU())).layers.keys() == {"a", "s"}
    without = Chain(inside=Chain(a=Conv2D(1, 1, bias=False), r=ReLU()), r=ReLU())
    assert [list(chain.layers) for chain in (fused_layers(without), fused_layers(without).layers["inside"])] == [
        ["inside", "r"],
        ["a"],
    ]


def test_an_optimizer_without_a_kernel_steps_the_network_as_it_is():
    """What is derived from SGD may do something else, and is asked to do it."""

    class Mine(SGD):
        def step(self, theta, grads):
            grads.flat[...] = grads.flat * 2
            super().step(theta, grads)

    net = convolutional()
    start, masks = tickets(net, range(2), 0)
    assert lockstep.fused(Mine(masks, 0.1), None) is None
    make = lambda m: Mine(m, 0.1, 0.9, 0.01)  # noqa: E731
    there = [start.like(strict.asarray(start.flat)), masks.like(strict.asarray(masks.flat))]
    assert type(Gpu(net, softmax_cross_entropy, *there, make)._optimizer) is Unfused
    compare(net, start, masks, make, 1, strict)


def most():
    """A network that uses every kernel, and each so that it matters."""
    layers = {"conv": Conv2D(2, 8, stride=2, padding=1), "relu0": ReLU(), "pool": MaxPool(), "lone": ReLU()}
    layers |= {"norm": BatchNorm(8), "relu1": ReLU(), "small": Conv2D(8, 8, padding=1), "relu2": ReLU()}
    layers |= {"conv2": Conv2D(8, 3, stride=2, padding=1, bias=False), "relu3": ReLU(), "norm2": BatchNorm(3)}
    layers |= {"flat": Flatten(), "fc": Dense(12, 6), "relu4": ReLU()}
    body = Chain(**layers, out=Dense(6, 4))
    return Net("most", body, (16, 16, 2), (4,))


@given_optimizers
def test_kernels_as_they_are(optimizer):
    """So that what the next test finds is what was made wrong."""
    compare(most(), *tickets(most(), range(2), 0), optimizer, 1, strict)


@pytest.mark.parametrize(
    ("module", "which", "right", "wrong"),
    [
        (lockstep, "ADAM_STEP", "v = beta2 * v + g * g", "v = beta2 * v + g"),
        (lockstep, "ADAM_STEP", "if (alive)", "if (true)"),
        (lockstep, "SGD_STEP", "weight_decay * p", "weight_decay * v"),
        (kernels, "BIAS", "y += b", "y -= b"),
        (kernels, "BIAS", "relu && y", "y"),
        (layers, "RELU", "x < 0", "x > 0"),
        (conv, "RELU", "x < 0", "x > 0"),
        (kernels, "RELU_GRADIENT", "y > 0", "y < 0"),
        (gpu_loss, "CROSS_ENTROPY", "/ batch", "/ (batch + 1)"),
        (kernels, "SUM_ROWS", "r = first", "r = first + 1"),
        (norm, "MOMENTS", "sum / (last - first)", "sum / rows"),
        (norm, "STATISTICS", "(count - 1)", "count"),
        (norm, "NORMALISE", "+ shift", ""),
        (norm, "GRADIENT_SUMS", "!relu || ", ""),
        (norm, "GRADIENT_SUMS", "y[at] > 0", "y[at] >= 0"),
        (norm, "INPUT_GRADIENT", "* dscale", ""),
        (conv, "IM2COL", "h < height", "h <= height"),
        (conv, "IM2COL", "row % spread == 0", "true"),
        (conv, "IM2COL", "- pad, left", ", left"),
        (winograd_kernels, "INPUTS", "h < x_height", "h <= x_height"),
        (winograd_kernels, "INPUTS", "T(-5) * d[2][j]", "T(5) * d[2][j]"),
        (winograd_kernels, "INPUTS", "top - margin", "top"),
        (winograd_kernels, "INPUTS_TRANSPOSED", "low / 4", "low / 8"),
        (winograd_kernels, "INPUTS_TRANSPOSED", "ptrdiff_t(c) * tiles + n", "ptrdiff_t(n) * channels + c"),
        (winograd_kernels, "OUTPUT_GRADIENTS", "first + n", "n + 1"),
        (winograd_kernels, "OUTPUTS", "relu && value < 0", "false"),
        (winograd_kernels, "OUTPUTS", "+ bias", ""),
        (winograd_kernels, "TAPS", "8 - k", "k"),
        (winograd_kernels, "TAPS", "turned ? ptrdiff_t(column) * rows + row", "false ? 0"),
        (winograd_kernels, "TAP_GRADIENTS", "T(0.25) * u", "T(0.5) * u"),
        (layers, "SQUARE", "value > top", "value < top"),
        (layers, "GRADIENT", "at == best", "true"),
    ],
)
def test_a_wrong_kernel_is_found(module, which, right, wrong, monkeypatch):
    source = getattr(module, which)
    body = source if isinstance(source, str) else source[2]
    assert right in body
    body = body.replace(right, wrong)
    monkeypatch.setattr(module, which, body if isinstance(source, str) else (*source[:2], body, source[3]))
    made_from_text = (conv.im2col_source, layers.max_pool)
    for made in made_from_text:
        made.cache_clear()
    start, masks = tickets(net := most(), range(2), 0)
    optimizer = (lambda m: SGD(m, 0.1, 0.9, 0.01)) if which == "SGD_STEP" else (lambda m: Adam(m, lr=0.01, eps=1e-3))
    try:
        with pytest.raises(AssertionError, match=r"^the law .* is broken|looked outside|came twice"):
            compare(net, start, masks, optimizer, 1, strict)
    finally:
        for made in made_from_text:
            made.cache_clear()


def test_the_stand_in_refuses_other_types_and_shapes():
    double = strict.ElementwiseKernel("T x, L times", "T y", "y = x * times;", "multiply")
    x, times = strict.asarray(np.ones(3)), strict.asarray(np.array([2]))
    assert (double(x, times).get() == 2).all()
    with pytest.raises(TypeError, match="y is float32, expected float64"):
        double(x, times, strict.asarray(np.ones(3, np.float32)))
    with pytest.raises(AssertionError, match="y has shape"):
        double(x, times, strict.asarray(np.ones(1)))
    with pytest.raises(TypeError, match="met a device array"):
        double(x, np.ones(3))
    shared = strict.ElementwiseKernel("T x", "raw T y", "y[0] = x;", "last")
    with pytest.raises(AssertionError, match="last came twice to one place of an output"):
        shared(x, strict.empty(3))
    over = strict.ElementwiseKernel("raw T x", "raw T y", "y[i] = x[i + 1];", "next")
    with pytest.raises(AssertionError, match="next looked outside of an array"):
        over(x, strict.empty(3), size=3)
    with pytest.raises(AssertionError, match="the loop has no length"):
        over(x, strict.empty(3))


@pytest.mark.parametrize(
    ("images_that_fit", "trials", "rows"),
    [
        (2, [0, 0, 0, 1, 1, 1, 2, 2, 2], [(0, 32), (32, 64), (64, 80)] * 3),
        (5, [0, 1, 2], [(0, 80)] * 3),
        (10, [0, 2], [(0, 80)] * 2),
        (99, [0], [(0, 80)]),
    ],
)
def test_windows_are_gathered_for_as_many_trials_or_images_as_fit(images_that_fit, trials, rows, monkeypatch):
    monkeypatch.setattr(conv, "COLUMN_BYTES", images_that_fit * 16 * 18 * 8 + 1)
    x = np.random.default_rng(0).normal(size=(3, 5, 4, 4, 2))
    places = []
    for part, place, columns in conv.im2col(strict.asarray(x), 3, 1, 1, (4, 4)):
        places.append((part.start, (place.start, place.stop)))
        assert columns.nbytes <= conv.COLUMN_BYTES
        centres = x[part].reshape(-1, 80, 2)[:, place]
        assert (columns.get().reshape(*centres.shape[:2], 9, 2)[:, :, 4] == centres).all()
    assert places == list(zip(trials, rows, strict=True))


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(trial_counts, st.integers(1, 4), *[st.integers(3, 9)] * 2),
    st.tuples(*[st.integers(8, 11)] * 2),
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from([1, 1 << 30]),
    st.sampled_from([1, 1 << 30]),
    seeds,
)
def test_winograd_is_the_convolution(shape, channels, padding, relu, room, of_a_trial, seed):
    """Where the input is dark and there is no bias, a ReLU passes no gradient, as by the definition."""
    plain = {"conv": Conv2D(*channels, padding=padding)} | ({"relu": ReLU()} if relu else {})
    plain, fused = Chain(**plain), fused_layers(Chain(**plain))
    assert type(fused.layers["conv"]) is winograd.Winograd
    rng = np.random.default_rng(seed)
    x, p = rng.normal(size=(*shape, channels[0])), {"conv": {}}
    for name, size in plain.layers["conv"].layout.items():
        p["conv"][name] = rng.normal(size=(len(x), *size)) * rng.integers(0, 2, (len(x), *size))
    x[:, :, : rng.integers(4), :, :] = 0
    there = {"conv": {name: strict.asarray(value) for name, value in p["conv"].items()}}
    grads, found = ({"conv": {name: xp.empty(value.shape) for name, value in p["conv"].items()}} for xp in (np, strict))
    with mock.patch.multiple(winograd, DOMAIN_BYTES=room, TRIAL_BYTES=of_a_trial):
        y, backward = plain.forward(p, x, "a step")
        ours, our_backward = fused.forward(there, strict.asarray(x), "a step")
        dy = rng.normal(size=y.shape)
        dx, our_dx = backward(dy, grads), our_backward(strict.asarray(dy), found)
    if relu:
        assert ((ours.get() > 0) == (y > 0)).all()
    pairs = [(ours, y), (our_dx, dx), *((found["conv"][name], grads["conv"][name]) for name in p["conv"])]
    for one, other in pairs:
        np.testing.assert_allclose(one.get(), other, rtol=1e-10, atol=1e-11)


def test_what_winograd_sums_up_for_a_trial_does_not_depend_on_the_others(monkeypatch):
    """There is room for two images of a trial, and for two trials of so many, in the domain."""
    x, dy = (np.random.default_rng(seed).normal(size=(5, 7, 4, 4, 8)) for seed in (0, 1))
    image = 36 * 8 * 8
    monkeypatch.setattr(winograd, "TRIAL_BYTES", 2 * image)
    monkeypatch.setattr(winograd, "DOMAIN_BYTES", 4 * image)
    places = [(some.start, first, tiles) for some, first, tiles in winograd.parts(x, (4, 4), 8)]
    assert places == [(t, first, min(2, 7 - first)) for t in (0, 2, 4) for first in (0, 2, 4, 6)]

    def gradient(trials):
        out = strict.empty((len(x[trials]), 3, 3, 8, 8))
        winograd.weight_gradient(strict.asarray(x[trials]), strict.asarray(dy[trials]), 1, out)
        return out.get()

    assert (gradient(slice(None))[3:4] == gradient(slice(3, 4))).all()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Conv2D(8, 8), "a 2 x 2 map with padding 0 is smaller than a kernel of size 3"),
        (Conv2D(2, 2, 5, padding=1), "a 2 x 2 map with padding 1 is smaller than a kernel of size 5"),
        (MaxPool(3), "a 2 x 2 map is smaller than a pool of size 3"),
    ],
)
def test_maps_that_are_too_small_are_refused_in_the_layers_words(layer, message):
    p = {name: strict.asarray(np.ones((1, *size))) for name, size in layer.layout.items()}
    channels = layer.layout["W"][2] if layer.layout else 1
    fused = fused_layers(Chain(one=layer))
    with pytest.raises(ValueError, match=message):
        fused.forward({"one": p}, strict.asarray(np.ones((1, 1, 2, 2, channels))))


def test_images_of_one_window(monkeypatch):
    monkeypatch.setattr(conv, "COLUMN_BYTES", 1)
    body = Chain(conv=Conv2D(2, 3), flat=Flatten(), out=Dense(3, 4))
    net = Net("one pixel", body, (3, 3, 2), (4,))
    compare(net, *tickets(net, range(2), 0), lambda m: SGD(m, 0.1), 1, strict, steps=2)


def in_another_order(array):
    """The same values, with the first axis innermost in memory."""
    return StrictArray(np.asfortranarray(array))


@pytest.mark.parametrize("layer", [Conv2D(2, 2, 1), Conv2D(2, 2, 2), Dense(2, 2), BatchNorm(2), MaxPool(2), ReLU()])
def test_gradients_may_lie_in_any_order(layer):
    rng = np.random.default_rng(0)
    shape = (2, 3, 2) if isinstance(layer, Dense) else (2, 3, 4, 4, 2)
    x, p = rng.normal(size=shape), {name: rng.normal(size=(2, *size)) ** 2 for name, size in layer.layout.items()}
    expected, found = ({name: np.zeros_like(value) for name, value in p.items()} for _ in range(2))
    p_there, found = ({name: strict.asarray(value) for name, value in tree.items()} for tree in (p, found))
    y, backward = layer.forward(p, x, "a step")
    ours, our_backward = fused_layers(layer).forward(p_there, strict.asarray(x), "a step")
    np.testing.assert_allclose(ours.get(), y, rtol=1e-10, atol=1e-12)
    dy = rng.normal(size=y.shape)
    dx = backward(dy, expected)
    np.testing.assert_allclose(our_backward(in_another_order(dy), found).get(), dx, rtol=1e-10, atol=1e-12)
    for name in p:
        np.testing.assert_allclose(found[name].get(), expected[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("layer", [Conv2D(2, 2, 1), Conv2D(2, 2, 2), Conv2D(2, 8, 3), Dense(2, 2), BatchNorm(2)])
def test_trials_may_be_shown_one_x(layer):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 3, 2) if isinstance(layer, Dense) else (1, 3, 4, 4, 2))
    p = {name: rng.normal(size=(2, *size)) ** 2 for name, size in layer.layout.items()}
    there = {name: strict.asarray(value) for name, value in p.items()}
    found, _ = fused_layers(layer).forward(there, strict.asarray(x))
    np.testing.assert_allclose(found.get(), layer.forward(p, x)[0], rtol=1e-10, atol=1e-12)


def test_batch_normalisation_of_nan_and_of_one_row():
    x = np.array([[[1.0, np.nan], [2.0, 3.0]]])
    chain = Chain(norm=BatchNorm(2), relu=ReLU())
    p = {name: np.full((1, 2), float(name in ("scale", "running_var"))) for name in BatchNorm(2).layout}
    there = {name: strict.asarray(value) for name, value in p.items()}
    expected, _ = chain.forward({"norm": p}, x, "a step")
    found, _ = fused_layers(chain).forward({"norm": there}, strict.asarray(x), "a step")
    np.testing.assert_allclose(found.get(), expected)
    np.testing.assert_allclose(there["running_var"].get(), p["running_var"])
    with pytest.raises(ValueError, match="at least two numbers of each channel"):
        fused_layers(chain).forward({"norm": there}, strict.asarray(x[:, :1]), "a step")


def test_unknown_layers_stay_what_they_are():
    class Mine(Dense):
        pass

    class Whole(Chain):
        pass

    class Leaky(ReLU):
        pass

    mine, over, leaky = Mine(2, 2), MaxPool(3, 2), Leaky()
    chain = Chain(a=mine, r=ReLU(), b=Whole(c=Dense(2, 2)), p=MaxPool(3), o=over, d=Dense(2, 2), l=leaky)
    chain = fused_layers(chain)
    assert list(chain.layers) == ["a", "r", "b", "p", "o", "d", "l"] and chain.layers["o"] is over
    assert chain.layers["a"] is mine and type(chain.layers["b"]) is Whole and chain.layers["l"] is leaky
    assert type(chain.layers["r"]) is layers.ReLU and type(chain.layers["p"]) is layers.MaxPool
