"""Recipes: the paper's settings, JSON both ways, refusals by name, and scaling in proportion."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from npticket import recipe, recipes, runs
from npticket.params import Params
from npticket.prune import dense_masks
from npticket.recipe import Recipe, RecipeError, from_json, make_net, make_optimizer, scaled, to_json

ALL = {**recipes.RECIPES, **{r.name: r for sweep in recipes.SWEEPS.values() for r in sweep.recipes.values()}}
LENET = recipes.LENET


@pytest.mark.parametrize("name", ALL)
def test_every_recipe_is_json_both_ways_and_can_be_cooked(name):
    r = ALL[name]
    assert from_json(json.loads(json.dumps(to_json(r)))) == r
    net = make_net(r)
    assert net.rates
    runs.check_series(r)
    make_optimizer(r)
    assert r.source.startswith("Figure")
    assert recipes.reduced(r) == ""


def test_warm_ups_rounds_and_trials_are_the_papers():
    warmups = {name: ALL[name].warmup for name in ("resnet18-high", "resnet18-warmup", "vgg19-low", "vgg19-warmup")}
    assert list(warmups.values()) == [0, 20_000, 0, 10_000]
    reached = {"lenet-mnist": 0.22, "conv2-cifar10": 1.0, "conv4-cifar10": 1.3, "conv6-cifar10": 1.3,
               "resnet18-high": 5.5, "vgg19-high": 0.15}  # fmt: skip
    for name, percent in reached.items():  # the last ticks of the paper's axes
        net = make_net(ALL[name])
        sizes = {n: int(np.prod(shape)) for n, shape in net.body.layout.items() if n.endswith("/W")}
        left = sum(size * (1 - net.rates.get(n, 0)) ** (ALL[name].rounds - 1) for n, size in sizes.items())
        assert 100 * left / sum(sizes.values()) == pytest.approx(percent, rel=0.1)
    assert {r.trials for sweep in recipes.SWEEPS.values() for r in sweep.recipes.values()} == {3}


def test_names_are_unique():
    assert len(ALL) == len(recipes.RECIPES) + sum(len(sweep.recipes) for sweep in recipes.SWEEPS.values())
    assert all(name == r.name for name, r in ALL.items())


@pytest.mark.parametrize(
    ("name", "net", "optimizer", "lr", "batch", "steps"),
    [  # the paper's Figure 2; dropout: appendix H.5
        ("lenet-mnist", "LeNet-300-100", "adam", 1.2e-3, 60, 50_000),
        ("conv2-cifar10", "Conv-2", "adam", 2e-4, 60, 20_000),
        ("conv4-cifar10", "Conv-4", "adam", 3e-4, 60, 25_000),
        ("conv6-cifar10", "Conv-6", "adam", 3e-4, 60, 30_000),
        ("conv2-dropout", "Conv-2", "adam", 3e-4, 60, 60_000),
        ("conv4-dropout", "Conv-4", "adam", 2e-4, 60, 75_000),
        ("conv6-dropout", "Conv-6", "adam", 2e-4, 60, 90_000),
        ("resnet18-high", "ResNet-20", "sgd", 0.1, 128, 30_000),
        ("resnet18-low", "ResNet-20", "sgd", 0.01, 128, 30_000),
        ("resnet18-warmup", "ResNet-20", "sgd", 0.03, 128, 30_000),
        ("vgg19-high", "VGG-19", "sgd", 0.1, 64, 112_480),
        ("vgg19-low", "VGG-19", "sgd", 0.01, 64, 112_480),
        ("vgg19-warmup", "VGG-19", "sgd", 0.1, 64, 112_480),
    ],
)
def test_the_papers_settings(name, net, optimizer, lr, batch, steps):
    r = ALL[name]
    assert (make_net(r).name, r.optimizer, r.lr, r.batch, r.steps, r.trials) == (net, optimizer, lr, batch, steps, 5)
    deep = optimizer == "sgd"
    assert (r.momentum, r.weight_decay, r.augment) == ((0.9, 1e-4, True) if deep else (0, 0, False))
    assert bool(r.test_at) == bool(r.drops) == deep
    assert [value for _, value in r.drops] == pytest.approx([lr / 10, lr / 100] if deep else [])


def rate_of(optimizer, step):
    return optimizer(dense_masks(Params.empty({"a/W": (1,)}, 1))).schedule(step)


def test_schedules_begin_where_a_run_begins():
    r = ALL["resnet18-warmup"]
    optimizer = make_optimizer(r)
    rates = {0: 0.03 / 20_000, 9_999: 0.015, 19_999: 0.03, 20_000: 0.003, 25_000: 0.0003}
    assert {step: rate_of(optimizer, step) for step in rates} == pytest.approx(rates)
    later = make_optimizer(r, first_step=5_000)
    assert {step: rate_of(later, step - 5_000) for step in rates if step > 5_000} == pytest.approx(
        {step: value for step, value in rates.items() if step > 5_000}
    )
    assert rate_of(make_optimizer(LENET), 49_999) == 1.2e-3


def test_scaling_moves_everything_in_proportion():
    small = scaled(ALL["resnet18-warmup"], 3_000)
    assert (small.steps, small.warmup, small.test_at) == (3_000, 2_000, (1_000, 2_000, 3_000))
    assert small.drops == ((2_000, 3e-3), (2_500, 3e-4))
    assert recipes.reduced(small) == "reduced: 3,000 of 30,000 steps"
    assert recipes.reduced(replace(small, rounds=2, series=("winning_ticket",))) == (
        "reduced: 3,000 of 30,000 steps, 2 of 15 rounds, 1 of 2 series"
    )
    assert recipes.reduced(replace(LENET, trials=9, seed=3)) == ""
    assert recipes.reduced(replace(LENET, lr=5.0, batch=8, rounds=2)) == (
        "reduced: 2 of 29 rounds; not the paper's: lr, batch"
    )
    assert scaled(replace(LENET, rewind_step=1_000), 5_000).rewind_step == 100
    assert scaled(scaled(LENET, 10), 50_000).steps == 50_000


def test_rates_by_pattern_and_scope():
    net = make_net(ALL["conv2-layers-convolutions"])
    assert net.rates == {"conv1/W": 0.1, "conv2/W": 0.1}
    net = make_net(ALL["conv2-rate-0.3"])
    assert net.rates == {"conv1/W": 0.3, "conv2/W": 0.3, "fc1/W": 0.2, "fc2/W": 0.2, "out/W": 0.1}
    assert make_net(ALL["lenet-prune-rate-0.4"]).rates == {"fc1/W": 0.4, "fc2/W": 0.4, "out/W": 0.2}
    assert not make_net(ALL["resnet18-scope-layer-by-layer"]).pruned_globally
    assert make_net(ALL["resnet18-scope-globally"]).pruned_globally
    assert make_net(ALL["lenet-width-50-17"]).body.layout["fc2/W"] == (50, 17)
    theta = make_net(ALL["lenet-init-0.4"]).init([np.random.default_rng(0)])
    assert theta["fc1/W"].std() == pytest.approx(0.4, rel=0.01)


WRONG = {  # for every field, a value that JSON can hold and the field cannot
    "name": 3, "source": None, "net": "lenet_5", "data": "imagenet", "optimizer": "adagrad", "lr": "fast", "batch": 6.5,
    "steps": True, "rounds": "3", "trials": 0, "seed": -1, "series": "winning_ticket", "validate_every": 0,
    "test_at": [60_000], "net_options": [1], "rates": {"fc1/W": "all"}, "pruned_globally": 1, "momentum": "0.9",
    "weight_decay": [0], "drops": [[10]], "warmup": -1, "augment": 1, "rewind_step": 50_000,
}  # fmt: skip


@pytest.mark.parametrize("name", [f.name for f in fields(Recipe)])
def test_ill_typed_fields_are_refused_by_name(name):
    with pytest.raises(RecipeError, match=name):
        from_json(to_json(LENET) | {name: WRONG[name]})


def test_unknown_and_missing_fields_are_refused_by_name():
    with pytest.raises(RecipeError, match="no field 'learning_rate'"):
        from_json(to_json(LENET) | {"learning_rate": 1})
    with pytest.raises(RecipeError, match="lacks lr, rounds"):
        from_json({name: value for name, value in to_json(LENET).items() if name not in ("lr", "rounds")})
    with pytest.raises(RecipeError, match="an object with named fields"):
        from_json([1])
    assert from_json({n: v for n, v in to_json(LENET).items() if n != "seed"}) == LENET


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0}, "lr must be positive"),
        ({"rates": {"fc1/W": 1.5}}, "got 1.5 for fc1/W"),
        ({"momentum": 0.9}, "momentum and weight_decay are SGD's"),
        ({"series": ("random_reinit",)}, "must begin with winning_ticket"),
        ({"series": ("winning_ticket", "random_reinit", "random_reinit")}, "name each once"),
    ],
)
def test_impossible_recipes_are_refused(changes, message):
    with pytest.raises(RecipeError, match=message):
        replace(LENET, **changes)


def test_what_the_network_cannot_do_is_refused():
    with pytest.raises(RecipeError, match="do not suit lenet_300_100"):
        make_net(replace(LENET, net_options={"depth": 3}))
    with pytest.raises(RecipeError, match="do not suit lenet_300_100"):
        make_net(replace(LENET, net_options={"hidden": [6.5, 4]}))
    with pytest.raises(RecipeError, match=r"no parameter of lenet_300_100 is called like fcc2/W"):
        make_net(replace(LENET, rates={"fc1/W": 0.1, "fcc2/W": 0.1}))
    with pytest.raises(RecipeError, match="all its rates must be the same"):
        make_net(replace(LENET, pruned_globally=True))
    with pytest.raises(RecipeError, match="there is no series 'noise'"):
        runs.check_series(replace(LENET, series=("winning_ticket", "noise")))
    with pytest.raises(RecipeError, match="there is no series 'lucky'"):
        runs.check_series(replace(LENET, series=("winning_ticket", "lucky")))
    with pytest.raises(RecipeError, match="takes its masks from fine_tuning"):
        runs.check_series(replace(LENET, series=("winning_ticket", "continued_training")))


def test_data_come_from_where_the_recipe_says(monkeypatch):
    monkeypatch.setitem(recipe.DATASETS, "mnist", lambda folder, seed: (folder, seed))
    assert recipe.load_data(replace(LENET, seed=4), "here") == ("here", 4)
