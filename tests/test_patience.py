"""Patience: a run ends after so many validations without a new minimum, and what it would have come to is missing.

First of `fit`, then of recipes: a run equals the long one as far as it goes, however the work was cut up.
"""

import shutil
from dataclasses import replace
from functools import partial
from itertools import islice

import numpy as np
import pytest
from cases import of_trial, set_to
from fitted import same, small_data, small_net
from hypothesis import given, settings
from hypothesis import strategies as st
from interrupted import assert_same, case, killed, run, small_dense
from planted import KEY, KNOWN, made_up, opened
from small import SMALL, data, experiment, rows

from npticket import backend, cli
from npticket.cli import commands, publication
from npticket.experiments.errors import RecipeError, StoreError
from npticket.experiments.outcome import Unknown, read_outcome
from npticket.experiments.parts import Experiment
from npticket.experiments.recipe import Part, from_json, to_json
from npticket.experiments.series import Key, Length
from npticket.optimizers import SGD
from npticket.papers import LIBRARY, PARTS
from npticket.prune import dense_masks
from npticket.record import Record, join_trials
from npticket.report import figures, page, prose, tables
from npticket.report.html.document import document
from npticket.report.quantities import at_early_stop, at_the_end
from npticket.report.views import Missing, View
from npticket.streams import Place, streams
from npticket.task import ACCURACY, CLASSIFY
from npticket.testing.strategies import fits
from npticket.tickets import find_tickets
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
    return record.finished(end, unknown, {f"test_{name}": values for name, values in unknown.items()})


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
    steps = []

    class Wild(SGD):
        def step(self, theta, grads):
            steps.append(self.steps)
            grads.flat *= (-1) ** (self.steps > 8)
            super().step(theta, grads)

    net = small_net()
    theta = net.init(streams(0, range(2), "init"))
    base = {"net": net, "task": CLASSIFY, "start": theta, "masks": dense_masks(theta), "data": small_data()}
    found = fit(**base, setting=setting(lambda masks: Wild(masks, 0.1), patience=2))
    assert max(steps) + 1 < 400 and np.isnan(found["final_test_acc"]).all() and np.isfinite(found["val_loss"]).any()


def setting(optimizer, **options):
    return Setting(optimizer, steps=400, batch=4, validate_every=5, **options)


def test_what_diverges_after_it_has_stopped_is_no_divergence():
    """Trial 1 climbs from its second validation on, and overflows while trial 0 still learns."""
    losses = [[5.0, 4, 3, 2, 1], [1, 2, 3, np.inf, np.nan]]
    theta = small_net().init(streams(0, range(2), "init"))
    record, engine = Record(CLASSIFY, theta, [1, 2, 3, 4, 5], patience=2), Counting()
    for step, values in enumerate(np.transpose(losses), start=1):
        record.note_diverged("validation", values[None], step, Place(trials=range(2)))
        record.add(engine, {"val_loss": values})
    assert not record.diverged and record.has_stopped.tolist() == [False, True]


@pytest.mark.parametrize("engine", ["fast", "plain", "gpu"])
def test_a_killed_run_ends_as_the_uninterrupted_one(engine):
    """Once before anyone has stopped, and once where two have: what these ended with is kept."""
    arguments = case(small_dense, "adam", engine, trials=3, first_step=0)
    arguments["setting"] = replace(arguments["setting"], validate_every=2, test_at=(), patience=2)
    whole = run(arguments)
    assert (~np.isnan(whole["val_loss"])).sum(axis=1).tolist() == [3, 9, 3]
    checkpoint = killed(arguments, 5, 9)
    assert_same(run(arguments, checkpoint), whole)
    alive = backend.to_host(arguments["masks"].flat)
    checkpoint.kept["left"] += alive
    other, end = (backend.to_host(found.end.flat) for found in (run(arguments, checkpoint), whole))
    assert ((other - end).sum(axis=1) / alive.sum(axis=1)).round().tolist() == [1, 0, 1]


def test_a_run_is_resumed_though_a_trial_out_of_patience_has_diverged(recwarn):
    arguments = case(small_dense, "adam", "plain", trials=3, first_step=0)
    arguments["setting"] = replace(arguments["setting"], validate_every=2, test_at=(), patience=2)
    whole, checkpoint = run(arguments), killed(arguments, 9)
    stopped = (~np.isnan(whole["val_loss"])).sum(axis=1) < 5
    for name in ("theta", "optimizer/m"):
        checkpoint.kept[name][stopped] = np.nan
    checkpoint.kept["losses"][:, stopped] = np.inf
    assert_same(run(arguments, checkpoint), whole)
    assert not recwarn.list
    checkpoint.kept["theta"][~stopped] = np.nan
    with pytest.warns(RuntimeWarning, match="its theta is not finite"):
        run(arguments, checkpoint)


def test_without_patience_a_checkpoint_holds_no_more_than_before():
    arguments = case(small_dense, "sgd")
    patient = {**arguments, "setting": replace(arguments["setting"], patience=50)}
    assert killed(patient, 13).kept.keys() - killed(arguments, 13).kept.keys() == {"left"}


def test_impossible_patience_is_refused():
    with pytest.raises(ValueError, match="patience must be at least 1, got 0"):
        setting(partial(SGD, lr=0.1), patience=0)


ADAM = Part("adam", lr=0.02)  # on noise it soon learns by heart
RECIPE = replace(
    SMALL, name="lenet-mnist", steps=40, validate_every=2, test_at=(), train_at=(39,), optimizer=ADAM, patience=3,
    series=("winning_ticket", "random_reinit", "fine_tuning"),
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An experiment with patience, of which some run stopped and some rounds were pruned: its folder and outcome."""
    folder = tmp_path_factory.mktemp("patience")
    return folder, experiment(RECIPE, folder, data())


def test_a_recipe_trains_and_prunes_as_the_loop_of_the_readme(whole):
    """All that the files hold of tickets; and its first runs are those without patience, as far as they go."""
    folder, outcome = whole
    made, fits = Experiment(RECIPE, PARTS), []
    theta0 = made.net.init(streams(0, range(2), "init"))

    def train(start, masks):
        setting = Setting(made.optimizer(), steps=40, batch=8, validate_every=2, train_at=(39,), patience=3)
        fits.append(fit(made.net, CLASSIFY, start, masks, data(), setting, Place(0, range(2), len(fits))))
        return fits[-1].end

    for round in islice(find_tickets(theta0, dense_masks(theta0), train=train, prune=made.rule), 3):
        for t in range(2):
            kept = np.load(folder / "runs" / Key("winning_ticket", round.index, t).file, allow_pickle=False)
            had = len(kept["at_steps"])
            assert had == stops_after(fits[-1]["val_loss"][t, :had].tolist(), 3)
            assert kept["at_steps"].tolist() == list(range(2, 2 * had + 1, 2)) and kept["steps"] == 40
            assert kept["masks"].tobytes() == np.packbits(round.masks.flat[t]).tobytes()
            np.testing.assert_array_equal(kept["val_loss"], fits[-1]["val_loss"][t, :had])
            assert np.isnan(fits[-1]["val_loss"][t, had:]).all()
            assert np.isnan(kept["final_test_acc"]) == np.isnan(kept["best_train_acc"]) == (had < 20)
    long = experiment(replace(RECIPE, patience=None, rounds=1, series=("winning_ticket",)), folder / "long", data())
    own = {(row["trial"], row["step"]): row for row in outcome.curves if not row["round"]}
    assert 2 < len(own) < len(long.curves) == 40
    for row in long.curves:
        if (there := own.get((row["trial"], row["step"]))) is not None:
            assert all(there[name] == row[name] for name in row if name != "test_acc")


def test_so_it_does_in_lock_step_grown_and_resumed(whole, tmp_path):
    folder, outcome = whole
    assert any(row["final_test_acc"] == "" for row in outcome.results)
    assert rows(experiment(RECIPE, tmp_path / "lock", data(), lock_step=True)) == rows(outcome)
    experiment(replace(RECIPE, rounds=2, trials=1, series=("winning_ticket",)), tmp_path / "grown", data())
    assert rows(experiment(RECIPE, tmp_path / "grown", data())) == rows(outcome)
    shutil.copytree(folder, tmp_path / "killed", ignore=shutil.ignore_patterns("long"))
    for lost in (Key("winning_ticket", 1, 0), Key("winning_ticket", 2, 0), Key("fine_tuning", 2, 1)):
        (tmp_path / "killed" / "runs" / lost.file).unlink()
    assert rows(read_outcome(tmp_path / "killed", PARTS)) == rows(outcome)  # tables are as the last writing left them
    assert rows(experiment(RECIPE, tmp_path / "killed", data())) == rows(outcome)
    with pytest.raises(StoreError, match="patience: 3 there, 4 now"):
        experiment(replace(RECIPE, patience=4), folder, data())


def test_between_the_writings_of_two_tables_a_killed_one_can_be_read(whole, tmp_path):
    """curves.csv is written first: it has the curves of runs that have no row yet."""
    folder, outcome = whole
    shutil.copytree(folder, tmp_path / "killed", ignore=shutil.ignore_patterns("long"))
    table = tmp_path / "killed" / "results.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:4]))
    assert rows(read_outcome(tmp_path / "killed", PARTS))[0] == rows(outcome)[0][:3]


def test_the_rewind_point_and_runs_of_their_own_length_go_on_to_their_end(tmp_path):
    recipe = replace(RECIPE, patience=1, rewind_step=20, rounds=2, trials=1, series=("winning_ticket",))
    experiment(recipe, tmp_path, data())
    there = np.load(tmp_path / "runs" / Key("rewind_point", 0, 0).file, allow_pickle=False)
    assert there["at_steps"].tolist() == list(range(2, 21, 2)) and np.isfinite(there["final_test_acc"])
    assert stops_after(there["val_loss"].tolist(), 1) < 10
    made = Experiment(recipe, PARTS)
    assert made.setting("fast").patience == made.setting("fast", length=Length(20)).patience == 1
    for length in (Length(steps=20), Length(steps=80, stretched=True), Length(steps=80)):
        assert made.setting("fast", length=length).patience is None


def test_json_holds_patience_where_there_is_some():
    assert "patience" not in to_json(replace(RECIPE, patience=None)) and to_json(RECIPE)["patience"] == 3
    assert from_json(to_json(RECIPE)) == RECIPE and from_json(to_json(RECIPE) | {"patience": None}).patience is None
    for wrong in (0, -1, 10**9, 2.5, True, "20"):
        with pytest.raises(RecipeError, match="patience must be"):
            from_json(to_json(RECIPE) | {"patience": wrong})


def stopped(**changes):
    """What a run with patience 1 leaves that stopped after two of three validations."""
    blank = dict.fromkeys(("final_test_acc", "final_train_acc", "best_train_acc"), np.nan)
    curves = {"train_loss": [3.0, 2], "val_loss": [1.0, 2], "val_acc": [0.1, 0.2], "test_acc": [0.5, np.nan]}
    curves = {name: np.array(values) for name, values in curves.items()}
    return made_up(**{"at_steps": np.array([10, 20]), **curves, "early_stop_step": 10, **blank, **changes})


WRONG = {
    "goes on": made_up(early_stop_step=10, val_loss=np.array([1.0, 2, 3]), test_acc=np.array([0.5, np.nan, 0.4])),
    "guessed": stopped(final_test_acc=0.4),
    "best guessed": stopped(best_train_acc=1.0),
    "too short": {name: values[:1] if np.size(values) == 2 else values for name, values in stopped().items()},
    "end lost": made_up(final_test_acc=np.nan),
    "not there": stopped(test_acc=np.array([0.5, 0.5])),
    "in the middle": stopped(val_loss=np.array([1.0, np.nan])),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_file_that_no_patience_leaves_is_refused(what, tmp_path):
    with opened(tmp_path, patience=1) as store:
        store.add(KEY._replace(trial=0), stopped())
        store.add(KEY._replace(trial=2), made_up())  # which learned until the second, of three
        with pytest.raises(StoreError, match=r"trial1\.npz: .*; delete it"):
            store.add(KEY, WRONG[what])
    with opened(tmp_path / "other") as store, pytest.raises(StoreError, match="delete it"):
        store.add(KEY, stopped())


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        ("results.csv", "0.5,,,,30", "0.5,0.4,,,30", "line 2: final_test_acc is 0.4, expected nothing"),
        ("results.csv", "0.5,0.4,1.0,1.0,30", "0.5,,1.0,1.0,30", "line 3: final_test_acc is '', expected 0 to 1"),
        ("curves.csv", "0,winning_ticket,0,20,2.0,2.0,0.2,\n", "", "winning_ticket-round00-trial0 lacks some"),
        ("curves.csv", "0,winning_ticket,0,20", "0,winning_ticket,0,30", "line 3: the run ran out of patience before"),
        ("curves.csv", "1,winning_ticket,0,20,2.0,1.0,0.2,0.5\n", "", "winning_ticket-round00-trial1 lacks some"),
    ],
)
def test_so_are_tables(table, old, new, message, tmp_path):
    with opened(tmp_path, patience=1) as store:
        store.add(KEY._replace(trial=0), stopped())
        store.add(KEY, made_up())
    found = read_outcome(tmp_path, KNOWN)
    assert [row["final_test_acc"] for row in found.results] == ["", 0.4]
    assert found.curve("winning_ticket", 0, "val_loss")[0].tolist() == [10, 20]  # those of both
    (point,) = found.points("winning_ticket")
    assert point["early_stop_step"].tolist() == [10, 20]
    with pytest.raises(Unknown, match="final_test_acc is not known of all runs of winning_ticket"):
        point["final_test_acc"]
    text = (tmp_path / table).read_text()
    assert text.count(old) == 1, text
    (tmp_path / table).write_text(text.replace(old, new))
    with pytest.raises(StoreError, match=message):
        read_outcome(tmp_path, KNOWN)


def test_tables_verdicts_and_claims_say_what_is_not_known(whole):
    _, outcome = whole
    assert "2 trials of at most 40 steps; patience 3: runs ended after 3 validations without" in outcome.note
    text = tables.tables(outcome)
    lines = [line.split() for line in text.splitlines() if line[:5].strip().isdigit()]
    assert len(lines) == 7 and all(line[-3:-1] == ["-", "-"] and "(" in line[4] for line in lines)
    assert "nan" not in text and "nan" not in "".join(page.by_round(outcome).rows[0])
    assert tables.verdict(outcome).startswith(("No winning ticket here", "There are winning tickets"))
    tested = replace(outcome, recipe=replace(RECIPE, test_at=(40,)))
    assert tables.verdict(tested).startswith("No verdict: it is about the end of training, before which runs ran out")
    assert figures.looked_at(40, "winning_ticket", outcome) is False
    view = View(outcome, [0, 1])
    assert np.isfinite(view(at_early_stop(ACCURACY), "winning_ticket", 80).low).all()
    with pytest.raises(Missing, match="trained with patience, not to the end"):
        view(at_the_end(ACCURACY), "winning_ticket", 80)


def test_pages_leave_out_what_is_not_known(whole):
    folder, outcome = whole
    with pytest.raises(StoreError, match="which is not known: nobody looked, or patience ran out"):
        prose.number("at_the_end", "winning_ticket 100", {"": outcome})
    assert prose.number("at_early_stop", "winning_ticket 100", {"": outcome}).endswith(" %")
    pytest.importorskip("matplotlib")
    drawn = {one.picture.stem: one for one in figures.drawn(outcome, LIBRARY.plots(RECIPE))}
    assert drawn.keys() == {"early_stopping", "controls", "curves", "validation_loss"}
    assert len(drawn["early_stopping"].picture.figure.axes) == 2 and "patience 3" in drawn["early_stopping"].note
    html = document({folder: outcome}, LIBRARY)
    assert "nan" not in html.lower().replace("nanmean", "") and "patience 3" in html


def test_it_is_published_and_read_back(whole, tmp_path, monkeypatch):
    folder, outcome = whole
    monkeypatch.setattr(publication, "draw", lambda *_: [])
    assert cli.main(["publish", str(folder), str(tmp_path / "there")]) == 0
    published = read_outcome(tmp_path / "there", PARTS)
    assert rows(published)[0] == rows(outcome)[0] and len(published.curves) < len(outcome.curves)
    assert cli.main(["publish", str(tmp_path / "there"), str(tmp_path / "again")]) == 0
    for name in ("results.csv", "curves.csv", "README.md", "claims.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_the_command_takes_it_and_pages_repeat_it(whole):
    args = cli.parser().parse_args(["run", "lenet-mnist", "--patience", "20"])
    (recipe,) = commands.chosen_recipes(args, LIBRARY)[0].values()
    assert recipe == replace(LIBRARY.recipes["lenet-mnist"], patience=20)
    with pytest.raises(RecipeError, match="patience must be at least 1, got 0"):
        commands.chosen_recipes(cli.parser().parse_args(["run", "lenet-mnist", "--patience", "0"]), LIBRARY)
    asked = publication.commands({"": replace(whole[1], recipe=recipe)}, (), LIBRARY)
    assert asked == ["npticket run lenet-mnist --patience 20"]
