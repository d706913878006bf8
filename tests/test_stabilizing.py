"""Stabilizing the lottery ticket hypothesis (Frankle et al. 2019): distances of ends, against training by hand."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from copies import by_hand, kept
from small import SMALL, data, experiment
from standing import at, wide
from worlds import assert_judged, either_way, with_accuracies

from npticket.experiments.checks import check
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned, trained
from npticket.experiments.recipe import Part
from npticket.experiments.series import Key
from npticket.papers import LIBRARY, PARTS, linear_mode
from npticket.papers.stabilizing import PAPER
from npticket.papers.stabilizing.claims import CLAIMS
from npticket.papers.stabilizing.distances import COPY, ORDER, PRUNING, RANDOM, SERIES, stability
from npticket.papers.stabilizing.recipes import STABILITY
from npticket.params import unpack
from npticket.prune import dense_masks, prune_layerwise
from npticket.report import figures
from npticket.report.claims import UNKNOWN, judge
from npticket.streams import Place
from npticket.tickets import rewind

HALVED = Part("magnitude", scope="globally", rates={"*/W": 0.488})
RECIPE = replace(
    SMALL, name="stabilizing-lenet", prune=HALVED, rewind_step=4, rounds=5, test_at=(), train_at=(), series=SERIES
)
NAMES = {r.name for r in PAPER.published.values()} | {"linear-mode-resnet8-0", "linear-mode-resnet8-800"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("stability")


@pytest.fixture(scope="module")
def outcome(folder):
    return experiment(RECIPE, folder, data())


def test_the_distance_is_that_to_the_dense_weights_of_the_subnetwork_itself():
    net, theta0 = wide()
    dense, rng = theta0.trial(0), np.random.default_rng(0)
    masks, others = (
        prune_layerwise(
            dense.like(rng.normal(size=dense.flat.shape)), dense_masks(dense), dict.fromkeys(dense.weights, 0.5)
        )
        for _ in range(2)
    )
    ends = {COPY: rewind(dense, masks), RANDOM: rewind(dense, others)}
    there = replace(at(net, dense, masks), given={**ends, "random_masks": others, "dense": dense})
    exact = [{"of": name, "distance": 0, "angle": 0} for name in (COPY, RANDOM)]
    assert stability(there) == exact
    survivor = tuple(np.argwhere(masks["fc1/W"])[0])
    ends[COPY]["fc1/W"][survivor] += 2  # and biases count for nothing
    ends[RANDOM]["fc1/b"][...] += 1
    ticket, random = stability(there)
    a, b = (
        np.concatenate([params[name].ravel() for name in dense.weights]).astype(float)
        for params in (ends[COPY], rewind(dense, masks))
    )
    assert ticket["distance"] == pytest.approx(2) and random == exact[1]
    cosine = a @ b / np.sqrt((a @ a) * (b @ b))
    assert ticket["angle"] == pytest.approx(np.degrees(np.arccos(cosine)), rel=1e-4)


def test_the_dense_network_sees_the_minibatches_of_the_subnetworks(outcome, folder):
    """The rounds nearest to the densities: 51.2, 13.4 % and, beyond these, none."""
    net = Experiment(RECIPE, PARTS).net
    theta0 = net.init(Place().rngs("init"))
    point = by_hand(theta0, dense_masks(theta0), 0, 0, first_step=0, steps=4)
    assert sorted({row["round"] for row in outcome.measured[PRUNING]}) == [1, 3]
    for round in (1, 3):
        dense = by_hand(point, dense_masks(theta0), round, 1)
        for name in (COPY, RANDOM):
            masks = unpack(kept(folder, Key(name, round, 0), "masks"), theta0)
            end = by_hand(rewind(point, masks), masks, round, 1)
            squares = sum(
                float(((end[w] - np.where(masks[w], dense[w], 0)) ** 2).sum(dtype=float)) for w in theta0.weights
            )
            (row,) = (r for r in outcome.measured[PRUNING] if (r["of"], r["round"], r["trial"]) == (name, round, 0))
            assert row["distance"] == pytest.approx(np.sqrt(squares), rel=1e-5)


def test_where_nothing_is_pruned_nothing_is_measured():
    runs = planned(replace(RECIPE, prune=Part("magnitude")), PARTS.series)
    assert not any(key.series in ("dense_in_order", PRUNING) for key in runs)


def test_both_distances_are_drawn_against_weights_remaining(outcome, drawn, tmp_path):
    figures.draw(outcome, tmp_path, PAPER.plots)
    order, pruning = drawn["distances"].axes
    for axes in (order, pruning):
        assert [line.get_label() for line in axes.lines] == ["winning ticket", "random mask"]
        assert axes.lines[0].get_xdata() == pytest.approx([51.2, 13.4], abs=0.1)
    rows = [r for r in outcome.measured[PRUNING] if (r["of"], r["round"]) == (RANDOM, 1)]
    assert pruning.lines[1].get_ydata()[0] == pytest.approx(np.mean([row["distance"] for row in rows]))
    rows = [r for r in outcome.measured["mask_path"] if (r["alpha"], r["round"]) == (0, 1)]
    assert order.lines[1].get_ydata()[0] == pytest.approx(np.mean([row["distance"] for row in rows]))


def test_distances_are_drawn_against_the_rewind_step(outcome, drawn, tmp_path):
    sweep = PAPER.sweeps["stabilizing-lenet-step"]
    late = replace(outcome, recipe=replace(RECIPE, rewind_step=8))
    early = replace(outcome, recipe=replace(RECIPE, rewind_step=0))
    (picture,) = sweep.pictures({"8": late, "0": early})
    assert picture.stem == "stabilizing-lenet-step_distances"
    at_last = [row for row in outcome.measured[PRUNING] if (row["of"], row["round"]) == (RANDOM, 3)]
    for axes, column in zip(picture.figure.axes[1:], ("distance", "angle"), strict=True):
        assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "8"]
        assert [line.get_label() for line in axes.lines] == ["winning ticket", "random mask"]
        assert axes.lines[1].get_ydata() == pytest.approx([np.mean([row[column] for row in at_last])] * 2)
    assert picture.figure.axes[0].get_title() == "13.4 % of the weights"
    assert list(sweep.pictures({"0": replace(outcome, measured={})})) == []


def test_series_are_its_own_or_those_of_linear_mode():
    assert set(SERIES) <= PAPER.parts.series.keys() | linear_mode.PAPER.parts.series.keys()


def world(recipe, holds):
    """What a recipe leaves where all is as the paper says, or nothing."""
    lenet, late = recipe.name.startswith(STABILITY.name), recipe.rewind_step > 0
    nearer = 1 - (1 if holds else -1) * recipe.rewind_step / 20_000 if lenet else 1
    apart = 20.7 if holds == (lenet or late) else 100 if lenet else 66
    ends = {COPY: apart, RANDOM: 58.6 if lenet else 66}
    if recipe.name.startswith("stabilizing-resnet18") and not holds:
        ends = {COPY: 20.7, RANDOM: 66}
    pruned = {COPY: 48.1, RANDOM: 75.7} if holds else {COPY: 75.7, RANDOM: 48.1}
    good = {COPY: 0.983, RANDOM: 0.975}
    if not lenet:
        good = {COPY: 0.91 if late == holds else 0.877, RANDOM: 0.88 if holds else 0.89}
    elif not holds:
        good = {COPY: 0.97, RANDOM: 0.98}
    accuracies = {(name, r): good[name] if r else 0.9 for name in ORDER for r in range(recipe.rounds)}
    measured = {name: [] for name in (*ORDER.values(), PRUNING)}
    for (name, round), trial in product(accuracies, range(3)):
        where = {"round": round, "trial": trial}
        measured[ORDER[name]].append({**where, "alpha": 0, **dict.fromkeys(("distance", "angle"), nearer * ends[name])})
        measured[PRUNING].append({**where, "of": name, **dict.fromkeys(("distance", "angle"), nearer * pruned[name])})
    return with_accuracies(recipe, accuracies, measured)


@either_way
def test_every_claim_can_come_out_either_way(holds, status):
    assert_judged(CLAIMS, [world(LIBRARY.published[name], holds) for name in NAMES], status)


def test_claims_about_a_tiny_experiment_are_judged(outcome):
    """At 10.7 % there is no round of these; at that of 13.4 % all could be known."""
    claims = [claim for claim in CLAIMS if claim.recipes == (RECIPE.name,)]
    found = judge(claims, {RECIPE.name: outcome})
    assert {verdict.status for verdict in found} == {UNKNOWN} and len(found) == 8
    near = replace(outcome, results=[{**row, "density": 0.8 * row["density"]} for row in outcome.results])
    assert UNKNOWN not in {verdict.status for verdict in judge(claims, {RECIPE.name: near})}


def test_recipes_are_the_papers_settings_or_affordable():
    for recipe in PAPER.published.values():
        check(recipe, PARTS)
    assert len(trained(planned(STABILITY, PARTS.series))) == 120
    steps = PAPER.sweeps["stabilizing-lenet-step"].recipes
    assert steps["0"] is PAPER.recipes["stabilizing-lenet"] is PAPER.published["stabilizing-lenet"]
    for k, recipe in steps.items():
        assert replace(recipe, name=STABILITY.name, rewind_step=0) == STABILITY and k == f"{recipe.rewind_step:,}"
    resnet, vgg = (LIBRARY.published[f"stabilizing-{name}"] for name in ("resnet18-500", "vgg19-100"))
    assert (resnet.steps, resnet.rewind_step, resnet.optimizer.options["lr"]) == (30_000, 500, 0.1)
    assert (vgg.steps, vgg.rewind_step, vgg.optimizer.options["lr"]) == (112_480, 100, 0.1)
    assert [0.8 ** (r.rounds - 1) for r in (resnet, vgg)] == pytest.approx([0.168, 0.0225], abs=5e-4)
