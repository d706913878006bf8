"""SGD, Adam and schedules: equal to the textbook on survivors, and pruned weights stay exactly 0 (laws 6 and 7)."""

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import optimizers, seeds, tickets

from npticket.optimizers import SGD, Adam, constant, linear_warmup, step_drops
from npticket.params import Params
from npticket.tickets import rewind

schedules = st.sampled_from(
    [constant(0.1), step_drops(0.1, {2: 0.01, 4: 0.001}), linear_warmup(constant(0.1), 4)]
)  # fmt: skip


def run(optimizer, theta, gradients):
    """The flat end after one step per row of `gradients` (steps, T, P)."""
    theta = theta.copy()
    for g in gradients:
        optimizer.step(theta, theta.like(g.copy()))
    return theta.flat


@given(tickets(), schedules, st.sampled_from([0.0, 0.9]), st.sampled_from([0.0, 0.01]), seeds)
def test_sgd_is_the_textbooks(case, schedule, momentum, weight_decay, seed):
    _, theta0, masks = case
    start = rewind(theta0, masks)
    gradients = np.random.default_rng(seed).normal(size=(6, *start.flat.shape))
    end = run(SGD(masks, schedule, momentum, weight_decay), start, gradients)
    for t in range(start.trials):
        expected = oracles.sgd(start.flat[t], gradients[:, t], masks.flat[t], schedule, momentum, weight_decay)
        np.testing.assert_allclose(end[t], expected, rtol=1e-12, atol=1e-14)


@given(tickets(), schedules, seeds)
def test_adam_is_the_textbooks(case, schedule, seed):
    _, theta0, masks = case
    start = rewind(theta0, masks)
    gradients = np.random.default_rng(seed).normal(size=(6, *start.flat.shape))
    end = run(Adam(masks, schedule), start, gradients)
    for t in range(start.trials):
        expected = oracles.adam(start.flat[t], gradients[:, t], masks.flat[t], schedule)
        np.testing.assert_allclose(end[t], expected, rtol=1e-9, atol=1e-12)


@given(tickets(np.float32), optimizers, seeds)
def test_pruned_weights_stay_exactly_zero_whatever_their_gradients(case, make, seed):
    _, theta0, masks = case
    rng = np.random.default_rng(seed)
    gradients = rng.normal(size=(4, *theta0.flat.shape)).astype(np.float32)
    for g in gradients:
        g[~masks.flat] = rng.choice([np.inf, -np.inf, np.nan, -0.0, -1.0, 1e38], size=(~masks.flat).sum())
    end = run(make(masks), rewind(theta0, masks), gradients)
    assert end[~masks.flat].tobytes() == bytes(4 * (~masks.flat).sum())  # +0, not -0
    assert np.isfinite(end).all()


@given(tickets(), optimizers, seeds)
def test_one_step_moves_every_survivor_with_a_gradient(case, make, seed):
    _, theta0, masks = case
    start = rewind(theta0, masks)
    gradients = np.random.default_rng(seed).uniform(1, 2, size=(1, *start.flat.shape))
    moved = run(make(masks), start, gradients) != start.flat
    assert (moved == masks.flat).all()


def test_the_first_adam_step_is_the_learning_rate_against_the_sign():
    # m_hat = g and v_hat = g^2 after one step, so the move is lr g / |g|, however small g is.
    theta = Params({"a/W": (3,)}, np.zeros((1, 3)))
    end = run(Adam(theta.like(np.ones((1, 3), bool)), lr=0.5), theta, np.array([[[4.0, -4.0, 1e-3]]]))
    np.testing.assert_allclose(end, [[-0.5, 0.5, -0.5]], rtol=1e-4)


def test_schedules():
    drops = step_drops(0.1, {20_000: 0.01, 25_000: 0.001})
    assert [drops(s) for s in (0, 19_999, 20_000, 24_999, 25_000, 99_999)] == [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    warm = linear_warmup(drops, 10_000)
    assert [warm(s) for s in (0, 4_999, 9_999, 10_000)] == pytest.approx([1e-5, 0.05, 0.1, 0.1])
    assert constant(0.3)(12345) == 0.3
    with pytest.raises(ValueError, match="at least 1 step, got 0"):
        linear_warmup(constant(0.1), 0)


def test_an_optimizer_serves_only_the_trials_it_was_built_for():
    masks = Params({"a/W": (2,)}, np.array([[True, False]]))
    with pytest.raises(ValueError, match="serves the trials"):
        SGD(masks, 0.1).step(Params({"a/W": (2,)}, np.zeros((2, 2))), Params({"a/W": (2,)}, np.zeros((2, 2))))
