"""Optimizers of the user's own, which look at more than one parameter: every engine runs them as the plain one.

What they see must not hang on how an engine keeps parameters, on timing, or on other trials.
"""

import sys

import numpy as np
import pytest
from fitted import small_data, small_net
from hypothesis import given, settings
from hypothesis import strategies as st
from strict import strict

from npticket import backend
from npticket import nets as library
from npticket.engine import dense, gemm, plan
from npticket.engine.dense import DenseEngine
from npticket.engine.gpu.lockstep import Unfused
from npticket.engine.optimizers import Packed, Whole
from npticket.engine.plain import Plain
from npticket.layers import BatchNorm, Chain, Conv2D, Dense, Dropout, Flatten, MaxPool, ReLU
from npticket.nets import Net
from npticket.optimizers import SGD, Adam, moving
from npticket.params import Params
from npticket.protocols import does_decay, is_elementwise
from npticket.prune import Layerwise, dense_masks, random_scores
from npticket.streams import Place, TrainingStep, streams
from npticket.task import CLASSIFY
from npticket.testing.strategies import pruned_nets, seeds
from npticket.tickets import rewind
from npticket.train import Setting, fit

MOST = 0.05  # so that every step is clipped


class Clipped:
    """Clips the gradient by its norm over the whole network, and notes the norm. It says nothing about itself."""

    def __init__(self, inner, norms=None):
        self._inner, self._norms = inner, norms if norms is not None else []

    def step(self, theta, grads):
        clip(theta, grads, self._norms)
        self._inner.step(theta, grads)


def clip(theta, grads, norms):
    assert len(theta.flat) == len(grads.flat) == 1, "one trial at a time"
    xp = backend.array_module(theta.flat, grads.flat)
    norm = xp.sqrt((grads.flat * grads.flat).sum(axis=1))
    norms.append(backend.to_host(norm).item())
    grads.flat *= MOST / xp.maximum(norm, xp.ones(1, norm.dtype) * MOST)


class DecaysWeights:
    """Decays weights and not biases, which it tells apart by their names."""

    elementwise, decays = False, True

    def __init__(self, masks, shapes):
        self._inner, self._shapes = Adam(masks, 0.01, eps=1e-3), list(shapes.items())

    def step(self, theta, grads):
        assert list(theta.shapes.items()) == list(grads.shapes.items()) == self._shapes
        for name in theta.weights:
            assert name.endswith("/W")
            theta[name][...] = theta[name] * 0.9
        self._inner.step(theta, grads)


class Logged:
    """Hides everything about the optimizer that it calls."""

    __slots__ = ("_step",)

    def __init__(self, inner):
        self._step = inner.step

    def step(self, theta, grads):
        self._step(theta, grads)


class Delegating:
    """Lets everything but the step through to the optimizer that it calls, and clips."""

    def __init__(self, inner, norms):
        self._inner, self._norms = inner, norms

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def step(self, theta, grads):
        clip(theta, grads, self._norms)
        self._inner.step(theta, grads)


class PullsToOne:
    """Pulls all survivors towards 1, those without a gradient, too; it says nothing about itself."""

    def __init__(self, masks):
        self._moves = moving(masks).flat

    def step(self, theta, grads):
        theta.flat[...] -= 0.1 * (grads.flat + theta.flat - 1) * self._moves


class Derived(SGD):
    """Clips and lets SGD do the rest; that SGD is elementwise and does not decay is not said of this."""

    norms = None

    def step(self, theta, grads):
        clip(theta, grads, self.norms)
        for name in theta.weights:
            theta[name][...] = theta[name] * 0.9
        super().step(theta, grads)


class ClippedAndSaysSo(Clipped):
    """Moves nothing that has no gradient, so that units that cannot matter may be left out."""

    elementwise, decays = False, False


def derived(masks, norms):
    made = Derived(masks, 0.1, momentum=0.5)
    made.norms = norms
    return made


# Adam would blow up what is rounded of a gradient of nearly 0 without its eps.
OWN = {  # each: of masks, the shapes of all parameters, and where norms are noted
    "clipped sgd": lambda masks, shapes, norms: Clipped(SGD(masks, 0.5, 0.9, 0.01), norms),
    "clipped adam": lambda masks, shapes, norms: Clipped(Adam(masks, 0.01, eps=1e-3), norms),
    "clipped and says so": lambda masks, shapes, norms: ClippedAndSaysSo(SGD(masks, 0.5), norms),
    "decays weights": lambda masks, shapes, norms: DecaysWeights(masks, shapes),
    "logged": lambda masks, shapes, norms: Logged(SGD(masks, 0.1, 0.9, weight_decay=0.1)),
    "delegating": lambda masks, shapes, norms: Delegating(Adam(masks, 0.01, eps=1e-3), norms),
    "derived": lambda masks, shapes, norms: derived(masks, norms),
    "pulls to one": lambda masks, shapes, norms: PullsToOne(masks),
}
own = pytest.mark.parametrize("kind", OWN)


def trained(net, start, masks, kind, engine="fast", *, steps=5, seed=0, trials=None):
    """Some steps: return the end (T, P), and the norms that were seen, in order."""
    rng, norms = np.random.default_rng(seed), []
    x = rng.random((steps, 2, 6, *net.input_shape)).astype(start.flat.dtype)
    x *= rng.random(x.shape) < rng.choice([0, 0.1, 0.5, 1], net.input_shape)
    labels, shown = rng.integers(0, *net.output_shape, x.shape[:3]), x.reshape(-1, *net.input_shape)
    trials = range(start.trials) if trials is None else trials
    x, labels = x[:, list(trials)], labels[:, list(trials)]
    there = engine == "gpu"
    if there:
        start, masks = (p.like(strict.asarray(p.flat)) for p in (start, masks))
    shapes = start.shapes
    runner = plan(
        net, CLASSIFY, start, masks, lambda m: OWN[kind](m, shapes, norms), "fast" if there else engine, shown
    )
    for number in range(steps):
        batch = x[number], labels[number]
        batch = map(strict.asarray, batch) if there else batch
        inputs, targets = batch
        runner.step(runner.prepare(inputs), targets, TrainingStep(Place(seed, trials), number))
    end = start.copy()
    runner.read(end)
    return backend.to_host(end.flat), np.array(norms)


def compare(net, start, masks, kind, seed=0, engines=("fast", "gpu"), rtol=1e-9):
    """Hold every engine against the plain one: the ends, and the norms; twice the same, bit for bit."""
    expected, norms = trained(net, start, masks, kind, "plain", seed=seed)
    assert not expected[~masks.flat].any()
    for engine in engines:
        end, seen = trained(net, start, masks, kind, engine, seed=seed)
        np.testing.assert_allclose(end, expected, rtol=rtol, atol=rtol / 100)
        assert len(seen) == len(norms)
        np.testing.assert_allclose(seen, norms, rtol=rtol)
        assert not end[~masks.flat].any()
        again, seen_again = trained(net, start, masks, kind, engine, seed=seed)
        assert end.tobytes() == again.tobytes() and seen.tobytes() == seen_again.tobytes()
    assert (expected != start.flat).any()
    return norms


@own
def test_dense_networks_with_dead_units(kind):
    @settings(max_examples=12)
    @given(pruned_nets(2), seeds, st.booleans())
    def check(case, seed, grouped):
        with pytest.MonkeyPatch.context() as patch:
            if grouped:
                patch.setattr(dense, "SPARSE", 2)
                patch.setattr(dense, "WORTH_IT", np.inf)
            compare(*case, kind, seed)

    check()


def test_a_channel_or_unit_that_nothing_reaches_may_be_woken_by_its_bias():
    conv = Chain(c1=Conv2D(1, 2, padding=1), r1=ReLU(), c2=Conv2D(2, 2, padding=1), r2=ReLU(), f=Flatten(),
                 out=Dense(32, 2))  # fmt: skip
    for net, first in ((Net("conv", conv, (4, 4, 1), (2,)), "c1/W"), (library.mlp((5, 4), (4, 4, 1), 2), "fc1/W")):
        theta0 = net.init(streams(0, [0], "init"), np.float64)
        masks = dense_masks(theta0)
        masks[first][..., 0] = False
        compare(net, rewind(theta0, masks), masks, "pulls to one", engines=("fast",))


def ticket(net, trials=1, rate=0.6, dtype=np.float64):
    """(net, start, masks): pruned at random, biases that are not 0."""
    theta0 = net.init(streams(0, range(trials), "init"), dtype)
    for name in theta0:
        if name.endswith(("/b", "/shift")):
            theta0[name][...] = np.random.default_rng(1).normal(size=theta0[name].shape) / 10
    scores = random_scores(theta0, streams(0, range(trials), "mask"))
    masks = Layerwise({"*/W": rate})(scores, dense_masks(theta0))
    return net, rewind(theta0, masks), masks


def convolutional():
    """What the convolutional engine runs, with more parameters than it steps in one piece (2^18)."""
    layers = {"conv1": Conv2D(3, 8, padding=1, bias=False), "norm1": BatchNorm(8), "relu1": ReLU()}
    layers |= {"conv2": Conv2D(8, 64, padding=1), "relu2": ReLU(), "pool": MaxPool(2), "flatten": Flatten()}
    body = Chain(**layers, fc=Dense(1024, 300), fc_relu=ReLU(), out=Dense(300, 4))
    return Net("convolutional", body, (8, 8, 3), (4,))


def unknown():
    """Run by its layers: there is no ReLU between the first two, and dropout draws for each trial."""
    body = Chain(flatten=Flatten(), a=Dense(12, 7), b=Dense(7, 6), relu=ReLU(), drop=Dropout(0.3), out=Dense(6, 3))
    return Net("unknown", body, (3, 4), (3,))


@own
@pytest.mark.parametrize("trials", [1, 2])
@pytest.mark.parametrize("make", [lambda: library.lenet_300_100((40, 20)), convolutional, unknown])
def test_networks_of_every_kind(make, trials, kind):
    norms = compare(*ticket(make(), trials), kind)
    if kind.startswith(("clipped", "delegating", "derived")):
        assert len(norms) == 5 * trials and (norms > MOST).all(), "every step was clipped"


@pytest.mark.parametrize("kind", ["clipped adam", "derived"])
@pytest.mark.parametrize("engine", ["plain", "fast", "gpu"])
@pytest.mark.parametrize("make", [lambda: library.lenet_300_100((40, 20)), convolutional, unknown])
def test_a_trials_norm_is_that_of_the_trial_alone(make, engine, kind):
    net, start, masks = ticket(make(), 2)
    together, norms = trained(net, start, masks, kind, engine)
    assert norms[0] != norms[1]
    for t in range(2):
        alone, seen = trained(net, start.trial(t), masks.trial(t), kind, engine, trials=[t])
        if engine == "fast":
            assert alone[0].tobytes() == together[t].tobytes() and seen.tolist() == norms[t::2].tolist()
        else:  # the sums of a stack of convolutions may be rounded in another way
            np.testing.assert_allclose(alone[0], together[t], rtol=1e-9, atol=1e-11)
            np.testing.assert_allclose(seen, norms[t::2], rtol=1e-9)


@pytest.mark.parametrize("kind", ["clipped sgd", "clipped and says so", "logged", "derived"])
@pytest.mark.parametrize("make", [lambda: library.lenet_300_100((40, 20)), convolutional, unknown])
def test_timing_decides_about_nothing(make, kind, monkeypatch):
    """In float32: whichever way was found to be the fastest, norms and ends are the same bit for bit."""
    found = []
    for which in (0, -1):
        for module in (gemm, sys.modules[Packed.__module__]):
            monkeypatch.setattr(module, "fastest", lambda ways, *arguments, which=which: ways[which])
        found.append(trained(*ticket(make(), dtype=np.float32), kind))
    (end, norms), (other_end, other_norms) = found
    assert end.tobytes() == other_end.tobytes() and norms.tobytes() == other_norms.tobytes()


def test_gradients_of_what_is_pruned_are_exactly_0_for_all_of_them():
    """And of running statistics, whatever stood there."""
    theta = Params({"fc/W": (2, 2), "norm/running_mean": (2,)}, np.ones((2, 6)))
    masks = dense_masks(theta)
    masks["fc/W"][0, 0] = False
    seen = []

    class Watch:
        def __init__(self, masks):
            assert masks.trials == 1

        def step(self, theta, grads):
            seen.append(grads.flat.copy())

    gradients = np.array([[np.inf, np.nan, 3, 4, 5, 6], [-1, 2, 3, 4, -np.inf, np.nan]])
    Whole(Watch, masks).step(theta, theta.like(gradients))
    assert np.concatenate(seen).tolist() == [[0, 0, 3, 4, 0, 0], [-1, 2, 3, 4, 0, 0]]
    assert not np.signbit(np.concatenate(seen)[:, 4:]).any()


@pytest.mark.parametrize("make", [lambda: library.lenet_300_100((40, 20)), convolutional, unknown])
def test_gradients_are_masked_once_in_a_step(make):
    """By one Whole, not by one within another."""
    net, start, masks = ticket(make())
    runner = plan(net, CLASSIFY, start, masks, lambda masks: Clipped(SGD(masks, 0.1)))
    whole = runner.optimizer if isinstance(runner, Plain) else runner._optimizer
    assert isinstance(whole, Whole) and [type(each) for each in whole._optimizers] == [Clipped]


def test_who_says_what():
    masks = dense_masks(Params({"a/W": (2,)}, np.ones((1, 2))))
    plain, decaying = SGD(masks, 0.1), SGD(masks, 0.1, weight_decay=0.1)
    assert [is_elementwise(each) for each in (plain, decaying, Adam(masks, 0.1))] == [True] * 3
    assert [does_decay(each) for each in (plain, decaying, Adam(masks, 0.1))] == [False, True, False]
    for silent in (Clipped(plain), Logged(plain), Delegating(plain, []), derived(masks, []), object()):
        assert not is_elementwise(silent) and does_decay(silent), silent
    assert not does_decay(ClippedAndSaysSo(plain))

    class Renamed(SGD):
        """With the step of SGD, what that says holds."""

    class Saying(Derived):
        elementwise = True

    assert is_elementwise(Renamed(masks, 0.1)) and not does_decay(Renamed(masks, 0.1))
    assert is_elementwise(Saying(masks, 0.1)) and does_decay(Saying(masks, 0.1)), "it says one thing and not the other"
    clipped = Clipped(plain)
    clipped.elementwise, clipped.decays = True, False
    assert is_elementwise(clipped) and not does_decay(clipped)


def test_who_runs_what():
    """Units are left out only for those that deny decaying; a GPU has no kernel for any of them."""
    net, start, masks = ticket(library.lenet_300_100((40, 20)), rate=0)
    masks["fc1/W"][0, :, :10] = False
    start["fc1/b"][0, 0, :10] = -1
    start = rewind(start, masks)
    for kind, units in (("clipped sgd", 40), ("logged", 40), ("derived", 40), ("clipped and says so", 30)):
        make = lambda m, kind=kind: OWN[kind](m, start.shapes, [])  # noqa: E731
        runner = plan(net, CLASSIFY, start, masks, make)
        assert isinstance(runner, DenseEngine)
        assert runner._layers(5, training=True)[0].w.shape == (784, units), kind
        there = [p.like(strict.asarray(p.flat)) for p in (start, masks)]
        assert type(plan(net, CLASSIFY, *there, make)._optimizer) is Unfused


@pytest.mark.parametrize("how", ["packed", "per trial"])
def test_the_comparison_can_fail(how, monkeypatch):
    """With an optimizer that says it is elementwise and is not."""
    monkeypatch.setattr(Clipped, "elementwise", True, raising=False)
    if how == "packed":
        case = ticket(convolutional())  # in pieces, each clipped by a norm of its own
    else:
        monkeypatch.setattr(sys.modules[__name__], "clip", lambda theta, grads, norms: norms.append(clip_all(grads)))
        net, *both = ticket(unknown(), 2)
        case = net, *both
    with pytest.raises(AssertionError):
        compare(*case, "clipped sgd", engines=["fast"])


def clip_all(grads):
    norm = float(np.sqrt((grads.flat**2).sum()))
    grads.flat *= MOST / max(norm, MOST)
    return norm


class Careless:
    """Moves what is pruned, too."""

    elementwise, decays = False, True

    def __init__(self, masks):
        pass

    def step(self, theta, grads):
        theta.flat -= 0.1 * grads.flat + 1e-3


@pytest.mark.parametrize("engine", ["plain", "fast"])
def test_an_optimizer_that_moves_pruned_weights_is_refused(engine):
    net = small_net()
    theta = net.init(streams(0, range(2), "init"))
    masks = Layerwise({"*/W": 0.5})(random_scores(theta, streams(0, range(2), "mask")), dense_masks(theta))
    setting = Setting(Careless, steps=2, batch=4, engine=engine)
    with pytest.raises(ValueError, match="pruned weights have moved away from 0"):
        fit(net, CLASSIFY, rewind(theta, masks), masks, small_data(), setting)
