"""SGD, Adam and schedules: equal to the textbook on survivors, and pruned weights stay exactly 0 (laws 6 and 7)."""

from functools import partial

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npticket.optimizers import (
    SGD,
    Adam,
    AdamW,
    Clipped,
    adam,
    clipped_adamw,
    constant,
    flush,
    linear_decay,
    linear_warmup,
    sgd,
    step_drops,
    survivors,
)
from npticket.params import Params
from npticket.protocols import is_resumable
from npticket.prune import dense_masks
from npticket.testing import check_optimizer
from npticket.testing import optimizers as laws
from npticket.testing.strategies import optimizers, parameters, schedules, seeds, tickets
from npticket.tickets import rewind


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


@given(tickets(), schedules, st.sampled_from([0.0, 0.1]), seeds)
def test_adam_and_adamw_are_the_textbooks(case, schedule, weight_decay, seed):
    _, theta0, masks = case
    start = rewind(theta0, masks)
    gradients = np.random.default_rng(seed).normal(size=(6, *start.flat.shape))
    optimizer = AdamW(masks, schedule, weight_decay) if weight_decay else Adam(masks, schedule)
    end = run(optimizer, start, gradients)
    for t in range(start.trials):
        expected = oracles.adam(start.flat[t], gradients[:, t], masks.flat[t], schedule, weight_decay)
        np.testing.assert_allclose(end[t], expected, rtol=1e-9, atol=1e-12)


@given(tickets(np.float32), optimizers, seeds)
def test_pruned_weights_stay_exactly_zero_whatever_their_gradients(case, make, seed):
    _, theta0, masks = case
    laws.pruned_stay_0(make, theta0, masks, seed)


@given(tickets(), optimizers, seeds)
def test_one_step_moves_every_survivor_with_a_gradient(case, make, seed):
    _, theta0, masks = case
    laws.survivors_move(make, theta0, masks, seed)


@given(parameters(), optimizers, seeds)
def test_optimizers_keep_all_promises(case, make, seed):
    check_optimizer(make, *case, seed)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [
    lambda number: partial(SGD, lr=number(0.1)), lambda number: partial(SGD, lr=lambda step: number(0.1)),
    lambda number: partial(SGD, lr=number(0.1), momentum=number(0.9), weight_decay=number(0.01)),
    lambda number: partial(Adam, lr=number(0.1), beta1=number(0.8), beta2=number(0.9), eps=number(1e-3)),
    lambda number: partial(AdamW, lr=linear_decay(number(0.1), 9), weight_decay=number(0.1)),
    lambda number: partial(clipped_adamw, lr=number(0.1), norm=number(0.5)),
])  # fmt: skip
def test_numbers_of_numpy_give_the_bits_of_pythons(make, dtype):
    rng = np.random.default_rng(0)
    theta, gradients = Params({"a/W": (50,)}, rng.normal(size=(2, 50)).astype(dtype)), rng.normal(size=(5, 2, 50))
    ours, theirs = (run(make(n)(dense_masks(theta)), theta, gradients.astype(dtype)) for n in (float, np.float64))
    assert ours.tobytes() == theirs.tobytes() and theirs.dtype == dtype


def test_the_first_adam_step_is_the_learning_rate_against_the_sign():
    # m_hat = g and v_hat = g^2 after one step, so the move is lr g / |g|, however small g is.
    theta = Params({"a/W": (3,)}, np.zeros((1, 3)))
    end = run(Adam(theta.like(np.ones((1, 3), bool)), lr=0.5), theta, np.array([[[4.0, -4.0, 1e-3]]]))
    np.testing.assert_allclose(end, [[-0.5, 0.5, -0.5]], rtol=1e-4)


def test_an_eps_that_float32_may_take_for_0_is_refused():
    """A pruned weight is moved by 0 / (0 + eps)."""
    masks = Params({"a/W": (3,)}, np.array([[True, False, True]]))
    for make, eps in ((Adam, 0), (Adam, 1e-50), (AdamW, 9e-31), (Adam, 1)):
        with pytest.raises(ValueError, match=r"eps must be at least 1e-30 and below 1, got"):
            make(masks, 0.1, eps=eps)
    theta, grads = (masks.like(np.array([values], np.float32)) for values in ([1, 0, 2], [1, 5, 0]))
    Adam(masks, 0.1, eps=1e-30).step(theta, grads)
    assert theta.flat[0].tolist() == pytest.approx([0.9, 0, 2])


def test_schedules():
    drops = step_drops(0.1, {20_000: 0.01, 25_000: 0.001})
    assert [drops(s) for s in (0, 19_999, 20_000, 24_999, 25_000, 99_999)] == [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    warm = linear_warmup(drops, 10_000)
    assert [warm(s) for s in (0, 4_999, 9_999, 10_000)] == pytest.approx([1e-5, 0.05, 0.1, 0.1])
    assert constant(0.3)(12345) == 0.3 and linear_warmup(0.3, 3)(0) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="at least 1 step, got 0"):
        linear_warmup(constant(0.1), 0)
    with pytest.raises(ValueError, match="at steps from 0 on, got -5"):
        step_drops(0.1, {-5: 0.2})


@pytest.mark.parametrize("lr", [-0.1, float("nan"), float("inf")])
def test_a_learning_rate_is_a_number_of_at_least_0(lr):
    masks = Params({"a/W": (2,)}, np.array([[True, False]]))
    for make in (
        lambda: SGD(masks, lr), lambda: Adam(masks, lr=lr), lambda: step_drops(lr, {}),
        lambda: step_drops(0.1, {5: lr}), lambda: linear_decay(lr, 5),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="finite number of at least 0"):
            make()


@pytest.mark.parametrize("make", [SGD, Adam, AdamW])
@pytest.mark.parametrize("lr", [-1.0, float("nan"), None, "fast"])
def test_so_is_that_of_ones_own_schedule(make, lr):
    masks = Params({"a/W": (2,)}, np.array([[True, False]]))
    theta = Params({"a/W": (2,)}, np.array([[1.0, 0.0]]))
    with pytest.raises(ValueError, match="finite number of at least 0"):
        make(masks, lambda step: lr).step(theta, theta.copy())


def test_an_optimizer_serves_only_the_trials_it_was_built_for():
    masks = Params({"a/W": (2,)}, np.array([[True, False]]))
    with pytest.raises(ValueError, match="serves the trials"):
        SGD(masks, 0.1).step(Params({"a/W": (2,)}, np.zeros((2, 2))), Params({"a/W": (2,)}, np.zeros((2, 2))))


def subnormal(values):
    return (values != 0) & (abs(values) < np.finfo(values.dtype).tiny)


@pytest.mark.parametrize("make", [Adam, AdamW])
def test_pieces_are_the_whole(make, monkeypatch):
    """Buffers and pruned weights among them, in every piece."""
    rng = np.random.default_rng(0)
    shapes = {"a/W": (7,), "b/running_mean": (4,), "c/W": (3,)}
    start = Params(shapes, rng.normal(size=(2, 14)).astype(np.float32))
    masks = Params(shapes, rng.random((2, 14)) < 0.7)
    masks["b/running_mean"][...] = True
    ends = []
    monkeypatch.setattr(survivors, "PIECE", 3)
    for few in (14, 13):  # in one piece, and in five
        monkeypatch.setattr(survivors, "FEW", few)
        theta, optimizer = rewind(start, masks), make(masks, lr=0.1)
        for step in range(3):
            optimizer.step(theta, theta.like(np.cos(np.arange(28, dtype=np.float32) + step).reshape(2, 14)))
        ends.append(theta)
    assert (ends[0].flat == ends[1].flat).all()
    assert (ends[0]["b/running_mean"] == start["b/running_mean"]).all() and (ends[0]["a/W"] != start["a/W"]).any()


FORGETFUL = {  # of masks; and which attribute is the moment that decays
    "sgd 0.9": (lambda masks: SGD(masks, lr=0.1, momentum=0.9), "_v"),
    "sgd 0.7": (lambda masks: SGD(masks, lr=0.1, momentum=0.7), "_v"),
    "sgd 0.99": (lambda masks: SGD(masks, lr=0.1, momentum=0.99), "_v"),
    "adam": (lambda masks: Adam(masks, lr=1e-3), "_m"),
    "adam 0.8": (lambda masks: Adam(masks, lr=1e-3, beta1=0.8), "_m"),
}
forgetful = pytest.mark.parametrize("kind", FORGETFUL)
precisions = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def forgotten(kind, dtype, steps=4_000):
    """Gradients of all sizes for some steps, none from then on: yield the moment after each step, and theta."""
    make, moment = FORGETFUL[kind]
    rng = np.random.default_rng(0)
    theta = Params({"a/W": (200,)}, rng.normal(size=(1, 200)).astype(dtype))
    optimizer = make(theta.like(np.ones((1, 200), bool)))
    for step in range(steps):
        g = rng.normal(size=(1, 200)) * 10.0 ** rng.integers(-12, 3, (1, 200)) if step < 7 else np.zeros((1, 200))
        optimizer.step(theta, theta.like(g.astype(dtype)))
        yield getattr(optimizer, moment), theta.flat


@forgetful
@precisions
def test_no_moment_becomes_subnormal_where_gradients_have_ended(kind, dtype):
    steps = 20_000 if dtype == np.float64 and "0.99" not in kind else 4_000
    if kind == "sgd 0.99":
        steps = 10_000 if dtype == np.float32 else 75_000
    for moment, _ in forgotten(kind, dtype, steps):
        assert not subnormal(moment).any()
    assert not moment.any(), "all were forgotten in the end, so that there was something to find"


@pytest.mark.parametrize("kind", ["sgd 0.9", "adam"])
@precisions
def test_without_flushing_moments_become_subnormal_and_stay_so(kind, dtype, monkeypatch):
    """So that what the test above finds is not so by itself; and it moves no weight by as much as a bit."""
    *_, (_, flushed) = forgotten(kind, dtype, 8_000)
    for module in (sgd, adam):
        monkeypatch.setattr(module, "flush", lambda moments: None)
    *_, (moment, theta) = forgotten(kind, dtype, 8_000)
    assert subnormal(moment).mean() > 0.9
    assert (theta == flushed).all()


@precisions
def test_flushing_by_hand(dtype):
    tiny = np.finfo(dtype).tiny
    kept = np.array([1, -1, tiny * 1e9, -tiny * 1e9, np.inf, -np.inf, 0], dtype)
    dropped = np.array([tiny, -tiny, tiny / 8, tiny * 1e7, -tiny * 1e8], dtype)
    moments = np.concatenate([kept, dropped, [dtype(np.nan)]])
    flush(moments)
    assert (moments[: len(kept)] == kept).all()
    assert (moments[len(kept) : -1] == 0).all() and np.isnan(moments[-1])


@forgetful
@precisions
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_not_forgotten(kind, dtype, bad):
    """So that a run which diverged is seen to have done so."""
    theta = Params({"a/W": (2,)}, np.ones((1, 2), dtype))
    optimizer = FORGETFUL[kind][0](theta.like(np.ones((1, 2), bool)))
    with np.errstate(all="ignore"):
        for step in range(120):
            optimizer.step(theta, theta.like(np.array([[bad if step == 3 else 0, 1]], dtype)))
    assert not np.isfinite(theta.flat[0, 0]) and np.isfinite(theta.flat[0, 1])


@forgetful
@precisions
@given(seed=seeds)
@settings(max_examples=5)
def test_ordinary_steps_are_bit_for_bit_those_without_flushing(kind, dtype, seed):
    """Gradients as they occur: of many sizes, often 0, in runs of a few hundred steps."""
    ends = []
    for flushing in (True, False):
        rng = np.random.default_rng(seed)
        theta = Params({"a/W": (50,)}, rng.normal(size=(1, 50)).astype(dtype))
        optimizer = FORGETFUL[kind][0](theta.like(np.ones((1, 50), bool)))
        scale = 10.0 ** rng.integers(-8, 2, (1, 50))
        with pytest.MonkeyPatch.context() as patch:
            if not flushing:
                for module in (sgd, adam):
                    patch.setattr(module, "flush", lambda moments: None)
            for _ in range(300):
                g = rng.normal(size=(1, 50)) * scale * (rng.random((1, 50)) < 0.3)
                optimizer.step(theta, theta.like(g.astype(dtype)))
        ends.append((theta.flat.tobytes(), getattr(optimizer, FORGETFUL[kind][1]).tobytes()))
    assert ends[0] == ends[1]


@given(parameters(), seeds)
def test_clipping_keeps_the_laws(case, seed):
    theta0, masks = case
    check_optimizer(lambda masks: Clipped(AdamW(masks, lr=0.01, weight_decay=0.1), 0.5), theta0, masks, seed)


def test_adamw_by_hand():
    """theta 2, g 3, lr 0.1, decay 0.5: 2 - 0.1 0.5 2 = 1.9, and Adam's first step is lr sign(g): 1.8."""
    theta = Params({"a/W": (2,)}, np.array([[2.0, 0.0]]))
    optimizer = AdamW(theta.like(np.array([[True, False]])), lr=0.1, weight_decay=0.5)
    optimizer.step(theta, theta.like(np.array([[3.0, 3.0]])))
    np.testing.assert_allclose(theta.flat, [[1.8, 0]], rtol=1e-7)
    assert is_resumable(optimizer) and is_resumable(Clipped(optimizer, 1.0))
    assert optimizer.decays and not AdamW(theta.like(theta.flat > 0), lr=0.1, weight_decay=0).decays


def test_clipping_by_hand():
    """|(3, 4)| = 5 becomes 1, (0.6, 0.8), and |(0.3, 0.4)| stays, each trial by itself; SGD of lr 1 shows them."""
    theta = Params({"a/W": (1,), "b/W": (1,)}, np.zeros((2, 2)))
    optimizer = Clipped(SGD(theta.like(theta.flat == 0), lr=1.0), norm=1.0)
    optimizer.step(theta, theta.like(np.array([[3.0, 4.0], [0.3, 0.4]])))
    np.testing.assert_allclose(-theta.flat, [[0.6, 0.8], [0.3, 0.4]], rtol=1e-15)
    assert not optimizer.elementwise and not optimizer.decays
    with pytest.raises(ValueError, match="above 0, got 0"):
        Clipped(optimizer, 0)


def test_the_laws_notice_clipping_that_says_it_is_elementwise():
    class Liar(Clipped):
        elementwise = True

    theta0 = Params({"a/W": (4,)}, np.ones((2, 4)))
    masks = theta0.like(np.array([[True, True, False, True]] * 2))
    with np.errstate(all="ignore"), pytest.raises(AssertionError):
        check_optimizer(lambda masks: Liar(SGD(masks, lr=0.1), 0.5), theta0, masks)


def test_linear_decay():
    schedule = linear_decay(0.1, 4)
    np.testing.assert_allclose([schedule(step) for step in range(6)], [0.1, 0.075, 0.05, 0.025, 0, 0])
    with pytest.raises(ValueError, match="at least 1 step"):
        linear_decay(0.1, 0)
