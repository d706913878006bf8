"""What a transformer is made of: each layer held to its gradient in float64, and to loops."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npticket.layers import GELU, Embedding, LayerNorm, MeanOverTokens, Positions, SelfAttention
from npticket.layers.embedding import add_rows
from npticket.layers.gelu import normal
from npticket.testing import check_gradient
from npticket.testing.gradients import drawn
from npticket.testing.strategies import seeds, trial_counts


class Among:
    """A layer that looks at some tokens alone."""

    def __init__(self, layer, real):
        self.layer, self.real, self.layout, self.init = layer, real, layer.layout, layer.init

    def forward(self, p, x, step=None):
        return self.layer.forward(p, x, step, self.real[: len(x)])


class Shown:
    """An embedding as a layer of numbers, y = x + table[index]: x stands in for what has no gradient."""

    def __init__(self, layer, index):
        self.layer, self.index, self.layout, self.init = layer, index, layer.layout, layer.init

    def forward(self, p, x, step=None):
        y, backward = self.layer.forward(p, self.index)

        def both(dy, grad, need_dx=True):
            backward(dy, grad)
            return dy

        return x + y, both


def kept(rng, *shape):
    """Which tokens are real: at least the first of each example."""
    return (rng.random(shape) < 0.6) | (np.arange(shape[-1]) == 0)


@settings(max_examples=20)
@given(trial_counts, st.integers(1, 3), st.integers(1, 5), seeds)
def test_backward_is_the_gradient_of_forward(trials, batch, length, seed):
    rng = np.random.default_rng(seed)
    x, real = rng.normal(size=(trials, batch, length, 4)), kept(rng, 1, batch, length)
    real &= rng.random((1, batch, 1)) < 0.8  # some examples are nothing but padding
    index = rng.integers(0, 6, (1, batch * length))
    for layer in (SelfAttention(4, 2), Among(SelfAttention(4, 2), real), Among(MeanOverTokens(), real)):
        check_gradient(layer, x, seed)
    for layer in (MeanOverTokens(), LayerNorm(4, 0.1), GELU(), Positions(length + 1, 4)):
        check_gradient(layer, x, seed)
    check_gradient(Shown(Embedding(6, 4), index), x.reshape(trials, -1, 4), seed)


def test_the_gradient_check_notices_a_mean_that_forgets_padding():
    class Forgetful(MeanOverTokens):
        def forward(self, p, x, step=None, real=None):
            return super().forward(p, x, step, real)[0], super().forward(p, x, step)[1]

    rng = np.random.default_rng(0)
    with pytest.raises(AssertionError, match="backward is the gradient of forward"):
        check_gradient(Among(Forgetful(), np.array([[[True, False]]])), rng.normal(size=(1, 1, 2, 3)))


def test_gelu_is_the_normal_distributions():
    x = np.concatenate([np.linspace(-9, 9, 4001), [-1e6, 0, 1e6]])
    phi, density = normal(x)
    assert abs(phi - [(1 + math.erf(each / math.sqrt(2))) / 2 for each in x]).max() < 1.1e-9
    np.testing.assert_allclose(density, np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi), rtol=1e-13)
    narrow = x.astype(np.float32)
    single = normal(narrow)[0]
    assert single.dtype == np.float32
    wide = normal(narrow.astype(np.float64))[0]
    assert abs(single - wide).max() < 2e-7


def test_gelu_is_the_same_in_pieces(monkeypatch):
    x = np.random.default_rng(0).normal(0, 2, (2, 3, 7)).astype(np.float32)
    (y, back), (phi, density) = GELU().forward({}, x), normal(x)
    assert (y == x * phi).all() and (back(x, {}) == x * (phi + x * density)).all()
    monkeypatch.setitem(normal.__globals__, "PIECE", 5)
    again, back_again = GELU().forward({}, x)
    assert (again == y).all() and (back_again(x, {}) == back(x, {})).all()
    assert GELU().forward({}, x[:, :0])[0].shape == (2, 0, 7)


@given(st.integers(1, 30), st.integers(1, 8), seeds)
def test_rows_are_added_up(n, count, seed):
    rng = np.random.default_rng(seed)
    index, rows = rng.integers(0, count, n), rng.normal(size=(n, 3))
    expected, found = np.zeros((count, 3)), np.full((count, 3), np.nan)
    np.add.at(expected, index, rows)
    add_rows(index, rows, found)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


def test_an_embedding_shows_every_trial_the_same_words():
    p = {"table": np.arange(12.0).reshape(2, 3, 2)}
    y, _ = Embedding(3, 2).forward(p, np.array([[2, 0]], np.uint16))
    assert y.tolist() == [[[4, 5], [0, 1]], [[10, 11], [6, 7]]]


@given(trial_counts, st.integers(1, 2), st.integers(1, 4), seeds)
def test_attention_is_that_of_loops(trials, batch, length, seed):
    rng, layer = np.random.default_rng(seed), SelfAttention(6, 3)
    x, real, theta = rng.normal(size=(trials, batch, length, 6)), kept(rng, trials, batch, length), None
    theta = drawn(layer, trials, rng)
    y, _ = layer.forward(theta.tree, x, None, real)
    for t in range(trials):
        q, k, v = (x[t] @ theta[f"{name}/W"][t] + theta[f"{name}/b"][t] for name in ("query", "key", "value"))
        heads = np.zeros((batch, length, 6))
        for b in range(batch):
            for i in range(length):
                for h in range(0, 6, 2):
                    at = slice(h, h + 2)
                    looked = [j for j in range(length) if real[t, b, j]]
                    weights = np.exp([q[b, i, at] @ k[b, j, at] / math.sqrt(2) for j in looked])
                    heads[b, i, at] = (weights / weights.sum()) @ v[b, looked, at]
        np.testing.assert_allclose(y[t], heads @ theta["output/W"][t] + theta["output/b"][t], rtol=1e-9, atol=1e-9)


@given(st.integers(1, 3), st.integers(1, 3), seeds)
def test_nothing_flows_from_or_to_padding(length, more, seed):
    rng, layer = np.random.default_rng(seed), SelfAttention(4, 2)
    theta = drawn(layer, 1, rng)
    x, real = rng.normal(size=(1, 2, length + more, 4)), np.arange(length + more) < length
    real = np.broadcast_to(real, (1, 2, length + more))
    other = np.where(real[..., None], x, 1e3 * rng.normal(size=x.shape))
    y, backward = layer.forward(theta.tree, x, None, real)
    alone, _ = layer.forward(theta.tree, x[:, :, :length])
    np.testing.assert_allclose(y[:, :, :length], alone, rtol=1e-11, atol=1e-12)
    assert (layer.forward(theta.tree, other, None, real)[0][:, :, :length] == y[:, :, :length]).all()
    dx = backward(np.where(real[..., None], rng.normal(size=y.shape), 0), theta.copy().tree)
    assert (dx[:, :, length:] == 0).all() and dx[:, :, :length].any()


def test_the_mean_of_an_example_without_tokens_is_0():
    x = np.ones((1, 2, 3, 2))
    y, backward = MeanOverTokens().forward({}, x, None, np.array([[[True, True, False], [False] * 3]]))
    assert y.tolist() == [[[1, 1], [0, 0]]]
    assert backward(y, {})[0, :, :, 0].tolist() == [[0.5, 0.5, 0], [0, 0, 0]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_is_that_of_the_parameters(dtype):
    for layer in (SelfAttention(4, 2), LayerNorm(4), GELU(), MeanOverTokens(), Positions(3, 4)):
        theta = drawn(layer, 2, np.random.default_rng(0))
        theta = theta.like(theta.flat.astype(dtype))
        y, backward = layer.forward(theta.tree, np.ones((2, 1, 3, 4), dtype))
        assert y.dtype == dtype and backward(y, theta.copy().tree).dtype == dtype


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="multiple of its heads, got 6 and 4"):
        SelfAttention(6, 4)
    with pytest.raises(ValueError, match="at least one row"):
        Embedding(0, 3)
    with pytest.raises(ValueError, match="at least one feature"):
        LayerNorm(0)
