"""Laws 4 and 5, find_tickets, check_round and its ability to fail, and one round of pruning by hand."""

import builtins
import dataclasses
from itertools import islice, pairwise

import numpy as np
import pytest
from cases import paper_rates
from hypothesis import given, settings
from hypothesis import strategies as st

from npticket.datasets import Dataset, Split
from npticket.layers import Chain, Dense
from npticket.nets import Net
from npticket.optimizers import SGD
from npticket.params import Params
from npticket.prune import Layerwise, Rule, dense_masks, density, magnitude
from npticket.streams import Place
from npticket.task import CLASSIFY
from npticket.testing import check_magnitude, check_round
from npticket.testing.strategies import datasets, optimizers, seeds, thetas, tickets
from npticket.tickets import Round, find_tickets, rewind
from npticket.train import Setting, fit


@given(tickets(np.float32))
def test_rewind_is_theta0_on_survivors_and_0_elsewhere_bit_for_bit(case):
    _, theta0, masks = case
    before = theta0.flat.tobytes()
    start = rewind(theta0, masks)
    assert start.flat.tobytes() == np.where(masks.flat, theta0.flat, np.float32(0)).tobytes()
    assert start.flat.dtype == np.float32
    assert not np.shares_memory(start.flat, theta0.flat)
    assert theta0.flat.tobytes() == before


@settings(max_examples=15)
@given(thetas(np.float32), datasets(), optimizers, seeds)
def test_every_round_of_real_training_obeys_the_laws(case, data, optimizer, seed):
    net, theta0 = case
    before = theta0.flat.tobytes()

    def train(start, masks):
        place = Place(seed, range(theta0.trials))
        return fit(net, CLASSIFY, start, masks, data, Setting(optimizer, steps=5, batch=8), place).end

    rates = paper_rates(net)
    prune = Rule(magnitude, Layerwise(rates))
    rounds = list(islice(find_tickets(theta0, dense_masks(theta0), train=train, prune=prune), 4))
    check_round(rounds[0], theta0)
    for previous, round in pairwise(rounds):
        check_round(round, theta0, previous)
        check_magnitude(round, previous)
        for t, name in ((t, name) for t in range(theta0.trials) for name in rates):
            survivors = int(previous.masks[name][t].sum())
            expected = survivors - builtins.round(rates[name] * survivors)
            assert int(round.masks[name][t].sum()) == expected
    assert [round.index for round in rounds] == [0, 1, 2, 3]
    assert theta0.flat.tobytes() == before


def test_check_round_and_check_magnitude_can_fail():
    theta0 = Params({"a/W": (4,)}, np.array([[1.0, 2, 3, 4], [4, 3, 2, 1]]))
    generator = find_tickets(
        theta0,
        dense_masks(theta0),
        train=lambda start, masks: start.copy(),
        prune=Rule(magnitude, Layerwise({"a/W": 0.25})),
    )
    first, second, third = islice(generator, 3)
    check_round(third, theta0, second)
    check_magnitude(third, second)
    # Trial 0 lost 1 (0.25 x 4) and then 2 (round(0.75) = 1 of 3), its first two weights; trial 1 its last two.
    assert third.masks.flat.tolist() == [[False, False, True, True], [True, True, False, False]]

    def changed(params, t, i, value):
        copy = params.copy()
        copy.flat[t, i] = value
        return copy

    for broken, message in (
        (dataclasses.replace(third, start=changed(third.start, 0, 2, 3.5)), "survivors start at theta0.* a/W, trial 0"),
        (dataclasses.replace(third, start=changed(third.start, 1, 3, 1.0)), "exactly 0 at the start.* a/W, trial 1"),
        (dataclasses.replace(third, end=changed(third.end, 0, 1, -0.0)), "exactly 0 at the end.* a/W, trial 0"),
        (dataclasses.replace(first, start=theta0), "shares memory with theta0.* start"),
        (dataclasses.replace(first, end=theta0.like(theta0.flat[:])), "shares memory with theta0.* end"),
    ):
        with pytest.raises(AssertionError, match=message):
            check_round(broken, theta0, second if broken.index else None)
    with pytest.raises(AssertionError, match=r"masks only shrink.* a/W, trial 0"):
        check_round(first, theta0, second)  # the dense round is sound by itself, but not after a pruned one
    wrong_end = dataclasses.replace(second, end=second.end.like(second.end.flat[:, ::-1].copy()))
    with pytest.raises(AssertionError, match=r"larger than one that stays.* a/W, trial 0"):
        check_magnitude(third, wrong_end)


def test_one_round_by_hand():
    """A 2-2-2 network without hidden layer, one example, one SGD step, then half of the weights go.

    theta0:  W = [[ 0.5, -0.3],      x = [1, 2], label 0.
                  [-0.2,  0.1]]      b = [0, 0]
    z  = x W + b = [0.5 - 0.4, -0.3 + 0.2] = [0.1, -0.1]
    p  = softmax(z) = [e^0.1, e^-0.1] / (e^0.1 + e^-0.1) = [0.549834, 0.450166]
    dz = p - [1, 0] = [-0.450166, 0.450166]
    dW = x^T dz = [[-0.450166, 0.450166], [-0.900332, 0.900332]],  db = dz
    SGD with lr 1:  W = [[0.950166, -0.750166], [0.700332, -0.800332]],  b = [0.450166, -0.450166]
    |W| sorted: 0.700332, 0.750166, 0.800332, 0.950166. Half of 4 is 2: 0.700332 and 0.750166 go.
    masks = [[1, 0], [0, 1]];  the next start is W = [[0.5, 0], [0, 0.1]], b = [0, 0] again.
    """
    net = Net("hand", Chain(fc=Dense(2, 2)), (2,), (2,))
    theta0 = Params(net.body.layout, np.array([[0.5, -0.3, -0.2, 0.1, 0.0, 0.0]]))
    masks = dense_masks(theta0)
    one = Split(np.array([[1.0, 2.0]]), np.array([0]))
    data = Dataset("one example", one, one, one, classes=2, source="a test")

    def train(start, masks):
        return fit(net, CLASSIFY, start, masks, data, Setting(lambda masks: SGD(masks, lr=1), steps=1, batch=1)).end

    prune = Rule(magnitude, Layerwise({"*/W": 0.5}))
    first, second = islice(find_tickets(theta0, masks, train=train, prune=prune), 2)
    np.testing.assert_allclose(first.end["fc/W"][0], [[0.950166, -0.750166], [0.700332, -0.800332]], atol=1e-6)
    np.testing.assert_allclose(first.end["fc/b"][0], [[0.450166, -0.450166]], atol=1e-6)
    assert second.masks["fc/W"][0].tolist() == [[True, False], [False, True]]
    assert second.start["fc/W"][0].tolist() == [[0.5, 0], [0, 0.1]]
    assert second.start["fc/b"][0].tolist() == [[0, 0]]
    assert density(second.masks).tolist() == [0.5]


def test_rewind_refuses_masks_of_another_type_shape_or_layout():
    theta0 = Params({"a/W": (2,)}, np.ones((1, 2)))
    with pytest.raises(TypeError, match="masks are float64, expected bool"):
        rewind(theta0, theta0)
    with pytest.raises(ValueError, match=r"has shape \(2, 2\), the parameter has \(1, 2\)"):
        rewind(theta0, Params({"a/W": (2,)}, np.ones((2, 2), bool)))
    with pytest.raises(ValueError, match=r"masks\['a/W'\] has shape None"):  # as many, but of something else
        rewind(theta0, Params({"b/W": (2,)}, np.ones((1, 2), bool)))


@given(st.integers(0, 5))
def test_the_caller_decides_when_to_stop(count):
    theta0 = Params({"a/W": (1,)}, np.ones((1, 1)))
    trained = []
    endless = find_tickets(
        theta0, dense_masks(theta0), train=lambda s, m: trained.append(1) or s, prune=lambda e, m: m.copy()
    )
    assert all(isinstance(round, Round) for round in islice(endless, count))
    assert len(trained) == count


def test_a_train_that_returns_no_parameters_is_told_so():
    theta0 = Params({"fc/W": (2, 3)}, np.ones((1, 6)))
    rounds = find_tickets(theta0, dense_masks(theta0), train=lambda start, masks: "a fit", prune=None)
    with pytest.raises(TypeError, match=r"train returns the parameters at the end, as fit\(\.\.\.\)\.end are, got str"):
        next(rounds)
