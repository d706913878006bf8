"""Params: views into one flat array, never copies, and errors that say what was expected."""

import numpy as np
import pytest
from hypothesis import given
from strategies import thetas

from npticket.nets import lenet_300_100
from npticket.params import Params
from npticket.prune import dense_masks, density
from npticket.streams import streams


@given(thetas())
def test_views_and_tree_share_the_flat_memory(case):
    net, theta = case
    assert list(theta) == list(net.body.layout)
    total = 0
    for name in theta:
        layer, local = name.split("/")
        assert np.shares_memory(theta[name], theta.flat)
        assert theta.tree[layer][local] is theta[name]
        assert theta[name].shape == (theta.trials, *net.body.layout[name])
        total += theta[name].size
    assert total == theta.flat.size
    theta.flat[...] = 7
    assert all((theta[name] == 7).all() for name in theta)


@given(thetas())
def test_copy_shares_nothing_and_trial_shares_everything(case):
    _, theta = case
    assert not np.shares_memory(theta.copy().flat, theta.flat)
    for t in range(theta.trials):
        assert theta.trial(t).trials == 1
        theta.trial(t).flat[...] = t
        assert (theta.flat[t] == t).all()


def test_lenet_has_the_papers_number_of_weights():
    theta = lenet_300_100().init(streams(0, range(2), "init"))
    assert theta.flat.shape == (2, 266_610)  # 266,200 weights and 410 biases
    assert theta.weights == ["fc1/W", "fc2/W", "out/W"]
    assert sum(theta[name][0].size for name in theta.weights) == 266_200
    assert density(dense_masks(theta)).tolist() == [1, 1]


def test_float32_and_float64_start_from_the_same_draws():
    single, double = (lenet_300_100().init(streams(3, [0], "init"), dtype) for dtype in (np.float32, np.float64))
    assert single.flat.dtype == np.float32
    assert (single.flat == double.flat.astype(np.float32)).all()


def test_streams_differ_in_every_part_of_their_key_and_repeat():
    keys = [(0, [0], "init"), (1, [0], "init"), (0, [1], "init"), (0, [0], "order"), (0, [0], "init", 1)]
    keys.append((0, [0], "init", 0, 1))
    draws = [streams(*key)[0].random() for key in keys]
    assert len(set(draws)) == len(keys)
    assert draws == [streams(*key)[0].random() for key in keys]


def test_errors_say_what_is_missing():
    with pytest.raises(ValueError, match="is the trials axis missing"):
        Params({"a/W": (2, 3)}, np.zeros(6))
    with pytest.raises(ValueError, match=r"need \(trials, 6\)"):
        Params({"a/W": (2, 3)}, np.zeros((1, 5)))
    with pytest.raises(KeyError, match="no parameter 'b/W'; there are a/W"):
        Params({"a/W": (2, 3)}, np.zeros((1, 6)))["b/W"]
