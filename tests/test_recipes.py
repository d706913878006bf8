"""Recipes: the paper's settings, JSON both ways, refusals by name, and scaling in proportion."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npticket.experiments import parts
from npticket.experiments.checks import check
from npticket.experiments.errors import RecipeError
from npticket.experiments.parts import Experiment, Parts, load_data, merged
from npticket.experiments.planning import planned, trained
from npticket.experiments.recipe import Part, Recipe, from_json, reduced, scaled, to_json
from npticket.papers import PARTS
from npticket.papers.lottery_ticket import recipes
from npticket.papers.lottery_ticket.recipes import LENET
from npticket.params import Params
from npticket.prune import dense_masks, rates_by_name

ALL = {**recipes.RECIPES, **{r.name: r for sweep in recipes.SWEEPS.values() for r in sweep.recipes.values()}}


def net_of(recipe):
    return Experiment(recipe, PARTS).net


def rates_of(recipe):
    return rates_by_name(Experiment(recipe, PARTS).rule.scope.rates, Params.empty(net_of(recipe).body.layout, 1))


@pytest.mark.parametrize("name", ALL)
def test_every_recipe_is_json_both_ways_and_can_be_cooked(name):
    r = ALL[name]
    assert from_json(json.loads(json.dumps(to_json(r)))) == r
    check(r, PARTS)
    assert rates_of(r)
    assert r.source.startswith("Figure")
    assert reduced(r, ALL) == ""


def test_warm_ups_rounds_and_trials_are_the_papers():
    warmups = {
        name: ALL[name].schedule.options["warmup"]
        for name in ("resnet18-high", "resnet18-warmup", "vgg19-low", "vgg19-warmup")
    }
    assert list(warmups.values()) == [0, 20_000, 0, 10_000]
    reached = {"lenet-mnist": 0.22, "conv2-cifar10": 1.0, "conv4-cifar10": 1.3, "conv6-cifar10": 1.3,
               "resnet18-high": 5.5, "vgg19-high": 0.15}  # fmt: skip
    for name, percent in reached.items():  # the last ticks of the paper's axes
        net, rates = net_of(ALL[name]), rates_of(ALL[name])
        sizes = {n: int(np.prod(shape)) for n, shape in net.body.layout.items() if n.endswith("/W")}
        left = sum(size * (1 - rates.get(n, 0)) ** (ALL[name].rounds - 1) for n, size in sizes.items())
        assert 100 * left / sum(sizes.values()) == pytest.approx(percent, rel=0.1)
    assert {r.trials for sweep in recipes.SWEEPS.values() for r in sweep.recipes.values()} == {3}


def test_lenets_dense_network_is_trained_five_times_but_not_in_sweeps():
    several = {name for name, r in recipes.RECIPES.items() if "dense_5" in r.series}
    assert several == {"lenet-mnist", "lenet-one-shot", "lenet-continued", "lenet-inits", "lenet-inits-sgd"}
    assert all(tuple(s for s in ALL[name].series if s != "weights")[-4:] == recipes.DENSE for name in several)
    assert {r.series for sweep in recipes.SWEEPS.values() for r in sweep.recipes.values()} == {("winning_ticket",)}
    counts = {name: len(trained(planned(ALL[name], PARTS.series))) for name in sorted(several)}
    assert counts == {
        "lenet-continued": 445,
        "lenet-inits": 1_285,
        "lenet-inits-sgd": 585,
        "lenet-mnist": 865,
        "lenet-one-shot": 585,
    }


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
    deep = optimizer == "sgd"
    options = {"momentum": 0.9, "weight_decay": 1e-4} if deep else {}
    assert (net_of(r).name, r.optimizer, r.batch, r.steps, r.trials) == (
        net, Part(optimizer, lr=lr, **options), batch, steps, 5,
    )  # fmt: skip
    assert (r.augment == Part("flip_and_crop")) == bool(r.test_at) == (r.schedule.name == "step_drops") == deep
    drops = r.schedule.options.get("drops", [])
    assert [value for _, value in drops] == pytest.approx([lr / 10, lr / 100] if deep else [])


def rate_of(optimizer, step):
    return optimizer(dense_masks(Params.empty({"a/W": (1,)}, 1))).schedule(step)


def test_schedules_begin_where_a_run_begins():
    r = ALL["resnet18-warmup"]
    optimizer = Experiment(r, PARTS).optimizer()
    rates = {0: 0.03 / 20_000, 9_999: 0.015, 19_999: 0.03, 20_000: 0.003, 25_000: 0.0003}
    assert {step: rate_of(optimizer, step) for step in rates} == pytest.approx(rates)
    later = Experiment(r, PARTS).optimizer(first_step=5_000)
    assert {step: rate_of(later, step - 5_000) for step in rates if step > 5_000} == pytest.approx(
        {step: value for step, value in rates.items() if step > 5_000}
    )
    assert rate_of(Experiment(LENET, PARTS).optimizer(), 49_999) == 1.2e-3
    last = Experiment(r, PARTS).optimizer(first_step=5_000, lr_at=29_999)
    assert {rate_of(last, step) for step in (0, 9_999, 24_999)} == {0.03 / 100}


def test_scaling_moves_everything_in_proportion():
    small = scaled(ALL["resnet18-warmup"], 3_000)
    assert (small.steps, small.test_at) == (3_000, (1_000, 2_000, 3_000))
    assert small.schedule == Part("step_drops", drops=[[2_000, 3e-3], [2_500, 3e-4]], warmup=2_000)
    assert reduced(small, ALL) == "reduced: 3,000 of 30,000 steps"
    assert reduced(replace(small, rounds=2, series=("winning_ticket",)), ALL) == (
        "reduced: 3,000 of 30,000 steps, 2 of 15 rounds, 1 of 2 series"
    )
    assert reduced(replace(LENET, trials=9, seed=3), ALL) == ""
    hot = replace(LENET, optimizer=Part("adam", lr=5.0), batch=8, rounds=2)
    assert reduced(hot, ALL) == "reduced: 2 of 29 rounds; not the paper's: optimizer, batch"
    assert scaled(replace(LENET, rewind_step=1_000), 5_000).rewind_step == 100
    assert scaled(scaled(LENET, 10), 50_000).steps == 50_000
    assert scaled(ALL["resnet18-high"], 1).schedule.options["drops"] == [[0, 0.001]]
    waves = replace(LENET, schedule=Part("waves", cycles=3, lowest=0.1, period_steps=5_000))
    assert scaled(waves, 500).schedule.options == {"cycles": 3, "lowest": 0.1, "period_steps": 50}
    falling = replace(LENET, schedule=Part("linear_decay", steps=10_000, warmup=10))
    assert scaled(falling, 1).schedule == Part("linear_decay", steps=1, warmup=0)


@given(st.integers(2, 60), st.data())
def test_what_is_rewound_is_rewound_in_few_steps_too(steps, data):
    recipe = replace(LENET, rewind_step=data.draw(st.integers(0, LENET.steps - 1)))
    few = scaled(recipe, steps)
    assert (few.rewind_step > 0) == (recipe.rewind_step > 0) and few.rewind_step < steps
    assert abs(few.rewind_step - recipe.rewind_step * steps / recipe.steps) <= 1
    assert scaled(recipe, 1).rewind_step == 0


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_any_recipe_can_be_cooked_with_very_few_steps(steps):
    for recipe in ALL.values():
        check(scaled(recipe, steps), PARTS)


def test_rates_by_pattern_and_scope():
    assert rates_of(ALL["conv2-layers-convolutions"]) == {"conv1/W": 0.1, "conv2/W": 0.1}
    assert rates_of(ALL["conv2-rate-0.3"]) == {
        "conv1/W": 0.3, "conv2/W": 0.3, "fc1/W": 0.2, "fc2/W": 0.2, "out/W": 0.1,
    }  # fmt: skip
    assert rates_of(ALL["lenet-prune-rate-0.4"]) == {"fc1/W": 0.4, "fc2/W": 0.4, "out/W": 0.2}
    assert ALL["resnet18-scope-layer-by-layer"].prune.options["scope"] == "layerwise"
    assert ALL["resnet18-scope-globally"].prune.options["scope"] == "globally"
    pruned = rates_of(ALL["resnet18-scope-globally"])
    assert len(pruned) == 19 and not any("shortcut" in name or name == "out/W" for name in pruned)
    assert len(rates_of(ALL["vgg19-high"])) == 16
    assert net_of(ALL["lenet-width-50-17"]).body.layout["fc2/W"] == (50, 17)
    theta = net_of(ALL["lenet-init-0.4"]).init([np.random.default_rng(0)])
    assert theta["fc1/W"].std() == pytest.approx(0.4, rel=0.01)


WRONG = {  # for every field, a value that JSON can hold and the field cannot
    "name": 3, "source": None, "net": ["lenet_300_100"], "data": "mnist", "optimizer": {"lr": 0.1}, "prune": None,
    "batch": 6.5, "steps": True, "rounds": "3", "trials": 0, "seed": -1, "series": "winning_ticket", "task": 1,
    "schedule": {"name": 3}, "augment": True, "validate_every": 0, "test_at": [60_000], "train_at": [0],
    "rewind_step": 50_000, "patience": 0, "evaluated": -1, "train_at_end": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", [f.name for f in fields(Recipe)])
def test_ill_typed_fields_are_refused_by_name(name):
    with pytest.raises(RecipeError, match=name):
        from_json(to_json(LENET) | {name: WRONG[name]})


def test_unknown_and_missing_fields_are_refused_by_name():
    with pytest.raises(RecipeError, match="no field 'learning_rate'"):
        from_json(to_json(LENET) | {"learning_rate": 1})
    with pytest.raises(RecipeError, match="lacks optimizer, rounds"):
        from_json({name: value for name, value in to_json(LENET).items() if name not in ("optimizer", "rounds")})
    with pytest.raises(RecipeError, match="an object with named fields"):
        from_json([1])


def test_json_holds_what_differs_from_the_defaults():
    """So that a field which is added later leaves directories as valid as they were."""
    assert set(to_json(LENET)) == {
        "name", "source", "net", "data", "optimizer", "prune", "batch", "steps", "rounds", "series", "train_at"
    }  # fmt: skip
    assert to_json(LENET)["optimizer"] == {"name": "adam", "lr": 1.2e-3}
    assert set(to_json(replace(LENET, seed=3))) - set(to_json(LENET)) == {"seed"}
    assert from_json(to_json(LENET) | {"seed": 0, "schedule": {"name": "constant"}}) == LENET


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"series": ()}, "at least one"),
        ({"series": ("winning_ticket", "random_reinit", "random_reinit")}, "each once"),
        ({"rewind_step": 50_000}, "rewind_step must lie between 0 and 49999, got 50000"),
    ],
)
def test_impossible_recipes_are_refused(changes, message):
    with pytest.raises(RecipeError, match=message):
        replace(LENET, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"net": Part("lenet_1")}, "net must be one of .*lenet_300_100, .*, got 'lenet_1'"),
        ({"net": Part("lenet_300_100", depth=3)}, "the net lenet_300_100: it has no option 'depth', but hidden, std"),
        ({"net": Part("lenet_300_100", hidden=[6.5, 4])}, "hidden must be a list of integers, got .6.5, 4."),
        ({"net": Part("lenet_300_100", hidden=[6])}, "do not suit the net lenet_300_100"),
        ({"net": Part("lenet_300_100", std="1")}, "std must be a number or null, got '1'"),
        ({"net": Part("mlp")}, "the net mlp: it lacks hidden"),
        *(
            ({"net": Part("mlp", hidden=hidden)}, f"the net mlp: hidden must be a list of integers, got {shown}")
            for hidden, shown in ((100, "100"), ("", "''"), ({}, "{}"), ([True], ".True."), (None, "None"))
        ),
        (
            {"net": Part("bert", text="trec", classes=6, weights="w", sha256="0", pieces="9")},
            "pieces must be an integer",
        ),
        ({"optimizer": Part("sgd", lr=0.1, momentum="0.9")}, "the optimizer sgd: momentum must be a number, got '0.9'"),
        (
            {"optimizer": Part("sgd", lr=0.1, nesterov=True)},
            "sgd: it has no option 'nesterov', but lr, momentum, weight_decay",
        ),
        ({"optimizer": Part("sgd", lr=0.1, masks=3)}, "sgd: it has no option 'masks'"),
        ({"data": Part("imagenet")}, "data must be one of .*mnist, "),
        ({"task": Part("dream")}, "task must be one of .*classify, got 'dream'"),
        ({"augment": Part("rotate")}, "augment must be one of flip_and_crop"),
        (
            {"optimizer": Part("adagrad", lr=1)},
            "optimizer must be one of adam, adamw, clipped_adamw, sgd, got 'adagrad'",
        ),
        ({"optimizer": Part("adam", lr=0)}, "lr must be a positive number, got 0"),
        ({"optimizer": Part("adam", lr="fast")}, "lr must be a positive number, got 'fast'"),
        ({"optimizer": Part("adam")}, "lr must be a positive number, got None"),
        ({"optimizer": Part("adam", lr=0.1, momentum=0.9)}, "momentum"),
        ({"schedule": Part("cosine")}, "schedule must be one of constant, step_drops, linear_decay, got 'cosine'"),
        (
            {"schedule": Part("step_drops", drops=[[10]])},
            r"drops must be a list of \[an integer, a number\], got \[\[10\]\]",
        ),
        ({"schedule": Part("step_drops", drops=[[10, 0.1], [5, 0.01]])}, "later steps later"),
        ({"schedule": Part("linear_decay", steps=1.5)}, "the schedule linear_decay: steps must be an integer, got 1.5"),
        ({"schedule": Part("constant", warmup="long")}, "the schedule constant: warmup must be an integer, got 'long'"),
        ({"schedule": Part("constant", warmup=-1)}, "a warm-up takes at least 1 step, got -1"),
        ({"schedule": Part("constant", warmup=10**30)}, "the warm-up must end within the 50,000 steps, got 1,000,000"),
        ({"prune": Part("luck")}, "prune must be one of .*magnitude, got 'luck'"),
        ({"prune": Part("magnitude", scope="somewhere")}, "scope must be one of .*layerwise, globally, units"),
        ({"prune": Part("magnitude", rate=0.2)}, "prune has the options scope and rates, got rate"),
        ({"prune": Part("magnitude")}, "prune has no rates, and would prune nothing"),
        ({"prune": Part("magnitude", rates=[0.2])}, "rates must be an object of numbers"),
        ({"prune": Part("magnitude", rates={"fc1/W": 1.5})}, "got 1.5 for fc1/W"),
        ({"prune": Part("magnitude", rates={"fc1/W": "all"})}, "got 'all' for fc1/W"),
        ({"prune": Part("magnitude", rates={"fcc2/W": 0.1})}, "no parameter is called like fcc2/W"),
        ({"prune": Part("magnitude", rates={"*": 0.1})}, "only weights can be pruned"),
        ({"prune": LENET.prune.having(scope="globally")}, "all rates must be the same"),
        ({"series": ("winning_ticket", "noise")}, "there is no series 'noise'"),
        ({"series": ("winning_ticket", "lucky")}, "there is no series 'lucky'"),
        ({"series": ("winning_ticket", "continued_training")}, "needs fine_tuning"),
        ({"series": ("random_reinit",)}, "needs winning_ticket, which is not among them"),
        (
            {"series": ("random_reinit", "winning_ticket")},
            "round 0 .* is the dense network, and random_reinit has none",
        ),
        ({"name": "mine."}, "no . or space last, .* got 'mine.'"),  # Windows drops it
        ({"name": "Nul.lenet"}, "no device's name such as con or nul, got 'Nul.lenet'"),
        ({"schedule": Part("constant", lr=5.0)}, "the schedule has no lr of its own: it is the optimizer's"),
        ({"data": Part("mnist", seed=5)}, "the data has no seed of its own: it is the recipe's"),
    ],
)
def test_what_a_recipe_names_must_be_there_and_fit(changes, message):
    with pytest.raises(RecipeError, match=message):
        check(replace(LENET, **changes), PARTS)


def test_every_name_stands_for_one_thing():
    with pytest.raises(ValueError, match="two nets called lenet_300_100"):
        merged(parts.BUILT_IN, Parts(nets={"lenet_300_100": None}))
    assert merged(parts.BUILT_IN, Parts(nets={"mine": None})).nets.keys() == {*parts.BUILT_IN.nets, "mine"}


def test_data_come_from_where_the_recipe_says():
    mine = Parts(data={"mnist": lambda folder, seed: (folder, seed)})
    assert load_data(replace(LENET, seed=4), mine, "here") == ("here", 4)
