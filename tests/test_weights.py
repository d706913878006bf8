"""What winning tickets look like: histograms against plain loops, in figures, and what claims read of them."""

from dataclasses import replace

import numpy as np
import pytest
from histograms import made_up
from pictures import draw, outcome
from standing import at, wide

from npticket import nets
from npticket.experiments.planning import planned
from npticket.experiments.series import Done, Key
from npticket.papers import PARTS
from npticket.papers.lottery_ticket.recipes import RECIPES
from npticket.papers.lottery_ticket.weights import (
    INCOMING,
    INITIAL,
    MOVED,
    OTHERS,
    OUTGOING,
    Histogram,
    histograms,
)
from npticket.prune import dense_masks, prune_layerwise
from npticket.report.views import Missing
from npticket.streams import streams


def pruned(net, rate=0.7):
    """Where a ticket's measure stands: random masks, and weights of which some do not move."""
    theta0 = net.init(streams(3, [0], "init"))
    end = theta0.like(theta0.flat + np.random.default_rng(1).normal(size=theta0.flat.shape).astype(np.float32) / 20)
    end.flat[:, ::5] = theta0.flat[:, ::5]
    scores = theta0.like(np.random.default_rng(2).normal(size=theta0.flat.shape))
    masks = prune_layerwise(scores, dense_masks(theta0), dict.fromkeys(theta0.weights, rate))
    return at(net, theta0, masks, end)


def by(rows, what, layer):
    return [row for row in rows if (row["what"], row["layer"]) == (what, layer)]


@pytest.mark.parametrize("net", [wide()[0], nets.conv_2()], ids=["dense", "conv"])
def test_bins_hold_what_loops_count(net):
    there = pruned(net)
    rows = histograms(there)
    for name in there.prunable[:2]:
        initial, mask = there.theta0[name][0].astype(float), there.masks[name][0]
        moved = (there.end[name][0] - initial) * np.sign(initial) / initial.std()
        expected = {INITIAL: initial[mask] / initial.std(), MOVED: moved[mask], OTHERS: moved[~mask]}
        expected[INCOMING] = np.array([mask[..., unit].mean() for unit in range(mask.shape[-1])])
        expected[OUTGOING] = np.array([mask[..., unit, :].mean() for unit in range(mask.shape[-2])])
        for what, values in expected.items():
            bins = by(rows, what, name)
            for row in bins:
                inside = values[(values > row["low"] + 1e-9) & (values <= row["high"] + 1e-9)]
                assert (row["count"], row["mean"]) == (len(inside), pytest.approx(inside.mean()))
            assert sum(row["count"] for row in bins) == len(values)
            found = Histogram.of(rows, what, name)
            assert found.mean() == pytest.approx(values.mean(), abs=1e-9)
            assert found.mean(absolute=True) == pytest.approx(abs(values).mean())
            assert found.share(low=0) == pytest.approx((values > 0).mean())
            width = bins[0]["high"] - bins[0]["low"]
            assert values.std() ** 2 - width**2 / 4 - 1e-12 <= found.spread() ** 2 <= values.std() ** 2 + 1e-12


def test_what_does_not_move_does_not_move_away_from_0():
    net, theta0 = wide()
    theta0 = theta0.trial(0)
    rows = histograms(at(net, theta0, end=theta0.copy()))
    assert Histogram.of(rows, MOVED, "fc1/W").share(low=0) == 0
    away = histograms(at(net, theta0, end=theta0.like(theta0.flat * 2)))
    assert Histogram.of(away, MOVED, *theta0.weights).share(low=0) == 1
    with pytest.raises(Missing, match="there is no move of others of fc1/W"):  # of the dense network
        Histogram.of(rows, OTHERS, "fc1/W")
    assert Histogram.of(rows, INCOMING, "fc1/W").means.tolist() == [1]


def test_they_take_the_tickets_masks_and_the_dense_networks_end():
    recipe = replace(RECIPES["lenet-mnist"], rounds=10, trials=1, series=("winning_ticket", "weights"))
    runs = planned(recipe, PARTS.series)
    assert [key.round for key in runs if key.series == "weights"] == [0, 4, 8]
    given = runs[Key("weights", 8, 0)].given
    assert (given["masks"].key, given["masks"].what) == (Key("winning_ticket", 8, 0), "masks")
    assert (given["end"].key, given["end"].what) == (Key("winning_ticket", 0, 0), "end")
    first = next(PARTS.series["weights"].runs(recipe))
    assert first == Done("winning_ticket", 0)


def test_figures_have_a_panel_a_layer_or_a_density(drawn, tmp_path):
    draw(outcome(rounds=14, measured=made_up("paper", "lenet-mnist", trials=2)), tmp_path)
    panels = {stem: [axes.get_title() for axes in drawn[stem].axes]
              for stem in ("initial_values", "moves", "incoming_connections", "outgoing_connections")}  # fmt: skip
    assert panels["initial_values"] == [f"{p} % of the weights" for p in ("100.0", "41.0", "16.8", "6.9")]
    assert panels["moves"] == ["first hidden layer", "second hidden layer", "output layer"]
    assert panels["incoming_connections"][0] == "of the first hidden layer"
    line = drawn["initial_values"].axes[0].lines[1]
    assert line.get_label() == "second hidden layer"
    values = dict(zip(line.get_xdata().tolist(), line.get_ydata().tolist(), strict=True))
    assert values[-0.25] == pytest.approx(6 / 20 / 0.5) and values[-1.75] == values[1.75] == 0  # and beyond it nothing
    assert sum(values.values()) * 0.5 == pytest.approx(1)
    for stem in ("incoming_connections", "outgoing_connections"):
        assert drawn[stem].axes[0].get_ylabel() == "probability density"
        assert all(0 <= end <= 1 for axes in drawn[stem].axes for end in axes.get_xlim()), stem
    names = [line.get_label() for line in drawn["moves"].axes[2].lines]
    assert names == ["in the ticket at 16.8 %", "not in it"]


def test_without_measures_there_are_no_such_figures(drawn, tmp_path):
    draw(outcome(), tmp_path)
    assert "initial_values" not in drawn and "moves" not in drawn and "curves" in drawn
