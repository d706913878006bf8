"""Linear mode connectivity (Frankle et al. 2020): lines, instability and copies against what is computed by hand."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from copies import RECIPE, by_hand, kept
from hypothesis import given
from hypothesis import strategies as st
from small import data, experiment
from standing import at
from worlds import assert_judged, either_way, with_accuracies

from npticket import nets
from npticket.datasets import Dataset, Split
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned, trained
from npticket.experiments.recipe import Part
from npticket.experiments.series import Key
from npticket.papers import LIBRARY, PARTS
from npticket.papers.linear_mode import PAPER, RESNET_20, instability
from npticket.papers.linear_mode.claims import CLAIMS
from npticket.papers.linear_mode.figures import against_k
from npticket.papers.linear_mode.instability import KINDS, TICKETS
from npticket.papers.lottery_ticket.measures import apart, rounds_near
from npticket.papers.lottery_ticket.series import TICKET
from npticket.params import unpack
from npticket.prune import density
from npticket.report import figures
from npticket.report.claims import UNKNOWN, judge
from npticket.streams import Place, streams
from npticket.testing.strategies import seeds, thetas
from npticket.tickets import rewind

alphas = st.integers(2, 7)


# Lines and what lies on them


@given(thetas(np.float32), alphas, seeds)
def test_a_line_begins_and_ends_with_the_two_networks_and_is_straight(case, points, seed):
    _, theta = case
    one, other = theta.trial(0), theta.trial(0).copy()
    other.flat[...] = np.random.default_rng(seed).normal(size=other.flat.shape)
    line = instability.between(one, other, points)
    assert line.trials == points
    assert line.flat[0].tobytes() == one.flat[0].tobytes() and line.flat[-1].tobytes() == other.flat[0].tobytes()
    for i in range(points):
        expected = one.flat[0] + i / (points - 1) * (other.flat[0] - one.flat[0])
        np.testing.assert_allclose(line.flat[i], expected, rtol=1e-4, atol=1e-5)


def two_ends():
    net = nets.lenet_300_100(hidden=(6, 4))
    return net, *(net.init(streams(0, [trial], "init")) for trial in (0, 1))


def test_errors_on_the_line_are_those_of_one_network_after_the_other():
    net, one, other = two_ends()
    there, noise = at(net, one), data()
    there = replace(there, data=noise, given={"one": one, "other": other})
    rows = instability.path(there)
    assert [row["alpha"] for row in rows] == pytest.approx([i / 29 for i in range(30)])
    for row in rows[::7]:
        alpha = np.float32(row["alpha"])
        theta = one.like((1 - alpha) * one.flat + alpha * other.flat)
        for split, error in ((noise.test, "test_error"), (noise.train, "train_error")):
            wrong = 0
            for image, target in zip(split.inputs, split.targets, strict=True):
                y = net.predict(theta, (image / np.float32(255))[None, None].astype(np.float32))
                wrong += int(y[0, 0].argmax() != target)
            assert row[error] == pytest.approx(wrong / len(split))
    assert len({(row["distance"], row["angle"]) for row in rows}) == 1


def test_instability_is_the_highest_error_minus_the_mean_of_the_ends():
    def rows(*errors):
        points = ({"alpha": i / 3, "test_error": e, "train_error": 2 * e} for i, e in enumerate(errors))
        return list(points)[::-1]  # in any order

    assert instability.instability(rows(0.02, 0.9, 0.5, 0.04)) == pytest.approx(87)  # 90 - (2 + 4) / 2
    assert instability.instability(rows(0.02, 0.01, 0.02, 0.02)) == 0
    assert instability.instability(rows(0.02, 0.03, 0.03, 0.04)) == pytest.approx(1)  # the worse end is 1 above both


def test_distance_and_angle_are_those_of_weights_alone():
    _, one, other = two_ends()
    for params in (one, other):
        params.flat[...] = 0
    one["fc1/W"][0, 0, 0], other["fc2/W"][0, 0, 0] = 3, 4
    one["fc1/b"][...] = 7
    assert apart(one, other) == (5, pytest.approx(90))
    other["fc1/W"][0, 0, 0] = 3 * 4 / np.sqrt(3)  # tan 30 degrees = 4 / (3 x), x = 4 / sqrt 3
    other["fc2/W"][0, 0, 0] = 4
    assert apart(one, other)[1] == pytest.approx(30)


@given(thetas(), seeds, st.floats(0.1, 10))
def test_distance_and_angle_are_symmetric_and_the_angle_knows_no_scale(case, seed, factor):
    _, theta = case
    one, other = theta.trial(0), theta.trial(0).copy()
    other.flat[...] = np.random.default_rng(seed).normal(size=other.flat.shape)
    distance, angle = apart(one, other)
    assert apart(other, one) == (pytest.approx(distance), pytest.approx(angle))
    assert apart(one, one.like(factor * one.flat))[1] == pytest.approx(0, abs=1e-6)
    assert apart(one, other.like(factor * other.flat))[1] == pytest.approx(angle)
    assert apart(one, one.like(-one.flat))[1] == pytest.approx(180)


def test_of_a_split_at_most_so_many_are_shown_evenly_spread():
    split = Split(np.arange(40).reshape(10, 4).astype(np.uint8), np.arange(10))
    assert instability.spread(split, 10).targets.tolist() == [*range(10)]
    assert instability.spread(split, 5).targets.tolist() == [0, 2, 4, 6, 8]
    assert instability.spread(split, 4).targets.tolist() == [0, 3, 6, 9]
    assert (instability.spread(split, 4).inputs[:, 0] == [0, 12, 24, 36]).all()


def images(n=40):
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, n))
    return Dataset("noise", split, split, split, classes=10, source="a test", shift=-0.5)


def test_statistics_are_made_anew_of_training_examples_and_nothing_else_is_touched(monkeypatch):
    monkeypatch.setattr(instability, "BATCHES", 3)
    net, noise = nets.resnet(8, 2), images()
    line = instability.between(*(net.init(streams(0, [trial], "init")) for trial in (0, 1)), 2)
    before = line.copy()
    instability.renew_statistics(net, line, noise)
    mean = np.zeros(2)
    for i in range(3):  # batches of 32 of 40 examples: from the first one again after the last
        x = (noise.train.inputs[np.arange(32 * i, 32 * i + 32) % 40] / np.float32(255) - np.float32(0.5))[None]
        y = net.body.layers["conv"].forward({"W": before["conv/W"][:1]}, x)[0]
        mean += 0.1 * (y.mean(axis=(0, 1, 2, 3)) - mean)
    np.testing.assert_allclose(line["norm/running_mean"][0], mean, rtol=1e-3, atol=1e-6)
    for name in line:
        assert (line[name] == before[name]).all() == (name not in line.buffers)
    alone = before.trial(1).copy()
    instability.renew_statistics(net, alone, noise)
    assert alone.flat.tobytes() == line.trial(1).flat.tobytes()


@pytest.mark.parametrize(("net", "calls"), [(nets.resnet(8, 1), [3]), (nets.lenet_300_100(hidden=(6, 4)), [])])
def test_every_network_on_the_line_has_statistics_of_its_own(net, calls, monkeypatch):
    monkeypatch.setattr(instability, "POINTS", 3)
    renewed = []
    monkeypatch.setattr(instability, "renew_statistics", lambda net, line, data: renewed.append(line.trials))
    theta = net.init(streams(0, [0], "init"))
    instability.path(replace(at(net, theta), data=images() if calls else data(), given={"one": theta, "other": theta}))
    assert renewed == calls


def test_of_what_statistics_were_before_less_than_a_hundredth_is_left():
    assert 0.9**instability.BATCHES < 0.01


def test_rounds_are_those_nearest_to_the_densities():
    recipe = LIBRARY.published["linear-mode-lenet-0"]
    assert rounds_near(recipe, instability.DENSITIES) == [0, 3, 8, 10]
    assert rounds_near(replace(recipe, rounds=18), instability.DENSITIES) == [0, 3, 8, 10, 17]
    assert rounds_near(replace(RECIPE, rounds=9), instability.DENSITIES) == [0, 1, 2, 3]
    assert rounds_near(replace(recipe, prune=Part("magnitude")), instability.DENSITIES) == [0]


@given(st.integers(0, 14_000))
def test_copies_differ_from_the_ticket_in_nothing_but_the_order_of_minibatches(k):
    recipe = LIBRARY.published["linear-mode-lenet-0"]
    recipe = replace(recipe, rewind_step=k, trials=1, series=(TICKET, *instability.ALL, "dense_in_order"))
    runs, known = planned(recipe, PARTS.series), PARTS.series

    def of(series, round):
        """A run without its order, with the arrays that it takes along from the first copy instead of the ticket."""
        run = runs[Key(series, round, 0)]
        named = {Key(TICKET, r, 0): Key("ticket_order_1", r, 0) for r in range(recipe.rounds)}
        taken = {name: one._replace(key=named.get(one.key, one.key)) for name, one in run.given.items()}
        return replace(run, given=taken, order=0)

    for kind in KINDS:
        assert known[f"{kind}_order_1"].stream == known[f"{kind}_order_2"].stream
        for round in {key.round for key in runs if key.series == f"{kind}_order_2"}:
            assert of(f"{kind}_order_2", round) == of(f"{kind}_order_1", round)
            assert {runs[Key(f"{kind}_order_{n}", round, 0)].order for n in (1, 2)} == {1, 2}
    for round in range(0 if k == 0 else 1, recipe.rounds):  # in round 0 the ticket trains up to the rewind step, too
        assert of("ticket_order_1", round) == of(TICKET, round)
    in_order = {key.round: runs[key].order for key in runs if key.series == "dense_in_order"}
    for round, order in in_order.items():  # as the first copy of the dense network, with that round's minibatches
        assert replace(of("dense_in_order", round), round=0) == of("ticket_order_1", 0) and order == 1


# Copies, in a tiny experiment


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("copies")


@pytest.fixture(scope="module")
def outcome(folder):
    return experiment(RECIPE, folder, data())


@pytest.mark.parametrize(("kind", "round"), [("ticket", 0), ("ticket", 1), ("reinit", 1), ("mask", 1)])
def test_copies_start_from_the_same_and_are_trained_in_other_orders(kind, round, outcome, folder):
    net = Experiment(RECIPE, PARTS).net
    theta0 = net.init(Place().rngs("init"))
    everything = theta0.like(np.ones_like(theta0.flat, bool))
    point = by_hand(theta0, everything, 0, 0, first_step=0, steps=4)
    masks = everything
    if round:
        masks = Experiment(RECIPE, PARTS).rule(by_hand(point, everything, 0, 1), masks)
        assert density(masks)[0] == pytest.approx(0.262, abs=0.001)
    if kind == "mask":
        tickets, masks = masks, unpack(kept(folder, Key("mask_order_1", 1, 0), "masks"), theta0)
        assert all(masks[name].sum() == tickets[name].sum() for name in theta0)
        assert (masks["fc1/W"] != tickets["fc1/W"]).any()
    values = net.init(streams(0, [0], "reinit_order", 1)) if kind == "reinit" else point
    ends = []
    for order in (1, 2):
        key = Key(f"{kind}_order_{order}", round, 0)
        assert kept(folder, key, "masks").tobytes() == np.packbits(masks.flat[0]).tobytes()
        ends.append(kept(folder, key, "end"))
        assert ends[-1].tobytes() == by_hand(rewind(values, masks), masks, round, order).flat.tobytes()
    assert (ends[0] != ends[1]).any()


def test_the_line_ends_with_the_errors_of_the_two_copies(outcome):
    for kind in KINDS:
        rows = outcome.measured[f"{kind}_path"]
        assert {row["round"] for row in rows} == ({0, 1} if kind == "ticket" else {1})
        for round, trial in {(row["round"], row["trial"]) for row in rows}:
            line = [row for row in rows if (row["round"], row["trial"]) == (round, trial)]
            for end, order in ((0, 1), (-1, 2)):
                (run,) = (row for row in outcome.results if (row["series"], row["round"], row["trial"]) ==
                          (f"{kind}_order_{order}", round, trial))  # fmt: skip
                assert line[end]["test_error"] == pytest.approx(1 - run["final_test_acc"])
                assert line[end]["train_error"] == pytest.approx(1 - run["final_train_acc"])


def test_tickets_alone_need_no_controls():
    runs = planned(replace(RECIPE, series=TICKETS), PARTS.series)
    assert {key.series for key in runs} == {"rewind_point", *TICKETS}
    assert all(run.first_step == 4 for key, run in runs.items() if key.series in TICKETS[:2])


# Figures and claims


def test_lines_have_a_panel_a_density(outcome, drawn, tmp_path):
    figures.draw(outcome, tmp_path, PAPER.plots)
    dense, pruned = drawn["paths"].axes
    assert [axes.get_title() for axes in (dense, pruned)] == ["100.0 % of the weights", "26.2 % of the weights"]
    assert [line.get_label() for line in dense.lines] == ["dense network"]
    assert [line.get_label() for line in pruned.lines] == ["winning ticket", "random reinit", "random mask"]
    assert len(dense.lines[0].get_xdata()) == 30
    assert "final_accuracy" in drawn


def test_a_sweep_shows_instability_and_errors_against_the_rewind_step(outcome, drawn):
    early = replace(outcome, recipe=replace(RECIPE, name="linear-mode-resnet8-0", rewind_step=0))
    early = replace(early, measured={"ticket_path": outcome.measured["ticket_path"]})
    pictures = {picture.stem: picture.figure for picture in against_k({"4": outcome, "0": early})}
    assert list(pictures) == ["linear-mode-resnet8-instability", "linear-mode-resnet8-error"]
    (axes,) = pictures["linear-mode-resnet8-instability"].axes
    found = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert list(found) == ["dense network", "winning ticket", "random reinit", "random mask",
                           "limit of stability, 2 points"]  # fmt: skip
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "4"]
    trials = [
        [row for row in outcome.measured["ticket_path"] if (row["round"], row["trial"]) == (1, t)] for t in (0, 1)
    ]
    assert found["winning ticket"] == pytest.approx([np.mean([*map(instability.instability, trials)])] * 2)
    assert len(found["random mask"]) == 1  # where it was measured


def world(recipe, holds):
    """What a recipe leaves where all is as the paper says, or nothing: lines of three points."""
    lenet, k = "lenet" in recipe.name, recipe.rewind_step
    accuracies, measured = {}, {f"{kind}_path": [] for kind in KINDS}
    for kind, round in product(KINDS, range(recipe.rounds)):
        ticket, late = kind == "ticket", k >= (2_000 if "resnet20" in recipe.name and not round else 200)
        stable = (lenet or (ticket and late)) == holds
        if "resnet8-200" in recipe.name:
            stable = bool(round) == holds
        good = not round or (ticket and (lenet or late)) == holds
        barrier, error = 0.001 if stable else 0.86, 0.04 if good else 0.09
        accuracies |= {(f"{kind}_order_{order}", round): 1 - error for order in (1, 2)}
        for trial, (alpha, above) in product(range(3), ((0, 0), (0.5, barrier), (1, 0))):
            point = {"alpha": alpha, "test_error": error + above + trial / 1e4}
            measured[f"{kind}_path"].append({"round": round, "trial": trial} | point)
    return with_accuracies(recipe, accuracies, measured)


@either_way
def test_every_claim_can_come_out_either_way(holds, status):
    assert_judged(CLAIMS, [world(recipe, holds) for recipe in PAPER.published.values()], status)


def test_claims_about_a_tiny_experiment_are_judged(outcome):
    found = judge(CLAIMS, {RECIPE.name: outcome})
    assert len(found) == 8
    both = {"lm-resnet8-dense-more-stable"}
    assert {verdict.claim.id for verdict in found if verdict.status == UNKNOWN} == both  # step 0 is not here


# Recipes


def test_recipes_are_the_papers_settings_or_affordable():
    deep = LIBRARY.published["linear-mode-resnet20-500"]
    assert (Experiment(deep, PARTS).net.name, deep.batch, deep.steps, deep.trials) == ("ResNet-20", 128, 63_000, 3)
    assert deep.optimizer == Part("sgd", lr=0.1, momentum=0.9, weight_decay=1e-4)
    assert deep.schedule.options["drops"] == [[32_000, 0.01], [48_000, 0.001]]
    assert 0.8 ** (RESNET_20.rounds - 1) == pytest.approx(0.168, abs=0.001)
    assert [r.rewind_step for r in PAPER.sweeps["linear-mode-resnet20"].recipes.values()] == [0, 500, 2_000]
    counts = {
        name: sum(len(trained(planned(recipe, PARTS.series))) for recipe in sweep.recipes.values())
        for name, sweep in PAPER.sweeps.items()
    }
    assert counts["linear-mode-lenet"] == 5 * 3 * 27 + 10  # and as many rewind points
    assert counts["linear-mode-resnet8"] == 60 + 6


def test_each_claim_about_a_control_is_about_that_control():
    """Where one of them is measured alone, the claims about the other are not known."""
    recipe = LIBRARY.published["linear-mode-resnet8-800"]
    for kind, other in (("reinit", "mask"), ("mask", "reinit")):
        whole = world(recipe, True)
        alone = replace(whole, measured={**whole.measured, f"{other}_path": []})
        found = {v.claim.id: v.status for v in judge(CLAIMS, {recipe.name: alone})}
        assert found[f"lm-resnet8-{kind}-unstable"] != UNKNOWN == found[f"lm-resnet8-{other}-unstable"]
