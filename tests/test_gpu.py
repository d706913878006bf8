"""The GPU engine equals the plain one (law 13): its kernels compiled for the CPU and, where there is one, on a GPU."""

import compiled
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import fits, optimizers, pruned_nets, seeds, trial_counts
from strict import StrictArray, strict

from npticket import backend
from npticket.engine import gpu, gpu_kernels
from npticket.engine.gpu import DenseReLU, Gpu, fused, fused_optimizer
from npticket.engine.plain import Plain
from npticket.layers import BatchNorm, Chain, Conv2D, Dense, Dropout, Flatten, MaxPool, ReLU
from npticket.loss import softmax_cross_entropy
from npticket.nets import Net
from npticket.optimizers import SGD, Adam
from npticket.prune import dense_masks, prune_layerwise, random_scores
from npticket.streams import TrainingStep, streams
from npticket.tickets import rewind
from npticket.train import fit

pytestmark = pytest.mark.skipif(compiled.COMPILER is None, reason="there is no C++ compiler to try kernels with")


@pytest.fixture(params=["strict", "cupy"])
def xp(request):
    """The stand-in, and CuPy where there is a GPU."""
    if request.param == "strict":
        return strict
    try:
        return backend.load("cupy")
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"no GPU here: {error}")


def moved(params, xp):
    return params.like(backend.to_device(params.flat, xp))


def compare(net, start, masks, optimizer, seed, xp, steps=6):
    """Hold some steps on the device against the plain engine's on the host: losses, logits, parameters."""
    rng = np.random.default_rng(seed)
    host, device = Plain(net, start, masks, optimizer), Gpu(net, moved(start, xp), moved(masks, xp), optimizer)
    for number in range(steps):
        x = rng.random((start.trials, 5, *net.input_shape)).astype(start.flat.dtype)
        labels = rng.integers(0, net.classes, x.shape[:2], dtype=np.uint8)
        same = [TrainingStep(0, range(start.trials), 0, number) for _ in range(2)]  # one's draws are used up
        loss = device.step(xp.asarray(x), xp.asarray(labels), same[0])
        np.testing.assert_allclose(loss.get(), host.step(x, labels, same[1]), rtol=1e-10, atol=1e-12)
    x = rng.random((1, 5, *net.input_shape))
    np.testing.assert_allclose(device.predict(xp.asarray(x)).get(), host.predict(x), rtol=1e-10, atol=1e-10)
    expected, end = start.copy(), moved(start, xp)
    host.read(expected)
    device.read(end)
    np.testing.assert_allclose(end.flat.get(), expected.flat, rtol=1e-10, atol=1e-10)
    trained = np.concatenate([masks[name].reshape(start.trials, -1) for name in masks.weights], axis=1)
    values = np.concatenate([backend.to_host(end[name]).reshape(start.trials, -1) for name in masks.weights], axis=1)
    assert (values[~trained] == 0).all()
    return end.flat.get()


@settings(max_examples=25, deadline=None)
@given(case=pruned_nets(), optimizer=optimizers, seed=seeds)
def test_dense_networks(case, optimizer, seed):
    compare(*case, optimizer, seed, strict)


def convolutional():
    """Everything that a layer may do to a GPU: windows, batch statistics, random masks, a ReLU that is not dense."""
    layers = {"conv": Conv2D(2, 3, padding=1), "norm": BatchNorm(3), "relu0": ReLU(), "pool": MaxPool()}
    layers |= {"flat": Flatten(), "fc": Dense(12, 6), "relu1": ReLU(), "drop": Dropout(0.5), "out": Dense(6, 4)}
    return Net("small", Chain(**layers), (4, 4, 2), 4, {"conv/W": 0.2, "fc/W": 0.2, "out/W": 0.1})


def tickets(net, trials, seed):
    theta0 = net.init(streams(seed, trials, "init"), np.float64)
    scores = random_scores(theta0, streams(seed, trials, "mask"))
    masks = prune_layerwise(scores, dense_masks(theta0), dict.fromkeys(net.rates, 0.5))
    return rewind(theta0, masks), masks


given_optimizers = pytest.mark.parametrize(
    "optimizer",
    [lambda m: Adam(m, lr=0.01, eps=1e-3), lambda m: SGD(m, lambda step: 0.1 / (step + 1), 0.9, 0.01)],
    ids=["adam", "sgd"],
)


@given_optimizers
def test_convolutional_networks(optimizer, xp):
    net = convolutional()
    compare(net, *tickets(net, range(3), 0), optimizer, 1, xp)


@given_optimizers
def test_dense_networks_on_a_device(optimizer, xp):
    net = Net("mlp", Chain(flat=Flatten(), a=Dense(6, 5), r=ReLU(), b=Dense(5, 3)), (2, 3), 3, {"a/W": 0.2, "b/W": 0.1})
    ends = [compare(net, *tickets(net, range(3), 0), optimizer, 1, xp) for _ in range(2)]
    assert (ends[0] == ends[1]).all()  # bit for bit, every time


@given_optimizers
def test_a_trial_among_others_is_the_trial_alone(optimizer):
    net = convolutional()
    start, masks = tickets(net, range(3), 0)
    rng = np.random.default_rng(0)
    x, labels = rng.random((4, 3, 5, *net.input_shape)), rng.integers(0, 4, (4, 3, 5))

    def ends(rows):
        whole = [moved(p.like(p.flat[rows]), strict) for p in (start, masks)]
        engine = Gpu(net, *whole, optimizer)
        for i in range(len(x)):
            step = TrainingStep(0, range(3)[rows], 0, i)
            engine.step(strict.asarray(x[i, rows]), strict.asarray(labels[i, rows]), step)
        engine.read(whole[0])
        return whole[0].flat.get()

    together = ends(slice(None))
    for t in range(3):
        np.testing.assert_allclose(ends(slice(t, t + 1))[0], together[t], rtol=1e-12, atol=1e-13)


@settings(deadline=None)
@given(trial_counts, st.integers(1, 6), st.integers(2, 12), st.sampled_from([np.uint8, np.int64]), seeds)
def test_cross_entropy(trials, batch, classes, dtype, seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(trials, batch, classes)) * rng.choice([1, 1000])
    labels = rng.integers(0, classes, (trials, batch)).astype(dtype)
    found = gpu.cross_entropy(strict.asarray(z), strict.asarray(labels))
    assert all(isinstance(part, StrictArray) for part in found)
    for ours, plain in zip(found, softmax_cross_entropy(z, labels), strict=True):
        np.testing.assert_allclose(ours.get(), plain, rtol=1e-10, atol=1e-12)


@settings(max_examples=10, deadline=None)
@given(fits())
def test_whole_training_runs(case):
    host = fit(**case, engine="plain")
    device = fit(**case | {name: moved(case[name], strict) for name in ("start", "masks")})
    np.testing.assert_allclose(device.end.flat.get(), host.end.flat, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(device.val_loss, host.val_loss, rtol=1e-9, atol=1e-10)


def test_nan_is_not_hidden():
    z = np.array([[[0.0, np.nan, 1.0]]])
    assert np.isnan(gpu.cross_entropy(strict.asarray(z), strict.asarray(np.array([[0]])))[0].get()).all()
    dense = DenseReLU(Dense(1, 1))
    p = {"W": strict.asarray(np.array([[[np.nan]]])), "b": strict.asarray(np.zeros((1, 1, 1)))}
    assert np.isnan(dense.forward(p, strict.asarray(np.ones((1, 1, 1))))[0].get()).all()


def test_a_pruned_weight_does_not_move_whatever_its_gradient():
    alive, p = strict.asarray(np.array([True, False])), strict.asarray(np.zeros(2))
    optimizer = fused_optimizer(Adam(dense_masks(convolutional().init(streams(0, [0], "init"))), 0.1), alive)
    optimizer.step(p, strict.asarray(np.array([1.0, np.inf])))
    assert p.get()[0] != 0 and p.get()[1].tobytes() == np.float64(0).tobytes()


def test_only_a_dense_layer_and_the_relu_behind_it_become_one():
    body = convolutional().body
    assert list(fused(body).layers) == ["conv", "norm", "relu0", "pool", "flat", "fc", "drop", "out"]
    assert fused(body).layout == body.layout
    assert fused(Chain(a=Dense(2, 2), r=ReLU(), s=ReLU())).layers.keys() == {"a", "s"}


def test_an_optimizer_without_a_kernel_is_refused():
    class Mine(SGD):
        pass

    with pytest.raises(TypeError, match="for SGD and for Adam, not for Mine"):
        fused_optimizer(Mine(dense_masks(convolutional().init(streams(0, [0], "init"))), 0.1), None)


@pytest.mark.parametrize(
    ("which", "right", "wrong"),
    [
        ("ADAM", "v = beta2 * v + g * g", "v = beta2 * v + g"),
        ("ADAM", "if (alive)", "if (true)"),
        ("SGD", "weight_decay * p", "weight_decay * v"),
        ("BIAS_RELU", "y += b", "y -= b"),
        ("RELU_GRADIENT", "y > 0", "y < 0"),
        ("CROSS_ENTROPY", "/ batch", "/ (batch + 1)"),
    ],
)
def test_a_wrong_kernel_is_found(which, right, wrong, monkeypatch):
    inputs, outputs, body, name = getattr(gpu_kernels, which)
    assert right in body
    monkeypatch.setattr(gpu_kernels, which, (inputs, outputs, body.replace(right, wrong), name))
    net = convolutional()
    start, masks = tickets(net, range(2), 0)
    start["fc/b"][...] = 0.3
    optimizer = (lambda m: SGD(m, 0.1, 0.9, 0.01)) if which == "SGD" else (lambda m: Adam(m, lr=0.01, eps=1e-3))
    with pytest.raises(AssertionError):
        compare(net, start, masks, optimizer, 1, strict)


def test_the_stand_in_refuses_other_types_and_shapes():
    double = strict.ElementwiseKernel("T x, L times", "T y", "y = x * times;", "multiply")
    x, times = strict.asarray(np.ones(3)), strict.asarray(np.array([2]))
    assert (double(x, times).get() == 2).all()
    with pytest.raises(TypeError, match="y is float32, expected float64"):
        double(x, times, strict.asarray(np.ones(3, np.float32)))
    with pytest.raises(AssertionError, match="y has shape"):
        double(x, times, strict.asarray(np.ones(1)))
    with pytest.raises(TypeError, match="met a device array"):
        double(x, np.ones(3))
