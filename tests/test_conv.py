"""Convolution, pooling and batch normalisation against naive loops, and the gradients of all of them."""

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npticket.layers import (
    AveragePool,
    BatchNorm,
    Chain,
    Conv2D,
    Dropout,
    GlobalAveragePool,
    MaxPool,
    ReLU,
    Residual,
    conv,
)
from npticket.params import Params
from npticket.streams import Place, TrainingStep, streams
from npticket.testing import check_gradient, strategies


@st.composite
def convolutions(draw):
    """(layer, x, seed): any kernel, stride and padding, over maps that need not divide evenly."""
    kernel = draw(st.integers(1, 3))
    layer = Conv2D(
        draw(st.integers(1, 3)), draw(st.integers(1, 3)), kernel, draw(st.integers(1, 3)),
        padding=draw(st.integers(0, kernel - 1)), bias=draw(st.booleans()),
    )  # fmt: skip
    seed = draw(strategies.seeds)
    height, width = (draw(st.integers(kernel, 6)) for _ in range(2))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 4)), height, width, layer.layout["W"][2])
    return layer, np.random.default_rng(seed).normal(size=shape), seed


@given(convolutions())
def test_convolution_is_the_naive_loop(case):
    layer, x, seed = case
    theta = Params.empty(layer.layout, len(x), np.float64)
    theta.flat[...] = np.random.default_rng(seed).normal(size=theta.flat.shape)
    y, _ = layer.forward(theta.tree, x)
    for t in range(len(x)):
        bias = theta["b"][t].ravel() if "b" in layer.layout else np.zeros(y.shape[-1])
        expected = oracles.convolve(x[t], theta["W"][t], bias, layer.stride, layer.padding)
        np.testing.assert_allclose(y[t], expected, rtol=1e-12, atol=1e-12)


@given(convolutions())
def test_convolution_gradient(case):
    check_gradient(*case, tolerance=1e-7)


@given(convolutions(), st.integers(1, 5))
def test_it_does_not_matter_how_many_images_make_columns_at_a_time(case, images):
    layer, x, seed = case
    x = np.concatenate([x, x[:, ::-1] + 1, x * 2], axis=1)  # so that the last group is often a short one
    theta = Params.empty(layer.layout, len(x), np.float64)
    theta.flat[...] = np.random.default_rng(seed).normal(size=theta.flat.shape)

    def run():
        y, backward = layer.forward(theta.tree, x)
        grads = theta.like(np.full_like(theta.flat, np.nan))
        return y, backward(np.cos(y), grads.tree), grads.flat

    whole = run()
    with pytest.MonkeyPatch.context() as patch:
        real = conv.im2col

        def few_at_a_time(x, kernel, stride, pad, padded, *rest):
            rows, columns = ((size - kernel) // stride + 1 for size in padded)
            one = len(x) * rows * columns * kernel * kernel * x.shape[-1] * x.itemsize
            patch.setattr(conv, "COLUMN_BYTES", images * one)
            groups = list(real(x, kernel, stride, pad, padded, rest[0], 0))
            assert len(groups) == -(-x.shape[1] // images)
            return real(x, kernel, stride, pad, padded, rest[0], 0)

        patch.setattr(conv, "im2col", few_at_a_time)
        for one, other in zip(whole, run(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_columns_of_a_large_batch_take_bounded_memory():
    x = np.zeros((1, 64, 32, 32, 16), np.float32)
    largest = max(columns.nbytes for _, columns in conv.im2col(x, 3, 1, 1, (34, 34), 1, w_bytes=9 * 16 * 16 * 4))
    assert largest <= conv.COLUMN_BYTES
    rows = [rows for rows, _ in conv.im2col(x, 3, 1, 1, (34, 34), 1, 0)]
    assert [r.start for r in rows[1:]] == [r.stop for r in rows[:-1]]
    assert rows[-1].stop == 64 * 32 * 32


@st.composite
def maps(draw):
    """(x, size, stride, padding): maps of any size, with pooling squares that may not divide them and may overlap."""
    size = draw(st.integers(1, 4))
    shape = [draw(st.integers(1, 3)) for _ in range(2)] + [draw(st.integers(size, 7)) for _ in range(2)]
    window = draw(st.integers(1, 5)), draw(st.integers(0, size // 2))
    rng = np.random.default_rng(draw(strategies.seeds))
    return rng.permuted(np.arange(np.prod(shape) * 2.0)).reshape(*shape, 2) / 10, size, *window  # no two pixels alike


@given(maps(), strategies.seeds)
def test_pooling_is_the_naive_loop_and_its_gradient_checks(case, seed):
    x, size, *window = case
    squares = (MaxPool(size), np.max, []), (MaxPool(size, *window), np.max, window), (AveragePool(size), np.mean, [])
    for layer, reduce, others in squares:
        y, _ = layer.forward({}, x)
        for t in range(len(x)):
            np.testing.assert_allclose(y[t], oracles.pool(x[t], size, reduce, *others), rtol=1e-12)
        check_gradient(layer, x, seed, tolerance=1e-7)
    np.testing.assert_allclose(GlobalAveragePool().forward({}, x)[0], x.mean(axis=(2, 3)), rtol=1e-12)
    check_gradient(GlobalAveragePool(), x, seed, tolerance=1e-7)


def test_tied_maxima_pass_the_gradient_to_the_first_only():
    # One 2 x 2 square, row by row 1 3 / 3 3, and one with four equal pixels.
    x = np.array([[[1.0, 3], [3, 3]], [[0, 0], [0, 0]]]).reshape(1, 2, 2, 2, 1)
    y, backward = MaxPool(2).forward({}, x)
    assert y.ravel().tolist() == [3, 0]
    dx = backward(np.full(y.shape, 5.0), {})
    assert dx.reshape(2, 4).tolist() == [[0, 5, 0, 0], [5, 0, 0, 0]]


def test_the_largest_pixel_of_several_squares_has_the_sum_of_their_gradients():
    x, pool = np.zeros((1, 1, 3, 3, 1)), MaxPool(3, 2, 1)
    _, backward = pool.forward({}, x)
    dy = np.arange(1.0, 5).reshape(1, 1, 2, 2, 1)
    # The squares lie around the corners: their first pixels in the map are (0, 0), (0, 1), (1, 0) and (1, 1).
    assert backward(dy, {})[0, 0, :, :, 0].tolist() == [[1, 2, 0], [3, 4, 0], [0, 0, 0]]
    x[0, 0, 1, 1] = 1
    assert pool.forward({}, x)[1](dy, {})[0, 0, 1, 1, 0] == 10


@st.composite
def normalisations(draw):
    """(layer, x, seed): batch normalisation of images or of vectors, at least two values per channel."""
    channels, seed = draw(st.integers(1, 3)), draw(strategies.seeds)
    shape = [draw(st.integers(1, 3)), draw(st.integers(2, 4))]
    if draw(st.booleans()):
        shape += [draw(st.integers(1, 3)) for _ in range(2)]
    rng = np.random.default_rng(seed)
    eps = 0.1  # two almost equal values with the usual 1e-5 would bend too sharply for central differences
    return BatchNorm(channels, eps=eps), rng.normal(rng.normal(size=channels), 2, (*shape, channels)), seed


@given(normalisations())
def test_batch_norm_is_the_naive_loop_in_training_and_in_prediction(case):
    layer, x, seed = case
    theta = Params.empty(layer.layout, len(x), np.float64)
    theta.flat[...] = np.random.default_rng(seed).uniform(0.5, 2, theta.flat.shape)
    before = theta.copy()
    step = TrainingStep(Place(0, range(len(x)), 0), 0)
    y, _ = layer.forward(theta.tree, x, step)
    for t in range(len(x)):
        for c in range(x.shape[-1]):
            values = x[t, ..., c]
            expected = (values - values.mean()) / np.sqrt(values.var() + layer.eps)
            np.testing.assert_allclose(
                y[t, ..., c], expected * before["scale"][t, c] + before["shift"][t, c], rtol=1e-9, atol=1e-9
            )
            for name, batch in (("running_mean", values.mean()), ("running_var", values.var(ddof=1))):
                assert np.isclose(theta[name][t, c], 0.9 * before[name][t, c] + 0.1 * batch, rtol=1e-12)
    predicted, _ = layer.forward(before.tree, x)
    mean, var, scale, shift = (
        before[name].reshape(len(x), *[1] * (x.ndim - 2), -1)
        for name in ("running_mean", "running_var", "scale", "shift")
    )
    np.testing.assert_allclose(predicted, (x - mean) / np.sqrt(var + layer.eps) * scale + shift, rtol=1e-9, atol=1e-9)


@given(normalisations())
def test_batch_norm_gradient_in_training(case):
    check_gradient(*case, training=True)


@given(normalisations())
def test_batch_norm_gradient_in_prediction(case):
    check_gradient(*case, tolerance=1e-7)


def test_batch_norm_is_precise_where_the_mean_is_large():
    """In float32, with a mean a thousand times the deviation, as after a layer with a large bias."""
    rng = np.random.default_rng(0)
    layer, x, dy = BatchNorm(3), rng.normal(1_000, 1, (2, 16, 4, 4, 3)), rng.normal(size=(2, 16, 4, 4, 3))
    results = {}
    for dtype in (np.float32, np.float64):
        theta = Params.empty(layer.layout, 2, dtype)
        for name, value in layer.init(rng).items():
            theta[name][...] = value
        grad = theta.copy()
        rounded = x.astype(np.float32).astype(dtype)  # the same input for both
        y, backward = layer.forward(theta.tree, rounded, TrainingStep(Place(0, range(2), 0), 0))
        dx = backward(dy.astype(dtype), grad.tree)
        results[dtype] = y, dx, grad["scale"], grad["shift"]
    for narrow, wide in zip(*results.values(), strict=True):
        np.testing.assert_allclose(narrow, wide, rtol=1e-3, atol=2e-4 * abs(wide).max())


def test_batch_norm_has_the_usual_constants():
    assert (BatchNorm(3).eps, BatchNorm(3).momentum) == (1e-5, 0.1)


def test_residual_branches_may_be_without_parameters():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 4, 2))
    check_gradient(Residual(Chain(relu=ReLU())), x, 0, tolerance=1e-7)
    check_gradient(Residual(Conv2D(2, 2, 3, 2, padding=1), AveragePool(2)), x, 0, tolerance=1e-7)


@settings(max_examples=20)
@given(strategies.seeds, st.booleans(), st.booleans())
def test_residual_gradient(seed, strided, inner_relu):
    stride = 2 if strided else 1
    body = Chain(conv=Conv2D(2, 2, 3, stride, padding=1), relu=ReLU(), conv2=Conv2D(2, 2, 3, padding=1))
    shortcut = Chain(conv=Conv2D(2, 2, kernel=1, stride=2, bias=False)) if strided else None
    layer = Chain(sum=Residual(body, shortcut), relu=ReLU()) if inner_relu else Residual(body, shortcut)
    x = np.random.default_rng(seed).normal(size=(2, 3, 5, 4, 2))
    check_gradient(layer, x, seed, tolerance=1e-7)


@given(st.floats(0, 0.9), strategies.seeds)
def test_dropout_in_training_and_in_prediction(rate, seed):
    layer, x = Dropout(rate), np.full((2, 50, 20), 3.0)
    assert layer.forward({}, x)[0] is x
    y, backward = layer.forward({}, x, TrainingStep(Place(seed, [0, 1], 0), 7))
    kept = y != 0
    np.testing.assert_allclose(y[kept], 3 / (1 - rate))
    assert abs(kept.mean() - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / y.size) + 1e-9
    np.testing.assert_allclose(backward(np.ones_like(y), {}), y / 3, rtol=1e-12)
    again, _ = layer.forward({}, x[1:], TrainingStep(Place(seed, [1], 0), 7))
    np.testing.assert_array_equal(again[0], y[1])  # trial 1 alone
    if 0.2 < rate < 0.8:
        other, _ = layer.forward({}, x, TrainingStep(Place(seed, [0, 1], 0), 8))
        assert (other != y).any()
        assert (y[0] != y[1]).any()


def test_two_dropout_layers_of_one_step_draw_differently():
    step, x = TrainingStep(Place(0, [0], 0), 0), np.ones((1, 20, 20))
    first, _ = Dropout(0.5).forward({}, x, step)
    second, _ = Dropout(0.5).forward({}, x, step)
    assert (first != second).any()


def test_glorot_of_a_convolution_counts_the_kernel_in_both_fans():
    # 3 x 3 x 64 in and 3 x 3 x 128 out: std = sqrt(2 / (576 + 1152)) = 0.03402.
    w = Conv2D(64, 128).init(streams(0, [0], "init")[0])["W"]
    assert w.shape == (3, 3, 64, 128)
    assert w.std() == pytest.approx(0.03402, rel=0.02)


def test_paths_of_a_residual_block_with_two_shapes_are_refused():
    """Else a 1 x 1 map would be added to each pixel around it."""
    layer = Residual(Conv2D(1, 1, kernel=4))
    theta = Params.empty(layer.layout, 1, np.float64)
    with pytest.raises(ValueError, match=r"residual block have shapes \(2, 1, 1, 1\) and \(2, 4, 4, 1\)"):
        layer.forward(theta.tree, np.zeros((1, 2, 4, 4, 1)))


def test_a_map_smaller_than_the_kernel_or_a_pools_square_is_refused():
    layer = Conv2D(1, 1, kernel=3)
    theta = Params.empty(layer.layout, 1, np.float64)
    with pytest.raises(ValueError, match="2 x 5 map with padding 0 is smaller than a kernel of size 3"):
        layer.forward(theta.tree, np.zeros((1, 1, 2, 5, 1)))
    for pool in (MaxPool(3), MaxPool(3, 1), AveragePool(3)):
        with pytest.raises(ValueError, match="2 x 5 map is smaller than a pool of size 3"):
            pool.forward({}, np.zeros((1, 1, 2, 5, 1)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2D(0, 1), "sizes of at least 1"),
        (lambda: Conv2D(1, 1, kernel=3, padding=3), "padding below the kernel size"),
        (lambda: Conv2D(1, 1, stride=0), "stride 0"),
        (lambda: MaxPool(0), "a pool needs sizes of at least 1"),
        (lambda: MaxPool(3, 0), "stride 0"),
        (lambda: MaxPool(3, 2, 2), "padding of at most half of its size"),
        (lambda: MaxPool(2, 1, -1), "padding -1"),
        (lambda: AveragePool(0), "at least 1 pixel"),
        (lambda: BatchNorm(0), "at least one channel"),
        (lambda: BatchNorm(2, momentum=7), "momentum is from 0 to 1 and eps positive, got 7"),
        (lambda: BatchNorm(2, eps=0), "eps positive, got .* 0"),
        (lambda: Dropout(1.0), r"probability in \[0, 1\)"),
    ],
)
def test_bad_sizes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("make", [MaxPool, AveragePool])
def test_sizes_are_integers(make):
    with pytest.raises(TypeError, match="integer"):
        make(2.5)
