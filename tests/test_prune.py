"""Laws 1, 2, 3, 8 and 9: what pruning removes, exactly."""

import numpy as np
import pytest
from cases import paper_rates
from hypothesis import given
from hypothesis import strategies as st

from npticket import nets
from npticket.nets import lenet_300_100
from npticket.params import Params
from npticket.prune import (
    Evidence,
    Globally,
    Layerwise,
    Rule,
    dense_masks,
    density,
    magnitude,
    prune_globally,
    prune_layerwise,
    random_scores,
    rates_by_name,
)
from npticket.scopes import ByUnits
from npticket.streams import streams
from npticket.testing import check_rule, prune_one_by_one
from npticket.testing.strategies import evidence, rates, scored, seeds, thetas


@given(scored(), rates)
def test_layerwise_pruning_is_the_naive_loop(case, rate):
    scores, masks = case
    pruned = prune_layerwise(scores, masks, dict.fromkeys(scores, rate))
    for t in range(scores.trials):
        for name in scores:
            expected = prune_one_by_one(scores[name][t].ravel(), masks[name][t].ravel(), rate)
            assert (pruned[name][t].ravel() == expected).all()


@given(scored(), rates)
def test_global_pruning_is_the_naive_loop_over_all_layers_together(case, rate):
    scores, masks = case
    pruned = prune_globally(scores, masks, rate, scores)
    for t in range(scores.trials):
        assert (pruned.flat[t] == prune_one_by_one(scores.flat[t], masks.flat[t], rate)).all()


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
    _, theta = case
    rng = np.random.default_rng(seed)
    scale, signs = rng.choice([0.25, 4.0]), rng.choice([-1.0, 1.0], size=theta.flat.shape)
    masks, by_layer = dense_masks(theta), dict.fromkeys(theta.weights, rate)
    changed = theta.like(scale * signs * theta.flat)
    expected = prune_layerwise(magnitude(Evidence(theta, masks)), masks, by_layer)
    assert (prune_layerwise(magnitude(Evidence(changed, masks)), masks, by_layer).flat == expected.flat).all()


@given(scored())
def test_rate_0_is_the_identity_in_new_memory(case):
    scores, masks = case
    for same in (prune_layerwise(scores, masks, dict.fromkeys(scores, 0.0)), prune_globally(scores, masks, 0, scores)):
        assert (same.flat == masks.flat).all()
        assert not np.shares_memory(same.flat, masks.flat)


@given(evidence(), rates, st.booleans())
def test_rules_keep_all_laws(seen, rate, together):
    check_rule(Rule(magnitude, (Globally if together else Layerwise)({"*/W": rate})), seen)


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


@pytest.mark.parametrize("names", [["a/W", "b/W"], ["b/W", "a/W"], {"b/W", "a/W"}])
def test_ties_between_layers_go_in_the_order_of_the_network(names):
    scores = Params({"a/W": (2,), "b/W": (2,)}, np.ones((1, 4)))
    assert prune_globally(scores, dense_masks(scores), 0.5, names).flat.tolist() == [[False, False, True, True]]


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
        masks = prune_layerwise(magnitude(Evidence(theta, masks)), masks, paper_rates(net))
    assert [seen[r] for r in (0, 1, 3, 5, 7, 9, 12, 15)] == [100, 80.0, 51.3, 32.9, 21.1, 13.5, 7.0, 3.6]


CONV = {"fc*/W": 0.2, "out/W": 0.1}
SPARING = Globally({"out/W": 0, "*/shortcut/*": 0, "*/W": 0.2})


@pytest.mark.parametrize(
    ("make", "scope", "expected"),
    [  # weights remaining in percent by round; the paper's tick labels, for Conv-6 recomputed for 2,261,184 weights
        (nets.conv_2, Layerwise({"conv*/W": 0.1} | CONV), {1: 80.1, 3: 51.4, 6: 26.5, 9: 13.7, 11: 8.8}),
        (nets.conv_4, Layerwise({"conv*/W": 0.1} | CONV), {3: 53.5, 6: 29.1, 9: 16.2, 11: 11.1, 12: 9.2}),
        (nets.conv_6, Layerwise({"conv*/W": 0.15} | CONV), {3: 56.4, 7: 26.6, 10: 15.3, 12: 10.6}),
        (nets.resnet_18, SPARING, {1: 80.2, 2: 64.4, 4: 41.7, 6: 27.1, 7: 21.9, 8: 17.8, 10: 11.8, 12: 8.0}),
    ],
)
def test_densities_by_round_are_the_papers(make, scope, expected):
    theta, rule = make().init(streams(0, [0], "init")), Rule(magnitude, scope)
    theta, masks = theta.like(np.zeros_like(theta.flat)), dense_masks(theta)  # equal ones are sorted sooner
    for round in range(1, max(expected) + 1):
        masks = rule(theta, masks)
        if round in expected:
            assert round_to_a_tenth(100 * density(masks)[0]) == expected[round]


def round_to_a_tenth(value):
    return float(f"{value:.1f}")


def test_global_pruning_spares_shortcuts_and_output():
    for net in (nets.resnet_18(), nets.vgg_19()):
        rates = {"out/W": 0, "*/shortcut/*": 0, "*/W": 0.2}
        if net.name == "VGG-19":  # without shortcuts, a pattern for them fits nothing
            del rates["*/shortcut/*"]
        names = Globally(rates).names(net.init(streams(0, [0], "init")))
        assert "out/W" not in names
        assert not any("shortcut" in name for name in names)
    net = nets.resnet(depth=8, width=4)
    theta = net.init(streams(0, range(2), "init"))
    names = SPARING.names(theta)
    spared = [name for name in theta if name not in names]
    assert {name.split("/")[-1] for name in spared} > {"b", "scale", "shift", "running_mean", "running_var"}
    assert sum("shortcut/conv/W" in name for name in spared) == 2
    theta.flat[...] *= 1e-9  # so that the spared ones would be the first to go
    for name in names:
        theta[name][...] *= 1e12
    masks = dense_masks(theta)
    for _ in range(5):
        masks = Rule(magnitude, SPARING)(theta, masks)
    assert all(masks[name].all() for name in spared)
    for t in range(2):
        total = sum(masks[name][t].size for name in names)
        alive = sum(int(masks[name][t].sum()) for name in names)
        assert alive == pytest.approx(0.8**5 * total, abs=5)


def test_a_rule_is_its_score_and_its_scope():
    lenet, resnet = nets.lenet_300_100(), nets.resnet(8, 4)
    by_layer = Layerwise({"fc*/W": 0.2, "out/W": 0.1})
    not_spared = [n for n in resnet.body.layout if n.endswith("/W") and n != "out/W" and "/shortcut/" not in n]
    assert len(not_spared) == 7  # 1 + 3 stages x 1 block x 2
    for net, rule, expected in (
        (lenet, Rule(magnitude, by_layer), lambda sizes, masks: prune_layerwise(sizes, masks, paper_rates(lenet))),
        (resnet, Rule(magnitude, SPARING), lambda sizes, masks: prune_globally(sizes, masks, 0.2, not_spared)),
    ):
        theta = net.init(streams(1, [0], "init"))
        masks = dense_masks(theta)
        assert (rule(theta, masks).flat == expected(theta.like(abs(theta.flat)), masks).flat).all()
        assert not rule(theta, masks).flat.all()


def test_a_score_may_look_at_all_that_is_known():
    """Movement: how far a weight went from where it started; the ones that moved least go."""
    start, end = (Params({"a/W": (4,)}, np.array([values])) for values in ([1.0, 2, 3, 4], [1.1, 9, 3.2, -4]))
    movement = Rule(lambda seen: seen.end.like(abs(seen.end.flat - seen.start.flat)), Layerwise({"*/W": 0.5}))
    masks = dense_masks(end)
    assert movement.judge(Evidence(end, masks, start=start)).flat.tolist() == [[False, True, False, True]]


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
    with pytest.raises(ValueError, match="of 1 trials take as many generators, got 0"):
        random_scores(theta, [])
    with pytest.raises(ValueError, match="at least one parameter name"):
        prune_globally(theta, dense_masks(theta), 0.5, [])
    with pytest.raises(KeyError, match="no parameter 'b/W'; there are a/W"):
        prune_layerwise(theta, dense_masks(theta), {"b/W": 0.5})
    with pytest.raises(ValueError, match="the scores have shape"):
        prune_layerwise(theta.like(np.ones((3, 2))), dense_masks(theta), {"a/W": 0.5})


NORMED = {"conv/W": (3, 3), "norm/scale": (3,), "norm/shift": (3,), "norm/running_mean": (3,),
          "norm/running_var": (3,), "fc1/W": (3, 4), "fc1/b": (1, 4), "out/W": (4, 2), "out/b": (1, 2)}  # fmt: skip


@pytest.mark.parametrize("scope", [Layerwise, Globally])
@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"*": 0.2}, r"only weights can be pruned, and \* means norm/scale, norm/shift, .*running_var, fc1/b, out/b"),
        ({"fc1/b": 0.1}, r"only weights can be pruned, and fc1/b means fc1/b, too: say \*/W"),
        ({"norm/*": 0.1}, r"and norm/\* means norm/scale, norm/shift, norm/running_mean, norm/running_var"),
        ({"fc/W": 0.2}, "no parameter is called like fc/W; there are conv/W, fc1/W, out/W"),
        ({"*/W": 0.2, "conv2*/W": 0.2}, r"no parameter is called like conv2\*/W"),
    ],
)
def test_rates_for_what_is_no_weight_are_refused_by_name(scope, rates, message):
    theta = Params(NORMED, np.ones((1, 47)))
    with pytest.raises(ValueError, match=message):
        Rule(magnitude, scope(rates))(theta, dense_masks(theta))
    with pytest.raises(ValueError, match=message):
        scope(rates).names(theta)


def test_the_first_pattern_that_fits_counts():
    theta = Params(NORMED, np.ones((1, 47)))
    assert rates_by_name({"out/W": 0.1, "*/W": 0.2}, theta) == {"conv/W": 0.2, "fc1/W": 0.2, "out/W": 0.1}
    assert rates_by_name({"out/*": 0, "*/W": 0.2}, theta) == {
        "conv/W": 0.2,
        "fc1/W": 0.2,
    }  # what is spared may be named
    assert rates_by_name({"*/W": 0.2, "out/W": 0}, theta) == dict.fromkeys(["conv/W", "fc1/W", "out/W"], 0.2)
    assert rates_by_name({}, theta) == {}
    assert Globally({"*/W": 0.0})(theta, dense_masks(theta)).flat.all()


@pytest.mark.parametrize("rate", [20, 1.0, -0.1, float("nan")])
def test_a_rate_is_checked_before_anything_is_trained(rate):
    net = lenet_300_100()
    for make in (Layerwise, Globally, lambda rates: ByUnits(net, rates)):
        with pytest.raises(ValueError, match=rf"in \[0, 1\), got {rate} for \*/W"):
            make({"*/W": rate})


def test_global_pruning_has_one_rate():
    with pytest.raises(ValueError, match="pruned globally, all rates must be the same"):
        Globally({"a/W": 0.1, "b/W": 0.2})


named_rates = st.dictionaries(st.sampled_from(["*/W", "fc*/W", "c*", "out/W", "conv/W"]), rates, min_size=1)


@given(named_rates, st.booleans(), seeds)
def test_under_no_rule_do_biases_and_running_statistics_go(by_pattern, together, seed):
    """However small they are; nor does a rule write to what it is given."""
    if together:
        by_pattern = dict.fromkeys(by_pattern, next(iter(by_pattern.values())))
    rng = np.random.default_rng(seed)
    end = Params(NORMED, rng.normal(size=(2, 47)))
    for name in end:
        if name not in end.weights:
            end[name][...] *= 1e-9
    masks = end.like(np.ones((2, 47), bool))
    for name in masks.weights:
        masks[name][...] = rng.random(masks[name].shape) < 0.7
    before = end.flat.tobytes(), masks.flat.tobytes()
    rule = Rule(magnitude, (Globally if together else Layerwise)(by_pattern))
    pruned = rule(end, masks)
    assert all(pruned[name].all() for name in end if name not in end.weights)
    assert not (pruned.flat & ~masks.flat).any()
    touched = rule.scope.names(end)
    assert all((pruned[name] == masks[name]).all() for name in end if name not in touched)
    assert (end.flat.tobytes(), masks.flat.tobytes()) == before
