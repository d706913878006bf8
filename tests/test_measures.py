"""Measures: computed where runs are trained, kept and resumed as these are, with a table of their own."""

import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import ASKED, KEY, MASK, SIZE, made_up, opened, planted
from small import SMALL, data

from npticket.datasets import DataError
from npticket.experiments import measured, run, timings
from npticket.experiments.errors import RecipeError, StoreError
from npticket.experiments.machine import sha256
from npticket.experiments.outcome import read_outcome
from npticket.experiments.parts import Experiment, Parts, merged
from npticket.experiments.planning import planned
from npticket.experiments.planning import trained as training_runs
from npticket.experiments.recipe import Part, scaled
from npticket.experiments.run import Execution
from npticket.experiments.run_files import RunFiles
from npticket.experiments.series import Done, Key, Measure, Run, Series
from npticket.papers import PARTS
from npticket.papers.lottery_ticket.series import ticket
from npticket.reading import UnreadableError, read_npz

TICKETS = replace(SMALL, rounds=2, series=("winning_ticket",))


def layers(at):
    """How many weights each layer has left, and the sum of their initial values and of the dense network's."""
    return [
        {"layer": name, "left": int(at.masks[name].sum())}
        | {"start": float(at.theta0[name].sum()), "end": float(at.end[name].sum())}
        for name in at.prunable
    ]  # fmt: skip


def counted(recipe):
    dense = yield Done("winning_ticket", 0)
    for round in range(recipe.rounds):
        left = yield Done("winning_ticket", round)
        yield Measure(round, layers, {"masks": left["masks"], "end": dense["end"]})


def own(runs):
    return merged(PARTS, Parts(series={"counted": Series(runs)}))


MINE, COUNTED = own(counted), replace(TICKETS, series=("winning_ticket", "counted"))


def measure(recipe, folder, parts=MINE, **execution):
    return run.run(recipe, parts, folder, data(), Execution(**execution))


def test_rows_have_their_trial_and_round_and_runs_are_as_without_them(tmp_path):
    found = measure(COUNTED, tmp_path / "with")
    without = measure(TICKETS, tmp_path / "without")
    rows = found.measured["counted"]
    assert [(row["round"], row["trial"], row["layer"]) for row in rows] == [
        (r, t, name) for r in (0, 1) for t in (0, 1) for name in ("fc1/W", "fc2/W", "out/W")
    ]
    assert [row["left"] for row in rows[:3]] == [784 * 6, 6 * 4, 4 * 10]
    assert [row["left"] for row in rows[6:9]] == [round(784 * 6 * 0.8), round(6 * 4 * 0.8), 36]
    net = Experiment(COUNTED, PARTS).net
    theta0 = net.init([run.training.streams(COUNTED.seed, [1], "init")[0]])
    assert rows[3]["start"] == float(theta0["fc1/W"].sum())
    with np.load(tmp_path / "with" / "runs" / Key("winning_ticket", 0, 1).file, allow_pickle=False) as file:
        assert rows[3]["end"] == float(theta0.like(file["end"][None])["fc1/W"].sum())
    assert found.series == without.series == ["winning_ticket"]
    assert len(found.results) == len(without.results) and found.curves == without.curves
    assert without.measured == {}


def test_in_lock_step_each_is_alone(tmp_path):
    assert measure(COUNTED, tmp_path / "a", lock_step=True).measured == measure(COUNTED, tmp_path / "b").measured


def test_they_are_resumed_and_grow_as_runs_do(tmp_path, trained):
    measure(TICKETS, tmp_path / "grown")
    trained.clear()
    measure(COUNTED, tmp_path / "grown")
    dense, measures = ([Key(name, r, t) for r in rounds for t in (0, 1)]
                       for name, rounds in (("winning_ticket", (0,)), ("counted", (0, 1))))  # fmt: skip
    assert sorted(trained) == sorted(dense + measures)  # whose end nobody had kept
    trained.clear()
    measure(COUNTED, tmp_path / "grown")
    assert trained == []
    (tmp_path / "grown" / "runs" / Key("counted", 1, 0).file).unlink()
    large = replace(COUNTED, rounds=3, trials=3)
    grown = measure(large, tmp_path / "grown")
    new = [Key(name, r, t) for name in large.series for r in range(3) for t in range(3) if r == 2 or t == 2]
    assert sorted(trained) == sorted([*new, Key("counted", 1, 0)])
    assert grown.measured == measure(large, tmp_path / "at once").measured
    tables = [(tmp_path / folder / "counted.csv").read_bytes() for folder in ("grown", "at once")]
    assert tables[0] == tables[1]


def test_what_is_announced_counts_runs_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(timings, "_timed", lambda *_: timings.Cost(100.0, 0.0, 0.0))

    def said():
        run.run(COUNTED, MINE, tmp_path, data(), Execution(), say=True)
        return capsys.readouterr().out.splitlines()

    first = said()
    assert first[0] == "4 of 4 runs are left. This takes about 7 min with 1 process, without 4 measures."
    assert [line.split()[0] for line in first[1:]] == ["winning_ticket"] * 2
    (tmp_path / "runs" / Key("counted", 1, 0).file).unlink()
    assert said() == ["All 4 runs are finished: 1 measure left to make."]
    assert said() == ["All 4 runs are finished: nothing is left to do."]
    assert len(planned(COUNTED, MINE.series)) == 8 and len(training_runs(planned(COUNTED, MINE.series))) == 4


def training(recipe):
    """Two trainings of 5 steps, of another recipe, in the measure of each trial."""
    yield Done("winning_ticket", 0)
    yield Measure(0, lambda at: [{"none": 0}], trains=[replace(scaled(SMALL, 5), data=Part("other"))] * 2)


def test_what_measures_train_is_announced_and_must_have_its_data(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        timings, "_timed", lambda e, *_: timings.Cost(30.0 if e.recipe.data.name == "other" else 60, 0, 0)
    )
    recipe, missing = replace(COUNTED, rounds=1), [DataError("other is nowhere")]

    def other(folder, seed):
        if missing:
            raise missing[0]
        return data()

    parts = merged(own(training), Parts(data={"other": other}))
    with pytest.raises(DataError, match=r"series counted, which .* leave out .* trains on other, too\. other is no"):
        run.run(recipe, parts, tmp_path / "a", data())
    assert not (tmp_path / "a").exists()
    missing.clear()
    found = run.run(recipe, parts, tmp_path / "a", data(), say=True)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "2 of 2 runs are left. This takes about 4 min with 1 process."  # 2 x (60 + 2 x 30) s
    assert found.measured["counted"] == [{"trial": trial, "round": 0, "none": 0} for trial in (0, 1)]
    (tmp_path / "a" / "runs" / Key("counted", 0, 1).file).unlink()
    run.run(recipe, parts, tmp_path / "a", data(), say=True)
    said = capsys.readouterr().out.splitlines()
    assert said == ["All 2 runs are finished: 1 measure left to make. This takes about 60 s with 1 process."]
    missing.append(DataError("other is gone"))
    run.run(recipe, parts, tmp_path / "a", data(), say=True)
    assert capsys.readouterr().out.splitlines() == ["All 2 runs are finished: nothing is left to do."]


def test_masks_that_were_made_anew_are_noticed(tmp_path):
    measure(COUNTED, tmp_path)
    one, other = (tmp_path / "runs" / Key("counted", 1, t).file for t in (0, 1))
    one.write_bytes(other.read_bytes())
    with pytest.raises(StoreError, match=r"counted-round01-trial0\.npz is a copy of counted-round01-trial1\.npz"):
        measure(COUNTED, tmp_path)
    files = RunFiles(tmp_path / "runs", Experiment(COUNTED, MINE), sha256(data()), planned(COUNTED, MINE.series))
    (run, origin), key = files.read(Key("counted", 1, 1)), Key("counted", 1, 0)
    files.write(key, run, origin["given"], origin["machine"])
    with pytest.raises(StoreError, match=r"counted-round01-trial0\.npz has other masks than winning_ticket-round01"):
        measure(COUNTED, tmp_path)


@pytest.mark.parametrize("patient", [True, False])
def test_nobody_can_take_along_what_a_measure_does_not_leave(patient):
    def measures(recipe):
        left = yield Measure(0, layers)
        assert left == {}

    def after(recipe):
        left = yield Done("counted", 0)
        yield Run(1, ticket, {"masks": left["masks"]} if patient else {})

    parts = merged(PARTS, Parts(series={"counted": Series(measures), "after": Series(after)}))
    with pytest.raises(RecipeError, match="the series after needs round 0 of counted, which does not train it"):
        planned(replace(COUNTED, series=("winning_ticket", "counted", "after")), parts.series)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "one row or more"), ([{}], "one row or more"),
        ([{"a": 1}, {"b": 2}], "the same columns: a, got b"), ([{"trial": 1}], "none called trial"),
        ([{"a": [1, 2]}], "single numbers and texts"), ([{"a": None}], "single numbers and texts"),
        ([{"in-degree": 1}], "letters, digits and _, got 'in-degree'"), ([{"größe": 1}], "letters, digits"),
        ([{"a": 1.0}] * (1 << 20) + [{"a": 1.0}] * 200, "rows would take 8,3.*, expected at most 8,388,608"),
        ([{"a": "x\n"}], "cannot be printed"), ([{"a": "1.5"}], "a text of a measure is no number, got '1.5' for a"),
        ([{"a": np.nan}], "the numbers of a measure are finite, those of a are not"),
    ],
)  # fmt: skip
def test_rows_that_are_none_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        measured.as_array(rows)


NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@given(st.data())
def test_whatever_is_not_refused_is_read_again_from_its_file_and_from_the_table(data):
    kinds = data.draw(st.dictionaries(st.text(max_size=5), st.sampled_from([st.text(), NUMBERS, st.floats()])))
    rows = data.draw(st.lists(st.fixed_dictionaries(kinds), min_size=1, max_size=4))
    try:
        array = measured.as_array(rows)
    except (ValueError, OverflowError):
        return
    key = Key("counted", 3, 1)
    with TemporaryDirectory() as folder:
        np.savez(path := Path(folder) / "x.npz", rows=array)
        assert (read_npz(path, {"rows": measured.MOST})["rows"] == array).all()
        (table := Path(folder) / "x.csv").write_bytes(measured.text({key: array}).encode())
        there = [{"trial": 1, "round": 3} | dict(zip(array.dtype.names, row, strict=True)) for row in array.tolist()]
        assert measured.read(table) == there


def test_measures_of_a_series_have_the_same_columns(tmp_path):
    rows = {Key("counted", r, 0): measured.as_array([{name: 1.5}]) for r, name in enumerate("ab")}
    said = "all measures of a series have the same columns: counted-round00-trial0.npz has a, counted-round01-trial0"
    with pytest.raises(ValueError, match=said):
        measured.text(rows)
    with counting(tmp_path) as s:
        for key, array in rows.items():
            if key.round:
                with pytest.raises(StoreError, match=said):
                    s.add(key, {"masks": MASK, "rows": array})
            else:
                s.add(key, {"masks": MASK, "rows": array})
        assert len(s) == 1
    counting(tmp_path).close()


def test_thousands_of_rows_may_be_measured():
    rows = [
        {"layer": "a layer with a name", "unit": i, "degree": i / 7, "start": 0.5, "end": 0.25} for i in range(20_000)
    ]
    assert len(measured.as_array(rows)) == 20_000


GOOD = measured.as_array([{"layer": "fc1/W", "left": 3, "mean": 0.1}, {"layer": "out", "left": 12, "mean": 1e-30}])


def counting(folder):
    return opened(folder, series=(*ASKED.series, "counted"))


def test_the_store_gives_back_what_it_was_given(tmp_path):
    with counting(tmp_path) as s:
        s.add(KEY, made_up())
        s.add(Key("counted", 0, 1), {"masks": MASK, "rows": GOOD})
        s.add(Key("counted", 0, 0), {"masks": MASK, "rows": GOOD[:1]})
    with counting(tmp_path) as s:
        assert (s.load(Key("counted", 0, 1))["rows"] == GOOD).all()
        assert len(s) == 3 and s.holds(Key("counted", 0, 0), "masks")
    assert (tmp_path / "counted.csv").read_text().splitlines() == [
        "trial,round,layer,left,mean", "0,0,fc1/W,3,0.1", "1,0,fc1/W,3,0.1", "1,0,out,12,1e-30",
    ]  # fmt: skip
    assert measured.read(tmp_path / "counted.csv")[2] == {
        "trial": 1, "round": 0, "layer": "out", "left": 12, "mean": 1e-30
    }  # fmt: skip
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": GOOD[:0]}, "one row or more"), ({"rows": np.zeros(3)}, "with named columns"),
        ({"rows": np.zeros(2, [("a", bool)])}, "numbers (?:and|or) texts"), ({"masks": MASK[:1]}, f"not {SIZE} packed"),
        ({"end": np.zeros(SIZE)}, "has the unknown"),
    ],
)  # fmt: skip
def test_a_measure_that_is_damaged_is_refused_by_name_on_its_way_out_and_back(changes, message, tmp_path):
    key, good = Key("counted", 2, 0), {"masks": MASK, "rows": GOOD}
    with counting(tmp_path) as s, pytest.raises(StoreError, match=message):
        s.add(key, good | changes)
    planted(tmp_path / "runs" / key.file, good | changes)
    with pytest.raises(StoreError, match=rf"counted-round02-trial0\.npz( cannot be read)?: .*{message}"):
        counting(tmp_path)
    planted(tmp_path / "runs" / key.file, good)
    counting(tmp_path).close()


def test_a_file_with_objects_is_not_counting(tmp_path):
    counting(tmp_path).close()
    path = tmp_path / "runs" / Key("counted", 0, 0).file
    np.savez(path, masks=MASK, rows=np.array([{"a": 1}], object))
    with pytest.raises(StoreError, match="was changed since it was written"):
        counting(tmp_path)
    np.savez(path, masks=MASK, rows=np.array([{"a": 1}], object))
    with pytest.raises(UnreadableError, match="Python objects, for one, are never read"):
        read_npz(path, {"masks": 9, "rows": 900})


@pytest.mark.parametrize("text", ["", "round,trial,a\n0,0,1\n", "trial,round,a\n0,0\n", "trial,round,a\n0,first,1\n",
                                  "trial,round,a\n0,0,1,2\n", "trial,round,a,a\n0,0,1,2\n", "trial,round\n0,0\0,1\n",
                                  "trial,round,a\n0,0,\xff\n", 'trial,round,a\n0,0,"b',
                                  "trial,round,a\n0,1_0,1\n"])  # fmt: skip
def test_a_table_that_is_none_is_refused_by_name(text, tmp_path):
    path = tmp_path / "counted.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"counted\.csv"):
        measured.read(path)


def test_a_pipe_is_not_waited_for_and_too_large_a_table_is_not_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(ValueError, match=r"pipe\.csv is not a file"):
        measured.read(tmp_path / "pipe.csv")
    (tmp_path / "large.csv").write_text("trial,round,a\n0,0,1\n")
    monkeypatch.setattr(measured.tables, "LARGEST", 9)
    with pytest.raises(ValueError, match=r"large\.csv has 20 bytes, expected at most 9"):
        measured.read(tmp_path / "large.csv")


def test_a_column_of_numbers_has_numbers_alone(tmp_path):
    path = tmp_path / "counted.csv"
    path.write_bytes("\ufefftrial,round,a,b,c,d\n0,0,1,1,1_000,nan\n0,1,2,1.5,2,1\n0,2,3,x,3,1\n".encode())
    rows = measured.read(path)
    assert [row["a"] for row in rows] == [1, 2, 3] and [row["b"] for row in rows] == ["1", "1.5", "x"]
    assert [row["c"] for row in rows] == ["1_000", "2", "3"] and [row["d"] for row in rows] == ["nan", "1", "1"]


def test_a_line_of_a_run_that_there_cannot_be_is_refused(tmp_path):
    measure(COUNTED, tmp_path)
    path = tmp_path / "counted.csv"
    path.write_text(path.read_text().replace("\n1,1,", "\n9,1,", 1))
    with pytest.raises(StoreError, match=r"counted\.csv, line 11: the recipe has 2 trials, from 0 on, and no trial 9"):
        read_outcome(tmp_path, MINE)
