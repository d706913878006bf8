"""Tables, verdicts and summaries, on results made up so that the right answer is known; and papers put together."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import worlds

from npticket.experiments import tables as columns
from npticket.experiments.amounts import percent
from npticket.experiments.outcome import Outcome
from npticket.experiments.parts import Parts
from npticket.experiments.recipe import Part, Recipe
from npticket.experiments.series import Series
from npticket.papers.lottery_ticket.series import SERIES
from npticket.report import prose
from npticket.report.claims import Claim
from npticket.report.figures import DEFAULT
from npticket.report.paper import Library, Paper
from npticket.report.sweeps import Sweep
from npticket.report.tables import header, row, tables, verdict
from npticket.task import CLASSIFY, LOSS, Metric

TICKET, REINIT = BOTH = ("winning_ticket", "random_reinit")
RECIPE = Recipe("net-data", "a figure", Part("net"), Part("data"), Part("adam"), Part("magnitude"), 60, 5_000, 6, BOTH)
DETECT = replace(CLASSIFY, metrics=(LOSS, Metric("iou", "mean IoU", "IoU")))


def rows(series, round, density, stops, accuracies, steps=5000):
    """Result rows of one round, one per trial."""
    each = enumerate(zip(accuracies, stops, strict=True))
    return [worlds.row(t, series, round, density, acc, stop, steps=steps) for t, (acc, stop) in each]


RESULTS = [
    *rows(TICKET, 0, 1.0, [4000, 4400], [0.980, 0.978]),  # mean 4,200 and 97.90 %
    *rows(TICKET, 1, 0.5, [2000, 2200], [0.982, 0.981]),  # fastest: 2,100, half; +0.25 points
    *rows(TICKET, 2, 0.25, [3000, 3000], [0.984, 0.983]),  # best: 98.35 %, +0.45
    *rows(TICKET, 3, 0.125, [4100, 4200], [0.981, 0.978]),  # smallest; trial 0 is slower than its dense net
    *rows(TICKET, 4, 0.06, [4600, 4000], [0.990, 0.990]),  # accurate but slower
    *rows(TICKET, 5, 0.03, [4000, 4000], [0.979, 0.978]),  # fast but less accurate
    *rows(REINIT, 1, 0.5, [4200, 4200], [0.979, 0.979]),
    *rows(REINIT, 3, 0.125, [5000, 4130], [0.970, 0.970]),
]
CURVES = [
    {"trial": t, "series": series, "round": round, "step": step, "test_acc": acc + t / 50}
    for series, shift in ((TICKET, 0), (REINIT, -0.1))
    for round in (0, 1)
    for t in (1, 0)  # whatever the order of the rows
    for step, acc in ((10, 0.5 + shift + round / 10), (20, ""), (30, 0.7 + shift + round / 10))
    if acc != ""
]


def outcome(results=RESULTS, curves=(), test_at=(), task=CLASSIFY, known=SERIES, **changes):
    recipe = replace(RECIPE, test_at=test_at, **changes)
    return Outcome(recipe, {}, results, curves, "A net on data", "2 trials; reduced", task, known)


def at_the_end(results):
    return outcome(results, test_at=(5_000,))


def test_the_verdict_says_how_small_how_fast_how_accurate_and_against_reinit():
    text = verdict(outcome())
    assert "There are winning tickets (mean over 2 trials), down to 12.5 % of the weights" in text
    assert "with at least its test accuracy there" in text
    assert "in 1 of 2 trials, each against its own dense network" in text
    assert "50.0 %: early stop after 2,100 steps, the dense network after 4,200 (-50 %)" in text
    assert "25.0 %: 98.35 % on the test set, the dense network 97.90 % (+0.45 percentage points)" in text
    assert "random reinit   50.0 %: 2.00 times the ticket's steps, -0.25 percentage points against the ticket" in text
    assert "12.5 %: at least 1.10 times the ticket's steps, -0.95 percentage points against the ticket so far" in text


ERROR = replace(CLASSIFY, metrics=(LOSS, replace(CLASSIFY.headline, name="err", words="error", lower_is_better=True)))


def errors(results=RESULTS):
    """The same networks, if an error is measured instead of the accuracy."""
    renamed = [{name.replace("_acc", "_err"): value for name, value in row.items()} for row in results]
    return [{name: 1 - v if name.endswith("_err") else v for name, v in row.items()} for row in renamed]


@pytest.mark.parametrize("test_at", [(), (5_000,)])
def test_where_lower_is_better_the_same_networks_win(test_at):
    def facts(text):
        """Densities, steps and counts: all numbers but the amounts, which have two decimals."""
        return re.findall(r"(?<![\d.+-])\d+\.\d %|[\d,]+ steps|\d of \d|[\d.]+ times", text)

    accuracies = verdict(outcome(test_at=test_at))
    lower = verdict(outcome(errors(), test_at=test_at, task=ERROR))
    assert facts(lower) == facts(accuracies) != [] and "There are winning tickets" in lower
    assert test_at or ("with at most its test error there" in lower and "(-0.45 percentage points)" in lower)


def test_where_lower_is_better_a_run_cut_short_has_at_most_that():
    short = [row | {"steps": int(row["early_stop_step"] / 0.95)} if row["round"] == 1 else row for row in RESULTS]
    bound = next(line for line in tables(outcome(errors(short), task=ERROR)).splitlines() if line.startswith("    1 "))
    assert (bound.count("≥"), bound.count("≤")) == (1, 1)  # early stop, and the error there


@pytest.mark.parametrize(
    ("more", "bounds"),
    [
        ("50", "≤"),
        ("50 - winning_ticket 100", "≤-"),
        ("100 - winning_ticket 50", "≥+"),
        ("100 / winning_ticket 50", "≥"),
    ],
)
def test_in_prose_too_what_is_lower_in_longer_trainings_is_at_most_that(more, bounds):
    short = [row | {"steps": int(row["early_stop_step"] / 0.95)} if row["round"] == 1 else row for row in RESULTS]
    cut, whole = ({"": outcome(errors(rows), task=ERROR)} for rows in (short, RESULTS))
    asked = f"winning_ticket {more}"
    assert prose.number("at_early_stop", asked, cut).startswith(bounds)
    assert prose.number("at_early_stop", asked, whole)[0] in "+-0123456789"


def test_the_verdict_admits_that_there_is_none():
    without = [row for row in RESULTS if row["round"] not in (1, 2, 3)]
    assert "No winning ticket here: of 2 pruned networks none" in verdict(outcome(without))
    assert "only the dense network" in verdict(outcome(RESULTS[:2]))


def test_the_verdict_is_about_rounds_that_are_there_in_all_trials():
    def without(*runs):  # of trial 1
        return [row for row in RESULTS if row["trial"] == 0 or (row["series"], row["round"]) not in runs]

    for at_fixed_steps in (False, True):
        judged = at_the_end if at_fixed_steps else outcome
        late = [(TICKET, round) for round in (3, 4, 5)]
        assert "down to 25.0 % of the weights" in verdict(judged(without(*late)))
        assert verdict(judged(without(*late))) == verdict(
            judged([row for row in RESULTS if (row["series"], row["round"]) not in late])
        )
        assert "random reinit" not in verdict(judged(without((REINIT, 1), (REINIT, 3))))
        text = verdict(judged(without(*((TICKET, round) for round in range(1, 6)))))
        assert text == "No verdict: no pruned network is there in all of them yet (2 trials)."
        others = [row for row in RESULTS if row["series"] == REINIT]
        assert verdict(judged(others)) == "No verdict: the dense network is not trained yet."


def test_runs_cut_short_cannot_win_and_a_dense_one_cut_short_leaves_nothing_to_compare_with():
    dense_short = [row | {"steps": 4400} if row["round"] == 0 else row for row in RESULTS]
    assert verdict(outcome(dense_short)).startswith("Too short for a verdict: the dense network's")
    assert "in the last tenth of its 4,400 steps" in verdict(outcome(dense_short))
    tickets_short = [row | {"steps": row["early_stop_step"]} if row["round"] else row for row in RESULTS]
    assert "No winning ticket here" in verdict(outcome(tickets_short))


def test_what_is_read_at_the_early_stop_of_a_run_cut_short_is_printed_as_a_bound():
    short = [row | {"steps": int(row["early_stop_step"] / 0.95)} if row["round"] == 1 else row for row in RESULTS]
    lines = tables(outcome(short)).splitlines()
    whole = next(line for line in lines if line.startswith("    0 "))
    bound = next(line for line in lines if line.startswith("    1 "))
    assert (whole.count("≥"), bound.count("≥")) == (0, 2)  # early stop and accuracy there, not that at the end
    assert row(outcome(short), [TICKET], 1).count("≥") == 2


def test_the_verdict_at_the_end_counts_accuracy_alone():
    text = verdict(at_the_end(RESULTS))
    assert "down to 6.0 % of the weights" in text  # 99.0 %, slow as it is; at 3 % it has 97.85 %, the dense one 97.90
    assert "after 5,000 steps the dense network has a test accuracy of 97.90 %" in text
    worse = verdict(at_the_end([row for row in RESULTS if row["round"] in (0, 5)]))
    assert "No winning ticket here" in worse and "at 3.0 % of the weights, 97.85 %" in worse
    beside = verdict(at_the_end([row for row in RESULTS if row["round"] in (0, 3)]))
    assert "12.5 %: 97.95 %, random reinit 97.00 %" in beside
    assert "only the dense network" in verdict(at_the_end(RESULTS[:2]))


def test_rows_align_with_the_header():
    found = outcome()
    line, names = row(found, BOTH, 1), header(found, BOTH).splitlines()
    assert names[0].split() == ["winning", "ticket", "random", "reinit"]
    assert len(line) == len(names[1]) == 100
    assert line.split() == [
        "1", "50.0", "%", "2,100", "(2,000-2,200)", "98.15", "(98.10-98.20)",
        "4,200", "(4,200-4,200)", "97.90", "(97.90-97.90)",
    ]  # fmt: skip
    assert row(found, BOTH, 2) == row(found, BOTH[:1], 2)  # nothing where there is none


def test_rows_at_fixed_steps_align_with_their_header():
    found = outcome(curves=CURVES, test_at=(10, 30))
    line, (above, _, names) = row(found, BOTH, 1), header(found, BOTH).splitlines()
    assert line.split() == ["1", "50.0", "%", "61.00", "81.00", "51.00", "71.00"]
    assert len(names) == len(line) and names.endswith(" 30") and above == "test acc. (%) after these steps"


def test_tables_are_as_wide_as_a_hundred_characters_or_the_terminal(monkeypatch):
    long = [row | {"early_stop_step": 10 * row["early_stop_step"], "steps": 50_000} for row in RESULTS]
    for wide, is_whole in ((80, False), (120, True)):
        monkeypatch.setenv("COLUMNS", str(wide))
        found = outcome(long, steps=50_000)
        lines = [*header(found, BOTH).splitlines(), row(found, BOTH, 1)]
        assert len(lines[1]) == len(lines[2]) and len(lines[1]) <= max(wide, 100)
        assert ("(20,000-22,000)" in lines[2]) == is_whole and "21,000" in lines[2]
        assert max(map(len, tables(found).splitlines())) <= max(wide, 100) and "(20,000-22,000)" in tables(found)


def test_the_tables_of_an_outcome_have_every_series_and_its_note():
    lines = tables(outcome()).splitlines()
    assert lines[0] == "net-data: A net on data; 2 trials; reduced"
    assert [line for line in lines if line.isidentifier()] == list(BOTH)
    assert [name.strip() for name in re.split("  +", lines[3])] == [
        "round", "weights", "early stop at step", "test acc. there (%)", "test acc. at the end", "train acc.", "runs",
    ]  # fmt: skip
    line = next(line for line in lines if line.startswith("    1"))
    assert line.split() == [
        "1", "50.0", "%", "2,100", "(2,000-2,200)", "98.15", "(98.10-98.20)", "98.15", "(98.10-98.20)", "100.00", "2",
    ]  # fmt: skip


def test_other_tasks_and_series_are_reported_in_their_own_words():
    renamed = [
        {name.replace("acc", "iou"): value for name, value in row.items()} | {"series": row["series"][7:]}
        for row in RESULTS
    ]
    known = {"_ticket": Series(SERIES[TICKET].runs, "filter"), "reinit": Series(SERIES[TICKET].runs)}
    other = outcome(renamed, task=DETECT, known=known, series=("_ticket", "reinit"))
    assert "best IoU        25.0 %: 0.9835 on the test set, the dense network 0.9790 (+0.0045)\n" in verdict(other)
    assert "There are filters" in verdict(other) and "  reinit          50.0 %: 2.00 times" in verdict(other)
    assert "test IoU there " in tables(other) and "0.9815 (0.9810-0.9820)" in tables(other)
    text = verdict(replace(other, recipe=replace(other.recipe, test_at=(5_000,))))
    assert "the dense network has a test mean IoU of 0.9790." in text


@pytest.mark.parametrize(("density", "text"), [(1, "100.0 %"), (0.2111, "21.1 %"), (0.0026, "0.26 %")])
def test_percent_prints_densities_as_the_paper_does(density, text):
    assert percent(density) == text


def test_what_is_measured_at_fixed_steps_is_gathered_by_round_and_trial():
    found = outcome(curves=CURVES).tested_at(10, TICKET)
    assert list(found) == [0, 1]
    np.testing.assert_allclose(found[1], [0.6, 0.62])
    not_tested = [row | {"test_acc": ""} if row["step"] == 10 else row for row in CURVES]
    for step, curves in ((20, CURVES), (10, not_tested)):
        with pytest.raises(KeyError, match=f"not looked at after {step} steps of winning_ticket"):
            outcome(curves=curves).tested_at(step, TICKET)


def test_draws_of_one_control_are_summarised_together_in_order():
    found = outcome([
        *rows("random_reinit_2", 1, 0.5, [30, 40], [0.3, 0.4]),
        *rows(REINIT, 1, 0.5, [10, 20], [0.1, 0.2]),
        *rows("noise_2", 1, 0.5, [1, 2], [0.5, 0.6]),
    ], series=("random_reinit", "random_reinit_2", "noise_2"))  # fmt: skip
    (point,) = found.points(REINIT)
    assert point["early_stop_step"].tolist() == [10, 20, 30, 40]
    assert point.trial.tolist() == [0, 1, 0, 1]
    assert point.trials == 2
    assert found.points("noise_2")[0]["early_stop_test_acc"].tolist() == [0.5, 0.6]
    assert found.series == ["random_reinit", "noise_2"]


DENSE_2 = rows("dense_2", 0, 1.0, [4800, 4400], [0.980, 0.978])  # later in trial 0, else the same


def test_several_dense_networks_of_a_trial_are_put_together():
    found = outcome([*DENSE_2, *RESULTS], series=(*BOTH, "dense_2"))
    assert found.series == list(BOTH)
    dense, *tickets = found.points(TICKET)
    assert dense["early_stop_step"].tolist() == [4000, 4400, 4800, 4400]
    assert (dense.trial.tolist(), dense.trials) == ([0, 1, 0, 1], 2)
    assert dense.per_trial(dense["early_stop_step"]).tolist() == [4400, 4400]
    assert [point.trial.tolist() for point in tickets] == [[0, 1]] * 5
    assert next(line for line in tables(found).splitlines() if line.startswith("    0")).split()[-1] == "4"


def test_the_verdict_compares_each_trial_with_the_mean_of_its_dense_networks():
    results = [row | {"steps": 10_000} for row in [*DENSE_2, *RESULTS] if row["round"] < 4]
    text = verdict(outcome(results, series=(*BOTH, "dense_2")))
    assert "50.0 %: early stop after 2,100 steps, the dense network after 4,400 (-52 %)" in text
    # At 12.5 % trial 0 stops after 4,100 steps, one of its dense networks after 4,000, both in the mean after 4,400.
    assert "down to 12.5 % of the weights" in text
    assert "in 2 of 2 trials, each against its own dense network" in text


def test_curves_are_gathered_by_run_with_gaps_as_nan():
    steps, acc = outcome(curves=CURVES).curve(TICKET, 1, "test_acc")
    assert steps.tolist() == [10, 30]
    np.testing.assert_allclose(acc, [[0.6, 0.8], [0.62, 0.82]])
    gap = [row | {"test_acc": ""} if row["step"] == 10 else row for row in CURVES]
    values = outcome(curves=gap).curve(TICKET, 1, "test_acc")[1]
    assert np.isnan(values).tolist() == [[True, False], [True, False]]
    with pytest.raises(KeyError, match="no curves of winning_ticket in round 7"):
        outcome(curves=CURVES).curve(TICKET, 7, "test_acc")


def test_results_are_read_back_as_they_were_written(tmp_path):
    names = columns.result_columns(CLASSIFY)
    (tmp_path / "results.csv").write_text(columns.text(names, RESULTS))
    assert columns.read(tmp_path / "results.csv", names) == RESULTS


RESULT_COLUMNS = ",".join(columns.result_columns(CLASSIFY))


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,b\n1,2\n", "has the columns"), (RESULT_COLUMNS + "\n0,winning_ticket,x" + ",0" * 8 + "\n", "line 2")],
)
def test_damaged_results_are_refused_by_name(tmp_path, text, message):
    (tmp_path / "results.csv").write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        columns.read(tmp_path / "results.csv", columns.result_columns(CLASSIFY))
    assert "results.csv" in str(error.value)


def test_reports_speak_of_no_task_and_no_paper():
    allowed = r"label=|set_[xy]label|get_legend_handles_labels"
    unwanted = r"\blabels?\b|accurac|\bclasses\b|winning.ticket|random.reinit|npticket\.papers"
    for path in (Path(__file__).parents[1] / "npticket" / "report").glob("*.py"):
        assert not re.search(unwanted, re.sub(allowed, "", path.read_text()), re.IGNORECASE), path.name


TINY, ALONE = replace(RECIPE, name="tiny", series=("small",)), replace(RECIPE, series=(TICKET,))
SMALL = Paper("small", "Somebody (2020)", {"tiny": TINY}, Parts(series={"small": SERIES[TICKET]}))
OF_TICKET = Parts(series={TICKET: SERIES[TICKET]})
CLAIM = Claim(("tiny",), "an-id", "so it is", "Fig 1", lambda v: v, "a number", "{:.2f}")
SWEEP = Sweep("sizes", "Figure 2", "size", {"1": replace(ALONE, name="sizes-1")})


def test_a_library_has_what_its_papers_bring_and_draws_it_as_they_do():
    ours = (*DEFAULT, *DEFAULT)
    big = Paper("big", "Else (2021)", {RECIPE.name: ALONE}, OF_TICKET, {"sizes": SWEEP}, [CLAIM], ours)
    library = Library((SMALL, big))
    assert list(library.parts.series) == ["small", TICKET, "rewind_point"]
    assert library.parts.published == library.published
    assert list(library.recipes) == ["tiny", RECIPE.name] and list(library.sweeps) == ["sizes"]
    assert list(library.published) == ["tiny", RECIPE.name, "sizes-1"]
    assert library.claims == [CLAIM]
    drawn = {name: library.plots(recipe) for name, recipe in library.published.items()}
    assert drawn == {"tiny": DEFAULT, RECIPE.name: ours, "sizes-1": ours}
    assert library.plots(replace(ALONE, name="my own")) == ours  # by its first series
    assert library.plots(replace(RECIPE, name="my own", series=("unheard of",))) == DEFAULT


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Paper("small", ""), "two papers called small"),
        (Paper("b", "", SMALL.recipes), "two recipes called tiny"),
        (Paper("b", "", {}, Parts(series=SMALL.parts.series)), "two series called small"),
        (Paper("b", "", {}, Parts(tasks={"classify": DETECT})), "two tasks called classify"),
        (Paper("b", "", {}, Parts(), {"tiny": SWEEP}), "two recipes or sweeps called tiny"),
        (Paper("b", "", {}, Parts(), {"a": SWEEP, "b": SWEEP}), "two recipes called sizes-1"),
        (
            Paper("b", "", {"sizes-1": replace(RECIPE, name="sizes-1", steps=9)}, Parts(), {"a": SWEEP}),
            "two recipes called sizes-1",
        ),
        (Paper("b", "", claims=[CLAIM, CLAIM]), "two claims called an-id"),
        (Paper("b", "", {"other": RECIPE}), f"b: the recipe {RECIPE.name} stands under the name other"),
        (Paper("b", "", {RECIPE.name: RECIPE}, OF_TICKET), f"b: the recipe {RECIPE.name} has the series random_reinit"),
        (Paper("b", "", claims=[replace(CLAIM, recipes=("tyni",))]), "the claim an-id is about tyni, which is no rec"),
    ],
)
def test_names_in_a_library_are_those_of_one_thing(other, message):
    with pytest.raises(ValueError, match=message):
        Library((SMALL, other))


def test_a_sweep_may_take_in_a_recipe_of_its_paper():
    alone = SWEEP.recipes["1"]
    paper = Paper("b", "", {alone.name: alone}, OF_TICKET, {"a": SWEEP})
    assert Library((SMALL, paper)).published == {**SMALL.recipes, alone.name: alone}


NEW_PAPER = """
from npticket.experiments.parts import Parts
from npticket.report.paper import Paper
from npticket.papers.lottery_ticket.series import SERIES

PAPER = Paper("new", "Somebody (2030)", parts=Parts(series={"newest": SERIES["winning_ticket"]}))
"""


def test_a_new_paper_is_one_new_file(tmp_path):
    here = Path(__file__).parents[1]
    shutil.copytree(here / "npticket", tmp_path / "npticket", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "npticket" / "papers" / "a_new_one.py").write_text(NEW_PAPER)
    code = "from npticket.papers import *; print(*(p.key for p in LIBRARY.papers), *PARTS.series)"
    out = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(tmp_path)}, text=True,
                         capture_output=True, check=True, cwd=tmp_path).stdout  # fmt: skip
    assert out.startswith("lottery_ticket new ")
    assert {"newest", TICKET, "rewind_point"} <= set(out.split())
