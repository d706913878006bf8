"""Shrunk networks: the masked one's outputs with fewer units, for any network, parameters and masks."""

import numpy as np
import pytest
from cases import initial
from hypothesis import given, settings
from hypothesis import strategies as st

from npticket import nets
from npticket.datasets import Dataset, Split
from npticket.export import shrink
from npticket.layers import BatchNorm, Chain, Conv2D, Dense, Flatten, ReLU, Residual
from npticket.nets import Net
from npticket.optimizers import Adam
from npticket.params import Params
from npticket.prune import Rule, dense_masks, magnitude
from npticket.scopes import ByUnits
from npticket.streams import streams
from npticket.task import CLASSIFY
from npticket.testing.strategies import seeds, unit_nets
from npticket.tickets import rewind
from npticket.train import Setting, fit
from npticket.units import Units, multiply_adds


def masks_for(net, theta, rng):
    """Anything from dense to nearly empty, with units cut off at either end."""
    masks = theta.like(rng.random(theta.flat.shape) < rng.choice([0.1, 0.5, 1]))
    for name in theta:
        if name not in theta.weights:
            masks[name][...] = True
            continue
        mask = masks[name][0]
        mask[..., rng.random(mask.shape[-1]) < 0.3] = False
        mask[..., rng.random(mask.shape[-2]) < 0.3, :] = False
    return masks


def outputs(net, theta, seed=0, count=3):
    x = np.random.default_rng(seed).normal(size=(1, count, *net.input_shape)).astype(theta.flat.dtype)
    return net.predict(theta, x)


@given(unit_nets(), seeds)
@settings(max_examples=80, deadline=None)
def test_a_shrunk_network_is_the_masked_one(net, seed):
    theta, rng = initial(net, seed=seed), np.random.default_rng(seed)
    masks = masks_for(net, theta, rng)
    before = theta.flat.copy(), masks.flat.copy()
    small, params = shrink(net, theta, masks)
    assert np.allclose(outputs(small, params), outputs(net, rewind(theta, masks)), rtol=1e-9, atol=1e-9)
    assert params.flat.size <= theta.flat.size and (small.input_shape, small.output_shape) == (
        net.input_shape, net.output_shape,
    )  # fmt: skip
    assert (theta.flat == before[0]).all() and (masks.flat == before[1]).all()
    again, same = shrink(small, params, dense_masks(params))
    assert same.flat.size == params.flat.size and again.body.layout == small.body.layout


def test_a_network_that_is_one_layer_has_nothing_to_cut():
    """Its layer has no name, and its weights are just W."""
    net = Net("one layer", Dense(3, 2), (3,), (2,))
    theta = initial(net)
    masks = dense_masks(theta)
    masks["W"][0, 1] = False
    small, params = shrink(net, theta, masks)
    np.testing.assert_allclose(outputs(small, params), outputs(net, rewind(theta, masks)))
    assert small.body.layout == net.body.layout and multiply_adds(net, masks).tolist() == [4]
    assert (ByUnits(net, {})(theta, masks).flat == masks.flat).all()


@given(unit_nets(), st.floats(0.1, 0.9), seeds)
@settings(max_examples=30, deadline=None)
def test_of_whole_units_that_go_nothing_is_left(net, rate, seed):
    theta = initial(net, seed=seed)
    units = Units.of(net)
    layers = {f"{layer}/W": rate for group in units.groups for layer in group.layers}
    masks = Rule(magnitude, ByUnits(net, layers))(theta, dense_masks(theta))
    _, params = shrink(net, theta, masks)
    for name, ends in units.weights.items():
        mask = masks[f"{name}/W"][0]
        assert params[f"{name}/W"].size == mask.sum()
        if not units.fixed[ends.writes].any():
            assert params[f"{name}/W"].shape[-1] == mask.reshape(-1, mask.shape[-1]).any(axis=0).sum()


@pytest.mark.parametrize(
    "net", [nets.lenet_300_100(), nets.conv_2(), nets.resnet(8, width=8)], ids=lambda net: net.name
)
def test_in_float32_the_outputs_are_the_same_to_a_millionth(net):
    theta = net.init(streams(0, [0], "init"))
    masks = Rule(magnitude, ByUnits(net, {"out/W": 0, "*/W": 0.7}))(theta, dense_masks(theta))
    small, params = shrink(net, theta, masks)
    whole = outputs(net, rewind(theta, masks))
    assert params.flat.dtype == np.float32 and params.flat.size < 0.3 * theta.flat.size
    assert abs(outputs(small, params) - whole).max() <= 1e-6 * max(1, abs(whole).max())


def two_layers(conv, **rest):
    return Net("two", Chain(conv=conv, **rest, flatten=Flatten(), out=Dense(18, 2)), (3, 3, 1), (2,))


def test_constants_are_folded_into_biases_where_that_is_possible():
    """A filter without incoming weights is relu(b) = 0.5 everywhere."""
    net = Net("three", Chain(conv=Conv2D(1, 2), relu=ReLU(), flatten=Flatten(), out=Dense(2, 2)), (3, 3, 1), (2,))
    theta = initial(net)
    theta["conv/b"][...] = 0.5
    masks = dense_masks(theta)
    masks["conv/W"][..., 0] = False
    small, params = shrink(net, theta, masks)
    assert params["conv/W"].shape == (1, 3, 3, 1, 1) and params["out/W"].shape == (1, 1, 2)
    assert params["out/b"][0, 0] == pytest.approx(theta["out/b"][0, 0] + 0.5 * theta["out/W"][0, 0])
    assert np.allclose(outputs(small, params), outputs(net, rewind(theta, masks)))


@pytest.mark.parametrize(("second", "filters"), [
    (Conv2D(2, 2, padding=1), 2), (Conv2D(2, 2, kernel=1, bias=False), 2), (Conv2D(2, 2, kernel=1), 1),
])  # fmt: skip
def test_a_constant_stays_where_a_border_or_a_missing_bias_is_in_the_way(second, filters):
    net = two_layers(Conv2D(1, 2, padding=1), relu=ReLU(), second=second)
    theta = initial(net)
    theta["conv/b"][...] = 0.5
    masks = dense_masks(theta)
    masks["conv/W"][..., 0] = False
    small, params = shrink(net, theta, masks)
    assert params["conv/W"].shape[-1] == filters
    assert np.allclose(outputs(small, params), outputs(net, rewind(theta, masks)))
    theta["conv/b"][..., 0] = -1  # the ReLU makes it 0, which needs no bias
    small, params = shrink(net, theta, masks)
    assert params["conv/W"].shape[-1] == 1
    assert np.allclose(outputs(small, params), outputs(net, rewind(theta, masks)))


def test_a_sum_is_as_wide_as_its_group_needs():
    net = nets.resnet(8, width=4)
    theta = initial(net)
    masks = dense_masks(theta)
    masks["conv/W"][..., :2] = False  # the block's second convolution still writes these channels
    _, params = shrink(net, theta, masks)
    assert params["conv/W"].shape[-1] == 4
    masks = Rule(magnitude, ByUnits(net, {"conv/W": 0.5, "stage1*/conv2/W": 0.5}))(theta, masks)
    small, params = shrink(net, theta, masks)
    assert params["conv/W"].shape[-1] == params["stage1_block1/sum/body/conv2/W"].shape[-1] == 2
    assert params["norm/scale"].shape == (1, 2)
    assert isinstance(small.body.layers["stage1_block1"].layers["sum"], Residual)
    assert isinstance(small.body.layers["norm"], BatchNorm)


def test_of_an_empty_network_one_unit_a_layer_is_left():
    net = nets.lenet_300_100()
    theta = initial(net)
    masks = theta.like(np.zeros(theta.flat.shape, bool))
    for name in ("fc1/b", "fc2/b", "out/b"):
        masks[name][...] = True
    small, params = shrink(net, theta, masks)
    assert params["fc2/W"].shape == (1, 1, 1)
    assert np.allclose(outputs(small, params), outputs(net, rewind(theta, masks)))


def test_a_shrunk_ticket_trains_as_the_masked_one_does():
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (40, 28, 28), dtype=np.uint8), rng.integers(0, 10, 40).astype(np.uint8))
    data = Dataset("noise", split, split, split, classes=10, source="a test")
    net = nets.lenet_300_100([8, 6])
    theta = net.init(streams(0, [0], "init"), np.float64)
    masks = Rule(magnitude, ByUnits(net, {"fc*/W": 0.5}))(theta, dense_masks(theta))
    small, params = shrink(net, theta, masks)
    setting = Setting(lambda masks: Adam(masks, lr=1e-3), steps=5, batch=8)
    end = fit(net, CLASSIFY, rewind(theta, masks), masks, data, setting).end
    small_end = fit(small, CLASSIFY, params, dense_masks(params), data, setting).end
    assert small_end.flat.size == 784 * 4 + 4 + 4 * 3 + 3 + 3 * 10 + 10
    assert np.allclose(outputs(small, small_end), outputs(net, end))


def test_it_refuses_what_it_cannot_shrink():
    net = nets.lenet_300_100([3, 2])
    theta = initial(net, trials=2)
    with pytest.raises(ValueError, match="one trial is exported at a time, got 2"):
        shrink(net, theta, dense_masks(theta))
    one = theta.trial(0).copy()
    one.flat[0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        shrink(net, one, dense_masks(one))
    with pytest.raises(TypeError, match="expected bool"):
        shrink(net, theta.trial(0), theta.trial(0))
    assert isinstance(shrink(net, theta.trial(0), dense_masks(theta.trial(0)))[1], Params)
