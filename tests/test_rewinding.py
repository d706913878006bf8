"""Three ways to retrain (Renda et al. 2020), against training by hand, step for step."""

from dataclasses import replace

import numpy as np
import pytest
from test_experiment import SMALL, data, experiment

from npticket.experiments.checks import check
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned
from npticket.experiments.recipe import Part
from npticket.experiments.series import Key
from npticket.papers import LIBRARY, PARTS
from npticket.papers.rewinding import RESNET_20, SERIES
from npticket.prune import dense_masks
from npticket.streams import Place
from npticket.task import CLASSIFY
from npticket.tickets import rewind
from npticket.train import Setting, fit

DROPS = Part("step_drops", drops=[[5, 3e-4], [9, 1e-4]])
RECIPE = replace(
    SMALL, schedule=DROPS, rewind_step=4, test_at=(), trials=1, series=("winning_ticket", *SERIES), source="none"
)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    return experiment(RECIPE, tmp_path_factory.mktemp("rewinding"), data())


def by_hand(start, masks, round, **rates):
    """Train from step 4 on, and prune."""
    optimizer = Experiment(RECIPE, PARTS).optimizer(first_step=4, **rates)
    setting = Setting(optimizer, steps=12, batch=8, validate_every=5, first_step=4)
    trained = fit(Experiment(RECIPE, PARTS).net, CLASSIFY, start, masks, data(), setting, Place(round=round))
    return trained, Experiment(RECIPE, PARTS).rule(trained.end, masks)


def losses(outcome, series, round):
    return [row["val_loss"] for row in outcome.curves if (row["series"], row["round"]) == (series, round)]


@pytest.mark.parametrize(
    ("series", "rates"), [("learning_rate_rewinding", {}), ("last_rate_fine_tuning", {"rate_at": 11})]
)
def test_both_keep_the_trained_values_and_train_as_long_as_the_rewound_ticket(series, rates, outcome):
    net = Experiment(RECIPE, PARTS).net
    theta0 = net.init(Place().rngs("init"))
    whole = Setting(Experiment(RECIPE, PARTS).optimizer(), steps=12, batch=8, validate_every=5)
    end = fit(net, CLASSIFY, theta0, dense_masks(theta0), data(), whole).end
    masks = Experiment(RECIPE, PARTS).rule(end, dense_masks(theta0))
    for round in (1, 2):
        trained, next_masks = by_hand(rewind(end, masks), masks, round, **rates)
        assert losses(outcome, series, round) == trained["val_loss"][0].tolist()
        end, masks = trained.end, next_masks


def test_they_differ_from_each_other_and_from_weight_rewinding(outcome):
    for round in (1, 2):
        three = [losses(outcome, series, round) for series in RECIPE.series]
        assert len({tuple(one) for one in three}) == 3
        assert {len(one) for one in three} == {3}  # all of them at steps 5, 10 and 12
    steps = [row["step"] for row in outcome.curves if row["round"] == 2]
    assert steps == [5, 10, 12] * 3


def test_learning_rates_are_replayed_or_the_last_one():
    masks = dense_masks(Experiment(RECIPE, PARTS).net.init(Place().rngs("init")))
    replayed, last = (Experiment(RECIPE, PARTS).optimizer(4, at)(masks).schedule for at in (None, 11))
    assert [replayed(step) for step in range(8)] == [1.2e-3, *[3e-4] * 4, *[1e-4] * 3]
    assert [last(step) for step in range(8)] == [1e-4] * 8


def test_the_papers_recipe_is_its_setting():
    check(RESNET_20, PARTS)
    assert LIBRARY.recipes["rewinding-resnet20"] is RESNET_20
    assert (Experiment(RESNET_20, PARTS).net.name, RESNET_20.batch, RESNET_20.steps) == ("ResNet-20", 128, 71_162)
    theta0 = Experiment(RESNET_20, PARTS).net.init(Place().rngs("init"))
    schedule = Experiment(RESNET_20, PARTS).optimizer()(dense_masks(theta0)).schedule
    epochs = [schedule(epoch * 391) for epoch in (0, 90, 91, 135, 136, 181)]
    assert epochs == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    runs = planned(RESNET_20, PARTS.series)
    assert runs[Key("learning_rate_rewinding", 10, 2)].first_step == RESNET_20.rewind_step == 7_116
    assert 100 * np.power(0.8, RESNET_20.rounds - 1) == pytest.approx(10.7, abs=0.05)
