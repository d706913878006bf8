"""What cannot have been measured is refused: in a run's file, on its way out and back, and in a line of a table."""

import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest
from planted import ASKED, KEY, KNOWN, made_up, opened, planted
from small import SMALL, data, experiment

from npticket import cli
from npticket.experiments.errors import StoreError
from npticket.experiments.limits import AllLimits
from npticket.experiments.outcome import read_outcome
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned
from npticket.experiments.series import Key
from npticket.experiments.table_checks import check_tables
from npticket.experiments.tables import curves_measured, result_columns
from npticket.papers import PARTS
from npticket.report import figures
from npticket.task import ACCURACY, CLASSIFY, LOSS, Metric

IMPOSSIBLE = {  # of each column of results.csv, what no run can have
    "trial": (-1, 5, 99), "round": (-1, 6), "series": ("luck", "", "rewind_point"),
    "density": (-0.1, 1.1, np.nan, np.inf, 0.5), "early_stop_step": (0, 15, 10, 40), "steps": (20, 40, 0),
    "seconds": (-1.0, np.nan, np.inf), "early_stop_val_loss": (-1.0, np.nan, np.inf, 0.9, 1.1),
    "early_stop_test_acc": (7.5, -0.1, np.nan, 0.6), "final_test_acc": (7.5, -0.1, np.nan, 0.5),
    "final_train_acc": (7.5, -0.1, np.nan), "best_train_acc": (7.5, -0.1, np.nan, 0.9),
}  # fmt: skip
CURVES = {
    "train_loss": (-1.0, np.nan, np.inf), "val_loss": (-1.0, 0.5, np.nan, np.inf), "val_acc": (7.5, -0.1, np.nan),
    "test_acc": (7.5, -0.1),
}  # fmt: skip
UNSEEN = {("density", 0.5)}  # in a table, which has no masks


def cases(impossible):
    return [pytest.param(name, value, id=f"{name}={value}") for name in impossible for value in impossible[name]]


def test_every_column_has_its_impossible_values():
    assert set(IMPOSSIBLE) == set(result_columns(CLASSIFY)) and set(CURVES) == set(curves_measured(CLASSIFY))


@pytest.mark.parametrize(("name", "value"), [c for c in cases(IMPOSSIBLE) if c.values[0] not in KEY._fields])
def test_a_number_that_cannot_be_is_refused_on_its_way_out_and_back(name, value, tmp_path):
    with opened(tmp_path) as s, pytest.raises(StoreError, match=r"trial1\.npz: .*; delete it to train this run again"):
        s.add(KEY, made_up(**{name: value}))
    planted(tmp_path / "runs" / KEY.file, made_up(**{name: value}))
    with pytest.raises(StoreError, match=r"trial1\.npz: .*; delete it"):
        opened(tmp_path)
    planted(tmp_path / "runs" / KEY.file, made_up())
    opened(tmp_path).close()


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize(("name", "value"), cases(CURVES))
def test_so_is_one_in_a_curve(name, value, at, tmp_path):
    values = made_up()[name].copy()
    values[at] = value
    with opened(tmp_path) as s, pytest.raises(StoreError, match=r"trial1\.npz: "):
        s.add(KEY, made_up(**{name: values}))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("at_steps", [5, 20, 30], "at_steps are not the recipe's 3"), ("at_steps", [10, 20, 40], "at_steps are not"),
        ("at_steps", [-1, 20, 30], "at_steps are not"), ("at_steps", [30, 20, 10], "at_steps are not"),
        ("test_acc", [0.1, 0.5, 0.4], "or there alone"), ("test_acc", [np.nan, 0.5, np.nan], "not there, or"),
        ("test_acc", [np.nan, np.nan, 0.4], "not there, or"), ("test_acc", [np.nan, 0.5, 0.3], "final_test_acc is not"),
    ],
)  # fmt: skip
def test_curves_are_the_recipes_and_go_with_the_results(name, value, message, tmp_path):
    with opened(tmp_path) as s, pytest.raises(StoreError, match=message):
        s.add(KEY, made_up(**{name: np.array(value)}))


@pytest.fixture
def table(tmp_path):
    """A directory with two runs in its tables, and what changes a field of the second."""
    with opened(tmp_path) as s:
        s.add(KEY._replace(trial=0), made_up())
        s.add(KEY, made_up())
    assert len(read_outcome(tmp_path, KNOWN).results) == 2

    def change(file, line, **fields):
        with open(tmp_path / file, newline="") as lines:
            rows = list(csv.DictReader(lines))
        rows[line - 2] |= fields
        with open(tmp_path / file, "w", newline="") as lines:
            writer = csv.DictWriter(lines, rows[0])
            writer.writeheader()
            writer.writerows(rows)

    return tmp_path, change


@pytest.mark.parametrize(("name", "value"), [case for case in cases(IMPOSSIBLE) if case.values not in UNSEEN])
def test_a_row_that_was_edited_is_refused_by_its_line(name, value, table):
    folder, change = table
    change("results.csv", 3, **{name: value})
    with pytest.raises(StoreError, match=r"(results|curves).csv, line (3|5|6|7)"):
        read_outcome(folder, KNOWN)


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [(5 + at, *case.values) for at in (0, 1, 2) for case in cases(CURVES)]
    + [(5, "trial", 9), (5, "trial", 0), (5, "round", 7), (5, "series", "luck"), (6, "step", 15), (6, "step", 10),
       (6, "step", 40), (7, "test_acc", ""), (6, "test_acc", 0.6), (7, "test_acc", 0.41)],
)  # fmt: skip
def test_so_is_a_line_of_the_curves(line, name, value, table):
    folder, change = table
    change("curves.csv", line, **{name: value})
    with pytest.raises(StoreError, match=rf"curves.csv, line {line}: "):
        read_outcome(folder, KNOWN)


def test_what_is_there_twice_is_refused(table):
    folder, _ = table
    for name, last in (("results.csv", 4), ("curves.csv", 8)):
        path = folder / name
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join([*lines, lines[-1]]))
        with pytest.raises(StoreError, match=rf"{name}, line {last}: the (run|step) is there twice"):
            read_outcome(folder, KNOWN)
        path.write_text("".join(lines))


def test_show_verify_and_figures_say_the_line_and_nothing_else(table, capsys, monkeypatch):
    folder, change = table
    change("results.csv", 3, early_stop_test_acc=7.5)
    monkeypatch.setattr(cli.LIBRARY, "parts", KNOWN)
    for command in ("show", "verify", "figures"):
        assert cli.main([command, str(folder)]) == 2
        said = capsys.readouterr()
        assert said.out == "" and f"{folder}" in said.err
        assert "results.csv, line 3: early_stop_test_acc is 7.5, expected 0 to 1" in said.err


def test_damaged_tables_beside_their_runs_are_made_anew_by_the_same_command(table):
    folder, change = table
    change("results.csv", 3, early_stop_test_acc=7.5)
    again = "the same command, run again, makes the tables anew"
    with pytest.raises(StoreError, match=again):
        read_outcome(folder, KNOWN)
    shutil.rmtree(folder / "runs")  # as in what was published
    with pytest.raises(StoreError, match=r"expected 0 to 1$"):
        read_outcome(folder, KNOWN)


def test_rows_of_one_table_alone_are_no_error(table):
    """A kill may come between the two."""
    folder, _ = table
    for name, keep in (("results.csv", 2), ("curves.csv", 4)):
        path = folder / name
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[:keep]))
        assert read_outcome(folder, KNOWN).results
        path.write_text("".join(lines))


@pytest.mark.parametrize("line", [5, 6, 7])
def test_a_line_that_is_lost_is_noticed(line, table):
    """Or a figure would have curves that are not as long as each other."""
    folder, _ = table
    lines = (folder / "curves.csv").read_text().splitlines(keepends=True)
    (folder / "curves.csv").write_text("".join(lines[: line - 1] + lines[line:]))
    with pytest.raises(StoreError, match=r"curves.csv: winning_ticket-round00-trial\d lacks some of its validations"):
        read_outcome(folder, KNOWN)


def test_what_is_published_passes(tmp_path):
    """Of its curves only some are kept, in five digits."""
    found = experiment(replace(SMALL, series=("winning_ticket", "random_reinit")), tmp_path, data())
    small = figures.compact(found, figures.DEFAULT)
    assert 0 < len(small.curves) < len(found.curves)
    asked = Experiment(found.recipe, PARTS)
    check_tables(asked, small.results, small.curves, {})
    row = next(row for row in small.curves if row["test_acc"] != "" and row["step"] == 12)
    worse = [other | {"test_acc": 0.99} if other is row else other for other in small.curves]
    with pytest.raises(ValueError, match=r"test_acc 0\.99 at step 12 is not final_test_acc"):
        check_tables(asked, small.results, worse, {})


def test_series_that_nobody_knows_here_are_held_to_the_recipe(table):
    folder, change = table
    assert read_outcome(folder, replace(KNOWN, series={})).results
    change("results.csv", 3, final_train_acc=7.5)
    with pytest.raises(StoreError, match=r"results.csv, line 3: final_train_acc is 7\.5"):
        read_outcome(folder, replace(KNOWN, series={}))


def test_runs_that_begin_or_end_elsewhere_are_held_to_their_own_steps():
    late = replace(SMALL, rewind_step=4, series=("winning_ticket", "random_reinit"))
    asked = Experiment(late, PARTS)
    for runs in (planned(late, PARTS.series), {}):
        limits = AllLimits(asked, runs)
        assert list(limits[Key("rewind_point", 0, 0)].at_steps) == [3, 4]
        assert list(limits[Key("random_reinit", 1, 0)].at_steps) == [3, 5, 10, 12]
    assert list(AllLimits(asked, planned(late, PARTS.series))[Key("winning_ticket", 1, 0)].at_steps) == [5, 10, 12]


def test_a_measure_says_its_range():
    assert (ACCURACY.least, ACCURACY.most, LOSS.least) == (0, 1, 0)
    free = Metric("score", "score", "score")
    task = replace(CLASSIFY, metrics=(LOSS, free))
    limits = AllLimits(Experiment(ASKED, replace(KNOWN, tasks={"classify": task})), {})[KEY]
    row = {"density": 1.0, "early_stop_step": 20, "early_stop_val_loss": 1.0, "early_stop_test_score": -7.5,
           "final_test_score": 99.0, "final_train_score": -3.0, "best_train_score": 8.0, "steps": 30}  # fmt: skip
    assert limits.wrong_result(row) == ""
    assert limits.wrong_result(row | {"best_train_score": -3.1}) == "best_train_score -3.1 is worse than the final -3.0"
    assert "expected a finite number" in limits.wrong_result(row | {"final_test_score": np.nan})
    error = replace(CLASSIFY, metrics=(LOSS, replace(free, lower_is_better=True)))
    limits = AllLimits(Experiment(ASKED, replace(KNOWN, tasks={"classify": error})), {})[KEY]
    assert limits.wrong_result(row) == "best_train_score 8.0 is worse than the final -3.0"
    assert limits.wrong_result(row | {"best_train_score": -3.1}) == ""
    loss = replace(CLASSIFY, metrics=(LOSS,))
    limits = AllLimits(Experiment(ASKED, replace(KNOWN, tasks={"classify": loss})), {})[KEY]
    row = {"early_stop_step": 20, "steps": 30, "final_train_loss": 1.0, "best_train_loss": 0.5}
    assert limits.wrong_result(row) == ""
    assert "worse than the final" in limits.wrong_result(row | {"best_train_loss": 1.5})  # the lowest is the best
