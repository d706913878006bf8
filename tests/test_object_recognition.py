"""Girish et al. 2021: masks of early training, average precision in parts, and the claims about them."""

import runpy
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from small import experiment
from worlds import assert_judged, either_way, with_accuracies

from npticket import nets
from npticket.cli import demos
from npticket.datasets import Dataset, Split
from npticket.datasets.scenes import scenes
from npticket.detection.loss import assigned
from npticket.experiments import checks, directory
from npticket.experiments.checks import check
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned, trained
from npticket.experiments.recipe import Part, scaled
from npticket.experiments.series import Key, Measure
from npticket.experiments.tables import measured_columns
from npticket.papers import PARTS
from npticket.papers.lottery_ticket.claims.words import MASK, REINIT, TICKET
from npticket.papers.object_recognition import PAPER, transfer
from npticket.papers.object_recognition.claims import ONE_SHOT
from npticket.papers.object_recognition.figures import PENS
from npticket.papers.object_recognition.recipes import ALL, BLOOD, CELLS_160, LAYERWISE, LINES, SCENES, TRANSFER
from npticket.papers.object_recognition.series import (
    CARRIED,
    EARLY,
    EARLY_BIRD,
    OVERLAP,
    PERCENT,
    PRECISION,
    SIZES,
    by_part,
)
from npticket.params import Params, unpack
from npticket.prune import dense_masks
from npticket.report import figures
from npticket.report.claims import UNKNOWN, judge
from npticket.streams import Place, streams
from npticket.tickets import rewind
from npticket.train import fit

DEMO = Path(__file__).parents[1] / "demos" / "detection.py"
RECIPE = replace(
    SCENES, net=SCENES.net.having(filters=2), schedule=Part("constant"), steps=12, batch=8, rounds=3, trials=1,
    validate_every=6,
)  # fmt: skip


def data():
    """Scenes of bars instead of digits."""
    rng = np.random.default_rng(0)
    digits = Split(np.zeros((10, 28, 28), np.uint8), np.arange(10))
    for i, image in enumerate(digits.inputs):
        image[4:24, 5 : 8 + i] = 250
    return Dataset("bars", *(scenes(digits, n, rng) for n in (24, 6, 8)), None, "a test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("detection")


@pytest.fixture(scope="module")
def outcome(folder):
    return experiment(RECIPE, folder, data())


def kept(folder, series, round, what):
    return np.load(folder / "runs" / Key(series, round, 0).file, allow_pickle=False)[what]


def by_hand(steps, masks=None, round=0):
    """Train from theta0; return what is left."""
    made = Experiment(RECIPE, PARTS)
    theta0 = made.net.init(Place().rngs("init"))
    masks = dense_masks(theta0) if masks is None else masks
    setting = replace(made.setting("fast"), steps=steps)
    return fit(made.net, made.task, rewind(theta0, masks), masks, data(), setting, Place(0, [0], round)).end


def masks_by_hand(end, rounds):
    masks = dense_masks(end)
    for _ in range(rounds):
        masks = Experiment(RECIPE, PARTS).rule(end, masks)
    return masks


def test_masks_of_early_training_are_those_of_its_first_steps(outcome, folder):
    last, names = by_hand(12), [n for n in by_hand(1).weights if n != "out/W"]
    for percent, steps in zip(PERCENT, (1, 3, 6, 9), strict=True):
        early = by_hand(steps)
        for round in (1, 2):
            one, other = (
                np.concatenate([masks_by_hand(end, round)[n].ravel() for n in names]) for end in (early, last)
            )
            (row,) = (r for r in outcome.measured[OVERLAP] if (r["round"], r["percent"]) == (round, percent))
            assert row["iou"] == pytest.approx((one & other).sum() / (one | other).sum())
    assert {row["iou"] for row in outcome.measured[OVERLAP] if row["percent"] == 100} == {1}
    bird = unpack(kept(folder, EARLY_BIRD, 2, "masks"), last)
    assert (bird.flat == masks_by_hand(by_hand(6), 2).flat).all(), "trained under those of half of the training"
    assert kept(folder, ONE_SHOT, 2, "density") == kept(folder, EARLY_BIRD, 2, "density")


def test_average_precision_in_parts_is_measured_of_all_tickets(outcome):
    rounds = [row["round"] for row in outcome.measured[PRECISION] if row["of"] == "all"]
    assert rounds == [point.round for point in outcome.points(TICKET)] == [0, 1, 2]


def test_parts_are_sizes_and_classes_that_there_are(monkeypatch):
    """A network that says what the targets say, but nothing of bars of class 3, and has never heard of class 9."""
    bars, last = data(), Experiment(RECIPE, PARTS).net.init(Place().rngs("init"))
    bars.test.targets[bars.test.targets[..., 0] == 9] = -1
    chosen, shows = assigned(bars.test.targets[None].astype(float), 8, 8)
    said = np.full((1, 8, 8, 8, 14), -20.0)
    said[..., :10][shows[..., None] & (chosen[..., :1] == range(10)) & (chosen[..., :1] != 3)] = 20
    sides = np.maximum(chosen[..., 3:] / 8, 0.1)
    cells = np.stack(np.meshgrid(np.arange(8), np.arange(8)), axis=-1) + 0.5
    said[..., 10:] = np.concatenate([chosen[..., 1:3] / 8 + sides / 2 - cells, np.log(sides)], axis=-1)
    net = SimpleNamespace(predict=lambda theta, x: said, output_shape=(8, 8, 14))
    at = SimpleNamespace(net=net, end=last, data=bars)
    assert {row["of"] for row in by_part(at)} & {*SIZES} == {"all"}, "there are fewer than ten of each class and size"
    monkeypatch.setitem(by_part.__globals__, "FEW", 1)
    rows = {row["of"]: row for row in by_part(at)}
    there = {*bars.test.targets[..., 0].ravel()} - {-1}
    assert 3 in there and {name for name in rows if name.startswith("class")} == {f"class {k:.0f}" for k in there}
    for name, row in rows.items():
        if name.startswith("class"):
            assert row["ap"] == row["ap50"] == pytest.approx(float(name != "class 3")), name
    assert rows["all"]["ap"] == pytest.approx(1 - 1 / len(there)) and "small" in rows
    whole = Experiment(RECIPE, PARTS).task.evaluate(lambda x: said, [(None, bars.test.targets[None])])
    assert whole["ap"] == pytest.approx([rows["all"]["ap"]])


def test_it_is_drawn(outcome, drawn, tmp_path):
    figures.draw(outcome, tmp_path, PAPER.plots)
    assert set(drawn) == {"final_precision", "sizes", "masks"}
    assert len(drawn["final_precision"].axes[0].lines) == len(LINES) + 1
    lines = drawn["masks"].axes[0].lines
    densities = [100 * point.density for point in outcome.points(TICKET)]
    assert [line.get_label() for line in lines] == [f"{each:.1f} % of the weights" for each in densities[:0:-1]]
    assert list(lines[0].get_xdata()) == [*PERCENT, 100] and lines[0].get_ydata()[-1] == 1
    assert drawn["sizes"].axes[0].lines[0].get_xdata() == pytest.approx(densities)


def test_legends_say_which_objects_are_small_and_large():
    for name, area in (("small", SIZES["small"][1]), ("large", SIZES["large"][0])):
        assert f"{area**0.5:.0f} x {area**0.5:.0f} pixels" in PENS[name].name


OTHERS = measured_columns(BLOOD)


def test_the_demo_draws_what_its_networks_find(tmp_path, monkeypatch, capsys):
    demo = runpy.run_path(str(DEMO))
    monkeypatch.setattr(demos, "load_data", lambda *_: data())
    flags = ["--trials", "1", "--rounds", "2", "--steps", "3", "--jobs", "1", "--out", str(tmp_path / "out")]
    assert demo["main"](flags) == 0
    said = capsys.readouterr().out
    assert "58.7 %" in said and "test AP there (%)" in said and f"{tmp_path / 'out' / 'boxes.png'}" in said
    assert (tmp_path / "out" / "boxes.png").exists()
    assert directory.is_ours(tmp_path / "out" / "figures"), "so it can be run again"


@pytest.fixture
def small(monkeypatch):
    """The transfer's recipe with a tiny backbone, whose tickets are taken to bars; and squares to tell apart."""
    monkeypatch.setattr(transfer, "CELLS_160", RECIPE)
    for module in (transfer, checks):
        monkeypatch.setattr(module, "load_data", lambda *_: data())
    sides = {"height": 16, "width": 16, "channels": 1, "filters": 2}
    rng = np.random.default_rng(0)
    splits = [Split(rng.integers(0, 256, (n, 16, 16, 1), np.uint8), np.arange(n) % 2) for n in (40, 10, 10)]
    recipe = replace(TRANSFER, net=Part("detector_backbone", classes=2, **sides), schedule=Part("constant"), steps=8,
                     rewind_step=2, batch=8, validate_every=8, trials=1)  # fmt: skip
    monkeypatch.setattr(transfer, "TRANSFER", recipe)
    return recipe, Dataset("squares", *splits, 2, "a test")


def test_a_backbones_ticket_is_taken_to_detection(small, tmp_path, drawn, monkeypatch):
    """Trained backbones, but for the last layer: the whole one's weights, and the ticket with its own."""
    recipe, squares = small
    starts = []

    def noted(net, task, start, masks, *rest):
        starts.append((start, masks))
        assert rest[1].engine == "plain"
        return fit(net, task, start, masks, *rest)

    monkeypatch.setattr(transfer, "fit", noted)
    found = experiment(recipe, tmp_path, squares, engine="plain")
    measures = [run for run in planned(recipe, PARTS.series).values() if isinstance(run, Measure)]
    assert len(starts) == sum(len(run.trains) for run in measures) == 8
    rows = {(row["round"], row["masks"]): row for row in found.measured[CARRIED]}
    assert [*rows] == [(round, masks) for round in (1, 3) for masks in ("all", "direct", "ticket", "random")]
    backbone, there = Experiment(recipe, PARTS), Experiment(RECIPE, PARTS)
    theirs = backbone.net.init(Place().rngs("init"))
    ends = {round: theirs.like(kept(tmp_path, TICKET, round, "end")[None]) for round in (0, 3)}
    masks = unpack(kept(tmp_path, TICKET, 3, "masks"), theirs)
    whole, direct, ticket, random = starts[4:]  # of round 3
    place = Place(int(streams(0, [0], CARRIED, 3)[0].integers(2**31)))
    new = there.net.init(place.rngs("init"))
    for name in new:
        last = name.startswith("out")
        assert name in theirs and (new[name].shape == theirs[name].shape) == (not last)
        assert (whole[0][name] == (new if last else ends[0])[name]).all() and whole[1][name].all()
        assert last or (ticket[1][name] == masks[name]).all()
        assert (ticket[0][name] == ((new if last else ends[3])[name] * ticket[1][name])).all()
        assert ticket[1][name].sum() == random[1][name].sum()
        for start, under in (direct, random):
            assert (start[name] == whole[0][name] * under[name]).all()
    trained = fit(there.net, there.task, *whole, data(), there.setting("plain"), place)
    assert rows[3, "all"]["ap"] == trained["final_test_ap"][0]
    assert (direct[1].flat == masks_by_hand(trained.end, 3).flat).all()
    names = there.rule.scope.names(new)
    assert sum(map(np.sum, map(ticket[1].__getitem__, names))) == sum(map(np.sum, map(direct[1].__getitem__, names)))
    figures.draw(found, tmp_path / "figures", PAPER.plots)
    labels = [line.get_label() for line in drawn["to_detection"].axes[0].lines]
    assert sum(label[0] != "_" for label in labels) == 4
    assert {v.status for v in judge(PAPER.claims, {TRANSFER.name: found})} == {UNKNOWN}, "there is one trial"


def world(recipe, holds):
    """What a recipe leaves where all is as the paper says, or nothing."""
    fifth = {TICKET: 0.4, REINIT: 0.3, MASK: 0.3, ONE_SHOT: 0.42, EARLY_BIRD: 0.42}
    falls = {"small": 0.3, "large": 0.1, "class 2": 0.3, "class 0": 0.1}
    if not holds:
        fifth = {TICKET: 0.3, REINIT: 0.35, MASK: 0.35, ONE_SHOT: 0.28, EARLY_BIRD: 0.2}
        falls = {"small": 0.05, "large": 0.2, "class 2": 0.05, "class 0": 0.2}
    layers = recipe.name == LAYERWISE.name
    precisions, measured = {}, {OVERLAP: [], PRECISION: [], CARRIED: []}
    for name, round in product(LINES, range(6)):
        ap = 0.4 if not round else 0.42 if round == 1 and holds else fifth[name]
        precisions[name, round] = ap + layers * (-0.1 * (round > 1) if holds else 0.1 * (round > 0))
    for round, trial in product(range(6), range(3)):
        where = {"round": round, "trial": trial}
        measured[OVERLAP].append({**where, "percent": 50, "iou": 0.96 if holds else 0.8})
        measured[PRECISION] += [{**where, "of": of, "ap": 0.5 * (1 - f * (round > 0))} for of, f in falls.items()]
        if recipe.name == TRANSFER.name:
            ticket = {True: 0.4 - 0.05 * (round > 1), False: 0.4 - 0.05 * (round < 2)}[holds]
            direct, random = (0.4, 0.3) if holds else (0.34, 0.41)
            aps = {"all": 0.4, "direct": direct, "ticket": ticket, "random": random}
            measured[CARRIED] += [{**where, "masks": n, "ap": ap + trial / 1e5} for n, ap in aps.items()]
    return with_accuracies(recipe, precisions, measured, [0.585**r for r in range(6)], BLOOD)


@either_way
def test_every_claim_can_come_out_either_way(holds, status):
    assert len(PAPER.claims) == 27
    assert_judged(PAPER.claims, [world(recipe, holds) for recipe in PAPER.published.values()], status)


def test_claims_about_a_tiny_experiment_are_judged(outcome):
    found = judge(PAPER.claims, {SCENES.name: outcome})
    assert {verdict.status for verdict in found} == {UNKNOWN}, "there is one trial, and none at a fifth of the weights"


def test_recipes_are_affordable():
    def runs(recipe):
        return len(trained(planned(recipe, PARTS.series)))

    for recipe in PAPER.published.values():
        check(recipe, PARTS)
        assert pytest.approx(0.2, abs=5e-4) == 0.585**3 and recipe.prune.options["rates"]["*/W"] == 0.415
    assert [runs(recipe) for recipe in (SCENES, CELLS_160, LAYERWISE)] == [90, 90, 18]  # a third of 12 are short
    assert runs(TRANSFER) == 3 * (1 + 4)  # of which one is short; and 4 in each of 6 measures
    fewer = scaled(TRANSFER, 200)
    for recipe, steps in ((TRANSFER, CELLS_160.steps), (fewer, CELLS_160.steps // 10)):
        measures = [run for run in planned(recipe, PARTS.series).values() if isinstance(run, Measure)]
        assert [[there.steps for there in run.trains] for run in measures] == [[steps] * 4] * 6
    rule, net = Experiment(TRANSFER, PARTS).rule, Experiment(TRANSFER, PARTS).net
    prunable = rule.scope.names(Params.empty(net.body.layout, 1))
    assert prunable == Experiment(CELLS_160, PARTS).rule.scope.names(Params.empty(nets.detector().body.layout, 1))
    assert set(SCENES.series) == set(ALL) >= set(EARLY.values())


def test_a_class_with_few_objects_of_a_size_is_left_out_of_that_size():
    bars, last = data(), Experiment(RECIPE, PARTS).net.init(Place().rngs("init"))
    targets = np.full((8, 4, 5), -1, np.float32)
    targets.reshape(-1, 5)[:15] = [(0, 5, 5, 10, 10)] * 12 + [(0, 5, 5, 30, 30)] * 3  # twelve small and three large
    nothing = np.full((1, 8, 8, 8, 14), -20.0)
    net = SimpleNamespace(predict=lambda theta, x: nothing, output_shape=(8, 8, 14))
    test = Split(bars.test.inputs, targets)
    found = by_part(SimpleNamespace(net=net, end=last, data=replace(bars, test=test)))
    assert {row["of"] for row in found} == {"all", "small", "class 0"}
