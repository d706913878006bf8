"""Weights go out by PyTorch's names and layouts and come back the same; other libraries predict what we do."""

import re
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from oracles import convolve, pool

from npticket import nets
from npticket.export import FORMATS, csr, from_state_dict, load_weights, save_weights, state_dict
from npticket.layers import BatchNorm, Chain, Conv2D, Dense, Flatten, MaxPool, ReLU, Residual
from npticket.nets import Net
from npticket.params import Params
from npticket.prune import dense_masks
from npticket.streams import streams
from npticket.testing.strategies import seeds, unit_nets
from npticket.tickets import rewind

ALL_NETS = {
    "lenet": nets.lenet_300_100(), "conv_2": nets.conv_2(), "conv_4": nets.conv_4(dropout=0.5),
    "conv_6": nets.conv_6(), "vgg_19": nets.vgg_19(width=8), "resnet_18": nets.resnet_18(),
    "resnet": nets.resnet(8, width=4), "lenet_5": nets.lenet_5(),
}  # fmt: skip
EVERY_NET = pytest.mark.parametrize("net", ALL_NETS.values(), ids=ALL_NETS)


def trained(net, seed=0, dtype=np.float32):
    """Values such as training leaves in all parameters, norms and biases, too; four in five weights pruned."""
    rng, theta = np.random.default_rng(seed), net.init(streams(seed, [0], "init"), dtype)
    for name in theta:
        if name in theta.weights:
            theta[name][...] *= 2  # or biases and shifts would drown what comes from the input, layer by layer
        else:
            theta[name][...] += rng.uniform(0.05, 0.3, theta[name].shape) * rng.choice([-1, 1], theta[name].shape)
    masks = dense_masks(theta)
    for name in theta.weights:
        masks[name][...] = abs(theta[name]) > 1.28 * theta[name].std()
    return rewind(theta, masks), masks


def inputs(net, count=6, dtype=np.float32):
    """Noise on images of one colour each, so that means over an image differ, too."""
    rng, *inner, last = np.random.default_rng(1), *net.input_shape
    colours = rng.normal(0, 3, (count, *[1] * len(inner), last))
    return (colours + rng.normal(size=(count, *net.input_shape))).astype(dtype)


def channels_first(x):
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if x.ndim == 4 else x


def assert_same_outputs(theirs, ours):
    """To a millionth of the largest, where outputs depend on the input."""
    largest = abs(ours).max()
    assert np.ptp(ours, axis=0).max() > 0.1 * largest
    assert theirs.shape == ours.shape and abs(theirs - ours).max() <= 1e-6 * largest


def counted(shapes):
    """Parameters whose values are 0, 1, 2 ... in our order."""
    params = Params.empty(shapes, 1, np.float32)
    params.flat[...] = np.arange(params.flat.size)
    return params


# --- Names and layouts, written by hand ---


def test_the_names_and_shapes_are_pytorchs():
    dense = {name: array.shape for name, array in state_dict(ALL_NETS["lenet"], *trained(ALL_NETS["lenet"])).items()}
    assert dense == {
        "fc1.weight_orig": (300, 784), "fc1.weight_mask": (300, 784), "fc1.bias": (300,),
        "fc2.weight_orig": (100, 300), "fc2.weight_mask": (100, 300), "fc2.bias": (100,),
        "out.weight_orig": (10, 100), "out.weight_mask": (10, 100), "out.bias": (10,),
    }  # fmt: skip
    conv = state_dict(ALL_NETS["conv_2"], ALL_NETS["conv_2"].init(streams(0, [0], "init")))
    assert {name: conv[name].shape for name in list(conv)[:6]} == {
        "conv1.weight": (64, 3, 3, 3), "conv1.bias": (64,), "conv2.weight": (64, 64, 3, 3), "conv2.bias": (64,),
        "fc1.weight": (256, 16384), "fc1.bias": (256,),
    }  # fmt: skip
    residual = state_dict(ALL_NETS["resnet"], trained(ALL_NETS["resnet"])[0])
    block = [name for name in residual if name.startswith("stage2_block1.")]
    assert block[:5] == [f"stage2_block1.sum.body.{name}" for name in (
        "conv1.weight", "norm1.weight", "norm1.bias", "norm1.running_mean", "norm1.running_var",
    )]  # fmt: skip
    assert residual["stage2_block1.sum.shortcut.conv.weight"].shape == (8, 4, 1, 1)


def test_a_filter_and_a_flattened_map_by_hand():
    """A 1 x 2 map of two channels: ours is flattened as (w0 c0, w0 c1, w1 c0, w1 c1), PyTorch's channel by channel."""
    body = Chain(conv=Conv2D(1, 2, kernel=2), flat=Flatten(), norm=BatchNorm(4), relu=ReLU(), out=Dense(4, 1))
    net = Net("small", body, (2, 3, 1), (1,))
    theta = counted(body.layout)
    found = state_dict(net, theta)
    assert found["conv.weight"].tolist() == [[[[0, 2], [4, 6]]], [[[1, 3], [5, 7]]]]  # 0, 2, 4, 6 are filter 0's
    assert found["conv.bias"].tolist() == [8, 9]
    assert found["norm.weight"].tolist() == [10, 12, 11, 13] and found["norm.running_var"].tolist() == [22, 24, 23, 25]
    assert found["out.weight"].tolist() == [[26, 28, 27, 29]] and found["out.bias"].tolist() == [30]
    assert all(array.flags.c_contiguous and not np.shares_memory(array, theta.flat) for array in found.values())


@pytest.mark.parametrize("after", [{}, {"relu": ReLU()}, {"norm": BatchNorm(12)}])
def test_what_is_flat_stays_in_its_order_when_it_is_flattened_again(after):
    once = Net("once", Chain(flat=Flatten(), **after, out=Dense(12, 2)), (2, 2, 3), (2,))
    twice = Net("twice", Chain(flat=Flatten(), **after, again=Flatten(), out=Dense(12, 2)), (2, 2, 3), (2,))
    theta = counted(once.body.layout)
    expected, found = state_dict(once, theta), state_dict(twice, theta)
    assert {name: array.tolist() for name, array in found.items()} == {n: a.tolist() for n, a in expected.items()}
    assert expected["out.weight"][0].tolist() != theta["out/W"][0, :, 0].tolist()


def test_the_state_dict_is_the_same_function_with_channels_first():
    """By naive loops, without PyTorch."""
    body = Chain(
        conv1=Conv2D(2, 3, padding=1), relu1=ReLU(), pool=MaxPool(2), conv2=Conv2D(3, 4, stride=2), flatten=Flatten(),
        fc=Dense(8, 5), relu2=ReLU(), out=Dense(5, 3),
    )  # fmt: skip
    net = Net("small", body, (10, 7, 2), (3,))
    theta, masks = trained(net, dtype=np.float64)
    p, x = state_dict(net, theta, masks), inputs(net, dtype=np.float64)
    w = {name: p[f"{name}.weight_orig"] * p[f"{name}.weight_mask"] for name in ("conv1", "conv2", "fc", "out")}
    h = np.maximum(convolve(x, w["conv1"].transpose(2, 3, 1, 0), p["conv1.bias"], 1, 1), 0)
    h = convolve(pool(h, 2, np.max), w["conv2"].transpose(2, 3, 1, 0), p["conv2.bias"], 2, 0)
    h = np.maximum(channels_first(h).reshape(len(x), -1) @ w["fc"].T + p["fc.bias"], 0)
    assert_same_outputs(h @ w["out"].T + p["out.bias"], net.predict(theta, x[None])[0])


def test_sparse_rows_by_hand_with_a_survivor_of_value_0():
    net = Net("small", Chain(flatten=Flatten(), out=Dense(3, 2)), (3,), (2,))
    theta = counted(net.body.layout)  # W is [[0, 1], [2, 3], [4, 5]], b [6, 7]
    masks = dense_masks(theta)
    masks["out/W"][0, 1, 0] = masks["out/W"][0, 0, 1] = masks["out/W"][0, 2, 1] = False
    found = {name: array.tolist() for name, array in csr(net, rewind(theta, masks), masks).items()}
    assert found == {
        "out.weight.data": [0, 4, 3], "out.weight.indices": [0, 2, 1], "out.weight.indptr": [0, 2, 3],
        "out.weight.shape": [2, 3], "out.bias": [6, 7],
    }  # fmt: skip


@given(unit_nets(), seeds)
def test_sparse_rows_are_the_masked_weights(net, seed):
    theta, masks = trained(net, seed)
    found, plain, kept = csr(net, theta, masks), state_dict(net, theta), state_dict(net, theta, masks)
    for name in (name for name in plain if f"{name}.indptr" in found):
        data, columns, starts, shape = (found[f"{name}.{what}"] for what in ("data", "indices", "indptr", "shape"))
        dense, alive = np.zeros(shape), np.zeros(shape, bool)
        for row, (start, end) in enumerate(pairwise(starts)):
            dense[row, columns[start:end]], alive[row, columns[start:end]] = data[start:end], True
        assert (dense == plain[name].reshape(shape)).all()
        assert (alive == (kept[f"{name}_mask"] == 1).reshape(shape)).all() and len(data) == alive.sum()


# --- Out, and in again ---


@given(unit_nets(), seeds)
def test_what_went_out_comes_in_bit_for_bit(net, seed):
    theta, masks = trained(net, seed)
    before = theta.flat.copy(), masks.flat.copy()
    again, same = from_state_dict(net, state_dict(net, theta, masks))
    assert again.flat.tobytes() == theta.flat.tobytes() and (same.flat == masks.flat).all()
    plain, dense = from_state_dict(net, state_dict(net, theta))
    assert plain.flat.tobytes() == theta.flat.tobytes() and dense.flat.all()
    assert (theta.flat == before[0]).all() and (masks.flat == before[1]).all()


def test_pruned_biases_and_values_under_masks():
    """PyTorch keeps what a weight was before it was pruned: here it is 0."""
    net = Net("small", Chain(out=Dense(3, 2)), (3,), (2,))
    theta, masks = trained(net, dtype=np.float64)
    masks["out/b"][0, 0, 0] = False
    state = state_dict(net, theta, masks)
    assert state["out.bias_mask"].tolist() == [0, 1]
    state["out.weight_orig"] = state["out.weight_orig"] + 1
    found, same = from_state_dict(net, {**state, "norm.num_batches_tracked": np.array(3)})
    assert found.flat.dtype == np.float64 and (same.flat == masks.flat).all() and not found.flat[~masks.flat].any()
    assert (found["out/W"][masks["out/W"]] == theta["out/W"][masks["out/W"]] + 1).all()


@pytest.mark.parametrize("to", ["npz", "safetensors"])
@pytest.mark.parametrize("net", [ALL_NETS["lenet"], ALL_NETS["resnet"]], ids=lambda net: net.name)
def test_files_come_back(tmp_path, net, to):
    if to == "safetensors":
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    (theta, masks), path = trained(net), tmp_path / f"t.{to}"
    save_weights(path, to, net, theta, masks)
    again, same = load_weights(path, net)
    assert again.flat.tobytes() == theta.flat.tobytes() and (same.flat == masks.flat).all()
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=rf"t\.{to} (cannot be read|is not a safetensors file of numbers)"):
        load_weights(path, net)


def test_sparse_rows_in_a_file(tmp_path):
    net = ALL_NETS["lenet"]
    theta, masks = trained(net)
    save_weights(tmp_path / "rows", "csr", net, theta, masks)
    with np.load(tmp_path / "rows", allow_pickle=False) as found:
        assert {name: found[name].tobytes() for name in found} == {
            name: array.tobytes() for name, array in csr(net, theta, masks).items()
        }


# --- What is refused ---


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"out.bias": None}, "out.bias is missing; expected are out.weight, out.bias"),
        ({"out.weight_mask": None}, "out.weight_mask is missing"),
        ({"out.bias": np.zeros(3)}, "out.bias has shape (3,), expected (2,) for small"),
        ({"out.bias": np.zeros(2, int)}, "out.bias holds int64, expected floats"),
        ({"out.bias": np.array([0, np.inf])}, "out.bias holds float64, expected floats, all of them finite"),
        ({"out.weight_mask": np.full((2, 3), 0.5)}, "out.weight_mask has other values than 0 and 1"),
        ({"0.weight": np.zeros(2)}, "small has no 0.weight; expected are out.weight, out.bias"),
    ],
)
def test_other_state_dicts_are_refused(tmp_path, changes, complaint):
    net = Net("small", Chain(out=Dense(3, 2)), (3,), (2,))
    state = state_dict(net, *trained(net)) | changes
    state = {name: array for name, array in state.items() if array is not None}
    with pytest.raises(ValueError, match=re.escape(complaint)):
        from_state_dict(net, state)
    np.savez(tmp_path / "t.npz", **state)
    with pytest.raises(ValueError, match=r"t\.npz (has no weights of small|cannot be read)"):
        load_weights(tmp_path / "t.npz", net)


def test_what_cannot_go_out_or_in(tmp_path):
    net = ALL_NETS["lenet"]
    theta, masks = trained(net)
    two = net.init(streams(0, range(2), "init"))
    with pytest.raises(ValueError, match="one trial is exported at a time, got 2"):
        state_dict(net, two)
    with pytest.raises(ValueError, match="the parameters are not those of Conv-2"):
        csr(ALL_NETS["conv_2"], theta, masks)
    with pytest.raises(ValueError, match="weights can be saved as npz, safetensors, onnx, torch, csr, got 'pickle'"):
        save_weights(tmp_path / "t", "pickle", net, theta, masks)
    with pytest.raises(ValueError, match="sparse rows are made from masks"):
        save_weights(tmp_path / "t", "csr", net, theta)
    with pytest.raises(ValueError, match=r"t\.pt is not called \.safetensors or \.npz, .* What PyTorch saved is"):
        load_weights(tmp_path / "t.pt", net)
    with pytest.raises(FileNotFoundError):
        load_weights(tmp_path / "t.npz", net)
    with pytest.raises(TypeError, match=r"fc1\.weight cannot be read as a NumPy array"):
        from_state_dict(net, {"fc1.weight": [[0, 1], [2]]})

    class Mine(Dense):
        pass

    own = Net("own", Chain(mine=Mine(3, 2)), (3,), (2,))
    with pytest.raises(ValueError, match="how mine would be in PyTorch is not known, as it is a Mine"):
        state_dict(own, trained(own)[0])
    mixed = Net("mixed", Residual(Flatten(), Chain(flat=Flatten(), fc=Dense(8, 8))), (2, 2, 2), (8,))
    with pytest.raises(ValueError, match="adds features in two orders"):
        state_dict(mixed, trained(mixed)[0])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "safetensors", "torch"])
def test_a_missing_package_is_named_and_nothing_is_written(tmp_path, monkeypatch, package):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    net = ALL_NETS["lenet"]
    with pytest.raises(ImportError, match=f"need {package}"):
        save_weights(tmp_path / "t", package, net, *trained(net))
    assert not list(tmp_path.iterdir()) and set(FORMATS) == {"npz", "safetensors", "onnx", "torch", "csr"}


# --- Held against the others ---


def in_torch(torch, layer):
    """The same layer in PyTorch, by its own modules."""
    nn = torch.nn
    if isinstance(layer, Residual):

        class Sum(nn.Module):
            def __init__(self):
                super().__init__()
                self.body = in_torch(torch, layer.body)
                self.shortcut = nn.Identity() if layer.shortcut is None else in_torch(torch, layer.shortcut)

            def forward(self, x):
                return self.body(x) + self.shortcut(x)

        return Sum()
    if isinstance(layer, Chain):
        chain = nn.Sequential()
        for name, part in layer.layers.items():
            chain.add_module(name, in_torch(torch, part))
        return chain
    if isinstance(layer, Dense):
        return nn.Linear(*layer.layout["W"])
    if isinstance(layer, Conv2D):
        kernel, _, channels, filters = layer.layout["W"]
        return nn.Conv2d(channels, filters, kernel, layer.stride, layer.padding, bias="b" in layer.layout)
    if isinstance(layer, BatchNorm):
        return nn.BatchNorm2d(*layer.layout["scale"])
    kind = type(layer).__name__
    if kind == "GlobalAveragePool":
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    if kind == "MaxPool":
        return nn.MaxPool2d(layer.size, layer.stride, layer.padding)
    if kind == "AveragePool":
        return nn.AvgPool2d(layer.size)
    if kind == "OneChannel":
        return nn.Unflatten(1, (1, 28))
    return {"ReLU": nn.ReLU, "Flatten": nn.Flatten, "Dropout": nn.Dropout}[kind]()


@pytest.fixture(scope="module")
def torch():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("torch.nn.utils.prune")
    return torch


@EVERY_NET
def test_pytorch_predicts_the_same_and_its_pruned_networks_come_in(torch, tmp_path, net):
    prune = torch.nn.utils.prune
    (theta, masks), x = trained(net), inputs(net)
    ours, there = net.predict(theta, x[None])[0], torch.from_numpy(channels_first(x))

    def outputs(module):
        with torch.no_grad():
            return module.eval()(there).numpy()

    save_weights(tmp_path / "plain.pt", "torch", net, theta)
    module = in_torch(torch, net.body)
    module.load_state_dict(torch.load(tmp_path / "plain.pt", weights_only=True))  # strict: no name lacks, none is new
    assert_same_outputs(outputs(module), ours)
    save_weights(tmp_path / "masked.pt", "torch", net, theta, masks)
    layers = [part for part in module.modules() if isinstance(part, torch.nn.Linear | torch.nn.Conv2d)]
    for part in layers:
        prune.identity(part, "weight")
    module.load_state_dict(torch.load(tmp_path / "masked.pt", weights_only=True))
    assert_same_outputs(outputs(module), ours)
    for part in layers:  # more is pruned there
        prune.l1_unstructured(part, "weight", 0.1)
    again, fewer = from_state_dict(net, module.state_dict())
    assert_same_outputs(net.predict(again, x[None])[0], outputs(module))
    assert fewer.flat.sum() < masks.flat.sum() and not (fewer.flat & ~masks.flat).any()


@EVERY_NET
def test_onnxruntime_predicts_the_same(tmp_path, net):
    pytest.importorskip("onnx", reason="onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    (theta, masks), x = trained(net), inputs(net)
    save_weights(tmp_path / "t.onnx", "onnx", net, theta, masks)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(tmp_path / "t.onnx", options, providers=["CPUExecutionProvider"])
    assert [end.name for end in (*session.get_inputs(), *session.get_outputs())] == ["x", "y"]
    (theirs,) = session.run(None, {"x": channels_first(x)})
    assert_same_outputs(theirs, net.predict(theta, x[None])[0])


def test_the_comparison_can_fail():
    net = ALL_NETS["lenet"]
    theta, _ = trained(net)
    x = inputs(net)
    ours = net.predict(theta, x[None])[0]
    assert_same_outputs(ours, ours)
    for wrong in (ours * (1 + 3e-6), ours[:, ::-1]):
        with pytest.raises(AssertionError):
            assert_same_outputs(wrong, ours)
    with pytest.raises(AssertionError):  # outputs that do not vary say nothing
        assert_same_outputs(np.ones_like(ours), np.ones_like(ours))


def test_scipy_takes_the_sparse_rows():
    sparse = pytest.importorskip("scipy.sparse", reason="scipy is not installed")
    net = ALL_NETS["lenet"]
    theta, masks = trained(net)
    found = csr(net, theta, masks)
    parts = (found[f"fc1.weight.{what}"] for what in ("data", "indices", "indptr"))
    matrix = sparse.csr_array(tuple(parts), shape=tuple(found["fc1.weight.shape"]))
    assert (matrix.toarray() == theta["fc1/W"][0].T).all() and matrix.nnz == masks["fc1/W"].sum()
