"""Params: views into one flat array, never copies, and errors that say what was expected."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given

from npticket.nets import lenet_300_100
from npticket.params import Params, check_masks, pack, stack, unpack
from npticket.prune import dense_masks, density
from npticket.streams import stream, streams
from npticket.testing.strategies import thetas


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
        assert (theta.trial(t - theta.trials).flat == t).all()
    theta.trial(-1).flat[...] = -7
    assert (theta.flat[-1] == -7).all()
    for t in (theta.trials, theta.trials + 5, -theta.trials - 1):
        with pytest.raises(IndexError, match=f"there is no trial {t}: these are parameters of {theta.trials}"):
            theta.trial(t)


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
    keys = [(0, 0, "init"), (1, 0, "init"), (0, 1, "init"), (0, 0, "order"), (0, 0, "init", 1), (0, 0, "init", 0, 1)]
    draws = [stream(*key).random() for key in keys]
    assert len(set(draws)) == len(keys)
    assert draws == [stream(*key).random() for key in keys]
    assert [draws[0], draws[2]] == [rng.random() for rng in streams(0, [0, 1], "init")]


def test_errors_say_what_is_missing():
    with pytest.raises(ValueError, match="is the trials axis missing"):
        Params({"a/W": (2, 3)}, np.zeros(6))
    with pytest.raises(ValueError, match=r"need \(trials, 6\)"):
        Params({"a/W": (2, 3)}, np.zeros((1, 5)))
    with pytest.raises(KeyError, match="no parameter 'b/W'; there are a/W"):
        Params({"a/W": (2, 3)}, np.zeros((1, 6)))["b/W"]


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda params: pickle.loads(pickle.dumps(params)),
    "pickle 5": lambda params: pickle.loads(pickle.dumps(params, protocol=5)),
}


@pytest.mark.parametrize("how", COPIES)
@given(thetas())
def test_copies_keep_views_and_flat_array_together(how, case):
    """So that what is written to a view of the copy is in its flat array, and in no other's unless both share it."""
    _, theta = case
    same = COPIES[how](theta)
    assert type(same) is Params and list(same) == list(theta) and same.shapes == theta.shapes
    assert same.flat.tobytes() == theta.flat.tobytes() and same.flat.dtype == theta.flat.dtype
    assert np.shares_memory(same.flat, theta.flat) == (how == "copy")
    for name in same:
        layer, local = name.split("/")
        assert same.tree[layer][local] is same[name]
        assert np.shares_memory(same[name], same.flat)
        same[name][...] = 7
    assert (same.flat == 7).all()
    assert (theta.flat == 7).all() == (how == "copy")


def test_params_that_share_an_array_still_do_when_copied_together():
    theta = Params({"a/W": (2, 3)}, np.zeros((1, 6)))
    one, other = copy.deepcopy([theta, theta.trial(0)])
    assert one.flat.shape == other.flat.shape and not np.shares_memory(one.flat, theta.flat)


@pytest.mark.parametrize(
    "use",
    [
        lambda params, path: np.asarray(params),
        lambda params, path: np.array(params),
        lambda params, path: np.save(path / "params.npy", params),
        lambda params, path: np.array_equal(params, params),
        lambda params, path: np.isfinite(params),
        lambda params, path: np.concatenate([params, params]),
    ],
    ids=["asarray", "array", "save", "array_equal", "isfinite", "concatenate"],
)
def test_params_are_no_array_and_say_so(use, tmp_path):
    """NumPy would otherwise take the names for the values."""
    with pytest.raises(TypeError, match=r"name one of them, params\['fc1/W'\], or take all as params\.flat"):
        use(lenet_300_100().init(streams(0, [0], "init")), tmp_path)
    assert not any(path.stat().st_size for path in tmp_path.iterdir())


def test_masks_are_checked_by_name():
    params = Params({"fc1/W": (3, 2), "fc1/b": (1, 2)}, np.zeros((3, 8)))
    check_masks(params, dense_masks(params))
    with pytest.raises(TypeError, match="masks are float64, expected bool"):
        check_masks(params, params)
    with pytest.raises(
        ValueError, match=r"masks\['fc1/W'\] has shape \(1, 3, 2\), the parameter has \(3, 3, 2\): is the"
    ):
        check_masks(params, dense_masks(params.trial(0)))
    with pytest.raises(ValueError, match=r"masks\['fc1/b'\] has shape None, the parameter has \(3, 1, 2\)"):
        check_masks(params, Params({"fc1/W": (3, 2)}, np.ones((3, 6), bool)))
    more = Params({"fc1/W": (3, 2), "fc1/b": (1, 2), "fc2/W": (1, 1)}, np.ones((3, 9), bool))
    with pytest.raises(ValueError, match="there are masks for fc1/W, fc1/b, fc2/W, and parameters fc1/W, fc1/b"):
        check_masks(params, more)
    with pytest.raises(TypeError, match="masks are ndarray, expected Params"):
        check_masks(params, dense_masks(params).flat)
    norm = Params({"running_var": (2,), "scale": (2,)}, np.ones((1, 4)))
    masks = dense_masks(norm)
    masks["running_var"][0, 1] = False
    with pytest.raises(ValueError, match="running statistics cannot be pruned, and the masks of running_var do so"):
        check_masks(norm, masks)
    turned = Params({"fc1/b": (1, 2), "fc1/W": (3, 2)}, np.ones((3, 8), bool))  # of the same size, in another order
    with pytest.raises(ValueError, match="there are masks for"):
        check_masks(params, turned)


def test_only_what_is_laid_out_alike_is_joined_and_only_whole_masks_are_unpacked():
    one, other = Params({"a": (2,), "b": (3,)}, np.ones((1, 5))), Params({"b": (3,), "a": (2,)}, np.ones((1, 5)))
    assert stack([one, one]).trials == 2
    with pytest.raises(ValueError, match="only what is laid out alike can be joined"):
        stack([one, other])
    masks = Params({"a": (17,)}, np.arange(17)[None] % 3 == 0)
    assert (unpack(pack(masks), masks).flat == masks.flat).all()
    with pytest.raises(ValueError, match=r"those of 2: take masks\.trial\(t\)"):
        pack(stack([masks, masks]))
    for bits in (pack(masks)[:2], np.append(pack(masks), np.uint8(0))):
        with pytest.raises(ValueError, match=rf"masks of 17 parameters are 3 bytes, got {len(bits)}"):
            unpack(bits, masks)
