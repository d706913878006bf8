"""A directory grows: only what it does not have is trained, and the end is as if all had been asked at once."""

import io
import re
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from planted import ASKED, KEY, KNOWN, made_up, opened, without
from processes import environment, wait_for_runs
from small import SMALL, data, experiment

from npticket.experiments import run, timings, training
from npticket.experiments.bounds import MOST
from npticket.experiments.directory import read_recipe
from npticket.experiments.errors import RecipeError, StoreError
from npticket.experiments.growth import begun, canonical, refusal
from npticket.experiments.json_files import write_json
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned
from npticket.experiments.recipe import Part, to_json
from npticket.experiments.run import Execution
from npticket.experiments.scheduler import Scheduler
from npticket.experiments.series import REWIND_POINT, Key
from npticket.papers import PARTS
from npticket.papers.lottery_ticket.recipes import LENET

FEW = replace(SMALL, trials=1, rounds=2, series=("winning_ticket", "random_reinit"))
CHAINS = (*FEW.series, "fine_tuning", "continued_training")
MORE = replace(FEW, trials=2, rounds=4, series=("winning_ticket", "dense_2", "random_mask", "random_reinit"))


def files(folder):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (folder / "runs").iterdir()}


def content(folder):
    """All that a directory holds, but for what two trainings of the same never share: times, and what was timed."""
    found = {"recipe.json": (folder / "recipe.json").read_bytes(), "curves.csv": (folder / "curves.csv").read_bytes()}
    found["results.csv"] = [line.rpartition(",")[0] for line in (folder / "results.csv").read_text().splitlines()]
    for name, (raw, _) in files(folder).items():
        with np.load(io.BytesIO(raw), allow_pickle=False) as file:
            arrays = {what: file[what] for what in file.files if what not in ("seconds", "chosen")}
        found[name] = {what: (array.dtype, array.shape, array.tobytes()) for what, array in arrays.items()}
    return found


@pytest.mark.parametrize(
    ("small", "large"),
    [
        (FEW, replace(FEW, trials=3)),
        (FEW, replace(FEW, rounds=4)),
        (replace(FEW, rounds=1), FEW),  # of the dense network alone
        (replace(FEW, series=CHAINS), replace(FEW, series=CHAINS, rounds=3)),  # one that hands on its ends, too
        (replace(FEW, rewind_step=4, rounds=1), replace(FEW, rewind_step=4)),
        (replace(FEW, series=("winning_ticket",)), replace(FEW, series=("winning_ticket", "dense_2", "random_mask"))),
        (FEW, MORE),
    ],
    ids=["trials", "rounds", "from the dense network", "chains", "rewound", "series", "all"],
)
def test_what_is_finished_stays_and_the_end_is_as_if_asked_at_once(small, large, trained, tmp_path):
    experiment(small, tmp_path / "grown", data())
    before, first = files(tmp_path / "grown"), set(trained)
    trained.clear()
    experiment(large, tmp_path / "grown", data())
    assert before.items() <= files(tmp_path / "grown").items()  # byte for byte, and not written again
    assert sorted(trained) == sorted(set(planned(large, PARTS.series)) - first)  # each once
    assert read_recipe(tmp_path / "grown") == large
    experiment(large, tmp_path / "at once", data())
    assert content(tmp_path / "grown") == content(tmp_path / "at once")


def test_that_comparison_can_fail(tmp_path):
    for folder, seed in (("a", 0), ("b", 1)):
        experiment(replace(FEW, seed=seed), tmp_path / folder, data())
    a, b = (content(tmp_path / folder) for folder in ("a", "b"))
    assert a.keys() == b.keys() and all(a[name] != b[name] for name in a)


def test_what_was_not_kept_is_trained_again_and_comes_to_the_same(trained, tmp_path, capsys, monkeypatch):
    """One-shot pruning needs the dense networks' parameters, which nobody had asked for."""
    monkeypatch.setattr(timings, "_timed", lambda *_: timings.Cost(0.0, 0.0, 0.0))
    large = replace(FEW, trials=2, series=(*FEW.series, "one_shot"))
    experiment(replace(FEW, trials=2), tmp_path / "grown", data())
    before = files(tmp_path / "grown")
    trained.clear()
    run.run(large, PARTS, tmp_path / "grown", data(), Execution(), say=True)
    again, new = ([Key(series, round, t) for t in (0, 1)] for series, round in (("winning_ticket", 0), ("one_shot", 1)))
    assert trained == again + new
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("4 of 8 runs are left, 2 of them to be trained again, as they did not keep what is ")
    assert [line.split()[0] for line in said[1:]] == ["winning_ticket", "one_shot"]  # a line for a complete round
    untouched = {name: found for name, found in before.items() if name not in {key.file for key in again}}
    assert len(untouched) == 4 and untouched.items() <= files(tmp_path / "grown").items()
    experiment(large, tmp_path / "at once", data())
    assert content(tmp_path / "grown") == content(tmp_path / "at once")


def test_a_directory_that_did_not_keep_the_last_masks_is_complete_until_it_grows(trained, tmp_path):
    experiment(FEW, tmp_path, data())
    without(tmp_path, Key("winning_ticket", 1, 0), "next_masks")
    trained.clear()
    experiment(FEW, tmp_path, data())
    assert trained == []
    experiment(replace(FEW, rounds=3), tmp_path, data())
    assert trained == [Key("winning_ticket", 1, 0), Key("winning_ticket", 2, 0), Key("random_reinit", 2, 0)]


@pytest.mark.parametrize("after", [0, 3])
def test_growing_goes_on_after_a_kill(after, tmp_path, monkeypatch):
    experiment(FEW, tmp_path / "grown", data())
    calls, real = [], training.train_runs

    def killed(*arguments, **named):
        calls.append(named)
        if len(calls) > after:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "train_runs", killed)
        experiment(MORE, tmp_path / "grown", data())
    assert len(files(tmp_path / "grown")) == 3 + after
    assert read_recipe(tmp_path / "grown") == MORE
    if after:
        with pytest.raises(StoreError, match="has 2 trials, 1 asked"):  # it has begun to grow
            experiment(FEW, tmp_path / "grown", data())
    else:
        experiment(FEW, tmp_path / "grown", data())
        assert read_recipe(tmp_path / "grown") == FEW, "what never began is taken back"
    experiment(MORE, tmp_path / "grown", data())
    experiment(MORE, tmp_path / "at once", data())
    assert content(tmp_path / "grown") == content(tmp_path / "at once")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": 3}, "has 5 trials, 3 asked: ask for at least 5, or choose another directory"),
        ({"rounds": 2, "trials": 9}, "has 6 rounds, 2 asked: ask for at least 6, or choose another directory"),
        (
            {"series": ("winning_ticket", "one_shot")},
            "has the series random_reinit, too: ask for all that it has, or choose another directory",
        ),
        (
            {"series": ("random_reinit", "winning_ticket")},
            "has the dense network in the series winning_ticket, random_reinit is asked first: ask for winning_ticket",
        ),
        ({"trials": 6, "steps": 40}, "holds another experiment: steps: 30 there, 40 now. Choose another directory"),
        ({"rounds": 7, "prune": Part("magnitude", scope="globally")}, "prune's scope: '(nothing)' there, 'globally'"),
    ],
)
def test_less_and_something_else_are_refused_in_words_that_say_what_to_ask_for(changes, message, tmp_path):
    with opened(tmp_path) as store:
        store.add(KEY, made_up())
        store.add(Key("random_reinit", 5, 4), made_up())
    before = (tmp_path / "recipe.json").read_bytes()
    with pytest.raises(StoreError) as refused:
        opened(tmp_path, **changes)
    assert message in str(refused.value) and str(refused.value).startswith(str(tmp_path))
    assert (tmp_path / "recipe.json").read_bytes() == before
    opened(tmp_path).close()  # and the lock was not kept


def test_one_is_a_whole_number_however_written_and_is_not_true():
    one, same, other = (replace(ASKED, optimizer=Part("sgd", lr=0.1, momentum=value)) for value in (1, 1.0, True))
    assert refusal(one, same) == "" and "optimizer's momentum: 1 there, True now" in refusal(one, other)


def test_as_many_rounds_may_be_asked_for_as_there_may_be(tmp_path):
    most = MOST["rounds"]
    with opened(tmp_path, rounds=most, trials=1) as store:
        assert len(Scheduler(Experiment(replace(ASKED, rounds=most, trials=1), KNOWN), store).missing) == 2 * most - 1


def test_a_wrong_recipe_is_named_with_its_file(tmp_path):
    opened(tmp_path).close()
    path = tmp_path / "recipe.json"
    path.write_text(path.read_text().replace('"steps": 30', '"steps": null'))
    for call in (lambda: read_recipe(tmp_path), lambda: opened(tmp_path)):
        with pytest.raises(RecipeError, match=re.escape(f"{path}: steps must be")):
            call()


def test_what_never_began_may_be_taken_back_and_no_more_than_that():
    none, one = begun(ASKED, []), begun(ASKED, [Key("winning_ticket", 2, 1)])
    assert (none.trials, none.rounds, none.series) == (1, 1, ("winning_ticket",))
    assert (one.trials, one.rounds, one.series) == (2, 3, ("winning_ticket",))
    whole = begun(ASKED, [KEY, Key("random_reinit", 5, 4)])
    assert whole == ASKED


def test_1_and_one_are_the_same_and_true_is_another():
    same = replace(ASKED, optimizer=Part("sgd", lr=1))
    assert refusal(same, replace(ASKED, optimizer=Part("sgd", lr=1.0))) == ""
    assert canonical([1, {"a": 2.0}]) == canonical([1.0, {"a": 2}]) != canonical([True, {"a": 2}])


def test_a_directory_that_is_refused_for_another_reason_does_not_grow(tmp_path):
    """Or the same command as before would be refused, too."""
    with opened(tmp_path) as store:
        store.add(KEY, made_up())
    path = tmp_path / "runs" / KEY.file
    whole = path.read_bytes()
    path.write_bytes(whole[:99])
    with pytest.raises(StoreError, match="cannot be read"):
        opened(tmp_path, trials=9)
    assert read_recipe(tmp_path) == ASKED
    path.write_bytes(whole)
    opened(tmp_path, trials=9).close()
    assert read_recipe(tmp_path) == replace(ASKED, trials=9)


def test_the_order_of_new_series_is_that_of_the_request(tmp_path):
    opened(tmp_path).close()
    asked = ("winning_ticket", "one_shot", "random_reinit")
    with opened(tmp_path, series=asked) as store:
        for series in ("random_reinit", "one_shot"):
            store.add(Key(series, 1, 0), made_up())
    rows = (tmp_path / "results.csv").read_text().splitlines()[1:]
    assert [row.split(",")[1] for row in rows] == list(asked[1:])
    assert read_recipe(tmp_path).series == asked


def test_a_recipe_that_is_the_same_is_not_written_again(tmp_path):
    opened(tmp_path).close()
    path = tmp_path / "recipe.json"
    path.write_text(path.read_text().replace("\n", ""))  # the same to read
    opened(tmp_path).close()
    assert path.read_text().count("\n") == 0


def test_what_is_announced_is_what_is_left(tmp_path, capsys, monkeypatch):
    timed = []
    monkeypatch.setattr(timings, "_timed", lambda *_: timed.append(1) or timings.Cost(100.0, 0.0, 0.0))

    def announced(recipe):
        run.run(recipe, PARTS, tmp_path, data(), Execution(), say=True)
        return capsys.readouterr().out.splitlines()[0]

    assert announced(FEW) == "3 of 3 runs are left. This takes about 5 min with 1 process."
    timed.clear()
    assert announced(FEW) == "All 3 runs are finished: nothing is left to do."
    assert timed == []
    assert announced(replace(FEW, trials=2)) == "3 of 6 runs are left. This takes about 5 min with 1 process."


def test_a_rewind_point_is_kept_from_the_beginning(tmp_path):
    experiment(replace(FEW, rewind_step=4, rounds=1), tmp_path, data())
    with np.load(tmp_path / "runs" / Key(REWIND_POINT, 0, 0).file, allow_pickle=False) as file:
        assert "end" in file.files


# From here on from outside: real processes, real kills.

LITTLE = replace(
    LENET, name="little", net=Part("lenet_300_100", hidden=[30, 10]), steps=100, train_at=(), rounds=2, trials=1,
    series=("winning_ticket", "random_reinit"),
)  # fmt: skip
GROWN = {"series": "winning_ticket,random_reinit,one_shot,fine_tuning", "trials": "2", "rounds": "5"}


def started(*arguments):
    command = [sys.executable, "-m", "npticket", "run", *map(str, arguments), "--jobs", "1"]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="stops a process in the middle of its work")
def test_a_directory_grows_under_kills_and_beside_another_process(tmp_path):
    """By trials, rounds and series, at once or one after the other: torn never, the same in the end."""
    write_json(tmp_path / "little.json", to_json(LITTLE))
    everything = [word for name, value in GROWN.items() for word in (f"--{name}", value)]
    at_once = started(tmp_path / "little.json", *everything, "--out", tmp_path / "at once")
    assert started(tmp_path / "little.json", "--out", tmp_path / "grown").wait(60) == 0
    flags = []
    for names, kill_at in ((["rounds"], 5), (["trials", "series"], 12)):
        flags += [word for name in names for word in (f"--{name}", GROWN[name])]
        process = started(tmp_path / "grown", *flags)
        wait_for_runs(process, tmp_path / "grown", kill_at)
        process.send_signal(signal.SIGSTOP)
        assert len(files(tmp_path / "grown")) < kill_at + 4  # there is something left
        second = started(tmp_path / "grown", *flags)
        _, said = second.communicate(timeout=60)
        assert second.returncode == 2 and said.startswith("error: another process is at work in"), said
        process.kill()
        process.communicate()
        found = read_recipe(tmp_path / "grown")
        again = flags if kill_at == 5 else []  # the same command, or the directory's own recipe alone
        assert started(tmp_path / "grown", *again).wait(60) == 0
        assert read_recipe(tmp_path / "grown") == found
    assert at_once.wait(60) == 0
    assert content(tmp_path / "grown") == content(tmp_path / "at once")
