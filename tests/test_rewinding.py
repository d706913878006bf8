"""Three ways to retrain (Renda et al. 2020), against training by hand, step for step; its claims in made-up worlds."""

from dataclasses import replace

import numpy as np
import pytest
from small import SMALL, data, experiment
from worlds import assert_judged, by_density

from npticket.experiments.checks import check
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned
from npticket.experiments.recipe import Part
from npticket.experiments.series import Key
from npticket.papers import LIBRARY, PARTS
from npticket.papers.lottery_ticket.claims.words import REINIT, TICKET
from npticket.papers.rewinding import CLAIMS, FINE_TUNED, LENET, ONCE, PAPER, RATE, RESNET_8, RESNET_20, SERIES, STEPS
from npticket.prune import dense_masks
from npticket.report import figures, sweeps
from npticket.report.claims import FAILS, HOLDS, judge
from npticket.streams import Place, streams
from npticket.task import CLASSIFY
from npticket.tickets import rewind
from npticket.train import Setting, fit

DROPS = Part("step_drops", drops=[[5, 3e-4], [9, 1e-4]])
RECIPE = replace(SMALL, schedule=DROPS, rewind_step=4, test_at=(), trials=1, series=(TICKET, *SERIES), source="none")
ITERATIVE = (TICKET, RATE, FINE_TUNED)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    return experiment(RECIPE, tmp_path_factory.mktemp("rewinding"), data())


def by_hand(start, masks, round, first_step=4, **rates):
    """Train from a step on, and prune."""
    optimizer = Experiment(RECIPE, PARTS).optimizer(first_step=first_step, **rates)
    setting = Setting(optimizer, steps=12, batch=8, validate_every=5, first_step=first_step)
    trained = fit(Experiment(RECIPE, PARTS).net, CLASSIFY, start, masks, data(), setting, Place(round=round))
    return trained, Experiment(RECIPE, PARTS).rule(trained.end, masks)


def dense_network(steps):
    """The dense network after so many steps."""
    net = Experiment(RECIPE, PARTS).net
    theta0 = net.init(Place().rngs("init"))
    setting = Setting(Experiment(RECIPE, PARTS).optimizer(), steps=steps, batch=8, validate_every=5)
    return fit(net, CLASSIFY, theta0, dense_masks(theta0), data(), setting).end


def losses(outcome, series, round):
    return [row["val_loss"] for row in outcome.curves if (row["series"], row["round"]) == (series, round)]


@pytest.mark.parametrize(("series", "rates"), [(RATE, {}), (FINE_TUNED, {"lr_at": 11})])
def test_both_keep_the_trained_values_and_train_as_long_as_the_rewound_ticket(series, rates, outcome):
    end = dense_network(steps=12)
    masks = Experiment(RECIPE, PARTS).rule(end, dense_masks(end))
    for round in (1, 2):
        trained, next_masks = by_hand(rewind(end, masks), masks, round, **rates)
        assert losses(outcome, series, round) == trained["val_loss"][0].tolist()
        end, masks = trained.end, next_masks


def test_they_differ_from_each_other_and_from_weight_rewinding(outcome):
    for round in (1, 2):
        three = [losses(outcome, series, round) for series in ITERATIVE]
        assert len({tuple(one) for one in three}) == 3
        assert {len(one) for one in three} == {3}  # all of them at steps 5, 10 and 12
    steps = [row["step"] for row in outcome.curves if row["round"] == 2 and row["series"] in ITERATIVE]
    assert steps == [5, 10, 12] * 3


def test_in_one_go_the_dense_networks_end_is_pruned_to_the_tickets_count_and_retrained(outcome):
    end, rule = dense_network(steps=12), Experiment(RECIPE, PARTS).rule
    masks = rule(end, rule(end, dense_masks(end)))
    anew = Experiment(RECIPE, PARTS).net.init(streams(0, [0], ONCE[REINIT], 2))
    expected = {
        ONCE[TICKET]: by_hand(rewind(dense_network(steps=4), masks), masks, 2),
        ONCE[RATE]: by_hand(rewind(end, masks), masks, 2),
        ONCE[FINE_TUNED]: by_hand(rewind(end, masks), masks, 2, lr_at=11),
        ONCE[REINIT]: by_hand(rewind(anew, masks), masks, 2, first_step=0),
    }
    for series, (trained, _) in expected.items():
        assert losses(outcome, series, 2) == trained["val_loss"][0].tolist()
        (point,) = outcome.points(series)  # none of round 1
        assert point.density == outcome.points(TICKET)[2].density
    assert len({tuple(losses(outcome, series, 2)) for series in expected}) == 4


def test_rewound_to_step_0_tickets_are_reset_and_rates_replayed_in_full():
    runs = planned(STEPS[0], PARTS.series)
    assert "theta0" not in runs[Key(TICKET, 1, 0)].given
    assert [runs[Key(series, 1, 0)].first_step for series in ITERATIVE] == [0, 0, 0]
    assert [runs[Key(series, 1, 0)].lr_at for series in ITERATIVE] == [None, None, 14_999]
    assert len(runs) == 5 * 4 and len(planned(STEPS[13_500], PARTS.series)) == 5 * 5  # and the way to the rewind point


def test_learning_rates_are_replayed_or_the_last_one():
    masks = dense_masks(Experiment(RECIPE, PARTS).net.init(Place().rngs("init")))
    replayed, last = (Experiment(RECIPE, PARTS).optimizer(4, at)(masks).schedule for at in (None, 11))
    assert [replayed(step) for step in range(8)] == [1.2e-3, *[3e-4] * 4, *[1e-4] * 3]
    assert [last(step) for step in range(8)] == [1e-4] * 8


def test_the_papers_recipe_is_its_setting():
    check(RESNET_20, PARTS)
    assert LIBRARY.recipes["rewinding-resnet20"] is RESNET_20
    assert (Experiment(RESNET_20, PARTS).net.name, RESNET_20.batch, RESNET_20.steps) == ("ResNet-20", 128, 71_108)
    theta0 = Experiment(RESNET_20, PARTS).net.init(Place().rngs("init"))
    schedule = Experiment(RESNET_20, PARTS).optimizer()(dense_masks(theta0)).schedule
    epochs = [schedule(epoch * 391) for epoch in (0, 90, 91, 135, 136, 181)]
    assert epochs == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    runs = planned(RESNET_20, PARTS.series)
    assert runs[Key("learning_rate_rewinding", 10, 2)].first_step == RESNET_20.rewind_step == 7_110
    assert 100 * np.power(0.8, RESNET_20.rounds - 1) == pytest.approx(10.7, abs=0.05)


def test_lenets_recipe_is_like_the_papers():
    check(LENET, PARTS)
    assert (LENET.series, LENET.rounds, LENET.rewind_step / LENET.steps) == (RESNET_20.series, 11, 0.1)
    theta0 = Experiment(LENET, PARTS).net.init(Place().rngs("init"))
    schedule = Experiment(LENET, PARTS).optimizer()(dense_masks(theta0)).schedule
    assert [schedule(step) for step in (0, 7_499, 7_500, 11_249, 11_250)] == [0.1, 0.1, 0.01, 0.01, 0.001]
    runs = planned(LENET, PARTS.series)
    assert [key.round for key in runs if key[::2] == (ONCE[RATE], 0)] == [2, 4, 6, 8, 10]
    assert len(runs) == 5 * (1 + 11 + 3 * 10 + 4 * 5)


def test_the_small_residual_networks_recipe_is_like_the_papers_in_fewer_rounds():
    check(RESNET_8, PARTS)
    assert (RESNET_8.series, RESNET_8.rewind_step / RESNET_8.steps) == (RESNET_20.series, 0.1)
    runs = planned(RESNET_8, PARTS.series)
    assert [key.round for key in runs if key[::2] == (ONCE[RATE], 0)] == [2, 4]
    assert len(runs) == 3 * (1 + 5 + 3 * 4 + 4 * 2)


LOST = {TICKET: 1.97, RATE: 1.97, FINE_TUNED: 3.43, REINIT: 6, ONCE[TICKET]: 4.3, ONCE[RATE]: 4.1,
        ONCE[FINE_TUNED]: 5.4, ONCE[REINIT]: 7.4}  # fmt: skip
BY_STEP = {TICKET: (89, 91.7, 91.7, 90), RATE: (91.9, 91.7, 91.7, 90.5), FINE_TUNED: (89, 89, 89, 89)}
OTHERWISE = {TICKET: (91.7, 89, 89, 91), RATE: (88, 90, 89, 92), FINE_TUNED: (92, 92, 92, 92)}


def world(sign, apart, by_step):
    """As the paper has it with `sign` 1, the other way round with -1; learning rates rewound are so far apart."""

    def gained(series, density):
        return 91.7 + (density < 1) * (sign * (0.5 - LOST[series] * (1 - density) ** 3) - apart * (series == RATE))

    found = [by_density(recipe, gained) for recipe in (RESNET_20, LENET, RESNET_8)]
    for i, recipe in enumerate(STEPS.values()):
        found.append(by_density(recipe, lambda series, density, i=i: by_step[series][i] if density < 1 else 91.7))
    return found


def test_every_claim_can_hold_and_can_fail():
    assert_judged(CLAIMS, world(1, 0, BY_STEP), HOLDS)
    assert_judged(CLAIMS, world(-1, 1, OTHERWISE), FAILS)


def test_figures_have_a_line_for_each_method(outcome, tmp_path, drawn):
    assert {path.stem for path in figures.draw(outcome, tmp_path, PAPER.plots)} == {"retraining", "in_one_go"}
    (sweep,) = PAPER.sweeps.values()
    paths = sweeps.draw_sweep(sweep, {one.recipe.name: one for one in world(1, 0, BY_STEP)}, tmp_path)
    assert {path.stem for path in paths} == {"rewinding-lenet-step", "rewind_step"}
    figure = drawn["rewind_step"]
    assert figure.get_suptitle().endswith("point: mean, bar: min-max")
    assert "2,000" in [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    short = judge(CLAIMS, {LENET.name: replace(outcome, recipe=LENET)})
    assert short and all(verdict.reason and verdict.status not in (HOLDS, FAILS) for verdict in short)
