"""What a transformer is made of: each layer held to its gradient in float64, and to loops."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npticket.layers import GELU, Embedding, LayerNorm, MeanOverTokens, SelfAttention, Tokens
from npticket.layers.embedding import add_rows
from npticket.layers.gelu import normal
from npticket.testing import check_gradient
from npticket.testing.gradients import drawn
from npticket.testing.strategies import seeds, trial_counts


class Among:
    """A layer of the tokens of some sentences."""

    def __init__(self, layer, real):
        self.layer, self.tokens, self.layout, self.init = layer, Tokens(real), layer.layout, layer.init

    def forward(self, p, x, step=None):
        return self.layer.forward(p, x, step, self.tokens)


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
    real = kept(rng, batch, length)
    real &= rng.random((batch, 1)) < 0.8  # some sentences are nothing but padding, and sometimes all
    x, index = rng.normal(size=(trials, real.sum(), 4)), rng.integers(0, 6, (1, real.sum()))
    for layer in (Among(SelfAttention(4, 2), real), Among(MeanOverTokens(), real), LayerNorm(4, 0.1), GELU()):
        check_gradient(layer, x, seed)
    check_gradient(Shown(Embedding(6, 4), index), x, seed)
    for layer in (SelfAttention(4, 2), MeanOverTokens()):
        check_gradient(layer, rng.normal(size=(trials, length, 4)), seed)


def test_the_gradient_check_notices_a_mean_that_forgets_padding():
    class Forgetful(MeanOverTokens):
        def forward(self, p, x, step=None, tokens=None):
            y, _ = super().forward(p, x, step, tokens)
            return y, lambda dy, grad, need_dx=True: tokens.taken(dy[:, :, None] / np.ones((1, 1, 2, 1)) / 2)

    rng = np.random.default_rng(0)
    with pytest.raises(AssertionError, match="backward is the gradient of forward"):
        check_gradient(Among(Forgetful(), np.array([[True, False], [True, True]])), rng.normal(size=(1, 3, 3)))


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
    real = kept(rng, batch, length)
    x, theta = rng.normal(size=(trials, real.sum(), 6)), drawn(layer, trials, rng)
    y, _ = layer.forward(theta.tree, x, None, Tokens(real))
    sentence = np.repeat(np.arange(batch), real.sum(axis=1))
    for t in range(trials):
        q, k, v = (x[t] @ theta[f"{name}/W"][t] + theta[f"{name}/b"][t] for name in ("query", "key", "value"))
        heads = np.zeros_like(x[t])
        for i in range(len(heads)):
            looked = np.flatnonzero(sentence == sentence[i])
            for h in range(0, 6, 2):
                at = slice(h, h + 2)
                weights = np.exp([q[i, at] @ k[j, at] / math.sqrt(2) for j in looked])
                heads[i, at] = (weights / weights.sum()) @ v[looked, at]
        np.testing.assert_allclose(y[t], heads @ theta["output/W"][t] + theta["output/b"][t], rtol=1e-9, atol=1e-9)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 3), seeds)
def test_sentences_do_not_touch_each_other(length, other, padding, seed):
    rng, layer = np.random.default_rng(seed), SelfAttention(4, 2)
    theta = drawn(layer, 1, rng)
    real = np.arange(max(length, other) + padding) < np.array([[length], [other]])
    x, dy = rng.normal(size=(2, 1, length + other, 4))
    y, backward = layer.forward(theta.tree, x, None, Tokens(real))
    alone, backward_alone = layer.forward(theta.tree, x[:, :length])
    np.testing.assert_allclose(y[:, :length], alone, rtol=1e-11, atol=1e-12)
    dx = backward(dy, theta.copy().tree)[:, :length]
    np.testing.assert_allclose(dx, backward_alone(dy[:, :length], theta.copy().tree), rtol=1e-11, atol=1e-12)


@given(trial_counts, st.integers(1, 3), st.integers(1, 4), seeds)
def test_tokens_are_placed_and_taken(trials, batch, length, seed):
    rng = np.random.default_rng(seed)
    real = rng.random((batch, length)) < 0.6
    tokens, x = Tokens(real), rng.normal(size=(trials, real.sum(), 2))
    assert (tokens.taken(tokens.placed(x)) == x).all()
    assert (tokens.placed(x)[:, ~real] == 0).all() and (tokens.placed(x)[:, real] == x).all()


def test_the_mean_of_a_sentence_without_tokens_is_0():
    y, backward = MeanOverTokens().forward({}, np.ones((1, 2, 2)), None, Tokens(np.array([[1, 1, 0], [0] * 3]) == 1))
    assert y.tolist() == [[[1, 1], [0, 0]]]
    assert backward(y, {})[0, :, 0].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_is_that_of_the_parameters(dtype):
    for layer in (SelfAttention(4, 2), LayerNorm(4), GELU(), MeanOverTokens()):
        theta = drawn(layer, 2, np.random.default_rng(0))
        theta = theta.like(theta.flat.astype(dtype))
        y, backward = layer.forward(theta.tree, np.ones((2, 3, 4), dtype))
        assert y.dtype == dtype and backward(y, theta.copy().tree).dtype == dtype


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="multiple of its heads, got 6 and 4"):
        SelfAttention(6, 4)
    for make in (lambda: SelfAttention(4, 2, std=-1), lambda: Embedding(3, 2, std=0), lambda: LayerNorm(3, eps=-1)):
        with pytest.raises(ValueError, match="positive"):
            make()
    with pytest.raises(ValueError, match="at least one row"):
        Embedding(0, 3)
    with pytest.raises(ValueError, match="at least one feature"):
        LayerNorm(0)
