"""Laws 1, 2, 3, 8 and 9: what pruning removes, exactly."""

import numpy as np
import oracles
import pytest
from hypothesis import given
from strategies import rates, scored, seeds, thetas

from npticket.nets import lenet_300_100
from npticket.params import Params
from npticket.prune import (
    dense_masks,
    density,
    magnitude,
    prune_globally,
    prune_layerwise,
    random_scores,
)
from npticket.streams import streams


@given(scored(), rates)
def test_layerwise_pruning_is_the_naive_loop(case, rate):
    scores, masks = case
    pruned = prune_layerwise(scores, masks, dict.fromkeys(scores, rate))
    for t in range(scores.trials):
        for name in scores:
            expected = oracles.prune(scores[name][t].ravel(), masks[name][t].ravel(), rate)
            assert (pruned[name][t].ravel() == expected).all()


@given(scored(), rates)
def test_global_pruning_is_the_naive_loop_over_all_layers_together(case, rate):
    scores, masks = case
    pruned = prune_globally(scores, masks, rate, scores)
    for t in range(scores.trials):
        assert (pruned.flat[t] == oracles.prune(scores.flat[t], masks.flat[t], rate)).all()


@given(scored(), rates)
def test_global_pruning_leaves_what_is_not_named_alone(case, rate):
    scores, masks = case
    first, *others = scores
    pruned = prune_globally(scores, masks, rate, [first])
    assert (pruned[first] == prune_layerwise(scores, masks, {first: rate})[first]).all()
    assert all((pruned[name] == masks[name]).all() for name in others)


@given(scored(), rates)
def test_masks_only_shrink_by_exactly_round_of_rate_times_survivors(case, rate):
    scores, masks = case
    for pruned, scopes in (
        (prune_layerwise(scores, masks, dict.fromkeys(scores, rate)), [[name] for name in scores]),
        (prune_globally(scores, masks, rate, scores), [list(scores)]),
    ):
        assert not (pruned.flat & ~masks.flat).any()
        for t in range(scores.trials):
            for names in scopes:
                before, after = (sum(int(m[name][t].sum()) for name in names) for m in (masks, pruned))
                assert before - after == round(rate * before)


@given(scored(), rates)
def test_nothing_that_goes_is_larger_than_what_stays(case, rate):
    scores, masks = case
    pruned = prune_globally(scores, masks, rate, scores)
    for t in range(scores.trials):
        gone, kept = scores.flat[t][masks.flat[t] & ~pruned.flat[t]], scores.flat[t][pruned.flat[t]]
        if len(gone) and len(kept):
            assert gone.max() <= kept.min()


@given(thetas(), rates, seeds)
def test_magnitude_pruning_ignores_signs_and_positive_scale(case, rate, seed):
    net, theta = case
    flips = np.random.default_rng(seed).choice([-4.0, 0.25, 4.0], size=(1, 1)) * np.random.default_rng(seed).choice(
        [-1.0, 1.0], size=theta.flat.shape
    )
    masks, by_layer = dense_masks(theta), dict.fromkeys(net.rates, rate)
    changed = theta.like(theta.flat * flips)
    expected = prune_layerwise(magnitude(theta), masks, by_layer)
    assert (prune_layerwise(magnitude(changed), masks, by_layer).flat == expected.flat).all()


@given(scored())
def test_rate_0_is_the_identity_in_new_memory(case):
    scores, masks = case
    for same in (prune_layerwise(scores, masks, dict.fromkeys(scores, 0.0)), prune_globally(scores, masks, 0, scores)):
        assert (same.flat == masks.flat).all()
        assert not np.shares_memory(same.flat, masks.flat)


def test_ties_by_hand():
    # Survivors at 0, 1, 3, 4 with scores 2, 1, 1, 1. Half of 4 is 2: of the three ones, indices 1 and 3 go first.
    scores = Params({"a/W": (5,)}, np.array([[2.0, 1, 0, 1, 1]]))
    masks = Params({"a/W": (5,)}, np.array([[True, True, False, True, True]]))
    pruned = prune_layerwise(scores, masks, {"a/W": 0.5})
    assert pruned.flat.tolist() == [[True, False, False, False, True]]


def test_a_name_given_twice_counts_once():
    scores = Params({"a/W": (4,)}, np.array([[4.0, 3, 2, 1]]))
    pruned = prune_globally(scores, dense_masks(scores), 0.5, ["a/W", "a/W"])
    assert pruned.flat.tolist() == [[True, True, False, False]]


def test_trials_are_ranked_each_on_its_own():
    scores = Params({"a/W": (2,)}, np.array([[1.0, 2.0], [200.0, 100.0]]))
    pruned = prune_globally(scores, dense_masks(scores), 0.5, ["a/W"])
    assert pruned.flat.tolist() == [[False, True], [True, False]]


def test_lenet_densities_are_the_papers():
    # Weights remaining after r rounds as printed on the paper's axes (Figures 3 and 4).
    net = lenet_300_100()
    theta = net.init(streams(0, [0], "init"))
    masks, seen = dense_masks(theta), []
    for _ in range(16):
        seen.append(round(100 * density(masks)[0], 1))
        masks = prune_layerwise(magnitude(theta), masks, net.rates)
    assert [seen[r] for r in (0, 1, 3, 5, 7, 9, 12, 15)] == [100, 80.0, 51.3, 32.9, 21.1, 13.5, 7.0, 3.6]


def test_random_scores_prune_at_random_and_repeat():
    theta = lenet_300_100().init(streams(0, range(2), "init"))
    masks = [
        prune_layerwise(random_scores(theta, streams(seed, range(2), "mask")), dense_masks(theta), {"fc1/W": 0.5})
        for seed in (1, 1, 2)
    ]
    assert (masks[0].flat == masks[1].flat).all()
    agreement = (masks[0]["fc1/W"] == masks[2]["fc1/W"]).mean()
    assert 0.49 < agreement < 0.51  # independent masks agree on half of the weights
    assert (masks[0]["fc1/W"].sum(axis=(1, 2)) == 117_600).all()


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_a_rate_outside_0_to_1_is_refused(rate):
    theta = Params({"a/W": (2,)}, np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"fraction of the survivors in \[0, 1\)"):
        prune_layerwise(theta, dense_masks(theta), {"a/W": rate})
    with pytest.raises(ValueError, match=r"fraction of the survivors in \[0, 1\)"):
        prune_globally(theta, dense_masks(theta), rate, ["a/W"])


def test_bad_scores_and_masks_are_refused():
    theta = Params({"a/W": (2,)}, np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match="not a number"):
        prune_layerwise(theta, dense_masks(theta), {"a/W": 0.5})
    with pytest.raises(TypeError, match="expected bool"):
        prune_layerwise(theta, theta, {"a/W": 0.5})
    with pytest.raises(ValueError, match="at least one parameter name"):
        prune_globally(theta, dense_masks(theta), 0.5, [])
    with pytest.raises(KeyError, match="no parameter 'b/W'; there are a/W"):
        prune_layerwise(theta, dense_masks(theta), {"b/W": 0.5})
    with pytest.raises(ValueError, match="the scores have shape"):
        prune_layerwise(theta.like(np.ones((3, 2))), dense_masks(theta), {"a/W": 0.5})
