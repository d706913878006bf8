"""Pruned architectures from scratch (Liu et al. 2019): units against loops, computation by hand, claims in worlds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import SMALL, data, experiment
from standing import at
from worlds import assert_judged, by_density

from npticket import nets
from npticket.datasets import Dataset, Split
from npticket.experiments.checks import check
from npticket.experiments.errors import RecipeError
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned
from npticket.experiments.recipe import Part
from npticket.experiments.series import Key, Length
from npticket.layers import Chain, Conv2D, Dense, Flatten, MaxPool, ReLU
from npticket.nets.net import Net
from npticket.papers import LIBRARY, PARTS
from npticket.papers.lottery_ticket.claims.words import REINIT, TICKET
from npticket.papers.rethinking import LENET, PAPER, RESNET_8, RESNET_56
from npticket.papers.rethinking import series as rethinking
from npticket.papers.rethinking.claims import CLAIMS
from npticket.papers.rethinking.series import SERIES, TUNED, UNITS_B, UNITS_E, UNITS_TICKET, UNITS_TUNED, B, E
from npticket.params import Params
from npticket.prune import dense_masks, density
from npticket.report import figures
from npticket.report.claims import FAILS, HOLDS, judge
from npticket.streams import streams
from npticket.task import CLASSIFY
from npticket.testing.strategies import seeds
from npticket.tickets import rewind
from npticket.train import fit

RATES = {"*/W": 0.36}
FLATTENED = Net("small", Chain(
    conv=Conv2D(2, 5, padding=1), relu=ReLU(), pool=MaxPool(2), flatten=Flatten(), fc=Dense(2 * 3 * 5, 4), again=ReLU(),
    out=Dense(4, 3)), (4, 6, 2), (3,))  # fmt: skip
FEEDING = {  # by hand: whose units may go, and whom they feed
    nets.lenet_300_100([9, 6]): [("fc1/W", "fc2/W"), ("fc2/W", "out/W")],
    FLATTENED: [("conv/W", "fc/W"), ("fc/W", "out/W")],
    nets.resnet(8, 4): [tuple(f"stage{s}_block1/sum/body/conv{i}/W" for i in (1, 2)) for s in (1, 2, 3)],
    nets.vgg_19(width=2): [
        *((f"conv{g}_{i}/W", f"conv{g}_{i + 1}/W") for g, n in enumerate((2, 2, 4, 4, 4), 1) for i in range(1, n)),
        *((f"conv{g}_{n}/W", f"conv{g + 1}_1/W") for g, n in enumerate((2, 2, 4, 4), 1)), ("conv5_4/W", "out/W"),
    ],
}  # fmt: skip


def trained(net, seed=0, round=2, trials=2, levels=1024):
    """Where a series of units stands: after training, with biases that are not 0, and perhaps with ties."""
    theta0 = net.init(streams(seed, range(trials), "init"), np.float64)
    rng = np.random.default_rng(seed)
    end = theta0.like(rng.integers(-levels, levels + 1, theta0.flat.shape) / levels)
    for name in end.buffers:
        end[name][...] = abs(end[name]) + 1
    return at(net, theta0, end=end, round=round, seed=seed)


@pytest.mark.parametrize("net", FEEDING, ids=lambda net: net.name)
@given(seed=seeds, round=st.integers(0, 9), levels=st.sampled_from([1, 4, 1024]))
def test_units_go_by_the_norm_of_what_comes_in_exactly_so_many_the_first_of_equals(net, seed, round, levels):
    if net.name in ("VGG-19", "ResNet-8"):
        seed, round = seed % 3, round % 4  # a few of these will do
    there = trained(net, seed, round, levels=levels)
    masks = rethinking.whole_units(RATES, there)
    for t in range(2):
        expected = {name: np.ones(there.end[name][t].shape, bool) for name in there.end}
        for name, following in FEEDING[net]:
            units = expected[name].shape[-1]
            norms = [abs(there.end[name][t][..., unit]).sum() for unit in range(units)]
            count = min(units - 1, np.rint((1 - 0.64**round) * units).astype(int))
            for unit in sorted(range(units), key=lambda unit: (norms[unit], unit))[:count]:
                expected[name][..., unit] = False
                for row in range(expected[following].shape[-2]):  # of a flattened map: channels come last
                    if row % units == unit:
                        expected[following][..., row, :] = False
        for name in there.end:
            assert (masks[name][t] == expected[name]).all(), name


def test_which_units_may_go_is_what_their_weights_rate_says():
    net = nets.lenet_300_100([9, 6])
    theta0 = net.init(streams(0, [0], "init"))
    assert rethinking.by_units(net, theta0, {"fc1/W": 0.5, "out/W": 0.9}, 2).rates == {"fc1/W": 0.75}
    deep = nets.resnet(14)  # two blocks a stage
    blocks = {f"stage{s}_block{b}/sum/body/conv1/W" for s in (1, 2, 3) for b in (1, 2)}
    theta = Params.empty(deep.body.layout, 1)
    assert set(rethinking.by_units(deep, theta, {"out/W": 0, "*/W": 0.1}, 1).rates) == blocks


@pytest.mark.parametrize(("net", "small"), [
    (nets.lenet_300_100([9, 6]), nets.lenet_300_100([4, 2])), (FLATTENED, None),
], ids=["dense", "convolution"])  # fmt: skip
def test_what_is_left_is_the_smaller_network(net, small):
    there = trained(net)
    start, masks = rethinking.structured_kept(RATES, there)
    assert start.flat.tobytes() == rewind(there.end, masks).flat.tobytes()
    if small is None:  # 5 filters become 2, 4 units 2
        small = Net("smaller", Chain(
            conv=Conv2D(2, 2, padding=1), relu=ReLU(), pool=MaxPool(2), flatten=Flatten(), fc=Dense(12, 2),
            again=ReLU(), out=Dense(2, 3)), (4, 6, 2), (3,))  # fmt: skip
    few = Params.empty(small.body.layout, 2, np.float64)
    for t in range(2):
        for name in few.weights:
            mask = masks[name][t]
            bias, units = name[:-1] + "b", mask.any(axis=tuple(range(mask.ndim - 1)))
            few[name][t] = start[name][t][mask].reshape(few[name].shape[1:])
            few[bias][t] = start[bias][t][..., units]
    x = np.random.default_rng(1).normal(size=(2, 3, *net.input_shape))
    assert net.predict(start, x) == pytest.approx(small.predict(few, x), abs=1e-9)
    start.flat[...] = np.where(masks.flat, start.flat, 1e-3)
    assert abs(net.predict(start, x) - small.predict(few, x)).max() > 1e-6  # so this can fail


def test_new_values_are_scaled_as_in_the_smaller_network():
    there = trained(nets.lenet_300_100([300, 100]), trials=1)
    start, masks = rethinking.structured_scratch(RATES, there)
    drawn = there.net.init(streams(0, [0], "control"), np.float64)
    for name, (inputs, outputs), (rows, columns) in (
        ("fc1/W", (784, 300), (784, 123)), ("fc2/W", (300, 100), (123, 41)), ("out/W", (100, 10), (41, 10)),
    ):  # fmt: skip
        assert masks[name].sum() == rows * columns
        scale = np.sqrt((inputs + outputs) / (rows + columns))
        assert start[name][masks[name]] == pytest.approx(scale * drawn[name][masks[name]])
        assert start[name][masks[name]].std() == pytest.approx(np.sqrt(2 / (rows + columns)), rel=0.06)
        assert not start[name][~masks[name]].any()


def test_new_filters_are_scaled_by_theirs():
    there = trained(nets.resnet(8, 8), round=1, trials=1)
    start, masks = rethinking.structured_scratch(RATES, there)
    drawn = there.net.init(streams(0, [0], "control"), np.float64)
    first, second = (f"stage1_block1/sum/body/conv{i}/W" for i in (1, 2))
    for name in (first, second):  # 8 of 8 and 5 of 8 on either side
        assert start[name][masks[name]] == pytest.approx(np.sqrt(16 / 13) * drawn[name][masks[name]])
    assert (start["conv/W"] == drawn["conv/W"]).all() and (start["out/W"] == drawn["out/W"]).all()


def test_blocks_without_filters_train_alike_in_both_engines():
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (16, 32, 32, 3), dtype=np.uint8), np.arange(16, dtype=np.uint8) % 10)
    noise = Dataset("noise", split, split, split, classes=10, source="a test")
    there = trained(nets.resnet(8, 4), trials=1)
    values, masks = rethinking.structured_scratch(RATES, there)
    start = values.like(values.flat.astype(np.float32))
    recipe = replace(RESNET_8, batch=8, validate_every=3)
    ends = []
    for engine in ("plain", "fast"):
        setting = Experiment(recipe, PARTS).setting(engine, length=Length(steps=3))
        ends.append(fit(there.net, CLASSIFY, start, masks, noise, setting).end)
        assert not ends[-1].flat[~masks.flat].any()
    assert ends[1].flat == pytest.approx(ends[0].flat, abs=2e-3)


def test_units_that_are_reset_have_their_first_values():
    there = trained(nets.lenet_300_100([9, 6]))
    start, masks = rethinking.structured_ticket(RATES, there)
    assert start.flat.tobytes() == rewind(there.theta0, masks).flat.tobytes()
    assert masks.flat.tobytes() == rethinking.whole_units(RATES, there).flat.tobytes()


def test_multiplications_are_counted_as_by_hand():
    lenet = replace(LENET, net=Part("lenet_300_100", hidden=[6, 4]), rounds=2)
    dense = 784 * 6 + 6 * 4 + 4 * 10
    assert rethinking.speedups(lenet, structured=False) == pytest.approx(
        [dense / (0.64 * (784 * 6 + 6 * 4) + 0.81 * 40)]
    )
    assert rethinking.speedups(lenet, structured=True) == pytest.approx([dense / (784 * 4 + 4 * 3 + 3 * 10)])
    first, last, shortcuts = 1024 * 9 * 3 * 8, 320, 256 * 8 * 16 + 64 * 16 * 32
    blocks = ((1024, 8, 8, 5), (256, 8, 16, 10), (64, 16, 32, 20))  # places, channels, filters, and those that are left
    whole = sum(9 * places * (c * f + f * f) for places, c, f, _ in blocks)
    fewer = sum(9 * places * (c * left + left * f) for places, c, f, left in blocks)
    (units,), (weights,) = (rethinking.speedups(replace(RESNET_8, rounds=2), s) for s in (True, False))
    assert units == pytest.approx((first + whole + shortcuts + last) / (first + fewer + shortcuts + last))
    assert weights == pytest.approx(
        (first + whole + shortcuts + last) / (0.64 * (first + whole) + shortcuts + last), rel=1e-3
    )


def test_lengths_are_the_papers():
    runs = planned(LENET, PARTS.series)
    lengths = {series: [runs[Key(series, round, 0)].length for round in (1, 2, 5)] for series in SERIES}
    assert lengths[TUNED] == lengths[UNITS_TUNED] == [Length(11_250, None, 14_999)] * 3
    assert lengths[E] == lengths[UNITS_E] == lengths[UNITS_TICKET] == [Length()] * 3
    weights, units = (rethinking.speedups(LENET, structured)[0] for structured in (False, True))
    assert 1.5 < weights < units < 2
    for series, times in ((B, weights), (UNITS_B, units)):
        steps = [int(times * 15_000), 30_000, 30_000]  # twice as many at most
        assert lengths[series] == [Length(0, each, None, True) for each in steps]
    assert all(run.given["end"].key == Key(TICKET, 0, key.trial) for key, run in runs.items() if key.series in SERIES)
    assert (SERIES[B].stream, SERIES[UNITS_B].stream) == (E, UNITS_E)  # where these start


def test_a_series_is_the_same_however_many_rounds_are_asked_for():
    few, many = (planned(replace(LENET, rounds=n), PARTS.series) for n in (3, 6))
    assert {key: run.length for key, run in few.items()} == {key: many[key].length for key in few}


def test_recipes_are_the_papers_settings():
    assert (RESNET_56.steps, RESNET_56.batch, Experiment(RESNET_56, PARTS).net.name) == (125_120, 64, "ResNet-56")
    assert RESNET_56.optimizer == Part("sgd", lr=0.1, momentum=0.9, weight_decay=1e-4)
    assert RESNET_56.schedule.options["drops"] == [[62_560, 0.01], [93_840, 0.001]]
    low = LIBRARY.published["rethinking-resnet8-rate-0.01"]
    assert low.optimizer == Part("sgd", lr=0.01, momentum=0.9, weight_decay=1e-4)
    assert low.schedule.options["drops"] == [[1_200, 0.001], [1_800, 0.0001]]
    for recipe in PAPER.published.values():
        check(recipe, PARTS)
    assert len(planned(LENET, PARTS.series)) == 5 * (6 + 7 * 5)
    for name, each in (("rethinking-lenet-rate", 55), ("rethinking-resnet8-rate", 27)):
        assert [len(planned(recipe, PARTS.series)) for recipe in PAPER.sweeps[name].recipes.values()] == [each] * 2


def units_left(recipe):
    """The fractions of weights that are left without whole units, by series and round."""
    net, rates, found = Experiment(recipe, PARTS).net, recipe.prune.options["rates"], {}
    theta = net.init(streams(0, [0], "init"))
    for round in range(1, recipe.rounds):
        masks = rethinking.by_units(net, theta, rates, round)(theta, dense_masks(theta))
        fraction = float(density(masks)[0])
        found |= {(series, round): fraction for series in (UNITS_TUNED, UNITS_E, UNITS_B, UNITS_TICKET)}
    return found


ABOVE = {UNITS_TUNED: 0, UNITS_E: 0.6, UNITS_B: 1.2, UNITS_TICKET: 0.6}  # at every density
RATED = {  # accuracy with many and with few weights, in the papers' world and in the other
    1: {"lenet": {"dense": (91,), TICKET: (91.4, 90), REINIT: (91.35, 89)},
        "deep": {"dense": (92,), TICKET: (91.4, 90), REINIT: (91.3, 89)},
        "low": {"dense": (90,), TICKET: (90.8, 88), REINIT: (90.3, 87)}},
    -1: {"lenet": {"dense": (92,), TICKET: (91, 89), REINIT: (90.7, 90)},
         "deep": {"dense": (90,), TICKET: (91, 89), REINIT: (90, 90)},
         "low": {"dense": (92,), TICKET: (91.6, 90), REINIT: (91.9, 90)}},
}  # fmt: skip
LOST = {TUNED: 1, E: 2.5, B: 1.9}  # with as few weights as in the paper


def world(sign):
    """As the papers have it with `sign` 1, and the other way round with -1."""

    def accuracy(series, density):
        if series in ABOVE:
            return 90 + sign * ABOVE[series] + 2 * (sign < 0 and series == UNITS_TICKET)
        return 91 - sign * LOST.get(series, 0) * (density < 0.5) - (sign < 0 and density > 0.5 and series in (E, B))

    def at_rate(rate):
        def accuracy(series, density):
            return RATED[sign][rate]["dense" if density > 0.9 else series][int(density < 0.3)]

        return accuracy

    found = {recipe.name: by_density(recipe, accuracy, units_left(recipe)) for recipe in (LENET, RESNET_56)}
    for net, high, low in (
        ("lenet", *(f"rethinking-lenet-rate-{lr}" for lr in (0.1, 0.01))),
        ("deep", *(f"rethinking-resnet8-rate-{lr}" for lr in (0.1, 0.01))), ("deep", "vgg19-high", "vgg19-low"),
    ):  # fmt: skip
        found[high] = by_density(LIBRARY.published[high], at_rate(net))
        found[low] = by_density(LIBRARY.published[low], at_rate("low"))
    found["vgg19-warmup"] = by_density(LIBRARY.published["vgg19-warmup"], at_rate("deep"))
    return found


@pytest.fixture(scope="module")
def worlds():
    return {sign: world(sign) for sign in (1, -1)}


@pytest.mark.parametrize(("sign", "status"), [(1, HOLDS), (-1, FAILS)])
def test_every_claim_can_hold_and_can_fail(worlds, sign, status):
    assert_judged(CLAIMS, worlds[sign].values(), status)


def test_a_small_experiment_from_end_to_end(worlds, tmp_path):
    pytest.importorskip("matplotlib")
    recipe = replace(SMALL, name=LENET.name, series=(TICKET, *SERIES), test_at=(), schedule=LENET.schedule)
    drops = Part("step_drops", drops=[[6, 1e-4], [9, 1e-5]])
    outcome = experiment(replace(recipe, schedule=drops), tmp_path, data())
    steps = {series: [point.steps for point in outcome.points(series)] for series in outcome.series}
    weights, units = (rethinking.speedups(recipe, structured) for structured in (False, True))
    assert steps[B] == [int(12 * each) for each in weights] and steps[UNITS_B] == [int(12 * min(2, e)) for e in units]
    assert steps[TUNED] == steps[E] == [12, 12]
    begins = {s: min(row["step"] for row in outcome.curves if row["series"] == s) for s in (E, TUNED)}
    assert begins == {E: 5, TUNED: 10}  # after 9 steps of the dense network's training
    densities = {s: [point.density for point in outcome.points(s)] for s in outcome.series}
    assert densities[TUNED] == densities[E] == densities[B] == densities[TICKET][1:]
    assert densities[UNITS_E] == [(784 * 5 + 5 * 3 + 30) / 4768, (784 * 4 + 4 * 3 + 30) / 4768]  # 6 units, 4 units
    assert {path.stem for path in figures.draw(outcome, tmp_path, PAPER.plots)} == {"weights", "units"}
    assert len(judge(CLAIMS, {LENET.name: outcome}, LIBRARY.published)) == 13
    sweep = PAPER.sweeps["rethinking-resnet8-rate"]
    (picture,) = sweep.pictures({key: worlds[1][recipe.name] for key, recipe in sweep.recipes.items()})
    lines = {line.get_label(): line for line in picture.figure.axes[0].lines}
    assert [*lines] == [f"{lr}, {words}" for lr in (0.1, 0.01) for words in ("winning ticket", "random reinit")]
    assert lines["0.01, random reinit"].get_ydata()[-1] == pytest.approx(87, abs=0.1)


@pytest.mark.parametrize("name", ["rethinking-lenet", "rethinking-resnet56"])
def test_rates_are_checked_before_what_is_planned_by_them(name):
    recipe = LIBRARY.recipes[name]
    with pytest.raises(RecipeError, match="no parameter is called like nope/W"):
        check(replace(recipe, prune=recipe.prune.having(rates={"nope/W": 0.2})), PARTS)
    check(replace(recipe, rounds=1, prune=Part("magnitude")), PARTS)  # where nothing is pruned, no rates are needed


def test_series_start_as_they_are_called():
    """Over values before and after training, and new ones."""
    net, runs = nets.lenet_300_100([9, 6]), planned(replace(LENET, trials=1), PARTS.series)
    there = trained(net, trials=1)
    new = there.net.init(there.rngs, np.float64)
    for series, values in {
        TUNED: there.end,
        E: new,
        B: new,
        UNITS_TUNED: there.end,
        UNITS_TICKET: there.theta0,
    }.items():
        start, masks = runs[Key(series, 2, 0)].start(trained(net, trials=1))
        assert start.flat.tobytes() == rewind(values, masks).flat.tobytes(), series
