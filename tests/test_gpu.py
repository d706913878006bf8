"""The GPU engine equals the plain one (law 13): its kernels compiled for the CPU and, where there is one, on a GPU."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import convolutional_nets, fits, optimizers, pruned_nets, seeds, trial_counts
from strict import StrictArray, strict
from test_experiment import SMALL
from test_experiment import data as noise

from npticket import backend, experiment, nets, train
from npticket.datasets import Dataset, FlipAndCrop, Split
from npticket.engine.gpu import Gpu, activation, conv, kernels, norm, pool
from npticket.engine.gpu import loss as gpu_loss
from npticket.engine.gpu import optimizers as gpu_optimizers
from npticket.engine.gpu.fusion import fused
from npticket.engine.plain import Plain
from npticket.layers import BatchNorm, Chain, Conv2D, Dense, Dropout, Flatten, MaxPool, ReLU
from npticket.loss import softmax_cross_entropy
from npticket.nets import Net
from npticket.optimizers import SGD, Adam
from npticket.prune import dense_masks, prune_layerwise, random_scores
from npticket.streams import TrainingStep, streams
from npticket.tickets import rewind
from npticket.train import fit

# A bias in front of batch normalisation has a gradient of 0, plus rounding, which Adam would blow up without its eps.
OPTIMIZERS = [lambda m: Adam(m, lr=0.01, eps=1e-3), lambda m: SGD(m, lambda step: 0.1 / (step + 1), 0.9, 0.01)]


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


def tickets(net, trials, seed):
    theta0 = net.init(streams(seed, trials, "init"), np.float64)
    for name in theta0:
        if name.endswith(("/b", "/shift")):
            theta0[name][...] = np.random.default_rng(seed).normal(size=theta0[name].shape)
    scores = random_scores(theta0, streams(seed, trials, "mask"))
    masks = prune_layerwise(scores, dense_masks(theta0), dict.fromkeys(net.rates, 0.5))
    return rewind(theta0, masks), masks


@pytest.mark.parametrize("column_bytes", [1, 4_000, conv.COLUMN_BYTES])
def test_convolutional_networks(column_bytes, monkeypatch):
    """Whether the windows of one image, of some or of all are gathered at a time."""
    monkeypatch.setattr(conv, "COLUMN_BYTES", column_bytes)

    @settings(max_examples=15, deadline=None)
    @given(net=convolutional_nets(), trials=trial_counts, optimizer=st.sampled_from(OPTIMIZERS), seed=seeds)
    def check(net, trials, optimizer, seed):
        compare(net, *tickets(net, range(trials), seed), optimizer, seed, strict, steps=3)

    check()


def convolutional():
    """Everything that a layer may do to a GPU: windows, batch statistics, random masks, a ReLU that stands alone."""
    layers = {"conv": Conv2D(2, 3, padding=1), "norm": BatchNorm(3), "relu0": ReLU(), "pool": MaxPool(), "lone": ReLU()}
    layers |= {"flat": Flatten(), "fc": Dense(12, 6), "relu1": ReLU(), "drop": Dropout(0.5), "out": Dense(6, 4)}
    return Net("small", Chain(**layers), (4, 4, 2), 4, {"conv/W": 0.2, "fc/W": 0.2, "out/W": 0.1})


given_optimizers = pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["adam", "sgd"])


@given_optimizers
def test_a_convolutional_network_on_a_device(optimizer, xp):
    net = convolutional()
    ends = [compare(net, *tickets(net, range(3), 0), optimizer, 1, xp) for _ in range(2)]
    assert (ends[0] == ends[1]).all()  # bit for bit, every time


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


@pytest.mark.parametrize("name", ["lenet_300_100", "conv_2", "resnet_18"])
def test_a_step_moves_nothing_to_the_device_and_copies_no_factor_unasked(name):
    net = getattr(nets, name)()
    start = net.init(streams(0, range(2), "init"))
    engine = Gpu(net, moved(start, strict), moved(dense_masks(start), strict), lambda m: SGD(m, 0.1, 0.9, 1e-4))
    x, labels = strict.asarray(np.ones((2, 2, *net.input_shape), np.float32)), strict.asarray(np.zeros((2, 2), int))
    strict.moved = strict.copied = 0
    for number in range(2):
        engine.step(x, labels, TrainingStep(0, range(2), 0, number))
    assert strict.moved == strict.copied == 0
    stack = strict.asarray(np.ones((2, 3, 3)))
    stack.swapaxes(1, 2) @ stack
    assert (strict.moved, strict.copied) == (1, 1)  # so both would have been counted


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(1, 3 * kernels.ROWS**2), st.integers(1, 3), seeds)
def test_sums_and_moments_over_many_rows(trials, rows, channels, seed):
    """Of numbers far from 0, too: the variance does not drown in the mean."""
    x = np.random.default_rng(seed).normal(1e6, 1, (trials, rows, channels))
    on_device = strict.asarray(x)
    total = strict.empty((trials, channels))
    kernels.sum_rows(on_device, total)
    np.testing.assert_allclose(total.get(), x.sum(axis=1), rtol=1e-13)
    mean, m2 = (part.get() for part in norm.moments(on_device))
    np.testing.assert_allclose(mean, x.mean(axis=1), rtol=1e-14)
    np.testing.assert_allclose(m2, x.var(axis=1) * rows, rtol=1e-8, atol=1e-8)


@settings(deadline=None)
@given(trial_counts, st.integers(1, 6), st.integers(2, 12), st.sampled_from([np.uint8, np.int64]), seeds)
def test_cross_entropy(trials, batch, classes, dtype, seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(trials, batch, classes)) * rng.choice([1, 1000])
    labels = rng.integers(0, classes, (trials, batch)).astype(dtype)
    found = gpu_loss.cross_entropy(strict.asarray(z), strict.asarray(labels))
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


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.tuples(*[st.integers(3, 7)] * 2), seeds)
def test_of_equal_pixels_the_first_is_the_largest(size, shape, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, (2, 2, *shape, 2)).astype(float)
    plain, plain_backward = MaxPool(size).forward({}, x)
    ours, backward = pool.MaxPool(size).forward({}, strict.asarray(x))
    dy = rng.normal(size=plain.shape)
    assert (ours.get() == plain).all()
    assert (backward(strict.asarray(dy), {}).get() == plain_backward(dy, {})).all()


@pytest.mark.parametrize("engine", ["fast", "plain"])
def test_nothing_moves_between_host_and_device_but_at_validations_and_with_new_epochs(engine, monkeypatch):
    """Flips and crops, too, are moved once per epoch; what is fetched at a validation does not depend on the chunks."""
    net = convolutional()
    net = Net("no dropout", Chain(**{k: v for k, v in net.body.layers.items() if k != "drop"}), (4, 4, 2), 4, net.rates)
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (60, 4, 4, 2), dtype=np.uint8), rng.integers(0, 4, 60))
    data = Dataset("random", split, split, split, 4, "a test")
    start, masks = (moved(params, strict) for params in tickets(net, range(2), 0))
    fetched = []
    monkeypatch.setattr(StrictArray, "get", lambda array: fetched.append(array) or array.host.copy())

    def traffic(steps, chunk):
        """Arrays moved to the device and fetched from it by a training run with one validation, at its end."""
        monkeypatch.setattr(train, "CHUNK", chunk)
        fetched.clear()
        strict.moved = 0
        settings = {"steps": steps, "batch": 5, "validate_every": steps, "augment": FlipAndCrop.draw, "engine": engine}
        fit(net, start, masks, data, optimizer=lambda m: SGD(m, 0.01), **settings)
        return strict.moved, len(fetched)

    moved_once, fetched_once = traffic(2, 7)
    assert moved_once == 6 + 1 + 2  # the data, the order of an epoch, its changes
    assert traffic(12, 30) == (moved_once, fetched_once)  # the whole epoch
    assert traffic(13, 7) == (moved_once + 3, fetched_once)  # a step of the next one


def test_an_experiment_on_a_device_finds_the_tickets_of_the_host(tmp_path, monkeypatch):
    """Every series, in lock-step by rounds, in float64: masks bit for bit."""
    drawn = Net.init
    monkeypatch.setattr(Net, "init", lambda net, rngs, dtype=np.float64: drawn(net, rngs, np.float64))
    host = experiment.run(SMALL, tmp_path / "host", noise(), engine="plain")
    monkeypatch.setattr(backend, "load", lambda name: {"numpy": np, "cupy": strict}[name])
    monkeypatch.setattr(backend, "described", lambda name: {"gpu": name})
    device = experiment.run(SMALL, tmp_path / "device", noise(), array_module="cupy")
    assert device.manifest["machines"][0]["gpu"] == "cupy"
    for ours, theirs in zip(device.results, host.results, strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours.keys() - {"seconds"}:
            assert ours[name] == (
                theirs[name] if isinstance(ours[name], str) else pytest.approx(theirs[name], rel=1e-9)
            )
    runs = sorted(path.name for path in (tmp_path / "host" / "runs").glob("*.npz"))
    assert len(runs) == len(host.results)
    for run in runs:
        ours, theirs = (np.load(tmp_path / side / "runs" / run, allow_pickle=False) for side in ("device", "host"))
        for name in {"masks", "next_masks"} & set(theirs.files):
            assert (ours[name] == theirs[name]).all()


def test_nan_is_not_hidden():
    z = np.array([[[0.0, np.nan, 1.0]]])
    assert np.isnan(gpu_loss.cross_entropy(strict.asarray(z), strict.asarray(np.array([[0]])))[0].get()).all()
    body = fused(Chain(fc=Dense(1, 1), relu=ReLU(), lone=ReLU(), flat=Flatten()))
    p = {"fc": {"W": strict.asarray(np.array([[[np.nan]]])), "b": strict.asarray(np.zeros((1, 1, 1)))}}
    assert np.isnan(body.forward(p, strict.asarray(np.ones((1, 1, 1))))[0].get()).all()
    for where in range(4):
        square = np.zeros((1, 1, 2, 2, 1))
        square[0, 0, where // 2, where % 2] = np.nan
        assert np.isnan(pool.MaxPool(2).forward({}, strict.asarray(square))[0].get()).all()


def test_a_pruned_weight_does_not_move_whatever_its_gradient():
    alive, p = strict.asarray(np.array([True, False])), strict.asarray(np.zeros(2))
    optimizer = gpu_optimizers.fused_optimizer(
        Adam(dense_masks(convolutional().init(streams(0, [0], "init"))), 0.1), alive
    )
    optimizer.step(p, strict.asarray(np.array([1.0, np.inf])))
    assert p.get()[0] != 0 and p.get()[1].tobytes() == np.float64(0).tobytes()


def test_a_relu_is_joined_to_what_ends_by_adding_an_offset():
    assert list(fused(convolutional().body).layers) == ["conv", "norm", "pool", "lone", "flat", "fc", "drop", "out"]
    assert fused(convolutional().body).layout == convolutional().body.layout
    assert fused(Chain(a=Dense(2, 2), r=ReLU(), s=ReLU())).layers.keys() == {"a", "s"}
    without = Chain(inside=Chain(a=Conv2D(1, 1, bias=False), r=ReLU()), r=ReLU())
    assert [list(chain.layers) for chain in (fused(without), fused(without).layers["inside"])] == [
        ["inside", "r"],
        ["a", "r"],
    ]


def test_an_optimizer_without_a_kernel_is_refused():
    class Mine(SGD):
        pass

    with pytest.raises(TypeError, match="for SGD and for Adam, not for Mine"):
        gpu_optimizers.fused_optimizer(Mine(dense_masks(convolutional().init(streams(0, [0], "init"))), 0.1), None)


@pytest.mark.parametrize(
    ("module", "which", "right", "wrong"),
    [
        (gpu_optimizers, "ADAM_STEP", "v = beta2 * v + g * g", "v = beta2 * v + g"),
        (gpu_optimizers, "ADAM_STEP", "if (alive)", "if (true)"),
        (gpu_optimizers, "SGD_STEP", "weight_decay * p", "weight_decay * v"),
        (activation, "BIAS", "y += b", "y -= b"),
        (activation, "BIAS", "relu && y", "y"),
        (activation, "RELU", "x < 0", "x > 0"),
        (activation, "RELU_GRADIENT", "y > 0", "y < 0"),
        (gpu_loss, "CROSS_ENTROPY", "/ batch", "/ (batch + 1)"),
        (kernels, "SUM_ROWS", "r = first", "r = first + 1"),
        (norm, "MOMENTS", "sum / (last - first)", "sum / rows"),
        (norm, "STATISTICS", "max(1, count - 1)", "count"),
        (norm, "NORMALISE", "+ shift", ""),
        (norm, "GRADIENT_SUMS", "!relu || ", ""),
        (norm, "GRADIENT_SUMS", "y[at] > 0", "y[at] >= 0"),
        (norm, "INPUT_GRADIENT", "* dscale", ""),
        (conv, "IM2COL", "h < height", "h <= height"),
        (conv, "IM2COL", "row % spread == 0", "true"),
        (conv, "IM2COL", "- pad, left", ", left"),
        (pool, "SQUARE", "value > top", "value < top"),
        (pool, "GRADIENT", "at == best", "true"),
    ],
)
def test_a_wrong_kernel_is_found(module, which, right, wrong, monkeypatch):
    source = getattr(module, which)
    body = source if isinstance(source, str) else source[2]
    assert right in body
    body = body.replace(right, wrong)
    monkeypatch.setattr(module, which, body if isinstance(source, str) else (*source[:2], body, source[3]))
    made_from_text = (conv.im2col_source, pool.max_pool)
    for made in made_from_text:
        made.cache_clear()
    layers = {"conv": Conv2D(2, 3, stride=2, padding=1), "relu0": ReLU(), "pool": MaxPool(), "norm": BatchNorm(3)}
    layers |= {"relu1": ReLU(), "conv2": Conv2D(3, 3, stride=2, padding=1, bias=False), "lone": ReLU()}
    layers |= {"norm2": BatchNorm(3), "flat": Flatten(), "fc": Dense(12, 6), "relu2": ReLU()}
    body = Chain(**layers, out=Dense(6, 4))
    net = Net("most", body, (16, 16, 2), 4, {name: 0.2 for name in body.layout if name.endswith("/W")})
    start, masks = tickets(net, range(2), 0)
    optimizer = (lambda m: SGD(m, 0.1, 0.9, 0.01)) if which == "SGD_STEP" else (lambda m: Adam(m, lr=0.01, eps=1e-3))
    try:
        with pytest.raises(AssertionError):
            compare(net, start, masks, optimizer, 1, strict)
    finally:
        for made in made_from_text:
            made.cache_clear()


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
    over = strict.ElementwiseKernel("raw T x", "raw T y", "y[i] = x[i + 1];", "next")
    with pytest.raises(AssertionError, match="next looked outside of an array"):
        over(x, strict.empty(3), size=3)
    with pytest.raises(AssertionError, match="the loop has no length"):
        over(x, strict.empty(3))
