"""Units of networks and what depends on them: groups worked out by hand, pruning against loops, counted operations."""

from dataclasses import replace

import numpy as np
import pytest
from cases import initial
from hypothesis import given, settings
from hypothesis import strategies as st

from npticket import nets
from npticket.experiments.errors import RecipeError
from npticket.experiments.parts import Experiment
from npticket.experiments.recipe import Part
from npticket.layers import Chain, Conv2D, Dense, Flatten, ReLU, Residual
from npticket.nets import Net
from npticket.papers import PARTS
from npticket.papers.lottery_ticket.recipes import LENET
from npticket.prune import Rule, dense_masks, magnitude
from npticket.scopes import ByUnits
from npticket.streams import streams
from npticket.testing.strategies import rates, seeds, unit_nets
from npticket.tickets import rewind
from npticket.units import Ends, Units, multiply_adds

DENSE_UNITS = {"out/W": 0, "*/W": 0.25}


def groups(net):
    """The layers of each group and how many units it has."""
    return {group.layers: len(group.units) for group in Units.of(net).groups}


def test_groups_of_plain_networks_are_their_hidden_layers():
    assert groups(nets.lenet_300_100()) == {("fc1",): 300, ("fc2",): 100}
    assert groups(nets.lenet_5()) == {("conv1",): 20, ("conv2",): 50, ("fc1",): 500}
    assert groups(nets.conv_2()) == {("conv1",): 64, ("conv2",): 64, ("fc1",): 256, ("fc2",): 256}
    filters = [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8
    assert list(groups(nets.vgg_19()).values()) == filters
    assert all(len(layers) == 1 for layers in groups(nets.vgg_19()))


def test_filters_that_end_in_one_sum_are_one_group():
    inside = [(f"stage{s}_block{b}/sum/body/conv1",) for s in (1, 2, 3) for b in (1, 2, 3)]
    sums = [("conv", *(f"stage1_block{b}/sum/body/conv2" for b in (1, 2, 3)))]
    for s in (2, 3):
        blocks = [f"stage{s}_block{b}/sum/body/conv2" for b in (1, 2, 3)]
        sums.append((blocks[0], f"stage{s}_block1/sum/shortcut/conv", *blocks[1:]))
    found = groups(nets.resnet(20, width=4))
    assert set(found) == {*inside, *sums}
    assert [found[layers] for layers in sums] == [4, 8, 16]


def test_norms_and_flattened_maps_go_with_their_channels():
    units = Units.of(nets.conv_2())
    conv2 = units.weights["conv2"].writes
    fc1 = units.weights["fc1"].reads  # 16 x 16 places of 64 channels, channels last
    assert fc1.shape == (16 * 16 * 64,) and (fc1.reshape(-1, 64) == conv2).all()
    vgg = Units.of(nets.vgg_19(width=2))
    assert (vgg.norms["norm1_1"].writes == vgg.weights["conv1_1"].writes).all()
    assert (vgg.weights["conv1_2"].reads == vgg.norms["norm1_1"].reads).all()


def test_a_sum_joins_place_by_place_whatever_is_flattened():
    body = Chain(conv=Conv2D(1, 3), flatten=Flatten(), sum=Residual(Dense(12, 12)), out=Dense(12, 2))
    assert groups(Net("flat sum", body, (4, 4, 1), (2,))) == {("conv", "sum/body"): 3}
    around = Net("around", Chain(sum=Residual(Dense(4, 4)), out=Dense(4, 2)), (4,), (2,))
    assert groups(around) == {}  # what is added to the inputs is never cut


class Doubled(ReLU):
    pass


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (Chain(fc=Dense(4, 3), other=Doubled(), out=Dense(3, 2)), "other .* is not known, as it is a Doubled"),
        (Chain(fc=Dense(4, 3), out=Dense(5, 2)), "out reads 5 units, and 3 come in"),
        (Chain(fc=Dense(4, 3), sum=Residual(Dense(3, 2))), "sum adds 2 units .* to 3"),
    ],
)
def test_what_is_not_understood_is_refused(body, complaint):
    with pytest.raises(ValueError, match=complaint):
        Units.of(Net("wrong", body, (4,), (2,)))


def check_groups(net, units, groups, seed=0):
    """AssertionError unless a unit whose weights go has no effect: its biases and norms may then be anything."""
    theta = initial(net, seed=seed)
    x = np.random.default_rng(seed).normal(size=(1, 2, *net.input_shape))
    for group in groups:
        gone = np.isin(np.arange(units.count), group.units[:1])
        masks, other = dense_masks(theta), theta.copy()
        for name, ends in units.weights.items():
            masks[f"{name}/W"][0] &= ~gone[ends.reads][:, None] & ~gone[ends.writes]
            if f"{name}/b" in other:
                other[f"{name}/b"][..., gone[ends.writes]] += 3
        for name, ends in units.norms.items():
            other[f"{name}/shift"][..., gone[ends.reads]] += 3
        before, after = (net.predict(rewind(params, masks), x) for params in (theta, other))
        assert np.allclose(before, after), group.layers


@given(unit_nets(), seeds)
@settings(max_examples=30)
def test_what_is_left_of_a_cut_unit_has_no_effect(net, seed):
    units = Units.of(net)
    check_groups(net, units, units.groups, seed)


def test_a_wrong_dependency_is_found():
    net = nets.resnet(8, width=2)
    units = Units.of(net)
    wrong = dict(units.weights)
    ends = wrong["stage1_block1/sum/body/conv1"]
    wrong["stage1_block1/sum/body/conv1"] = Ends(ends.reads[::-1], ends.writes, ends.pixels)
    with pytest.raises(AssertionError, match="stage1_block1/sum/body/conv2"):
        check_groups(net, Units(units.count, wrong, units.norms, units.fixed), units.groups)


def by_loop(net, scores, masks, rate, together):
    """One unit after another, of one trial: the lowest that is not its group's last. Returns which go."""
    units, layers = Units.of(net), Units.of(net).weights

    def incoming(unit, what):
        return sum(
            what[f"{name}/W"][0][..., column][masks[f"{name}/W"][0][..., column]].sum()
            for name, ends in layers.items() for column in np.flatnonzero(ends.writes == unit)
        )  # fmt: skip

    living = [[u for u in group.units if incoming(u, masks)] for group in units.groups]
    gone = []
    for ranked in [living] if together else [[group] for group in living]:
        per = [np.mean([incoming(u, masks) for u in group]) if together and group else 1 for group in ranked]
        left = {u: incoming(u, scores) / n for group, n in zip(ranked, per, strict=True) for u in group}
        for _ in range(round(rate * len(left))):
            last = {max(g, key=lambda u: (left[u], u)) for group in ranked if (g := [u for u in group if u in left])}
            if free := [u for u in left if u not in last]:
                lowest = min(free, key=lambda u: (left[u], u))
                gone.append(lowest)
                del left[lowest]
    return gone


@given(unit_nets(), rates, st.booleans(), st.integers(0, 2), seeds)
@settings(max_examples=40, deadline=None)
def test_pruning_by_units_is_the_naive_loop(net, rate, together, trials, seed):
    rng = np.random.default_rng(seed)
    theta = initial(net, trials + 1)
    scores = theta.like(rng.integers(0, 3, theta.flat.shape).astype(float))  # many ties
    masks = theta.like(rng.random(theta.flat.shape) < rng.choice([0.3, 1]))
    layers = {f"{layer}/W": rate for group in Units.of(net).groups for layer in group.layers}
    scope, units = ByUnits(net, layers, together), Units.of(net)
    pruned = scope(scores, masks)
    assert not (pruned.flat & ~masks.flat).any()
    for t in range(theta.trials):
        stays = ~np.isin(np.arange(units.count), by_loop(net, scores.trial(t), masks.trial(t), rate, together))
        for name, ends in units.weights.items():
            expected = masks[f"{name}/W"][t] & stays[ends.reads][:, None] & stays[ends.writes]
            assert (pruned[f"{name}/W"][t] == expected).all()
    others = [name for name in theta if name not in theta.weights]
    assert all((pruned[name] == masks[name]).all() for name in others)
    if not rate:
        assert (pruned.flat == masks.flat).all()


def test_counts_of_a_lenet_are_exact_and_go_on_to_one_unit():
    net = nets.lenet_300_100()
    theta = initial(net)
    masks, rule = dense_masks(theta), Rule(magnitude, ByUnits(net, {"fc*/W": 0.2}))
    for units in ((300, 100), (240, 80), (192, 64), (154, 51)):  # round(0.2 * 192) = 38, round(0.2 * 64) = 13
        alive = [masks[f"{name}/W"][0].any(axis=0).sum() for name in ("fc1", "fc2")]
        assert tuple(alive) == units
        assert masks.flat[0][: 784 * 300].sum() == 784 * units[0]
        assert masks["out/W"].sum() == 10 * units[1]
        masks = rule(theta, masks)
    last = Rule(magnitude, ByUnits(net, {"fc*/W": 0.999}))(theta, masks)
    assert [last[f"{name}/W"][0].any(axis=0).sum() for name in ("fc1", "fc2")] == [1, 1]
    strongest = abs(np.where(masks["fc1/W"][0], theta["fc1/W"][0], 0)).sum(axis=0).argmax()
    assert last["fc1/W"][0][:, strongest].any()


def test_a_group_is_ranked_by_the_weights_of_all_its_layers():
    net = nets.resnet(8, width=4)
    theta = initial(net)
    for name in ("conv/W", "stage1_block1/sum/body/conv2/W"):
        theta[name][...] = 0.1
    theta["conv/W"][..., 2], theta["stage1_block1/sum/body/conv2/W"][..., 2] = 0.01, 0.11  # lower together
    theta["conv/W"][..., 1] = 0.01  # the lowest
    masks = dense_masks(theta)
    rule = Rule(magnitude, ByUnits(net, {"conv/W": 0.5, "stage1*/conv2/W": 0.5}))
    pruned = rule(theta, masks)
    assert pruned["conv/W"][0].any(axis=(0, 1, 2)).tolist() == [True, False, False, True]
    assert pruned["stage1_block1/sum/body/conv1/W"][0].any(axis=(0, 1, 3)).tolist() == [True, False, False, True]
    assert pruned["stage2_block1/sum/shortcut/conv/W"][0, 0, 0].any(axis=1).tolist() == [True, False, False, True]
    assert pruned["stage2_block1/sum/body/conv2/W"].all()


def test_names_are_what_writes_or_reads_a_unit_that_may_go():
    net = nets.lenet_300_100()
    theta = initial(net)
    assert ByUnits(net, {"fc2/W": 0.2}).names(theta) == ["fc2/W", "out/W"]
    assert ByUnits(net, {"fc*/W": 0.2}).names(theta) == ["fc1/W", "fc2/W", "out/W"]


def recipe(net, scope, **rates):
    return Experiment(replace(LENET, net=net, prune=Part("magnitude", scope=scope, rates=rates)), PARTS)


def test_recipes_name_the_scope_and_are_refused_in_words():
    resnet = Part("resnet", depth=8, width=2)
    scope = recipe(resnet, "units globally", **DENSE_UNITS).rule.scope
    assert isinstance(scope, ByUnits) and scope.together
    theta = scope.net.init(streams(0, [0], "init"))
    for rates_given, complaint in (
        ({"conv/W": 0.5}, "go together, at one rate"),
        ({"*/W": 0.5}, "outputs .* are never cut: give out/W the rate 0"),
    ):
        with pytest.raises(ValueError, match=complaint):
            recipe(resnet, "units layerwise", **rates_given).rule.scope.names(theta)
    with pytest.raises(RecipeError, match="all rates must be the same"):
        _ = recipe(resnet, "units globally", **{"stage1*/conv1/W": 0.1, "stage2*/conv1/W": 0.2}).rule
    nans = theta.like(np.full(theta.flat.shape, np.nan))
    with pytest.raises(ValueError, match="not a number"):
        scope(nans, dense_masks(theta))


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (nets.lenet_300_100(), 784 * 300 + 300 * 100 + 100 * 10),
        (nets.lenet_5(), 576 * 25 * 20 + 64 * 25 * 20 * 50 + 800 * 500 + 500 * 10),
        (nets.conv_2(), 1024 * 9 * (3 * 64 + 64 * 64) + 16_384 * 256 + 256 * 256 + 256 * 10),
        (
            nets.resnet(20),
            1024 * 9 * (3 * 16 + 6 * 16 * 16) + 256 * (9 * (16 * 32 + 5 * 32 * 32) + 16 * 32)
            + 64 * (9 * (32 * 64 + 5 * 64 * 64) + 32 * 64) + 640,
        ),
    ],
    ids=["LeNet", "LeNet-5", "Conv-2", "ResNet-20"],
)  # fmt: skip
def test_multiply_adds_by_hand(net, expected):
    theta = net.init(streams(0, range(2), "init"))
    masks = dense_masks(theta)
    assert multiply_adds(net, masks).tolist() == [expected] * 2
    first = theta.weights[0]
    masks[first][1] = False
    dense = masks[first][0].size * {"fc1/W": 1, "conv/W": 1024}.get(first, 1024 if net.input_shape[0] == 32 else 576)
    assert multiply_adds(net, masks).tolist() == [expected, expected - dense]
