"""The controls: what each keeps of a ticket and what it draws anew, over random networks, masks and seeds."""

import numpy as np
import pytest
from cases import paper_rates
from hypothesis import given, settings
from hypothesis import strategies as st
from standing import at, counts, rngs, wide

from npticket.papers.lottery_ticket import series as controls
from npticket.prune import Layerwise, Rule, dense_masks, density, magnitude, prune_layerwise
from npticket.testing.strategies import seeds, thetas, tickets
from npticket.tickets import rewind

rounds = st.integers(0, 4)


@given(tickets(), seeds)
def test_random_reinit_keeps_the_masks_and_draws_from_the_initial_distribution(case, seed):
    net, theta0, masks = case
    start, same = controls.random_reinit(at(net, theta0, masks, seed=seed))
    assert same is masks
    expected = net.init(rngs(theta0, seed), theta0.flat.dtype)
    assert start.flat.tobytes() == rewind(expected, masks).flat.tobytes()


@given(tickets(), seeds)
def test_random_masks_have_as_many_weights_in_each_layer_as_the_ticket(case, seed):
    net, theta0, masks = case
    start, scattered = controls.random_mask(at(net, theta0, masks, seed=seed))
    assert counts(scattered) == counts(masks)
    for name in set(theta0) - set(theta0.weights):
        assert scattered[name].all()
    assert not start.flat[~scattered.flat].any()


@given(tickets(), seeds)
def test_shuffled_masks_have_as_many_weights_in_each_layer_at_their_own_initial_values(case, seed):
    net, theta0, masks = case
    start, scattered = controls.mask_shuffled(at(net, theta0, masks, seed=seed))
    assert counts(scattered) == counts(masks)
    assert start.flat.tobytes() == rewind(theta0, scattered).flat.tobytes()
    for name in set(theta0) - set(theta0.weights):
        assert (start[name] == theta0[name]).all()


def test_random_masks_are_not_the_tickets():
    net, theta0 = wide()
    masks = prune_layerwise(theta0, dense_masks(theta0), dict.fromkeys(theta0.weights, 0.5))
    _, scattered = controls.random_mask(at(net, theta0, masks))
    agree = (scattered["fc1/W"] == masks["fc1/W"]).mean(axis=(1, 2))
    assert (abs(agree - 0.5) < 0.1).all()  # two independent halves of 784 x 20 agree on about half of the places
    assert (scattered["fc1/W"][0] != scattered["fc1/W"][1]).any()


@given(tickets(), seeds)
def test_shuffled_values_are_the_survivors_own_in_another_order(case, seed):
    net, theta0, masks = case
    start, same = controls.shuffled(at(net, theta0, masks, seed=seed))
    assert same is masks
    for name in theta0:
        for t in range(theta0.trials):
            mask = masks[name][t]
            assert not start[name][t][~mask].any()
            ours, theirs = start[name][t][mask], theta0[name][t][mask]
            assert (np.sort(ours) == np.sort(theirs)).all()
            if name not in theta0.weights:
                assert (ours == theirs).all()


@given(tickets(), seeds)
def test_survivor_reinit_draws_from_the_survivors_values(case, seed):
    net, theta0, masks = case
    start, _ = controls.survivor_reinit(at(net, theta0, masks, seed=seed))
    for name in theta0.weights:
        for t in range(theta0.trials):
            mask = masks[name][t]
            assert np.isin(start[name][t][mask], theta0[name][t][mask]).all()
            assert not start[name][t][~mask].any()


def test_survivor_reinit_draws_with_replacement_and_shuffling_does_not():
    net, theta0 = wide()
    drawn, _ = controls.survivor_reinit(at(net, theta0, dense_masks(theta0)))
    assert len(np.unique(drawn["fc1/W"][0])) < 0.8 * drawn["fc1/W"][0].size  # about 63 % of the values appear
    mixed, _ = controls.shuffled(at(net, theta0, dense_masks(theta0)))
    assert len(np.unique(mixed["fc1/W"][0])) == mixed["fc1/W"][0].size


@pytest.mark.parametrize("draw", [controls.shuffled, controls.survivor_reinit, controls.random_reinit])
def test_controls_really_change_the_values(draw):
    net, theta0 = wide()
    masks = dense_masks(theta0)
    start, _ = draw(at(net, theta0, masks))
    for name in theta0.weights:
        assert (start[name] != theta0[name]).mean() > 0.9
    again, _ = draw(at(net, theta0, masks))
    assert start.flat.tobytes() == again.flat.tobytes()


@pytest.mark.parametrize("sigmas", [0, 0.5, 3])
def test_noise_has_the_layers_own_width(sigmas):
    net, theta0 = wide()
    masks = dense_masks(theta0)
    before = theta0.flat.copy()
    start, _ = controls.disturbed(sigmas)(at(net, theta0, masks))
    assert (theta0.flat == before).all()
    for name in ("fc1/W", "fc2/W"):
        noise = (start[name] - theta0[name]).std(axis=(1, 2))
        np.testing.assert_allclose(noise, sigmas * theta0[name].std(axis=(1, 2)), rtol=0.15, atol=1e-7)
    assert (start["fc1/b"] == theta0["fc1/b"]).all()


@settings(max_examples=30)
@given(thetas(), rounds)
def test_one_shot_and_pruning_at_init_reach_a_tickets_counts(case, round):
    net, theta0 = case
    end = theta0.like(theta0.flat[:, ::-1].copy())
    masks, rule = dense_masks(theta0), Rule(magnitude, Layerwise(paper_rates(net)))
    for _ in range(round):  # a ticket's counts, whatever training does between the rounds
        masks = rule(theta0.like(np.random.default_rng(round).normal(size=theta0.flat.shape)), masks)
    for (start, found), values in (
        (controls.one_shot(at(net, theta0, end=end, round=round)), theta0),
        (controls.one_shot_kept(at(net, theta0, end=end, round=round)), end),
        (controls.initial_magnitude(at(net, theta0, round=round)), theta0),
    ):
        assert counts(found) == counts(masks)
        assert (density(found) == density(masks)).all()
        assert start.flat.tobytes() == rewind(values, found).flat.tobytes()


def test_one_shot_prunes_by_the_trained_values_and_pruning_at_init_by_the_initial_ones():
    net, theta0 = wide()
    end = theta0.like(1 / np.where(theta0.flat == 0, 1, theta0.flat))  # the small ones are the large ones there
    for name in theta0.weights:
        for (_, masks), values in (
            (controls.one_shot(at(net, theta0, end=end, round=3)), end),
            (controls.initial_magnitude(at(net, theta0, round=3)), theta0),
        ):
            for t in range(2):
                kept, gone = (abs(values[name][t][m]) for m in (masks[name][t], ~masks[name][t]))
                assert gone.max() <= kept.min()
    reinit, masks = controls.one_shot_reinit(at(net, theta0, end=end, round=3))
    assert masks.flat.tobytes() == controls.one_shot(at(net, theta0, end=end, round=3))[1].flat.tobytes()
    assert reinit.flat.tobytes() == rewind(net.init(rngs(theta0)), masks).flat.tobytes()


def test_fine_tuning_goes_on_from_the_trained_values_and_a_ticket_resets():
    net, theta0 = wide()
    end = theta0.like(theta0.flat * 2)
    masks = prune_layerwise(end, dense_masks(theta0), paper_rates(net))
    start, same = controls.trained_on(at(net, theta0, masks, end))
    assert same is masks
    assert start.flat.tobytes() == rewind(end, masks).flat.tobytes()
    start, same = controls.ticket(at(net, theta0, masks, end))
    assert same is masks
    assert start.flat.tobytes() == rewind(theta0, masks).flat.tobytes()


def test_an_end_that_nobody_handed_on_is_asked_for_in_words():
    net, theta0 = wide()
    with pytest.raises(LookupError, match="no earlier run's end was given"):
        controls.one_shot(at(net, theta0))


def test_noise_is_as_wide_as_all_of_a_layers_values_and_not_as_the_survivors():
    net, theta0 = wide()
    large = prune_layerwise(theta0.like(abs(theta0.flat)), dense_masks(theta0), dict.fromkeys(theta0.weights, 0.9))
    start, _ = controls.disturbed(1)(at(net, theta0, large))
    for t in range(2):
        noise = (start["fc1/W"][t] - theta0["fc1/W"][t])[large["fc1/W"][t]]
        np.testing.assert_allclose(noise.std(), theta0["fc1/W"][t].std(), rtol=0.15)
