"""The GPU engine equals the plain one (law 13): its kernels compiled for the CPU and, where there is one, on a GPU."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from cases import set_to
from hypothesis import given, settings
from hypothesis import strategies as st
from on_device import OPTIMIZERS, compare, convolutional, given_optimizers, tickets, why_no_gpu
from strict import strict

from npticket import backend, datasets, nets
from npticket import task as tasks
from npticket.datasets import Dataset, FlipAndCrop, Split
from npticket.detection import detect
from npticket.engine.gpu import conv
from npticket.engine.gpu.lockstep import Gpu
from npticket.layers import Chain, Dense, Flatten, ReLU
from npticket.loss import softmax_cross_entropy
from npticket.nets import Encoder, Net, Sizes
from npticket.nets.bert import Bert
from npticket.optimizers import SGD, Adam, clipped_adamw
from npticket.prune import dense_masks
from npticket.streams import Place, TrainingStep, streams
from npticket.task import CLASSIFY
from npticket.testing.strategies import convolutional_nets, fits, optimizers, pruned_nets, seeds, trial_counts
from npticket.train import Setting, fit

COARSE_EPS = 0.1  # of Adam in float32, where the rounding of that gradient is 1e-7 and not 1e-16


@pytest.fixture(params=["strict", "cupy"])
def xp(request):
    """The stand-in, and CuPy where there is a GPU."""
    if request.param == "strict":
        return strict
    if why := why_no_gpu():
        pytest.skip(f"no GPU here: {why}")
    return backend.load("cupy")


@settings(max_examples=25, deadline=None)
@given(case=pruned_nets(), optimizer=optimizers, seed=seeds)
def test_dense_networks(case, optimizer, seed):
    compare(*case, optimizer, seed, strict)


@pytest.mark.parametrize("column_bytes", [1, 4_000, conv.COLUMN_BYTES])
def test_convolutional_networks(column_bytes, monkeypatch):
    """Whether the windows of one image, of some or of all are gathered at a time."""
    monkeypatch.setattr(conv, "COLUMN_BYTES", column_bytes)

    @settings(max_examples=15, deadline=None)
    @given(net=convolutional_nets(), trials=trial_counts, optimizer=st.sampled_from(OPTIMIZERS), seed=seeds)
    def check(net, trials, optimizer, seed):
        compare(net, *tickets(net, range(trials), seed), optimizer, seed, strict, steps=3)

    check()


@given_optimizers
def test_a_convolutional_network_on_a_device(optimizer, xp):
    net = convolutional()
    ends = [compare(net, *tickets(net, range(3), 0), optimizer, 1, xp) for _ in range(2)]
    assert (ends[0] == ends[1]).all()  # bit for bit, every time


@pytest.mark.parametrize("optimizer", [lambda m: Adam(m, 0.01, eps=COARSE_EPS), OPTIMIZERS[1]], ids=["adam", "sgd"])
def test_in_float32(optimizer, xp):
    net = convolutional()
    start, masks = tickets(net, range(3), 0)
    compare(net, start.like(start.flat.astype(np.float32)), masks, optimizer, 1, xp, tolerance=1e-5)


@given_optimizers
def test_dense_networks_on_a_device(optimizer, xp):
    net = Net("mlp", Chain(flat=Flatten(), a=Dense(6, 5), r=ReLU(), b=Dense(5, 3)), (2, 3), (3,))
    ends = [compare(net, *tickets(net, range(3), 0), optimizer, 1, xp) for _ in range(2)]
    assert (ends[0] == ends[1]).all()  # bit for bit, every time


@given_optimizers
def test_a_trial_among_others_is_the_trial_alone(optimizer):
    net = convolutional()
    start, masks = tickets(net, range(3), 0)
    rng = np.random.default_rng(0)
    x, labels = rng.random((4, 3, 5, *net.input_shape)), rng.integers(0, 4, (4, 3, 5))

    def ends(rows):
        whole = [p.like(p.flat[rows]).to(strict) for p in (start, masks)]
        engine = Gpu(net, softmax_cross_entropy, *whole, optimizer)
        for i in range(len(x)):
            step = TrainingStep(Place(0, range(3)[rows], 0), i)
            engine.step(strict.asarray(x[i, rows]), strict.asarray(labels[i, rows]), step)
        engine.read(whole[0])
        return whole[0].flat.get()

    together = ends(slice(None))
    for t in range(3):
        np.testing.assert_allclose(ends(slice(t, t + 1))[0], together[t], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["lenet_300_100", "conv_2", "resnet_18"])
def test_a_step_moves_and_fetches_nothing_and_copies_no_factor_unasked(name):
    net = getattr(nets, name)()
    start = net.init(streams(0, range(2), "init"))
    there = start.to(strict), dense_masks(start).to(strict)
    engine = Gpu(net, softmax_cross_entropy, *there, lambda m: SGD(m, 0.1, 0.9, 1e-4))
    x, labels = strict.asarray(np.ones((2, 2, *net.input_shape), np.float32)), strict.asarray(np.zeros((2, 2), int))
    strict.moved = strict.fetched = strict.copied = 0
    for number in range(2):
        engine.step(x, labels, TrainingStep(Place(0, range(2), 0), number))
    assert strict.moved == strict.fetched == strict.copied == 0
    stack = strict.asarray(np.ones((2, 3, 3)))
    stack.swapaxes(1, 2) @ stack
    assert (stack > 0).all()
    assert (strict.moved, strict.fetched, strict.copied) == (1, 1, 1)  # so all would have been counted


@settings(max_examples=10, deadline=None)
@given(fits())
def test_whole_training_runs(case):
    host = fit(**set_to(case, engine="plain"))
    device = fit(**case | {name: case[name].to(strict) for name in ("start", "masks")})
    np.testing.assert_allclose(device.end.flat.get(), host.end.flat, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(device["val_loss"], host["val_loss"], rtol=1e-9, atol=1e-10)


def test_many_steps_of_lenet_in_float64(xp):
    """On the bundled images, two trials: parameters and losses differ by less than 1e-9 from the host's."""
    steps = 40 if xp is strict else 200  # the stand-in rounds as the host does
    net, data = nets.lenet_300_100(), datasets.mnist()
    start = net.init(streams(0, range(2), "init"), np.float64)
    setting = Setting(lambda m: Adam(m, lr=1.2e-3), steps=steps, validate_every=steps // 4)
    host = fit(net, CLASSIFY, start, dense_masks(start), data, replace(setting, engine="plain"))
    device = fit(net, CLASSIFY, start.to(xp), dense_masks(start).to(xp), data, setting)
    assert abs(device.end.flat.get() - host.end.flat).max() < 1e-9
    assert abs(device["train_loss"] - host["train_loss"]).max() < 1e-9
    assert abs(host.end.flat - start.flat).max() > 0.01


@pytest.mark.parametrize("engine", ["fast", "plain"])
@pytest.mark.parametrize("scaling", [{}, {"scale": (0.1, 0.2), "shift": (-0.5, 0.5)}])
def test_nothing_moves_between_host_and_device_but_at_validations_and_with_new_epochs(engine, scaling, monkeypatch):
    """Flips and crops, too, are moved once per epoch; what is fetched at a validation does not depend on the chunks."""
    net = convolutional()
    net = Net("no dropout", Chain(**{k: v for k, v in net.body.layers.items() if k != "drop"}), (4, 4, 2), (4,))
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (60, 4, 4, 2), dtype=np.uint8), rng.integers(0, 4, 60))
    data = Dataset("random", split, split, split, 4, "a test", **scaling)
    start, masks = (params.to(strict) for params in tickets(net, range(2), 0))

    def traffic(steps, chunk):
        """Arrays moved to the device and fetched from it by a training run with one validation, at its end."""
        monkeypatch.setattr(tasks, "CHUNK", chunk)
        strict.moved = strict.fetched = 0
        setting = Setting(lambda m: SGD(m, 0.01), steps, 5, steps, augment=FlipAndCrop.draw, engine=engine)
        fit(net, CLASSIFY, start, masks, data, setting)
        return strict.moved, strict.fetched

    moved_once, fetched_once = traffic(2, 7)
    assert moved_once == 6 + 1 + 2 + len(scaling)  # the data, the order of an epoch, its changes
    assert traffic(12, 30) == (moved_once, fetched_once)  # the whole epoch
    assert traffic(13, 7) == (moved_once + 3, fetched_once)  # a step of the next one


def sentences():
    """A small encoder, sentences of its words, padded with 0, and the optimizer with which it is fine-tuned."""
    net = Bert("small", Encoder(Sizes(9, size=4, layers=2, heads=2, inner=6, length=5), 3), (5,), (3,))
    rng = np.random.default_rng(0)
    x = np.where(np.arange(5) < rng.integers(1, 6, (40, 1)), rng.integers(1, 9, (40, 5)), 0).astype(np.uint16)
    split = Split(x, rng.integers(0, 3, 40))
    return net, CLASSIFY, Dataset("words", split, split, split, 3, "a test"), partial(clipped_adamw, lr=0.01)


def boxes():
    """A small detector, images with up to two boxes, and an optimizer."""
    net, rng = nets.detector(16, 24, 1, 2, filters=2), np.random.default_rng(0)
    targets = np.concatenate([rng.integers(-1, 2, (20, 2, 1)), rng.uniform(2, 9, (20, 2, 4))], axis=-1)
    split = Split(rng.integers(0, 256, (20, 16, 24, 1), dtype=np.uint8), targets.astype(np.float32))
    data = Dataset("boxes", split, split, split, None, "a test")
    return net, detect("find", 2), data, partial(Adam, lr=0.01, eps=1e-3)


@pytest.mark.parametrize("engine", ["fast", "plain"])
@pytest.mark.parametrize("made", [sentences, boxes])
def test_encoders_and_detectors_train_on_a_device_as_on_the_host(made, engine, xp):
    """And always with the same bits: rows of tables, too, are added up in one order."""
    net, task, data, optimizer = made()
    start, masks = tickets(net, range(2), 0)
    setting = Setting(optimizer, 6, 5, validate_every=3, engine="plain")
    host = fit(net, task, start, masks, data, setting)
    there = start.to(xp), masks.to(xp)
    ends = [fit(net, task, *there, data, replace(setting, engine=engine)) for _ in range(2)]
    assert (ends[0].end.flat.get() == ends[1].end.flat.get()).all()
    np.testing.assert_allclose(ends[0].end.flat.get(), host.end.flat, rtol=1e-8, atol=1e-9)
    for name in ("train_loss", "val_loss", f"final_test_{task.headline.name}"):
        np.testing.assert_allclose(ends[0][name], host[name], rtol=1e-8, atol=1e-9)
    assert abs(host.end.flat - start.flat).max() > 0.01  # they did move
