"""Softmax cross-entropy against naive loops, its gradient, and its independence of trials."""

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npticket.datasets import Dataset, Split
from npticket.engine import ENGINES
from npticket.engine.loss import cross_entropy
from npticket.loss import score, softmax_cross_entropy, weighted_softmax_cross_entropy
from npticket.nets import mlp
from npticket.optimizers import SGD
from npticket.prune import dense_masks
from npticket.streams import streams
from npticket.task import CLASSIFY, classify_weighted
from npticket.testing import directional_error
from npticket.testing.strategies import seeds, trial_counts
from npticket.train import Setting, fit


@given(trial_counts, st.integers(1, 5), st.integers(2, 4), seeds)
def test_loss_and_gradient(trials, batch, classes, seed):
    rng = np.random.default_rng(seed)
    z, labels = rng.normal(size=(trials, batch, classes)), rng.integers(0, classes, (trials, batch))
    loss, gradient = softmax_cross_entropy(z, labels)
    for t in range(trials):
        assert np.isclose(loss[t], oracles.cross_entropy(z[t], labels[t]), rtol=1e-12)
        error = directional_error(lambda x, t=t: oracles.cross_entropy(x, labels[t]), gradient[t], z[t], rng, eps=1e-5)
        assert error < 1e-7


@given(trial_counts, st.integers(1, 5), seeds)
def test_score_counts_hits_and_sums_losses(trials, batch, seed):
    rng = np.random.default_rng(seed)
    z, labels = rng.normal(size=(trials, batch, 3)), rng.integers(0, 3, (1, batch))
    loss, correct = score(z, labels)
    for t in range(trials):
        assert np.isclose(loss[t], batch * oracles.cross_entropy(z[t], labels[0]), rtol=1e-12)
        assert correct[t] == sum(max(range(3), key=z[t, b].__getitem__) == labels[0, b] for b in range(batch))


def test_huge_logits_do_not_overflow():
    z = np.array([[[1000.0, -1000.0]]], np.float32)
    loss, gradient = softmax_cross_entropy(z, np.array([[1]]))
    assert loss == 2000
    assert gradient.tolist() == [[[1, -1]]]


def both(z, labels):
    """The gradient of one trial as it is written in npticket.loss, and as the fast engine takes it."""
    return softmax_cross_entropy(z, labels)[1][0], cross_entropy(z, labels)[1][0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(st.integers(1, 8), st.integers(2, 10), st.floats(0.1, 8), seeds)
def test_ordinary_gradients_are_what_they_would_be_if_nothing_were_dropped(dtype, batch, classes, width, seed):
    rng = np.random.default_rng(seed)
    z, labels = rng.uniform(-width, width, (1, batch, classes)).astype(dtype), rng.integers(0, classes, (1, batch))
    apart = z - z.max(axis=-1, keepdims=True)
    hit = labels[..., None] == np.arange(classes)
    naive = (np.exp(apart - np.log(np.exp(apart).sum(axis=-1, keepdims=True))) - hit) / batch
    ours = np.exp(apart[0].T.copy())  # so that the sums are over the first axis, as the engine's
    ours /= ours.sum(axis=0) * batch
    ours[labels[0], np.arange(batch)] -= 1 / batch
    plain, fast = both(z, labels)
    assert plain.dtype == fast.dtype == dtype
    assert plain.tobytes() == naive[0].tobytes() and fast.tobytes() == ours.T.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_too_small_to_move_a_weight_are_exactly_0(dtype):
    """So that neither they nor their products with weights are subnormal numbers; these cost several times as much."""
    rng = np.random.default_rng(0)
    z, labels = rng.uniform(-200, 200, (1, 60, 10)).astype(dtype), rng.integers(0, 10, (1, 60))
    z[0, :20] = rng.choice([-200, 200], (20, 10))
    plain, fast = both(z, labels)
    least = np.finfo(dtype).tiny ** 0.5 / 60 / 2  # of a probability that is kept, on average over the batch
    for gradient in (plain, fast):
        assert (gradient == 0).any() and (abs(gradient[gradient != 0]) > least).all()
    assert ((plain == 0) == (fast == 0)).all()
    np.testing.assert_allclose(plain, fast, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=np.finfo(dtype).eps)


def test_nan_is_not_dropped():
    for dtype in (np.float32, np.float64):
        for gradient in both(np.array([[[0, np.nan, 1], [300, 0, -300]]], dtype), np.array([[0, 1]])):
            assert np.isnan(gradient[0]).all() and gradient[1].tolist() == [0.5, -0.5, 0]


weights = st.lists(st.integers(0, 4), min_size=1, max_size=5).filter(any)


@given(trial_counts, weights, st.integers(2, 4), seeds)
def test_a_weight_of_3_is_the_example_three_times(trials, weights, classes, seed):
    """Loss, gradient (that of the copies added up) and measures; a weight of 0 is an example that is not there."""
    rng = np.random.default_rng(seed)
    z, labels = rng.normal(size=(trials, len(weights), classes)), rng.integers(0, classes, (trials, len(weights)))
    targets = np.stack([labels, np.tile(weights, (trials, 1))], axis=-1).astype(float)
    which = np.repeat(np.arange(len(weights)), weights)
    loss, gradient = weighted_softmax_cross_entropy(z, targets)
    repeated, of_copies = softmax_cross_entropy(z[:, which], labels[:, which])
    np.testing.assert_allclose(loss, repeated, rtol=1e-13)
    added = np.zeros_like(z)
    np.add.at(added, (slice(None), which), of_copies)
    np.testing.assert_allclose(gradient, added, rtol=1e-12, atol=1e-16)
    summed = score(z, labels, np.array(weights, float)[None])
    np.testing.assert_allclose(summed, score(z[:, which], labels[:, which]), rtol=1e-12)


def test_a_batch_of_examples_that_do_not_count_has_no_loss_and_no_gradient():
    z, targets = np.random.default_rng(0).normal(size=(2, 3, 4)), np.ones((2, 3, 2))
    targets[0, :, 1] = 0
    loss, gradient = weighted_softmax_cross_entropy(z, targets)
    assert loss[0] == 0 and loss[1] > 0 and not gradient[0].any() and gradient[1].all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_weights_of_1_are_no_weights_bit_for_bit(dtype):
    rng = np.random.default_rng(0)
    z, labels = rng.normal(size=(2, 7, 3)).astype(dtype), rng.integers(0, 3, (2, 7))
    targets = np.stack([labels, np.ones((2, 7))], axis=-1)
    for ours, theirs in zip(weighted_softmax_cross_entropy(z, targets), softmax_cross_entropy(z, labels), strict=True):
        assert ours.dtype == theirs.dtype == dtype and ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("engine", ENGINES)
def test_training_with_weights_is_training_with_repeated_examples(engine):
    """All in one batch; and it is not what the examples without weights give."""
    rng, net = np.random.default_rng(0), mlp((8, 6), (5,), 3)
    x, labels, weights = rng.normal(size=(12, 5)), rng.integers(0, 3, 12), rng.integers(1, 4, 12)
    theta = net.init(streams(0, range(2), "init"), np.float64)

    def trained(split, classes, task):
        data = Dataset("weighted", split, split, split, classes, "a test")
        setting = Setting(lambda masks: SGD(masks, 0.1, 0.9), 30, len(split), 10, engine=engine)
        return fit(net, task, theta, dense_masks(theta), data, setting)

    weighted = trained(Split(x, np.stack([labels, weights], axis=1).astype(float)), None, classify_weighted(3))
    repeated = trained(Split(x.repeat(weights, axis=0), labels.repeat(weights)), 3, CLASSIFY)
    np.testing.assert_allclose(weighted.end.flat, repeated.end.flat, rtol=1e-8, atol=1e-12)
    for name in ("val_loss", "val_acc", "train_loss", "final_test_acc"):
        np.testing.assert_allclose(weighted[name], repeated[name], rtol=1e-9)
    assert abs(weighted.end.flat - trained(Split(x, labels), 3, CLASSIFY).end.flat).max() > 0.01


@pytest.mark.parametrize("shape", [(1, 4, 1), (1, 1, 4), (2, 3, 4)])
def test_a_score_leaves_the_logits_as_they_are(shape):
    z = np.random.default_rng(0).normal(size=shape)
    before = z.copy()
    score(z, np.zeros(shape[:2], int))
    assert (z == before).all()


@pytest.mark.parametrize(
    ("label", "weight", "said"),
    [
        (-1, 1, "classes must be integers from 0 to 2, got -1"), (3, 1, "got 3"), (0.5, 1, "got 0.5"),
        (np.nan, 1, "got nan"), (0, -1, "weights must be finite"), (0, np.nan, "weights must be finite"),
    ],
)  # fmt: skip
def test_wrong_weights_and_classes_are_refused(label, weight, said):
    targets = np.ones((12, 2))
    targets[5] = label, weight
    split, net = Split(np.ones((12, 5)), targets), mlp((8, 6), (5,), 3)
    theta, data = net.init(streams(0, [0], "init")), Dataset("weighted", split, split, split, None, "a test")
    with pytest.raises(ValueError, match=said):
        fit(net, classify_weighted(3), theta, dense_masks(theta), data, Setting(lambda masks: SGD(masks, 0.1), 3, 4))
