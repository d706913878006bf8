"""Tickets of pre-trained encoders (Chen et al. 2020): where each series starts, and a tiny experiment end to end."""

import runpy
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tiny_bert
from hypothesis import given
from hypothesis import strategies as st
from small import experiment
from worlds import assert_judged, either_way, with_accuracies

from npticket.datasets import trec
from npticket.experiments import announcements
from npticket.experiments.parts import Experiment, Parts, load_data, merged
from npticket.experiments.planning import planned
from npticket.experiments.recipe import Part
from npticket.experiments.series import At, Key, Measure
from npticket.nets import Encoder, Sizes
from npticket.papers import LIBRARY, PARTS
from npticket.papers.bert_tickets import PAPER, other_tasks
from npticket.papers.bert_tickets.claims import CLAIMS
from npticket.papers.bert_tickets.figures import losses, matrix
from npticket.papers.bert_tickets.other_tasks import OTHERS, ROUND, TRANSFER, carried
from npticket.papers.bert_tickets.recipes import LATE, RECIPES, TREC
from npticket.papers.bert_tickets.scope import GloballyOfAll
from npticket.papers.bert_tickets.series import RANDOM, SCRATCH, SHUFFLED, from_scratch, shuffled
from npticket.papers.lottery_ticket.draws import permuted, redrawn, scattered
from npticket.papers.lottery_ticket.series import TICKET, mask_shuffled
from npticket.params import Params, unpack
from npticket.prune import Rule, dense_masks, magnitude
from npticket.report import figures
from npticket.report.claims import UNKNOWN, judge
from npticket.streams import Place, streams
from npticket.task import CLASSIFY
from npticket.testing.strategies import scored
from npticket.tickets import rewind
from npticket.train import fit


@given(scored(), st.sampled_from([0.1, 0.25, 0.3]))
def test_a_fraction_of_all_weights_goes_each_round(case, rate):
    """As many whatever is left, or all, from among the lowest of all layers, in each trial."""
    scores, masks = case
    scope, go = GloballyOfAll({"*/W": rate}), round(rate * scores.flat.shape[1])
    found = scope(scores, masks)
    assert (found.flat <= masks.flat).all()
    alive = masks.flat.sum(axis=1)
    assert (alive - found.flat.sum(axis=1) == np.minimum(go, alive)).all()
    for t in range(masks.trials):
        gone = scores.flat[t][masks.flat[t] & ~found.flat[t]]
        assert gone.max(initial=-1) <= scores.flat[t][found.flat[t]].min(initial=np.inf)


def test_nine_rounds_leave_ten_per_cent_and_the_next_nothing():
    """All are pruned after their last round, too, so that an experiment can grow."""
    theta = Params({"a/W": (10, 7), "b/W": (30,)}, np.random.default_rng(0).normal(size=(2, 100)))
    masks, rule = dense_masks(theta), Rule(magnitude, GloballyOfAll({"*/W": 0.1}))
    for round in range(1, 12):
        masks = rule(theta, masks)
        assert (masks.flat.sum(axis=1) == max(0, 100 - 10 * round)).all()


def test_the_recipes_are_as_said():
    assert list(RECIPES) == ["bert-trec", "bert-sst2", "bert-subj", "bert-trec-late"] and LATE.rewind_step == 46
    for recipe in RECIPES.values():
        net = Experiment(recipe, PARTS).net
        layout = Params.empty(net.body.layout, 1, bool)
        names = Experiment(recipe, PARTS).rule.scope.names(layout)
        assert len(names) == 3 * 6 and sum(layout[name].size for name in names) == 5_308_416
        assert net.output_shape == (net.body.layout["out/W"][1],) and recipe.batch == 32
    runs = planned(TREC, PARTS.series)
    assert sum(isinstance(run, Measure) for run in runs.values()) == 3
    assert len(runs) == 3 * (10 + 3 * 3 + 1)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A tiny encoder's recipe, whose other task is its own: so that it can be done again by hand."""
    monkeypatch.setenv("NPTICKET_DATA", str(tmp_path))
    monkeypatch.setattr(other_tasks, "OTHERS", {"trec": ["trec"]})
    monkeypatch.setattr(other_tasks, "TASKS", {"trec": (6, tiny_bert.KEPT)})
    sha, _ = tiny_bert.write(tmp_path)
    options = {"weights": tiny_bert.WEIGHTS, "sha256": sha, "text": "trec", "classes": 6, "pieces": tiny_bert.KEPT}
    net = Part("bert", **options, length=10, called="tiny", **tiny_bert.SIZES)
    schedule = Part("linear_decay", steps=12, warmup=1)
    return replace(TREC, net=net, data=Part("trec", length=10), schedule=schedule, optimizer=Part("adamw", lr=0.01),
                   steps=12, batch=20, rounds=7, trials=2, validate_every=12)  # fmt: skip


def at(recipe, masks=None):
    made = Experiment(recipe, PARTS)
    theta0 = made.net.init(streams(0, [0], "init"))
    masks = dense_masks(theta0) if masks is None else masks
    return At(made.net, made.task, trec(length=10), made.rule, 5, theta0, masks, {}, streams(0, [0], "x", 5), theta0)


def half(recipe):
    """Where a run at half of the weights stands."""
    where = at(recipe)
    masks = where.masks
    for _ in range(5):
        masks = where.prune(where.theta0, masks)
    return replace(where, masks=masks)


def test_where_controls_start(small):
    for start, same_masks in ((mask_shuffled, False), (from_scratch, True), (shuffled, True)):
        where, all_of = half(small), redrawn(half(small), permuted)
        values, masks = start(where)
        assert (masks.flat == where.masks.flat).all() == same_masks
        for name in where.theta0:
            mask, there, here = masks[name], where.theta0[name], values[name]
            assert mask.sum() == where.masks[name].sum() and not here[~mask].any()
            if start is mask_shuffled:
                assert (here[mask] == there[mask]).all()
            elif start is shuffled:
                assert (
                    sorted(all_of[name].ravel()) == sorted(there.ravel()) and (here[mask] == all_of[name][mask]).all()
                )
                assert (here[mask] == there[mask]).all() == (name not in where.prunable)
            elif name.endswith(("W", "table")):
                assert (here[mask] != there[mask]).all() and abs(here[mask]).max() < 0.1
            else:
                assert (here == name.endswith("scale")).all()


def test_a_ticket_is_carried_to_another_task(small):
    where = half(small)
    rows = carried(where, small)
    assert [(row["task"], row["masks"]) for row in rows] == [("trec", "ticket"), ("trec", "random")]
    again = half(small)
    seed = int(again.rngs[0].integers(2**31))
    theta0 = again.net.init(Place(seed).rngs("init"))
    for row, masks in zip(rows, (again.masks, scattered(again)), strict=True):
        setting = Experiment(small, PARTS).setting("fast")
        found = fit(again.net, CLASSIFY, rewind(theta0, masks), masks, again.data, setting, Place(seed))
        assert row["acc"] == found["final_test_acc"][0]


def test_it_is_said_what_a_measure_trains(small, monkeypatch):
    fits = []

    def noted(net, task, start, masks, data, setting, place):
        fits.append((data.name, setting.steps))
        return fit(net, task, start, masks, data, setting, place)

    monkeypatch.setattr(other_tasks, "fit", noted)
    (measure,) = (run for run in planned(replace(small, trials=1), PARTS.series).values() if isinstance(run, Measure))
    measure.of(half(small))
    assert fits == [(load_data(there, PARTS).name, there.steps) for there in measure.trains] and len(fits) == 2


def test_a_tiny_experiment_end_to_end(small, tmp_path):
    found = experiment(small, tmp_path / "run", trec(length=10))
    assert found.title == "tiny on TREC"
    points = {series: found.points(series) for series in found.series}
    assert [point.round for point in points[TICKET]] == list(range(7))
    for series in (RANDOM, SCRATCH, SHUFFLED):
        assert [point.round for point in points[series]] == [3, 6]
    total = sum(np.prod(s) for n, s in Encoder(Sizes(17, length=10, **tiny_bert.SIZES)).layout.items() if "W" in n)
    layers, out = total, 8 * 6
    for point in points[TICKET]:
        kept = layers - point.round * round(0.1 * layers) + out
        assert point.density == pytest.approx(kept / (layers + out))
    file = np.load(tmp_path / "run/runs/winning_ticket-round06-trial0.npz", allow_pickle=False)
    masks = unpack(file["masks"], at(small).theta0)
    assert masks["out/W"].all() and masks["words/table"].all()
    notes = {one.picture.stem: one.note for one in figures.drawn(found, PAPER.plots)}
    assert notes.keys() == {"pretrained", "transfer"}
    assert notes["pretrained"].endswith("line: mean, band: min-max")
    assert notes["transfer"].endswith("point: mean, bar: min-max")
    verdicts = {v.claim.id: v for v in judge(PAPER.claims, {"bert-trec": found})}
    assert verdicts["bert-trec-to-sst2"].status == UNKNOWN and verdicts["bert-trec-late"].status == UNKNOWN
    assert LIBRARY.plots(TREC) == PAPER.plots and merged(PAPER.parts, Parts()) == PAPER.parts


def world(recipe, holds):
    """What a recipe leaves where all is as the paper says, or nothing."""
    good = {TICKET: 0.918, RANDOM: 0.83, SCRATCH: 0.80, SHUFFLED: 0.82}
    if not holds:
        late = 0.02 if recipe is LATE else 0
        good = {TICKET: 0.89 + late, RANDOM: 0.90, SCRATCH: 0.91, SHUFFLED: 0.90}
    accuracies = {(s, r): acc for s, acc in good.items() for r in (range(10) if s == TICKET else (3, 6, 8))}
    accuracies |= {(TICKET, 0): 0.92, (TICKET, 9): 0.85 if holds else 0.93}
    carried_over = []
    for trial, task, masks in product(range(3), OTHERS[recipe.data.name], ("ticket", "random")):
        acc = (0.90 if (masks == "ticket") == holds else 0.88) + trial / 1e5 * (masks == "ticket")
        carried_over.append({"trial": trial, "round": ROUND, "task": task, "masks": masks, "acc": acc})
    return with_accuracies(recipe, accuracies, {TRANSFER: carried_over}, [1 - r / 10 for r in range(10)])


def test_the_matrix_shows_what_is_lost_under_whose_mask():
    """In percent: whole encoders reach 92, their own tickets 91.8; carried masks 90 and, at random, 88."""
    of_tasks = PAPER.sweeps["bert"].recipes
    outcomes = {name: world(recipe, True) for name, recipe in of_tasks.items()}
    cells = losses({outcome.recipe.data.name: outcome for outcome in outcomes.values()})
    tasks = ("trec", "sst2", "subj")
    assert cells.keys() == set(product((*tasks, "random"), tasks))
    for (of, task), values in cells.items():
        assert len(values) == (6 if of == "random" else 3)  # of two other tasks
        assert values.mean() == pytest.approx({task: -0.2, "random": -4}.get(of, -2), abs=0.02)
    (picture,) = matrix(outcomes)
    texts = [text.get_text() for text in picture.figure.axes[0].texts]
    assert len(texts) == 12 and texts[0] == "-0.2\n(-0.2 to -0.2)" and texts[-1] == "-4.0\n(-4.0 to -4.0)"
    some = dict([*outcomes.items()][:2])
    assert len(losses({outcome.recipe.data.name: outcome for outcome in some.values()})) == 6
    assert [*matrix({})] == []


@either_way
def test_every_claim_can_come_out_either_way(holds, status):
    assert len(CLAIMS) == 24
    assert_judged(CLAIMS, [world(recipe, holds) for recipe in RECIPES.values()], status)


def test_the_demo_runs_from_end_to_end(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(LIBRARY.recipes, "bert-trec", small)
    monkeypatch.setattr(announcements, "time_needed", lambda *_: "This takes no time.")
    demo = runpy.run_path(str(Path(__file__).parents[1] / "demos/bert_trec.py"))
    assert demo["main"](["--quick", "--jobs", "1", "--out", str(tmp_path / "demo")]) == 0
    said = capsys.readouterr().out
    assert "tiny on TREC" in said and "Words that matter" in said
    assert (tmp_path / "demo/words.png").stat().st_size > 10_000
    net, where = Experiment(small, PARTS).net, at(small)
    question = where.data.test.inputs[-1]
    words = question[question != 0]
    found = demo["matters"](net, where.theta0, question, 2)
    for i in range(1, len(words) - 1):
        rest = net.predict(where.theta0, np.delete(words, i)[None, None])[0, 0]
        whole = net.predict(where.theta0, words[None, None])[0, 0]
        expected = (np.exp(whole) / np.exp(whole).sum() - np.exp(rest) / np.exp(rest).sum())[2]
        assert found[i - 1] == pytest.approx(expected, abs=1e-5)


def test_new_values_are_as_wide_as_before_pre_training(small):
    where = half(small)
    values, masks = from_scratch(where)
    drawn = np.concatenate([values[name][masks[name]] for name in values if name.endswith(("W", "table"))])
    assert drawn.std() == pytest.approx(0.02, rel=0.1)


def test_series_start_as_they_are_called(small):
    runs = planned(replace(small, trials=1), PARTS.series)
    starts = {RANDOM: mask_shuffled, SCRATCH: from_scratch, SHUFFLED: shuffled}
    assert {name: runs[Key(name, 3, 0)].start for name in starts} == starts
