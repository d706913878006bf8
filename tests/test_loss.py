"""Softmax cross-entropy against naive loops, its gradient, and its independence of trials."""

import numpy as np
import oracles
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds, trial_counts

from npticket.loss import score, softmax_cross_entropy


@given(trial_counts, st.integers(1, 5), st.integers(2, 4), seeds)
def test_loss_and_gradient(trials, batch, classes, seed):
    rng = np.random.default_rng(seed)
    z, labels = rng.normal(size=(trials, batch, classes)), rng.integers(0, classes, (trials, batch))
    loss, gradient = softmax_cross_entropy(z, labels)
    for t in range(trials):
        assert np.isclose(loss[t], oracles.cross_entropy(z[t], labels[t]), rtol=1e-12)
        error = oracles.directional_check(
            lambda x, t=t: oracles.cross_entropy(x, labels[t]), gradient[t], z[t], rng, eps=1e-5
        )
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
