"""Series: what they ask for, what others take of it, and how a paper adds one of its own."""

import re
from dataclasses import fields, is_dataclass, replace
from functools import partial
from itertools import pairwise
from types import FunctionType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import SMALL, data, experiment

from npticket.cli import main
from npticket.experiments import run
from npticket.experiments.errors import RecipeError
from npticket.experiments.outcome import read_outcome
from npticket.experiments.parts import Experiment, Parts, merged
from npticket.experiments.planning import planned, taken_along
from npticket.experiments.recipe import Part, Recipe
from npticket.experiments.series import REWIND_POINT, Done, Key, Length, Measure, Run, Series, rewind_point
from npticket.papers import LIBRARY, PARTS
from npticket.papers.lottery_ticket import series as lottery
from npticket.papers.lottery_ticket.series import SERIES, ticket
from npticket.prune import dense_masks
from npticket.report.paper import Library, Paper
from npticket.streams import Place

CHAINS = ("winning_ticket", "fine_tuning")


@given(st.integers(1, 5), st.integers(1, 3), st.booleans(), st.sets(st.sampled_from(sorted(SERIES))))
@settings(max_examples=60)
def test_all_runs_are_known_before_the_first_and_wait_only_for_runs_of_their_trial(rounds, trials, late, more):
    names = ("winning_ticket", "fine_tuning", *sorted(more - set(CHAINS)))
    recipe = replace(SMALL, rounds=rounds, trials=trials, rewind_step=4 if late else 0, series=names)
    runs = planned(recipe, PARTS.series)
    expected = {Key(name, r, t) for name in names for r in range(rounds) for t in range(trials)}
    expected -= {Key(name, 0, t) for name in names[1:] for t in range(trials)}
    dense = [name for name in names if name.startswith("dense")]
    expected -= {Key(name, r, t) for name in dense for r in range(rounds) for t in range(trials)}
    expected |= {Key(name, 0, t) for name in dense for t in range(trials)}
    assert set(runs) == expected | {Key(REWIND_POINT, 0, t) for t in range(trials) if late}
    for key, asked in runs.items():
        for stored in asked.given.values():
            assert stored.key in runs and stored.key.trial == key.trial
            assert stored.key.round < key.round or stored.key.series == REWIND_POINT
            assert stored.what in taken_along(runs)[stored.key]


@pytest.mark.parametrize("rewind_step", [0, 4])
def test_what_each_series_takes_along(rewind_step):
    recipe = replace(SMALL, rounds=3, trials=1, series=tuple(SERIES), rewind_step=rewind_step)
    runs = planned(recipe, PARTS.series)

    def given(name, round):
        return {what: (s.key.series, s.key.round, s.what) for what, s in runs[Key(name, round, 0)].given.items()}

    point = {"theta0": (REWIND_POINT, 0, "end")} if rewind_step else {}
    masks = {r: {"masks": ("winning_ticket", r - 1, "next_masks")} for r in (1, 2)}
    assert given("winning_ticket", 0) == {}
    for name in ("winning_ticket", "shuffled", "survivor_reinit", "noise_0.5", "noise_3"):
        assert given(name, 2) == masks[2] | point
    for name in ("random_reinit", "random_reinit_3", "random_mask", "random_mask_2"):
        assert given(name, 2) == masks[2]
    assert given("one_shot", 2) == {"end": ("winning_ticket", 0, "end")} | point
    assert given("one_shot_reinit", 2) == {"end": ("winning_ticket", 0, "end")}
    assert given("fine_tuning", 1) == {"end": ("winning_ticket", 0, "end"), **masks[1]}
    assert given("fine_tuning", 2) == {"end": ("fine_tuning", 1, "end"), "masks": ("fine_tuning", 1, "next_masks")}
    assert given("continued_training", 1) == masks[1] | point
    assert given("continued_training", 2) == {"masks": ("fine_tuning", 1, "next_masks")} | point
    assert given("pruned_at_init", 2) == point
    assert runs[Key("random_mask", 2, 0)].own_masks and not runs[Key("random_reinit", 2, 0)].own_masks
    fresh = ("random_reinit", "random_mask", "one_shot_reinit", "fine_tuning")
    for n in range(2, 6):
        assert given(f"dense_{n}", 0) == {}
        assert (runs[Key(f"dense_{n}", 0, 0)].order, runs[Key(f"dense_{n}", 0, 0)].first_step) == (n - 1, 0)
    for name in (name for name in SERIES if not name.startswith("dense")):
        assert runs[Key(name, 2, 0)].order == 0
        expected = 0 if name.startswith(fresh) else rewind_step
        assert runs[Key(name, 2, 0)].first_step == expected


def compared(value):
    """What is equal of two values of which parts are made anew for each plan; recipes may differ in their rounds."""
    if isinstance(value, partial):
        return compared(value.func), compared(value.args), compared(value.keywords)
    if isinstance(value, FunctionType):
        return (
            value.__code__,
            compared(value.__defaults__),
            [compared(cell.cell_contents) for cell in value.__closure__ or ()],
        )
    if isinstance(value, Recipe):
        return replace(value, rounds=1)
    if is_dataclass(value):
        return type(value), compared({field.name: getattr(value, field.name) for field in fields(value)})
    if isinstance(value, dict):
        return {key: compared(each) for key, each in value.items()}
    return [compared(each) for each in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("name", LIBRARY.published)
def test_more_rounds_leave_the_others_as_they_are(name):
    """Else a directory to which rounds are added would mix two experiments."""
    recipe = replace(LIBRARY.published[name], trials=1)
    most = recipe.rounds + 2  # more than the paper has, too
    plans = [compared(planned(replace(recipe, rounds=n), PARTS.series)) for n in range(1, most + 1)]
    for fewer, more in pairwise(plans):
        assert {key: more.get(key) for key in fewer} == fewer


def test_what_others_take_along():
    wanted = taken_along(
        planned(replace(SMALL, series=("winning_ticket", "one_shot"), rounds=3, trials=1), PARTS.series)
    )
    assert wanted[Key("winning_ticket", 0, 0)] == {"next_masks", "end"}
    assert wanted[Key("winning_ticket", 1, 0)] == {"next_masks"}
    assert wanted[Key("winning_ticket", 2, 0)] == wanted[Key("one_shot", 2, 0)] == set()


def test_fine_tuning_is_at_the_last_learning_rate_where_there_are_several():
    """At a constant rate it is at the last one anyway, and trains together with the others."""
    drops = replace(SMALL, schedule=Part("step_drops", drops=[[6, 1e-4]]), series=("winning_ticket", "fine_tuning"))
    asked = planned(drops, PARTS.series)[Key("fine_tuning", 1, 0)]
    assert (asked.first_step, asked.lr_at) == (0, 11)
    asked = planned(replace(drops, schedule=SMALL.schedule), PARTS.series)[Key("fine_tuning", 1, 0)]
    assert (asked.first_step, asked.lr_at) == (0, None)


def every_other_round(recipe):
    """A series of somebody's own: the ticket's masks of every second round, the first of them trained twice as long."""
    point = yield from rewind_point(recipe)
    for round in range(2, recipe.rounds, 2):
        left = yield Done("winning_ticket", round - 1)
        yield Run(round, ticket, {"masks": left["next_masks"], **point})


def test_a_series_of_ones_own_is_a_function(tmp_path):
    mine = merged(PARTS, Parts(series={"every_other": Series(every_other_round, "every other round")}))
    recipe = replace(SMALL, rounds=4, series=("winning_ticket", "every_other"))
    outcome = run.run(recipe, mine, tmp_path, data())
    by = {(row["series"], row["round"], row["trial"]): row for row in outcome.results}
    assert [key[1] for key in by if key[0] == "every_other"] == [2, 2]
    for t in range(2):
        ours, theirs = by["every_other", 2, t], by["winning_ticket", 2, t]
        assert ours["early_stop_val_loss"] == theirs["early_stop_val_loss"]  # the same start, masks and minibatches
    with pytest.raises(RecipeError, match="no series 'every_other'"):
        experiment(recipe, tmp_path / "other", data())


def test_a_series_that_waits_for_what_nobody_trains_is_refused():
    def impatient(recipe):
        yield Done("winning_ticket", recipe.rounds)

    mine = merged(PARTS, Parts(series={"impatient": Series(impatient)}))
    with pytest.raises(RecipeError, match="the series impatient needs round 3 of winning_ticket, which does not"):
        planned(replace(SMALL, series=("winning_ticket", "impatient")), mine.series)


MADE_FOR = {
    "frozen_at_init": "the net frozen_lenet",
    "frozen_variant_1": "the net frozen_lenet",
    "frozen_variant_2": "the net frozen_lenet",
    "learned_supermask": "the net supermask_lenet",
    "learned_constants": "the net supermask_lenet",
    "bert_scratch": "the net bert",
    "bert_transfer": "the net bert",
    "below_threshold": "the net lenet_300_100 or lenet_5",
    "to_detection": "the net detector_backbone",
    "precision": "the task detect digits or detect blood cells",
}
CLASSES_ONLY = ("snip", "grasp", "snip_inverted", "grasp_inverted", "layers_at_init", "ticket_path", "mask_path")
DETECTOR = {"net": Part("detector", height=64, width=64, channels=1, classes=10), "task": Part("detect digits")}


@pytest.mark.parametrize("name", sorted(PARTS.series.keys() - {REWIND_POINT, "winning_ticket"}))
def test_a_series_is_planned_for_a_small_network_or_says_what_it_is_made_for(name):
    net = Part("conv_2") if name == "below_threshold" else Part("mlp", hidden=[3])
    recipe = replace(SMALL, net=net, rounds=9, trials=1, series=("winning_ticket", name))
    if name in MADE_FOR:
        wrong = f"the series {name}: it is made for {MADE_FOR[name]}, and the recipe's is '"
        with pytest.raises(RecipeError, match=wrong):
            planned(recipe, PARTS.series)
        return
    while lacking := re.search(r"needs (\w+), which is not among them|$", planning_error(recipe))[1]:
        recipe = replace(recipe, series=(*recipe.series, lacking))
    assert planning_error(recipe) in ("", *(f"the series {n}: it is made for {MADE_FOR[n]}, and the recipe's is 'mlp'"
                                            for n in recipe.series if n in MADE_FOR))  # fmt: skip


def planning_error(recipe):
    try:
        planned(recipe, PARTS.series)
    except RecipeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", CLASSES_ONLY)
def test_what_looks_at_classes_is_not_planned_for_boxes(name):
    with pytest.raises(RecipeError, match=f"the series {name}: it is made for the task classify"):
        planned(replace(SMALL, **DETECTOR, rounds=9, trials=1, series=("winning_ticket", name)), PARTS.series)


def test_a_network_that_a_series_is_not_made_for_is_no_internal_error_and_the_rest_is_kept(tmp_path):
    recipe = replace(SMALL, net=Part("frozen_lenet", hidden=[6, 4]), series=("winning_ticket", "structured_ticket"))
    wrong = "the series structured_ticket cannot be made, in round 1: which units fc1 .* FrozenDense: leave structured"
    with pytest.raises(RecipeError, match=wrong):
        experiment(recipe, tmp_path, data())
    assert read_outcome(tmp_path, PARTS).note.startswith("2 trials of 12 steps")


def test_a_mistake_in_a_start_a_measure_or_a_score_says_in_which_run_it_was(tmp_path):
    def wrong(*_):
        raise KeyError("acc")

    def measuring(recipe):
        left = yield Done("winning_ticket", 1)
        yield Measure(1, wrong, {"masks": left["masks"]})

    def starting(recipe):
        yield Run(1, wrong)

    def scored(recipe):
        left = yield Run(1, ticket, score=wrong)
        yield Run(2, ticket, {"masks": left["next_masks"]})

    for number, series in enumerate((measuring, starting, scored)):
        with pytest.raises(KeyError) as raised:
            alone(series, tmp_path / str(number))
        assert raised.value.__notes__ == ["in round 1 of mine, trial 0"]


DROPS = Part("step_drops", drops=[[6, 3e-4]])


def alone(series, tmp_path, **changes):
    """What an experiment comes to in which a series of one's own stands beside the tickets."""
    mine = merged(PARTS, Parts(series={"mine": Series(series)}))
    return run.run(replace(SMALL, series=("winning_ticket", "mine"), trials=1, **changes), mine, tmp_path, data())


def test_a_stretched_run_has_its_schedule_and_looks_in_proportion(tmp_path):
    def series(recipe):
        yield Run(0, ticket, steps=2 * recipe.steps, stretched=True)
        yield Run(1, ticket, steps=2 * recipe.steps)

    changes = {"schedule": Part("step_drops", drops=[[6, 3e-4]]), "test_at": (6,), "steps": 12}
    outcome = alone(series, tmp_path, **changes)
    assert {row["series"]: row["steps"] for row in outcome.results} == {"winning_ticket": 12, "mine": 24}
    made = Experiment(replace(SMALL, **changes), PARTS)
    masks = dense_masks(made.net.init(Place().rngs("init")))
    stretched, longer = (made.setting("plain", 1, Length(0, 24, None, s)) for s in (True, False))
    rates = [[setting.optimizer(masks).schedule(step) for step in range(24)] for setting in (stretched, longer)]
    assert rates == [[1.2e-3] * 12 + [3e-4] * 12, [1.2e-3] * 6 + [3e-4] * 18]
    mine = [row for row in outcome.curves if row["series"] == "mine" and row["test_acc"] != ""]
    looked = {(row["round"], row["step"]) for row in mine}
    assert {(0, 12), (1, 6)} <= looked and not {(0, 6), (1, 12)} & looked
    assert alone(series, tmp_path, **changes).results == outcome.results  # what was kept can be read back


def test_runs_of_another_length_are_drawn_and_published_with_what_was_looked_at(tmp_path):
    pytest.importorskip("matplotlib")

    def short(recipe):
        yield Run(1, ticket, steps=recipe.steps // 2)

    def stretched(recipe):
        yield Run(0, ticket, steps=2 * recipe.steps, stretched=True)

    series = {"short": Series(short), "stretched": Series(stretched)}
    library = Library((*LIBRARY.papers, Paper("mine", "me", parts=Parts(series=series))))
    recipe = replace(SMALL, name="mine", series=("winning_ticket", *series), trials=2, rounds=2, test_at=(3, 12))
    run.run(recipe, library.parts, tmp_path / "runs", data())
    assert main(["publish", str(tmp_path / "runs"), str(tmp_path / "goal")], library) == 0
    curves = read_outcome(tmp_path / "goal", library.parts).curves
    assert {one: {row["step"] for row in curves if row["series"] == one} for one in series} == {
        "short": {3}, "stretched": {6, 24}
    }  # fmt: skip
    page = (tmp_path / "goal" / "README.md").read_text()
    assert re.search(r"^\| 100\.0 % \| [\d.]+ / [\d.]+ \| +\| - / - \|$", page, re.MULTILINE)


def test_what_a_run_ends_with_is_pruned_by_its_own_score(tmp_path):
    def series(recipe):
        dense = yield Run(0, ticket, score=lambda seen: seen.end)
        left = yield Run(1, ticket, {"masks": dense["next_masks"]}, score=lambda seen: seen.end)
        yield Measure(2, compared, {"masks": left["masks"], "dense": dense["end"], "next": left["next_masks"]})

    def compared(at):
        dense, kept = at.given["dense"]["fc1/W"], at.masks["fc1/W"]
        fewer = at.given["next"]["fc1/W"].sum() / kept.sum()
        return [{"gone": int((~kept).sum()), "highest": dense[~kept].max(), "lowest": dense[kept].min(), "next": fewer}]

    (row,) = alone(series, tmp_path).measured["mine"]
    assert row["gone"] == round(0.2 * 784 * 6)
    assert row["highest"] <= row["lowest"]  # not in absolute value
    assert row["next"] == pytest.approx(0.8, abs=1e-3)


def test_a_score_is_shown_the_same_initial_values_in_every_round(tmp_path):
    """Where tickets are rewound, too; and where a run is pruned by a series and not after its training."""
    seen = []

    def noted(evidence):
        seen.append((evidence.theta0, evidence.start))
        return evidence.end

    def series(recipe):
        point = yield from rewind_point(recipe)
        dense = yield Run(0, ticket, score=noted)
        left = yield Run(1, ticket, {"masks": dense["next_masks"], **point}, score=noted, first_step=4)
        end = {"end": dense["end"], **point}
        yield Measure(2, lambda at: [{"left": at.prune(at.end, at.masks, score=noted).flat.mean()}], end)
        yield Measure(3, lambda at: [{"left": at.masks.flat.mean()}], {"masks": left["next_masks"]})

    alone(series, tmp_path, rewind_step=4, rounds=4)
    (dense, ticket_of_step_4, measured), initial = seen, Experiment(SMALL, PARTS).net.init(Place().rngs("init"))
    assert all((theta0.flat == initial.flat).all() for theta0, _ in seen)
    assert (dense[1].flat == initial.flat).all() and (measured[1].flat == initial.flat).all()
    assert (ticket_of_step_4[1].flat != initial.flat).any()


def test_one_round_of_a_series_is_one_run_or_one_measure():
    def twice(recipe):
        left = yield Run(1, ticket)
        yield Measure(1, lambda at: [], {"masks": left["masks"]})

    with pytest.raises(ValueError, match="the series twice asks for two things in round 1"):
        planned(replace(SMALL, series=("twice",)), {"twice": Series(twice)})


def test_urgent_runs_come_first(tmp_path, monkeypatch):
    order, real = [], run.training.train_runs
    monkeypatch.setattr(
        run.training, "train_runs", lambda *a, **k: order.extend(one.key for one in k["asked"]) or real(*a, **k)
    )
    experiment(replace(SMALL, series=("winning_ticket", "random_reinit"), trials=2), tmp_path, data())
    assert [key.series for key in order[:4]] == ["winning_ticket"] * 4  # on which others wait, before any control
    assert np.all(np.diff([key.round for key in order[:4]]) >= 0)


def test_a_score_that_writes_to_what_it_judges_changes_nothing_that_is_kept(tmp_path):
    def careless(seen):
        seen.end.flat[...] = abs(seen.end.flat)
        return seen.end

    def series(recipe):
        left = yield Run(1, ticket, score=careless)
        lowest = lambda at: [{"lowest": float(at.end["fc1/W"].min())}]  # noqa: E731
        yield Measure(2, lowest, {"masks": left["next_masks"], "end": left["end"]})

    (row,) = alone(series, tmp_path).measured["mine"]
    assert row["lowest"] < 0


def test_series_start_as_they_are_called():
    runs = planned(replace(SMALL, rounds=3, trials=1, series=tuple(SERIES)), PARTS.series)
    same = ("random_reinit", "random_mask", "one_shot", "one_shot_reinit", "shuffled", "survivor_reinit")
    starts = {name: getattr(lottery, name) for name in same} | {
        f"noise_{s:g}": lottery.disturbed(s) for s in (0.5, 1, 2, 3)
    }
    starts |= {
        "winning_ticket": ticket,
        "pruned_at_init": lottery.initial_magnitude,
        "fine_tuning": lottery.trained_on,
        "continued_training": ticket,
    }
    for name, start in starts.items():
        assert compared(runs[Key(name, 2, 0)].start) == compared(start), name
