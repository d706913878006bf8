"""Patience: a run ends after so many validations without a new minimum, and what it would have come to is missing."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from cases import of_trial, set_to
from hypothesis import given, settings
from hypothesis import strategies as st
from test_checkpoint import assert_same, case, killed, run, small_dense
from test_train import same, small_data, small_net

from npticket import backend
from npticket.optimizers import SGD
from npticket.prune import dense_masks
from npticket.record import Record, join_trials
from npticket.streams import Place, streams
from npticket.task import CLASSIFY
from npticket.testing.strategies import fits
from npticket.train import Setting, fit


def stops_after(losses, patience):
    """How many validations a run with these losses has: by the definition, one after the other."""
    lowest, waited = np.inf, 0
    for count, loss in enumerate(losses, start=1):
        lowest, waited = (loss, 0) if loss < lowest else (lowest, waited + 1)
        if waited == patience:
            return count
    return len(losses)


def assert_prefix(found, whole, counts):
    """A fit with patience is the whole one as far as it goes, `counts` validations of each trial, and knows no more."""
    end = len(whole.at_steps)
    for t, count in enumerate(counts):
        stop = int(np.argmin(whole["val_loss"][t, :count]))
        assert found["early_stop_step"][t] == whole.at_steps[stop]
        assert found["early_stop_val_loss"][t] == whole["val_loss"][t, stop]
        for name in ("train_loss", "val_loss", "val_acc"):
            np.testing.assert_array_equal(found[name][t, :count], whole[name][t, :count])
            assert np.isnan(found[name][t, count:]).all()
        assert np.flatnonzero(~np.isnan(found["test_acc"][t])).tolist() == sorted({stop, *[end - 1] * (count == end)})
        for name in ("final_test_acc", "final_test_loss", "final_train_loss", "best_train_acc", "best_train_loss"):
            assert np.isnan(found[name][t]) if count < end else found[name][t] == whole[name][t]


@settings(max_examples=15)
@given(fits(np.float32), st.integers(1, 3))
def test_it_is_the_whole_run_up_to_where_it_stops_and_ends_there(case, patience):
    case = set_to(case, validate_every=1)
    whole, found = fit(**case), fit(**set_to(case, patience=patience))
    counts = [stops_after(losses.tolist(), patience) for losses in whole["val_loss"]]
    assert_prefix(found, whole, counts)
    for t, count in enumerate(counts):
        shorter = fit(**of_trial(set_to(case, steps=count), t))
        assert found.end.flat[t].tobytes() == shorter.end.flat[0].tobytes()
        assert found.best.flat[t].tobytes() == shorter.best.flat[0].tobytes()


@settings(max_examples=12)
@given(fits(np.float32), st.integers(1, 3))
def test_a_trial_that_waits_for_others_is_the_trial_alone(case, patience):
    case = set_to(case, validate_every=1, test_at=(1,), train_at=(1,), patience=patience)
    alone = [fit(**of_trial(case, t)) for t in range(case["start"].trials)]
    assert same(fit(**case), join_trials(alone))


class Counting:
    """Stands for an engine: its parameters are the number of validations so far."""

    count = 0

    def read(self, out):
        out.flat[...] = self.count


def recorded(patience, *losses):
    """A record of the validation losses of some trials, and where each trial's parameters were read."""
    theta = small_net().init(streams(0, range(len(losses)), "init"))
    record, engine = (
        Record(CLASSIFY, theta, list(range(10, 10 * len(losses[0]) + 1, 10)), patience=patience),
        Counting(),
    )
    for values in zip(*losses, strict=True):
        engine.count += 1
        record.add(engine, {"val_loss": np.array(values, float)})
        if record.is_over:
            break
    record.trained.append(record.unknown("train"))
    unknown = {name: np.zeros(len(losses)) for name in CLASSIFY.names}
    end = theta.like(np.full_like(theta.flat, engine.count))
    return record.fit(end, unknown, {f"test_{name}": values for name, values in unknown.items()})


def test_by_hand():
    """Two validations without a new minimum, of which an equal loss is none; the minimum at the end is never seen."""
    found = recorded(2, [3, 2, 2.5, 2, 1], [5, 4, 3, 3, 9], [9, 8, 7, 6, 5])
    assert found["early_stop_step"].tolist() == [20, 30, 50]
    assert found.end.flat[:, 0].tolist() == [4, 5, 5]  # trial 1 ran out of it only at the end, where all is known
    assert found.best.flat[:, 0].tolist() == [2, 3, 5]
    np.testing.assert_array_equal(found["val_loss"][0], [3, 2, 2.5, 2, np.nan])
    assert np.isnan(found["final_test_acc"]).tolist() == [True, False, False]
    assert [stops_after(losses, 2) for losses in ([3, 2, 2.5, 2, 1], [5, 4, 3, 3, 9], [9, 8, 7, 6, 5])] == [4, 5, 5]


def test_all_have_stopped_before_the_steps_are_used_up():
    """Time is saved: the optimizer took no further step."""
    net, steps = small_net(), []
    theta = net.init(streams(0, range(2), "init"))
    base = {"net": net, "task": CLASSIFY, "start": theta, "masks": dense_masks(theta), "data": small_data()}
    wild = lambda masks: SGD(masks, lambda step: steps.append(step) or 0.1 * (-1) ** (step > 8))  # noqa: E731
    found = fit(**base, setting=setting(wild, patience=2))
    assert max(steps) + 1 < 400 and np.isnan(found["final_test_acc"]).all() and np.isfinite(found["val_loss"]).any()


def setting(optimizer, **options):
    return Setting(optimizer, steps=400, batch=4, validate_every=5, **options)


def test_what_diverges_after_it_has_stopped_is_no_divergence():
    """Trial 1 climbs from its second validation on, and overflows while trial 0 still learns."""
    losses = [[5.0, 4, 3, 2, 1], [1, 2, 3, np.inf, np.nan]]
    theta = small_net().init(streams(0, range(2), "init"))
    record, engine = Record(CLASSIFY, theta, [1, 2, 3, 4, 5], patience=2), Counting()
    for step, values in enumerate(np.transpose(losses), start=1):
        record.check("validation", values[None], step, Place(trials=range(2)))
        record.add(engine, {"val_loss": values})
    assert not record.diverged and record.out.tolist() == [False, True]


@pytest.mark.parametrize("engine", ["fast", "plain", "gpu"])
def test_a_killed_run_ends_as_the_uninterrupted_one(engine):
    """Once before anyone has stopped, and once where two have: what these ended with is kept."""
    arguments = case(small_dense, "adam", engine, trials=3, first_step=0)
    arguments["setting"] = replace(arguments["setting"], validate_every=2, test_at=(), patience=2)
    whole = run(arguments)
    assert (~np.isnan(whole["val_loss"])).sum(axis=1).tolist() == [3, 9, 3]
    checkpoint = killed(arguments, 5, 9)
    assert_same(run(arguments, checkpoint), whole)
    checkpoint.kept["left"] += 1
    other, end = (backend.to_host(found.end.flat) for found in (run(arguments, checkpoint), whole))
    assert (other - end).mean(axis=1).round().tolist() == [1, 0, 1]


def test_without_patience_a_checkpoint_holds_no_more_than_before():
    arguments = case(small_dense, "sgd")
    patient = {**arguments, "setting": replace(arguments["setting"], patience=50)}
    assert killed(patient, 13).kept.keys() - killed(arguments, 13).kept.keys() == {"left"}


def test_impossible_patience_is_refused():
    with pytest.raises(ValueError, match="patience must be at least 1, got 0"):
        setting(partial(SGD, lr=0.1), patience=0)
