"""Deep Compression (Han, Mao & Dally 2016): thresholds, k-means, shared values by hand; a tiny experiment."""

from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import SMALL, data, experiment
from worlds import assert_judged, either_way, with_accuracies

from npticket import nets
from npticket.experiments.checks import check
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned, trained
from npticket.experiments.recipe import Part
from npticket.experiments.series import At, Key
from npticket.loss import softmax_cross_entropy
from npticket.papers import LIBRARY, PARTS
from npticket.papers.deep_compression.claims import CLAIMS, LAYERS
from npticket.papers.deep_compression.measures import (
    ALL,
    CLUSTERED,
    CODED,
    DENSE,
    FILE,
    LR,
    PRUNED,
    QUANTISED,
    ablation,
    compressed,
    ticket_file,
    widths,
)
from npticket.papers.deep_compression.numbers import LAST
from npticket.papers.deep_compression.recipes import KEPT, LENET, LENET_5, RECIPES
from npticket.papers.deep_compression.series import ABLATION, ABOVE, COMPRESSED, SERIES, TICKET_FILE, above, quality
from npticket.papers.deep_compression.sharing import STARTS, SharedSGD, k_means, nearest, share, tied
from npticket.papers.lottery_ticket.series import TICKET
from npticket.prune import dense_masks, density
from npticket.report import claims, figures
from npticket.streams import Place, streams
from npticket.task import CLASSIFY
from npticket.testing import directional_error
from npticket.testing.strategies import datasets, seeds, tickets
from npticket.tickets import rewind
from npticket.train import Setting, fit

numbers = st.lists(st.floats(-9, 9, width=32), min_size=1, max_size=60).map(lambda v: np.array(v, np.float64))
starts = st.sampled_from(list(STARTS.values()))
bits = st.integers(1, 3)


def cost(values, centroids):
    """What k-means lowers: squared distances to the nearest centroid."""
    return (abs(values[:, None] - centroids).min(axis=1) ** 2).sum()


@given(numbers, st.integers(1, 8), starts, seeds)
def test_k_means_never_raises_its_cost(values, k, start, seed):
    k = min(k, len(values))
    centroids = start(np.sort(values), k, np.random.default_rng(seed))
    assert len(centroids) == k and (np.diff(centroids) >= 0).all()
    for _ in range(8):
        moved = k_means(values, centroids, most=1)
        assert cost(values, moved) <= cost(values, centroids) * (1 + 1e-9) + 1e-9
        centroids = moved
    end = k_means(values, centroids)
    found = nearest(values, end)
    assert (abs(values - found) <= abs(values[:, None] - end).min(axis=1) + 1e-9).all()
    for one in np.unique(found):
        assert values[found == one].mean() == pytest.approx(one, abs=1e-6)


def test_k_means_and_its_starts_by_hand():
    values, rng = np.array([0.0, 1, 1, 2, 10]), np.random.default_rng(0)
    assert STARTS["linear"](values, 3, rng).tolist() == [0, 5, 10]
    assert STARTS["density"](values, 2, rng).tolist() == [1, 2]  # of ranks 1.25 and 3.75
    assert set(STARTS["random"](values, 3, rng)) <= {0, 1, 2, 10}
    assert k_means(values, np.array([0.0, 5, 10])).tolist() == [1, 5, 10]  # nothing is nearest to 5, where it stays
    assert nearest(values, np.array([1.0, 5, 10])).tolist() == [1, 1, 1, 1, 10]


@given(tickets(np.float32), bits, starts, seeds)
def test_survivors_share_values_and_no_others_do(case, width, start, seed):
    _, theta0, masks = case
    theta = rewind(theta0, masks)
    shared = share(theta, masks, dict.fromkeys(theta.weights, width), streams(seed, range(theta.trials), "s"), start)
    for t, name in product(range(theta.trials), theta):
        alive = masks[name][t]
        values = shared[name][t][alive]
        if name not in theta.weights:
            assert values.tobytes() == theta[name][t].tobytes()
            continue
        assert len(np.unique(values)) <= 2**width - (not alive.all()) and values.all()
        assert not shared[name][t][~alive].any()
        if values.size:
            assert (
                theta[name][t][alive].min() - 1e-6 <= values.min() <= values.max() <= theta[name][t][alive].max() + 1e-6
            )


@given(tickets(np.float64), seeds)
def test_the_gradient_of_a_shared_value_is_the_sum_of_its_weights(case, seed):
    """One step of SharedSGD against central differences with respect to the values that are shared."""
    net, theta0, masks = case
    theta0, masks = theta0.trial(0), masks.trial(0)
    rng, names = np.random.default_rng(seed), dict.fromkeys(theta0.weights, 2)
    theta = share(rewind(theta0, masks), masks, names, [rng])
    groups = theta.like(tied(theta, masks))
    places = [(name, number) for name in theta for number in range(1, groups[name].max(initial=0) + 1)]
    x, labels = rng.normal(size=(1, 5, *net.input_shape)), rng.integers(0, 3, (1, 5))

    def of(values):
        """The network that has such values."""
        made = theta.like(np.zeros_like(theta.flat))
        for (name, number), one in zip(places, values, strict=True):
            made[name][groups[name] == number] = one
        return made

    def values(params):
        return np.array([params[name][groups[name] == number][0] for name, number in places])

    def loss(values):
        return float(softmax_cross_entropy(net.forward(of(values), x)[0], labels)[0][0])

    assert of(values(theta)).flat.tobytes() == theta.flat.tobytes()
    logits, backward = net.forward(theta, x)
    grads, moved = theta.like(np.zeros_like(theta.flat)), theta.copy()
    backward(softmax_cross_entropy(logits, labels)[1], grads.tree, need_dx=False)
    SharedSGD(masks, 0.1).step(moved, grads.like(grads.flat.copy()))
    assert of(values(moved)).flat.tobytes() == moved.flat.tobytes()  # what shared a value still does, and 0 is 0
    largest = np.array([np.bincount(groups[name].ravel())[1:].max() for name, _ in places])  # divides a layer's rate
    gradient = (values(theta) - values(moved)) * largest / 0.1
    assert directional_error(loss, gradient, values(theta), rng) < 1e-6


def test_the_check_of_gradients_can_fail():
    rng = np.random.default_rng(0)
    assert directional_error(lambda v: float((v**2).sum()), np.ones(3), np.array([1.0, 2, 3]), rng) > 1e-2


@settings(max_examples=15, deadline=None)
@given(tickets(np.float32), datasets(), st.sampled_from(["fast", "plain"]))
def test_values_are_shared_to_the_end_of_training_in_every_engine(case, examples, engine):
    net, theta0, masks = case
    theta = share(
        rewind(theta0, masks), masks, dict.fromkeys(theta0.weights, 1), Place(0, range(9)).rngs("s")[: theta0.trials]
    )
    setting = Setting(lambda masks: SharedSGD(masks, 0.3), steps=5, batch=9, validate_every=5, engine=engine)
    end = fit(net, CLASSIFY, theta, masks, examples, setting).end
    before, after = (theta.like(tied(params, masks)) for params in (theta, end))
    for t in range(theta.trials):
        for name in theta.weights:
            pairs = set(zip(before[name][t].ravel().tolist(), after[name][t].ravel().tolist(), strict=True))
            assert len(pairs) == len({one for one, _ in pairs})  # no value became two
    assert not end.flat[~masks.flat].any()


def test_a_restored_optimizer_goes_on():
    net = nets.lenet_300_100([3, 2])
    masks = dense_masks(net.init(streams(0, [0], "init")))
    theta = share(net.init(streams(0, [0], "init")), masks, dict.fromkeys(masks.weights, 2), [np.random.default_rng(0)])
    one, other, copy = SharedSGD(masks, 0.1), SharedSGD(masks, 0.1), theta.copy()
    grads = theta.like(np.random.default_rng(1).normal(size=theta.flat.shape).astype(np.float32))
    one.step(theta, grads)
    one.step(copy, grads)
    other.restore(one.state())
    one.step(theta, grads)
    other.step(copy, grads)
    assert theta.flat.tobytes() == copy.flat.tobytes() and other.state()["steps"].tolist() == [3]


def test_thresholds_are_quality_times_the_dense_layers_standard_deviation():
    net = nets.lenet_300_100([20, 10])
    dense = net.init(streams(0, range(2), "init"), np.float64)
    masks = dense_masks(dense)
    masks["fc1/W"][0, :5] = False
    for part in (0.2, 1):
        left = above(dense, masks, dense, {"fc1/W": quality(0.08, part)})
        for t in range(2):
            threshold = quality(0.08, part) * np.std(dense["fc1/W"][t])
            assert (left["fc1/W"][t] == (masks["fc1/W"][t] & (abs(dense["fc1/W"][t]) > threshold))).all()
        assert left["fc1/W"][1].mean() == pytest.approx(0.08**part, abs=0.03)  # of normally distributed weights
        assert left["fc2/W"].all() and masks["fc1/W"][0, 5:].all()
    tie = dense.like(np.ones_like(dense.flat))
    assert not above(tie, dense_masks(tie), dense, {"out/W": 1 / dense["out/W"][0].std()})["out/W"][
        0
    ].any()  # at it: gone


TINY = replace(
    LENET, net=Part("lenet_300_100", hidden=[12, 8]), batch=SMALL.batch, steps=10, trials=2, validate_every=5,
    schedule=Part("step_drops", drops=[[8, 1e-4]]),
)  # fmt: skip


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    return experiment(TINY, tmp_path_factory.mktemp("compression"), data())


def test_pruned_networks_go_on_from_the_trained_values_with_the_whole_schedule(outcome):
    """Against training by hand."""
    there, trial = Experiment(TINY, PARTS), {"trial": 0, "series": "below_threshold"}
    theta0 = there.net.init(Place().rngs("init"))
    masks, last = dense_masks(theta0), ABOVE["lenet_300_100"]
    whole = Setting(there.optimizer(), 10, TINY.batch, 5)
    dense = end = fit(there.net, CLASSIFY, theta0, masks, data(), whole).end
    for round in (1, 2):
        masks = above(end, masks, dense, {name: quality(left, round / 5) for name, left in last.items()})
        found = fit(there.net, CLASSIFY, rewind(end, masks), masks, data(), whole, Place(round=round))
        rows = [row for row in outcome.results if trial.items() <= row.items() and row["round"] == round]
        assert [row["density"] for row in rows] == [density(masks)[0]]
        curve = [r["val_loss"] for r in outcome.curves if trial.items() <= r.items() and r["round"] == round]
        assert curve == found["val_loss"][0].tolist()
        end = found.end


def test_measures_are_consistent(outcome):
    rows = outcome.measured["compressed"]
    assert {row["round"] for row in rows} == {1, 2, 3, 4, 5}
    for round, trial in product(range(1, 6), range(2)):
        stages = {}
        for row in rows:
            if (row["round"], row["trial"]) == (round, trial):
                stages.setdefault(row["stage"], {})[row["layer"]] = row
        assert list(stages) == ["dense", "pruned", "clustered", "quantised", "huffman"]
        assert stages["dense"][ALL]["bytes"] == 4 * (784 * 12 + 12 * 8 + 80) == stages["dense"][FILE]["bytes"] - 120
        left = next(row["density"] for row in outcome.results
                    if (row["series"], row["round"], row["trial"]) == ("below_threshold", round, trial))  # fmt: skip
        for layers in stages.values():
            parts = [layers[name] for name in KEPT["lenet_300_100"]]
            for name in ("weights", "kept", "entries", "bytes"):
                assert layers[ALL][name] == pytest.approx(sum(part[name] for part in parts))
            assert len({row["error"] for row in layers.values()}) == 1
        assert stages[CODED][ALL]["kept"] / stages[CODED][ALL]["weights"] == pytest.approx(left)
        assert stages["pruned"]["fc1/W"]["value_bits"] == 32 and stages["pruned"]["fc1/W"]["gap_bits"] == 5
        assert stages[CODED][FILE]["bytes"] < stages["quantised"][FILE]["bytes"] < stages["pruned"][FILE]["bytes"]
        assert stages["pruned"][ALL]["error"] == pytest.approx(1 - next(
            row["final_test_acc"] for row in outcome.results
            if (row["series"], row["round"], row["trial"]) == ("below_threshold", round, trial)))  # fmt: skip
    assert all(row["exact"] == 1 for row in outcome.measured["ticket_file"])
    asked = {(row["round"], row["start"]) for row in outcome.measured["bits"]}
    assert asked == {(0, "linear"), *((5, start) for start in STARTS)}


def standing(recipe):
    """Where a measure stands, whose network was not trained: a quarter of the first layer is left."""
    there = Experiment(recipe, PARTS)
    theta0 = there.net.init(Place().rngs("init"))
    masks = dense_masks(theta0)
    masks["fc1/W"][:, 196:] = False
    given = {"end": theta0, "dense": theta0}
    return At(there.net, CLASSIFY, data(), there.rule, 1, theta0, masks, given, streams(0, [0], "measure"), theta0)


def error_of(at, theta):
    """The error on the test set, by hand."""
    found = at.net.predict(theta, at.data.floats(at.data.test.inputs, np.float32)[None])[0].argmax(axis=-1)
    return float(np.mean(found != at.data.test.targets))


def test_errors_are_those_of_shared_values_before_and_after_their_training():
    """Against training by hand: a tenth of the steps for the stages, a thirtieth for the numbers of bits."""
    recipe = replace(TINY, steps=900)

    def trained(at, theta, place, steps):
        setting = Setting(partial(SharedSGD, lr=LR), steps, recipe.batch, validate_every=steps)
        return fit(at.net, CLASSIFY, theta, at.masks, at.data, setting, place).end

    at = standing(recipe)
    found = {row["stage"]: row["error"] for row in compressed(standing(recipe), recipe)}
    values = rewind(at.end, at.masks)
    shared = share(values, at.masks, widths(values), at.rngs)
    end = trained(at, shared, Place(seed=int(at.rngs[0].integers(1 << 32))), 90)
    by_hand = [error_of(at, theta) for theta in (at.end, values, shared, end, end)]
    assert found == pytest.approx(dict(zip((DENSE, PRUNED, CLUSTERED, QUANTISED, CODED), by_hand, strict=True)))
    assert by_hand[3] != by_hand[2]

    at, rows, by_hand = standing(recipe), ablation(standing(recipe), recipe, ("density",)), []
    place = Place(seed=int(at.rngs[0].integers(1 << 32)))
    for bits in range(1, 9):
        shared = share(values, at.masks, dict.fromkeys(values.weights, bits), at.rngs, STARTS["density"])
        by_hand.append([error_of(at, theta) for theta in (shared, trained(at, shared, place, 30))])
    assert np.array([[row["before"], row["error"]] for row in rows]) == pytest.approx(np.array(by_hand))
    assert any(before != after for before, after in by_hand)


def test_the_entropy_of_a_mask_is_in_bytes():
    """Of 784 x 12 weights a quarter: 0.25 x 2 + 0.75 x 0.415 bits each; the other layers are dense, which says all."""
    (row,) = ticket_file(standing(TINY), TINY)
    assert row["entropy"] == pytest.approx(784 * 12 * (0.25 * 2 + 0.75 * 0.4150375) / 8) and row["exact"] == 1
    assert (row["weights"], row["kept"]) == (784 * 12 + 12 * 8 + 80, 196 * 12 + 12 * 8 + 80)


def world(recipe, holds):
    """What a recipe leaves where all is as the paper says, or nothing."""
    least, weights = {LENET.name: (1.64, 266_200), LENET_5.name: (0.80, 430_500)}[recipe.name]
    errors = (-0.1, -0.3, 0.2, -0.5, -0.5) if holds else (0.1, 0.3, 0.3, 0.5, 0.5)  # points above the paper's
    errors = dict(zip((DENSE, PRUNED, CLUSTERED, QUANTISED, CODED), errors, strict=True))
    smaller = {QUANTISED: 33, CODED: 42} if holds else {QUANTISED: 20, CODED: 22}
    measured = {COMPRESSED: [], ABLATION: [], TICKET_FILE: []}
    linear, others, dense = {1: 5, 2: 1.9, 4: 1.6, 5: 1.6, 6: 1.6, 8: 1.6}, 3, {1: 9, 5: 1.7}  # percent, by bits
    if not holds:
        linear, others, dense = {1: 2.5, 2: 3, 4: 3, 5: 2, 6: 2, 8: 1.5}, 2, {1: 1.5, 5: 1.5}
    errors_of = [(5, "linear", *one) for one in linear.items()] + [(0, "linear", *one) for one in dense.items()]
    errors_of += [(5, start, bits, others) for start in ("random", "density") for bits in (2, 4)]
    for trial, (round, start, bits, percent) in product(range(3), errors_of):
        before, percent = percent + (2 if holds else -0.5), percent + trial / 1e4
        row = {"start": start, "bits": bits, "error": percent / 100, "before": before / 100}
        measured[ABLATION].append({"trial": trial, "round": round} | row)
    for trial, round in product(range(3), range(recipe.rounds)):
        where = {"trial": trial, "round": round}
        for stage, points in errors.items():
            size = 4 * weights / smaller.get(stage, 1)
            row = where | {"stage": stage, "error": (least + points + trial / 1e4) / 100}
            row |= {"weights": weights, "kept": weights / (12 if holds else 10)}
            measured[COMPRESSED] += [row | {"layer": ALL, "bytes": size}, row | {"layer": FILE, "bytes": 1.01 * size}]
            for layer, (value, gap, percent) in LAYERS[recipe.name].items():
                bits = {"value_bits": value + (not holds), "gap_bits": gap + (not holds)}
                part = percent / 100 * (1 if holds else 1.5) if stage == CODED else 1
                measured[COMPRESSED].append(row | {"layer": layer, "bytes": 1000 * part} | bits)
        size *= 0.5 if holds else 0.7
        row = {"bytes": size, "entropy": size * (1.1 if holds else 0.9), "exact": int(holds)}
        measured[TICKET_FILE].append(where | row)
    of_rounds = [(LAST[recipe.name] / 100) ** (r / (recipe.rounds - 1)) for r in range(recipe.rounds)]
    return with_accuracies(recipe, {(TICKET, r): 1.0 for r in range(recipe.rounds)}, measured, of_rounds)


@either_way
def test_every_claim_can_come_out_either_way(holds, status):
    assert len(CLAIMS) == 63
    assert_judged(CLAIMS, [world(recipe, holds) for recipe in (LENET, LENET_5)], status)


def test_claims_are_judged_and_figures_drawn(outcome, drawn, tmp_path):
    verdicts = claims.judge(LIBRARY.claims, {TINY.name: outcome}, {TINY.name: TINY})
    assert len(verdicts) == 13 + 9 + 10 + 3
    assert {verdict.status for verdict in verdicts} <= {claims.HOLDS, claims.FAILS, claims.UNDECIDED}
    by_id = {verdict.claim.id: verdict.status for verdict in verdicts}
    assert by_id["compression-lenet-ticket-exact"] == claims.HOLDS and by_id["compression-lenet-rate"] == claims.FAILS
    figures.draw(outcome, tmp_path, LIBRARY.plots(TINY))
    names = [line.get_label() for line in drawn["sizes"].axes[0].lines]
    assert names == ["pruned", "and values shared", "and Huffman codes", "ticket as seed and mask", "dense network"]
    assert [len(line.get_xdata()) for axes in drawn["bits"].axes for line in axes.lines] == [8] * 8
    begun = [row for row in outcome.measured[TICKET_FILE] if row["round"] < 1]
    figures.draw(replace(outcome, measured={**outcome.measured, TICKET_FILE: begun}), tmp_path, LIBRARY.plots(TINY))
    (ticket,) = (line for line in drawn["sizes"].axes[0].lines if line.get_label() == "ticket as seed and mask")
    assert len(ticket.get_xdata()) == 0  # those that are there so far


@pytest.mark.parametrize("recipe", [LENET, LENET_5], ids=lambda recipe: recipe.name)
def test_tickets_keep_as_much_as_the_paper(recipe):
    check(recipe, PARTS)
    assert RECIPES[recipe.name] is LIBRARY.recipes[recipe.name]
    there = Experiment(recipe, PARTS)
    theta0 = there.net.init(Place().rngs("init"))
    masks = dense_masks(theta0)
    for _ in range(recipe.rounds - 1):
        masks = there.rule(theta0, masks)
    for name, part in KEPT[recipe.net.name].items():
        assert masks[name].mean() == pytest.approx(part, abs=0.003)
    assert 100 * density(masks)[0] == pytest.approx(LAST[recipe.name], abs=0.1)
    runs = planned(recipe, PARTS.series)
    assert len(trained(runs)) == 5 * (2 * recipe.rounds - 1)
    last = runs[Key("below_threshold", recipe.rounds - 1, 4)]
    assert last.own_masks and last.lr_at is None and ABOVE[recipe.net.name].keys() == KEPT[recipe.net.name].keys()
    assert there.optimizer()(masks).schedule(recipe.steps - 1) == pytest.approx(2.4e-5)
    assert set(SERIES) - {"bits"} <= set(recipe.series)


def test_bits_are_the_papers():
    assert widths(nets.lenet_300_100([3, 2]).init(streams(0, [0], "init"))) == {"fc1/W": 6, "fc2/W": 6, "out/W": 6}
    found = widths(nets.lenet_5((2, 3), 4).init(streams(0, [0], "init")))
    assert found == {"conv1/W": 8, "conv2/W": 8, "fc1/W": 5, "out/W": 5}


def test_a_ticket_comes_back_whatever_the_seed():
    recipe = replace(TINY, seed=3)
    theta0 = Experiment(recipe, PARTS).net.init(Place(3).rngs("init"))
    (row,) = ticket_file(replace(standing(recipe), theta0=theta0), recipe)
    assert row["exact"] == 1
