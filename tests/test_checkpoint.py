"""A run that goes on from a checkpoint ends, bit for bit, as the one that was never interrupted: in every engine."""

from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pytest
from fitted import small_data, small_net
from hypothesis import given, settings
from hypothesis import strategies as st
from interrupted import OPTIMIZERS, STEPS, InMemory, Killed, assert_same, case, killed, run, small_dense

from npticket import optimizers
from npticket.checkpoint import Never, opened, resume
from npticket.engine import dense
from npticket.engine.optimizers import Packed
from npticket.layers import BatchNorm, Chain, Conv2D, Dense, Dropout, Flatten, MaxPool, ReLU
from npticket.nets import Net
from npticket.optimizers import FLUSH_EVERY, SGD, Adam
from npticket.params import stack
from npticket.protocols import is_resumable
from npticket.prune import dense_masks
from npticket.record import DivergedError, Record
from npticket.streams import Place, streams
from npticket.task import CLASSIFY
from npticket.train import Setting, fit


def convolutional():
    """What the convolutional engine runs."""
    layers = {"conv1": Conv2D(3, 6, padding=1, bias=False), "norm1": BatchNorm(6), "relu1": ReLU()}
    layers |= {"conv2": Conv2D(6, 8, padding=1), "relu2": ReLU(), "pool": MaxPool(2), "flatten": Flatten()}
    return Net("convolutional", Chain(**layers, fc=Dense(128, 10), relu=ReLU(), out=Dense(10, 4)), (8, 8, 3), (4,))


def with_dropout():
    """What no fast engine of the CPU knows."""
    body = Chain(conv=Conv2D(3, 2, padding=1), norm=BatchNorm(2), flat=Flatten(), fc=Dense(128, 7), relu=ReLU())
    return Net("unknown", Chain(body=body, drop=Dropout(0.3), out=Dense(7, 4)), (8, 8, 3), (4,))


@pytest.fixture(autouse=True)
def in_pieces(monkeypatch):
    """Small networks are stepped in several pieces, too."""
    monkeypatch.setattr("npticket.engine.optimizers.FEW", 500)
    monkeypatch.setattr("npticket.engine.optimizers.PIECE", 300)


@pytest.mark.parametrize(
    ("make", "engine", "optimizer"),
    [
        *product([small_dense, convolutional, with_dropout], ["fast", "gpu"], ["adam", "momentum", "clipped"]),
        *product([small_dense, convolutional], ["plain"], ["adam", "momentum"]),
        (small_dense, "fast", "sgd"),
    ],
)
def test_it_ends_as_the_uninterrupted_run(make, engine, optimizer):
    arguments = case(make, optimizer, engine)
    assert_same(run(arguments, killed(arguments, 13, FLUSH_EVERY - 3)), run(arguments))


@settings(max_examples=10)
@given(st.integers(1, STEPS - 1), st.sampled_from([0, 0.6]), st.booleans())
def test_whatever_the_step(step, rate, grouped):
    """At validations, looks at the training set, the ends of epochs, and the flushing of moments."""
    with pytest.MonkeyPatch.context() as patch:
        if grouped:
            patch.setattr(dense, "SPARSE", 2)
            patch.setattr(dense, "WORTH_IT", np.inf)
        arguments = case(small_dense, "adam", trials=1, rate=rate, first_step=0)
        assert_same(run(arguments, killed(arguments, step)), run(arguments))


def test_what_was_chosen_by_timing_does_not_matter(monkeypatch):
    """Packed or not, before the interruption and after it: a snapshot is laid out as parameters are."""
    arguments, packed = case(small_dense, "momentum"), []
    whole = run(arguments)
    real = Packed.__init__
    monkeypatch.setattr(Packed, "__init__", lambda self, *a: packed.append(1) or real(self, *a))
    for before, after in ((0, -1), (-1, 0)):
        monkeypatch.setattr("npticket.engine.optimizers.fastest", lambda ways, *_: ways[before])
        checkpoint = killed(arguments, 30)
        monkeypatch.setattr("npticket.engine.optimizers.fastest", lambda ways, *_: ways[after])
        assert_same(run(arguments, checkpoint), whole)
    assert packed


def test_a_trial_goes_on_alone_as_among_others():
    """What is kept of two trials is, trial by trial, what is kept of each."""
    both = killed(case(convolutional, "momentum"), 25).kept
    for t in range(2):
        arguments = case(convolutional, "momentum")
        arguments |= {name: arguments[name].trial(t) for name in ("start", "masks")} | {"place": Place(5, [t], 1)}
        alone = killed(arguments, 25).kept
        for name in ("theta", "best", "optimizer/v", "optimizer/steps", "lowest", "stop"):
            assert alone[name].tobytes() == both[name][t : t + 1].tobytes(), name


def test_half_of_the_trials_at_a_time_have_checkpoints_of_their_own(monkeypatch):
    """As when they do not all fit into memory."""
    arguments, kept = case(small_dense, "adam"), {}

    def open_checkpoint(start, masks, place):
        if len(place.trials) > 1:
            raise MemoryError
        return kept.setdefault(tuple(place.trials), InMemory(30))

    with pytest.warns(RuntimeWarning, match="1 at a time"):
        for trial in range(2):
            with pytest.raises(Killed):
                run(arguments, open_checkpoint)
            kept[trial,].kill_at = -1
        assert_same(run(arguments, open_checkpoint), run(arguments))
    assert kept.keys() == {(0,), (1,)}


def test_taking_snapshots_changes_nothing():
    for make, engine in ((small_dense, "fast"), (convolutional, "fast"), (with_dropout, "plain"), (small_dense, "gpu")):
        arguments, checkpoint = case(make, "adam", engine), InMemory()
        assert_same(run(arguments, checkpoint), run(arguments))
        assert checkpoint.kept["step"] == STEPS - 1, "the last step leaves nothing to go on with"


def test_the_comparison_can_fail():
    """Every single array matters: with a little change in one of them a run ends in another way."""
    arguments = case(convolutional, "adam")
    whole, checkpoint = run(arguments), killed(arguments, 57)
    kept = checkpoint.kept
    for name in kept.keys() - {"step", "seconds"}:
        changed = {"lowest": kept["lowest"] - 9, "stop": kept["stop"] - 1, "trained": kept["trained"] + 9}
        changed = changed.get(name, (kept[name] * 1.1).astype(kept[name].dtype))
        checkpoint.kept = kept | {name: changed}
        with pytest.raises(AssertionError):
            assert_same(run(arguments, checkpoint), whole)
    checkpoint.kept = kept
    assert_same(run(arguments, checkpoint), whole)


@pytest.fixture(scope="module")
def left():
    """The arguments of a run that was killed, and what is kept of it."""
    arguments = case(small_dense, "adam")
    return arguments, killed(arguments, 27).kept


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("theta", lambda a: a[:, 1:], "its theta is float32"),
        ("theta", lambda a: a * np.nan, "its theta is not finite"),
        ("theta", lambda a: a.astype(int), "its theta is int64"),
        ("optimizer/m", lambda a: a / 0, "its optimizer/m is not finite"),
        ("optimizer/steps", lambda a: a[:0], "its optimizer/steps is"),
        ("optimizer/v", lambda a: a[0], "its optimizer/v is"),
        ("best", lambda a: None, "lacks, or should not have, best"),
        ("losses", lambda a: a[1:], "its losses is"),
        ("trained", lambda a: a[:1], "its trained is"),
        ("curves", lambda a: a[:, :, 1:], "its curves is"),
        ("step", lambda a: a - 1, "its losses is"),
        ("step", lambda a: a * 0 + 3, "it is of 3 steps, expected more than 3 and fewer than 59"),
        ("step", lambda a: a * 0 + STEPS, "it is of 59 steps"),
        ("step", lambda a: a[None], "it is of"),
        ("step", lambda a: None, "it is of no steps"),
        ("more", lambda a: np.zeros(3), "lacks, or should not have, more"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(name, change, complaint, left):
    (arguments, kept), checkpoint, nobody = left, InMemory(), None
    with np.errstate(all="ignore"):
        changed = change(kept.get(name))
    checkpoint.kept = {k: v for k, v in (kept | {name: changed}).items() if v is not None}
    setting = arguments["setting"]
    record = Record(CLASSIFY, arguments["start"], setting.at_steps, setting.train_at)
    with pytest.warns(RuntimeWarning, match=complaint):
        assert resume(checkpoint, nobody, record, setting.first_step) == setting.first_step


def test_a_run_whose_checkpoint_is_refused_begins_anew(left):
    (arguments, kept), checkpoint = left, InMemory(-1)
    checkpoint.kept = kept | {"theta": kept["theta"] * np.nan}
    with pytest.warns(RuntimeWarning, match="begins anew, without its checkpoint: its theta is not finite"):
        assert_same(run(arguments, checkpoint), run(arguments))


def test_an_optimizer_that_has_changed_since_says_so():
    arguments = case(small_dense, "momentum")
    checkpoint = killed(arguments, 27)
    arguments["setting"] = replace(arguments["setting"], optimizer=OPTIMIZERS["adam"])
    with pytest.raises(RuntimeError, match=r"cannot go on from its checkpoint \(KeyError: 'm'\)"):
        run(arguments, checkpoint)


def test_an_optimizer_that_does_not_give_its_state_begins_anew():
    """Also one that is derived, or lets everything but its step through, or one that is clipped."""

    class Silent:
        def __init__(self, masks):
            self._inner = Adam(masks, 0.01)

        def __getattr__(self, name):
            return getattr(self._inner, name)

        def step(self, theta, grads):
            self._inner.step(theta, grads)

    class Derived(SGD):
        def step(self, theta, grads):
            super().step(theta, grads)

    class Renamed(SGD):
        """With the step of SGD, what that keeps is all."""

    arguments = case(small_dense, "adam")
    masks = arguments["masks"]
    assert [is_resumable(one(masks)) for one in (*OPTIMIZERS.values(), partial(Renamed, lr=0.1))] == [True] * 5
    for silent in (Silent, partial(Derived, lr=0.1), lambda masks: optimizers.Clipped(Silent(masks), 1.0)):
        assert not is_resumable(silent(masks))
        arguments["setting"], checkpoint = replace(arguments["setting"], optimizer=silent), InMemory()
        with pytest.warns(RuntimeWarning, match=r"(Silent|Derived|Clipped) has no state\(\) and restore\(\)"):
            run(arguments, checkpoint)
        assert not checkpoint.opened
    assert isinstance(opened(None, Silent, masks, masks, Place()), Never)


def test_time_goes_on_too():
    arguments = case(small_dense, "adam")
    checkpoint = killed(arguments, 27)
    checkpoint.kept["seconds"] += 100
    assert (run(arguments, checkpoint)["seconds"] > 50).all()
    assert stack([arguments["masks"]]).trials == 2


def test_after_a_trial_has_diverged_nothing_more_is_kept():
    net, kept = small_net(), InMemory()
    theta = net.init(streams(0, range(2), "init"), np.float64)
    theta.flat[1] = 1e308
    setting = Setting(lambda m: SGD(m, 0.1), 9, 4, validate_every=4, checkpoints=kept)
    with np.errstate(all="ignore"), pytest.raises(DivergedError):
        fit(net, CLASSIFY, theta, dense_masks(theta), small_data(), setting)
    assert kept.kept["step"] == 3  # the validation after the fourth step finds it out
