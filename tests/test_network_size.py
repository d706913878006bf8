"""Is the network too large: numbers of weights by hand, tickets between two rounds, and what is drawn and judged."""

import math
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import legend, lines
from small import data, experiment
from worlds import outcome_of, row

from npticket.datasets import Dataset, Split
from npticket.experiments.checks import check
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned
from npticket.experiments.recipe import scaled
from npticket.papers import LIBRARY, PARTS
from npticket.papers.lottery_ticket.claims.words import ACC, END
from npticket.papers.lottery_ticket.recipes import LENET, RESNET_18_HIGH
from npticket.papers.network_size.claims import CLAIMS, FEW_DEEP, LEAST, LEAST_DEEP, SOME_DEEP
from npticket.papers.network_size.numbers import at, weights
from npticket.papers.network_size.recipes import LENETS, RESNETS
from npticket.report.claims import FAILS, HOLDS, judge
from npticket.report.figures import draw
from npticket.report.sweeps import draw_sweep
from npticket.report.views import Missing, View

ALL = {recipe.name: recipe for sweep in (LENETS, RESNETS) for recipe in sweep.recipes.values()}
TWO_LAYERS = LENETS.recipes["25-9"]  # 784 x 25 + 25 x 9 + 9 x 10 = 19,915 weights


def left(recipe):
    """How many weights are left, by round, counted layer by layer."""
    layout = Experiment(recipe, PARTS).net.body.layout
    sizes = {name: math.prod(shape) for name, shape in layout.items() if name.endswith("/W")}
    options = recipe.prune.options
    rates = {n: next((rate for p, rate in options["rates"].items() if fnmatchcase(n, p)), 0) for n in sizes}
    groups = [[sizes[name], rates[name]] for name in sizes]
    if options.get("scope") == "globally":
        pruned, kept = (sum(n for n, rate in groups if bool(rate) == yes) for yes in (True, False))
        groups = [[pruned, max(rates.values())], [kept, 0]]
    found = []
    for _ in range(recipe.rounds):
        found.append(sum(n for n, _ in groups))
        groups = [[n - round(rate * n), rate] for n, rate in groups]
    return found


def made_up(recipe, accuracy, stop=lambda count: 1_000):
    """What a recipe would leave: `accuracy(count)` in percent and `stop(count)`, each trial a little better."""
    counts, rows = left(recipe), []
    for (r, count), t in product(enumerate(counts), range(3)):
        acc = accuracy(count) / 100 + t / 1e5
        rows.append(row(t, "winning_ticket", r, count / counts[0], acc, float(stop(count) + t), steps=recipe.steps))
    return outcome_of(recipe, rows)


def of(outcome):
    return View(outcome, [0, 1, 2], outcome.recipe.steps)


@pytest.mark.parametrize(
    ("recipe", "count"),
    [(LENET, 266_200), (TWO_LAYERS, 19_915), (LENETS.recipes["15-5"], 11_885), (RESNET_18_HIGH, 270_896),
     (RESNETS.recipes["8-8"], 19_608)],
    ids=lambda case: getattr(case, "name", case),
)  # fmt: skip
def test_weights_are_counted_without_biases_and_normalisation(recipe, count):
    assert weights(recipe) == left(recipe)[0] == count


def test_at_a_round_it_is_that_rounds_and_between_two_on_a_line_over_the_logarithm():
    counts = left(TWO_LAYERS)
    view = of(made_up(TWO_LAYERS, lambda count: 90 + counts.index(count)))
    for r, count in enumerate(counts):
        np.testing.assert_allclose(at(count, ACC, TWO_LAYERS)(view).low, 90 + r + np.arange(3) / 1000)
    middle = round(math.sqrt(counts[1] * counts[2]))
    np.testing.assert_allclose(at(middle, ACC, TWO_LAYERS)(view).low[0], 91.5, atol=1e-3)


@given(st.integers(left(TWO_LAYERS)[-1], 19_915), st.lists(st.floats(10, 99), min_size=8, max_size=8))
def test_it_lies_between_the_two_rounds(count, values):
    counts = left(TWO_LAYERS)
    found = at(count, ACC, TWO_LAYERS)(of(made_up(TWO_LAYERS, lambda n: values[counts.index(n)])))
    a, b = next((x, y) for (x, more), (y, few) in pairwise(zip(values, counts, strict=True)) if few <= count <= more)
    assert min(a, b) - 1e-9 <= found.low[0] <= max(a, b) + 1e-9
    assert (found.low == found.high).all()


def test_of_runs_cut_short_it_is_a_bound_unless_it_is_read_at_another_round():
    counts = left(TWO_LAYERS)
    view = of(made_up(TWO_LAYERS, lambda _: 90, lambda count: 14_900 if count == counts[1] else 1_000))
    for count, bound in ((counts[0], False), (counts[0] - 1, True), (counts[1], True), (counts[2] + 1, True),
                         (counts[2], False)):  # fmt: skip
        found = at(count, ACC, TWO_LAYERS)(view)
        assert (np.isfinite(found.low).all(), np.isinf(found.high).all()) == (True, bound)
    assert np.isfinite(at(counts[1], END, TWO_LAYERS)(view).high).all()


@pytest.mark.parametrize("count", [19_916, left(TWO_LAYERS)[-1] - 1])
def test_what_no_ticket_has_is_missing(count):
    with pytest.raises(Missing, match=f"lenet-size-25-9 has no ticket with {count:,} weights"):
        at(count, ACC, TWO_LAYERS)(of(made_up(TWO_LAYERS, lambda _: 90)))


def test_recipes_are_the_papers_setting_in_other_sizes_and_shorter():
    free = {"name": "lenet-mnist", "source": LENET.source, "net": LENET.net, "series": LENET.series}
    for key, recipe in LENETS.recipes.items():
        same = replace(recipe, **free, steps=LENET.steps, rounds=LENET.rounds, train_at=LENET.train_at)
        assert same == LENET and recipe.steps == 15_000
        assert Experiment(recipe, PARTS).net.name == f"LeNet-{key}"
        assert left(recipe)[-1] <= LEAST and (recipe.rounds == 1 or 4_000 < left(recipe)[-1] < 5_900)
    for key, recipe in RESNETS.recipes.items():
        depth, width = recipe.net.options.values()
        layout = Experiment(recipe, PARTS).net.body.layout
        assert key == f"{depth}-{width}" and layout["conv/W"][-1] == width
        assert left(recipe)[-1] <= (FEW_DEEP if max(depth / 14, width / 16) <= 1 else SOME_DEEP)
        assert left(recipe)[0] >= LEAST_DEEP
        assert (recipe.optimizer, recipe.augment) == (RESNET_18_HIGH.optimizer, RESNET_18_HIGH.augment)
        assert recipe.schedule.options["drops"] == [[1_600, 0.01], [2_000, 0.001]]  # at 2/3 and 5/6
        assert 1 - recipe.prune.options["rates"]["*/W"] == pytest.approx(0.8**3)
    for recipe in ALL.values():
        check(recipe, PARTS)
    assert sum(len(planned(recipe, PARTS.series)) for recipe in LENETS.recipes.values()) == 5 * 178
    assert sum(len(planned(recipe, PARTS.series)) for recipe in RESNETS.recipes.values()) == 3 * (29 + 6)
    assert {key.split("-")[0] for key in RESNETS.recipes if key.endswith("-16")} == {"8", "14", "20"}
    assert {key.split("-")[1] for key in RESNETS.recipes if key.startswith("8-")} == {"8", "16", "32"}


def world(accuracy, stop):
    """All experiments, of which `accuracy(size, count)` and `stop(size, count)` are known."""
    sizes = {name: weights(recipe) for name, recipe in ALL.items()}
    return {
        name: made_up(recipe, lambda n, size=sizes[name]: accuracy(size, n), lambda n, size=sizes[name]: stop(size, n))
        for name, recipe in ALL.items()
    }


WORLDS = {
    "large": world(lambda size, n: 90 + math.log10(size) + (size != n) * 0.1 * math.log(n / 11_000),
                   lambda size, n: 2_000 + (size == n) * 4_000),  # tickets fall behind at 11,000 weights
    "small": world(lambda size, n: 99 - math.log10(size) + math.log10(n), lambda size, n: 12_000 * size / 1e6 + 900),
    "alike": world(lambda size, n: 95, lambda size, n: 1_000),
}  # fmt: skip
VERDICTS = {name: {v.claim.id: v for v in judge(CLAIMS, each, LIBRARY.published)} for name, each in WORLDS.items()}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_every_claim_can_hold_and_can_fail(claim):
    verdicts = {name: judged[claim.id].status for name, judged in VERDICTS.items()}
    assert verdicts["large"] == HOLDS
    assert FAILS in verdicts.values()
    assert set(claim.recipes) <= set(ALL)


def test_a_small_dense_network_that_is_cut_short_is_slower_still():
    outcomes = dict(WORLDS["large"])
    least = ALL["lenet-size-15-5"]
    outcomes[least.name] = made_up(least, lambda _: 92, lambda _: 14_800)
    found = {verdict.claim.id: verdict for verdict in judge(CLAIMS, outcomes, LIBRARY.published)}
    assert found["size-faster-than-dense"].status == found["size-over-dense"].status == HOLDS
    assert found["size-faster-than-dense"].estimate.bound == "≤"


def test_the_figure_has_numbers_of_weights_and_a_line_of_dense_networks(drawn, tmp_path):
    outcomes = {name: WORLDS["large"][name] for name in (recipe.name for recipe in LENETS.recipes.values())}
    draw_sweep(LENETS, outcomes, tmp_path)
    figure = drawn["lenet-size_weights"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["weights left"] * 3
    sizes = [weights(recipe) for recipe in LENETS.recipes.values()]
    assert legend(figure) == ["dense networks", *list(LENETS.recipes)[:-1]]  # LeNet-15-5 was not pruned
    same = {name: line.get_color() for name, line in lines(drawn["lenet-size"].axes[0]).items()}
    colors = {name: line.get_color() for name, line in lines(figure.axes[0]).items()}
    assert colors == {name: same[name] for name in list(LENETS.recipes)[:-1]} | {"dense networks": "#000000"}
    assert len(set(colors.values())) == len(colors)
    for axes in figure.axes:
        found = lines(axes)
        np.testing.assert_allclose(found["dense networks"].get_xdata(), sizes)
        np.testing.assert_allclose(found["25-9"].get_xdata(), left(TWO_LAYERS))
        high, low = axes.get_xlim()
        assert high > max(sizes) and low < 9_000 and axes.get_xscale() == "log"
    accuracies = [90 + math.log10(size) + 1e-3 for size in sizes]
    np.testing.assert_allclose(lines(figure.axes[1])["dense networks"].get_ydata(), accuracies)


def small(recipe, **changes):
    return replace(scaled(recipe, 12), batch=8, trials=2, train_at=(), **changes)


def test_a_tiny_experiment_is_drawn_and_judged(tmp_path):
    outcomes = {}
    for key in ("25-9", "15-5"):
        recipe = small(LENETS.recipes[key], rounds=LENETS.recipes[key].rounds)
        outcomes[recipe.name] = experiment(recipe, tmp_path / key, data())
        counts = [round(weights(recipe) * p.density) for p in outcomes[recipe.name].points("winning_ticket")]
        assert counts == left(recipe)
    alone = outcomes["lenet-size-15-5"]  # one round: what is drawn of a network that is not pruned
    assert draw(alone, tmp_path / "figures", LIBRARY.plots(alone.recipe))
    stems = {path.stem for path in draw_sweep(LENETS, outcomes, tmp_path / "figures")}
    assert stems == {"lenet-size", "lenet-size_weights"}
    assert {v.claim.id for v in judge(CLAIMS, outcomes)} >= {"size-over-dense", "size-50-17-over-25-9"}


def test_a_residual_network_keeps_its_shortcuts_and_is_rewound(tmp_path):
    recipe = replace(small(RESNETS.recipes["8-8"], rounds=2), trials=1)
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (24, 32, 32, 3), np.uint8), np.arange(24, dtype=np.uint8) % 10)
    outcome = experiment(recipe, tmp_path, Dataset("noise", split, split, split, classes=10, source="a test"))
    counts = [round(19_608 * point.density) for point in outcome.points("winning_ticket")]
    assert recipe.rewind_step == 1
    assert counts == left(recipe) == [19_608, 19_608 - round(0.488 * (19_608 - 320 - 128 - 512))]
