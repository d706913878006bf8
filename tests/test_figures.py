"""Figures from made-up outcomes: which are drawn, what their lines say, and that nothing is written over anything."""

import builtins
import shutil
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from pictures import draw, legend, lines, outcome

from npticket.experiments import directory
from npticket.experiments.errors import StoreError
from npticket.report import canvas, figures, finishing, quantities, sweeps
from npticket.report.sweeps import Sweep
from npticket.task import CLASSIFY, LOSS, Metric

CONTROLS = ("random_reinit", "random_reinit_2", "random_mask", "one_shot", "one_shot_reinit", "fine_tuning",
            "continued_training", "noise_0.5", "noise_3", "survivor_reinit", "shuffled", "pruned_at_init")  # fmt: skip


ALWAYS = {"early_stopping", "final_accuracy", "generalisation", "curves", "validation_loss"}


@pytest.mark.parametrize(
    ("series", "test_at", "more"),
    [
        (("winning_ticket",), (), set()),
        (("winning_ticket", "random_reinit"), (), set()),
        (("winning_ticket", "random_reinit"), (500, 1_000), {"fixed_steps"}),
        (("winning_ticket", "random_reinit", "random_mask"), (), {"structure_or_initialisation"}),
        (("winning_ticket", "one_shot"), (), {"one_shot"}),
        (("winning_ticket", "fine_tuning", "continued_training"), (), {"controls"}),
        (("winning_ticket", *CONTROLS), (500,), {"fixed_steps", "structure_or_initialisation", "one_shot", "controls"}),
    ],
)
def test_what_is_drawn_is_what_there_are_data_for(series, test_at, more, tmp_path, drawn):
    paths = draw(outcome(series, test_at=test_at), tmp_path)
    assert {path.stem for path in paths} == ALWAYS | more == set(drawn)
    assert sorted(path.suffix for path in paths) == [".png"] * (len(paths) // 2) + [".svg"] * (len(paths) // 2)
    for figure in drawn.values():
        assert figure.get_suptitle() == "A net on data\na note; line: mean, band: min-max"


def test_unfinished_experiments_are_drawn_as_far_as_they_are(tmp_path, drawn):
    assert draw(outcome(results=[], curves=[]), tmp_path) == []
    draw(outcome(curves=[], test_at=(500,)), tmp_path)
    assert set(drawn) == ALWAYS - {"curves", "validation_loss"}
    whole = outcome(rounds=5)
    begun = [row for row in whole.results if row["round"] < 2 or row["series"] == "winning_ticket"]
    draw(replace(whole, results=begun), tmp_path)
    np.testing.assert_allclose(lines(drawn["final_accuracy"].axes[0])["random reinit"].get_xdata(), [80])
    assert "41.0 %" in legend(drawn["curves"])


def test_lines_are_means_and_bands_the_range_of_the_runs(tmp_path, drawn):
    draw(outcome(rounds=3), tmp_path)
    steps, accuracy, train = drawn["early_stopping"].axes
    for axes, ticket, reinit, dense in (
        (steps, [0.15, 0.25, 0.35], [0.25, 0.35], 0.15),  # steps 100 and 200 in round 0, in thousands
        (accuracy, [90.5, 90.6, 90.7], [80.6, 80.7], 90.5),
        (train, [100, 100, 100], [100, 100], 100),
    ):
        found = lines(axes)
        np.testing.assert_allclose(found["winning ticket"].get_ydata(), ticket)
        np.testing.assert_allclose(found["winning ticket"].get_xdata(), [100, 80, 64])
        np.testing.assert_allclose(found["random reinit"].get_ydata(), reinit)
        np.testing.assert_allclose(found["random reinit"].get_xdata(), [80, 64])
        np.testing.assert_allclose(found["dense network"].get_ydata(), dense)
        left, right = axes.get_xlim()
        assert left > right and axes.get_xscale() == "log" and axes.get_xlabel() == "weights remaining (%)"
    assert lines(steps)["random reinit"].get_linestyle() == "--"
    assert steps.get_ylim()[0] == 0
    assert legend(drawn["early_stopping"]) == ["winning ticket", "random reinit", "dense network"]
    corners = accuracy.collections[0].get_paths()[0].vertices[:, 1]
    assert (corners.min(), corners.max()) == (pytest.approx(90.0), pytest.approx(91.2))
    gap = lines(drawn["generalisation"].axes[2])["winning ticket"].get_ydata()
    np.testing.assert_allclose(gap, [11.5, 11.4, 11.3])


def test_what_was_cut_short_has_an_open_marker_and_an_arrow(tmp_path, drawn):
    whole = outcome(steps=2_000)
    short = [row | {"steps": int(row["early_stop_step"] / 0.95)} if row["round"] == 2 else row for row in whole.results]
    draw(whole, tmp_path)
    assert canvas.CUT_SHORT not in drawn["early_stopping"].get_suptitle()
    draw(replace(whole, results=short), tmp_path)
    figure = drawn["early_stopping"]
    assert canvas.CUT_SHORT in " ".join(figure.get_suptitle().split("\n"))
    for axes, expected in zip(figure.axes, (2, 2, 0), strict=True):  # ticket and reinit; not what is read at the end
        arrows = [text for text in axes.texts if text.get_gid() == canvas.CUT_SHORT]
        markers = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
        assert (len(arrows), len(markers)) == (expected, expected)
        assert all(arrow.xy[0] == pytest.approx(64) for arrow in arrows)
    assert canvas.CUT_SHORT not in drawn["final_accuracy"].get_suptitle()


def arrows(figure):
    return [(axes, text) for axes in figure.axes for text in axes.texts if text.get_gid() == canvas.CUT_SHORT]


@pytest.mark.parametrize("least", [100, 1_900])
def test_arrows_end_inside_of_their_panel(least, tmp_path, drawn):
    whole = outcome(steps=2_000)
    rows = [row | {"early_stop_step": 2_000 if row["round"] == 3 else least} for row in whole.results]
    draw(replace(whole, results=rows), tmp_path)
    figure = drawn["early_stopping"]
    figure.canvas.draw()
    assert arrows(figure)
    for axes, arrow in arrows(figure):
        assert arrow.get_window_extent().y1 <= axes.get_window_extent().y1


@pytest.mark.parametrize(("most", "scale", "ticks"), [(700, "linear", None), (900, "log", ["0.1", "0.2", "0.5", "1"])])
def test_steps_that_lie_far_apart_are_on_a_logarithmic_axis(most, scale, ticks, tmp_path, drawn):
    whole = outcome(("winning_ticket",))
    rows = [row | {"early_stop_step": most if row["round"] == 3 else 100} for row in whole.results]
    draw(replace(whole, results=rows), tmp_path)
    axes = drawn["early_stopping"].axes[0]
    low, high = axes.get_ylim()
    assert axes.get_yscale() == scale and (low == 0) == (scale == "linear") and low < 0.1 and most / 1000 < high
    if ticks:
        assert [tick.get_text() for tick in axes.get_yticklabels()] == ticks


@pytest.mark.parametrize(
    ("made", "shared"),
    [
        ((quantities.at_early_stop, quantities.at_the_end), True), ((quantities.trained, quantities.fitted), True),
        ((quantities.trained, quantities.at_the_end), False), ((quantities.early_stop, quantities.at_the_end), False),
        ((quantities.gap, quantities.gap), False),
    ],
)  # fmt: skip
def test_panels_about_the_same_split_share_their_axis(made, shared, tmp_path, drawn):
    whole = outcome()
    worse = [row | {"final_test_acc": row["final_test_acc"] - 0.03, "best_train_acc": 0.9} for row in whole.results]
    figures.draw(replace(whole, results=worse), tmp_path, [figures.Lines("both", made)])
    one, other = drawn["both"].axes
    assert (one.get_ylim() == other.get_ylim() and one.get_shared_y_axes().joined(one, other)) == shared
    assert one.get_ylabel() != other.get_ylabel() or made[0] is made[1]
    for axes in (one, other):
        (ticket,) = (line for line in axes.lines if line.get_label() == "winning ticket")
        assert axes.get_ylim()[0] <= min(ticket.get_ydata()) and max(ticket.get_ydata()) <= axes.get_ylim()[1]


@pytest.mark.parametrize(("count", "across"), [(1, 1), (3, 3), (4, 2), (5, 3), (6, 3)])
@pytest.mark.parametrize("sharey", [True, False])
def test_from_four_panels_on_there_are_two_rows(count, across, sharey, tmp_path, drawn):
    figure, panels = canvas.panels(count, sharey)
    for axes in panels:
        axes.plot([1, 2], label="line")
    panels[0].set_ylabel("what")
    finishing.finish(canvas.Picture("some", figure), "title", "note", tmp_path)
    assert len(figure.axes) == len(panels) == count and figure.get_figwidth() <= 13.8
    spots = [axes.get_subplotspec() for axes in panels]
    assert [spot.num1 for spot in spots] == list(range(count)) and spots[0].get_gridspec().ncols == across
    assert {axes.get_ylabel() for axes, spot in zip(panels, spots, strict=True) if spot.is_first_col()} == {"what"}
    check_layout(figure, "rows")


@pytest.mark.parametrize(
    ("rounds", "ticks"),
    [
        (5, ["100.0", "80.0", "64.0", "51.2", "41.0"]),
        (16, ["100.0", "51.2", "26.2", "13.4", "6.9", "3.5"]),  # every third round, as in the paper
        (29, ["100.0", "51.2", "26.2", "13.4", "6.9", "3.5", "1.8", "0.92", "0.47", "0.24"]),
    ],
)
def test_ticks_are_densities_of_rounds(rounds, ticks, tmp_path, drawn):
    draw(outcome(rounds=rounds), tmp_path)
    for axes in drawn["early_stopping"].axes:
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ticks
        np.testing.assert_allclose(axes.get_xticks(), [float(tick) for tick in ticks], rtol=0.03)


def test_two_figures_of_one_name_are_refused(tmp_path):
    twice = [figures.Lines("early", (quantities.early_stop,)), figures.Lines("early", (quantities.at_the_end,))]
    with pytest.raises(ValueError, match="two figures of net-data are called early"):
        figures.draw(outcome(), tmp_path, twice)


def test_draws_of_one_control_are_one_line(tmp_path, drawn):
    draw(outcome(("winning_ticket", "random_reinit", "random_reinit_2")), tmp_path)
    assert set(lines(drawn["early_stopping"].axes[0])) == {"winning ticket", "random reinit", "dense network"}


def test_several_dense_networks_are_one_point(tmp_path, drawn):
    """Two runs a trial in round 0, one in the others: the means, and the range of all."""
    whole = outcome(("winning_ticket", "random_reinit"), rounds=3)
    again = [
        [row | {"series": "dense_2", **more} for row in rows if (row["series"], row["round"]) == ("winning_ticket", 0)]
        for rows, more in ((whole.results, {"early_stop_step": 650}), (whole.curves, {}))
    ]
    recipe = replace(whole.recipe, series=(*whole.recipe.series, "dense_2"))
    results, curves = (rows + more for rows, more in zip((whole.results, whole.curves), again, strict=True))
    draw(replace(whole, recipe=recipe, results=results, curves=curves), tmp_path)
    steps = drawn["early_stopping"].axes[0]
    np.testing.assert_allclose(lines(steps)["winning ticket"].get_ydata(), [0.4, 0.25, 0.35])  # 100, 200, 650, 650
    np.testing.assert_allclose(lines(steps)["dense network"].get_ydata(), 0.4)
    assert steps.collections[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(0.65)
    assert legend(drawn["early_stopping"]) == ["winning ticket", "random reinit", "dense network"]
    assert "100.0 %" in legend(drawn["curves"])


def test_structure_controls_and_one_shot_show_their_series(tmp_path, drawn):
    draw(outcome(("winning_ticket", *CONTROLS)), tmp_path)
    ours, reinit, dense = "winning ticket", "random reinit", "dense network"
    assert legend(drawn["one_shot"]) == [ours, reinit, "one-shot", "one-shot, reinit", dense]
    assert legend(drawn["structure_or_initialisation"]) == [
        ours, reinit, "random mask", "shuffled within layers", "from survivors' values", dense,
    ]  # fmt: skip
    assert legend(drawn["controls"]) == [
        ours, reinit, "prune and fine-tune", "reset only at the end", "noise, 0.5 sigma", "noise, 3 sigma",
        "pruned before training", dense,
    ]  # fmt: skip
    against_density = (drawn[stem] for stem in sorted(set(drawn) - {"curves", "validation_loss"}))
    found = (line for figure in against_density for axes in figure.axes for line in axes.lines)
    styles = {(line.get_linestyle(), line.get_marker()) for line in found}
    assert len(styles) == 1 + len(set(CONTROLS) - {"random_reinit_2"}) + 1  # all told apart in grey; the dense line


def test_series_unknown_here_are_drawn_too(tmp_path, drawn):
    draw(outcome(("winning_ticket", "noise_0.25")), tmp_path)
    assert legend(drawn["controls"]) == ["winning ticket", "noise 0.25", "dense network"]


DETECT = replace(CLASSIFY, metrics=(LOSS, Metric("iou", "mean IoU", "IoU")))


def test_a_paper_without_figures_of_its_own_has_all_series_in_some(tmp_path, drawn):
    """Whatever is measured, and whatever the series are called."""
    series = ("first", "random_reinit", "a_b", "c")
    whole = outcome(series, test_at=(300,))
    renamed = {
        what: [{name.replace("acc", "iou"): value for name, value in row.items()} for row in getattr(whole, what)]
        for what in ("results", "curves")
    }
    figures.draw(replace(whole, task=DETECT, **renamed), tmp_path)
    assert set(drawn) == {"early_stopping", "at_the_end", "curves", "validation_loss", "fixed_steps"}
    for stem in ("early_stopping", "at_the_end", "fixed_steps"):
        assert legend(drawn[stem]) == ["first", "random reinit", "a b", "c", "dense network"]
    ours, _, *others, _ = (lines(drawn["at_the_end"].axes[0])[name] for name in legend(drawn["at_the_end"]))
    assert len({(line.get_linestyle(), line.get_marker()) for line in (ours, *others)}) == 3
    np.testing.assert_allclose(ours.get_ydata(), [0.885, 0.886, 0.887, 0.888])
    titles = {stem: [axes.get_ylabel() for axes in drawn[stem].axes] for stem in drawn}
    assert titles["early_stopping"] == ["early stop at step (thousands)", "test mean IoU at early stop"]
    assert titles["at_the_end"] == ["test mean IoU at the end"] and titles["fixed_steps"] == ["test mean IoU"]
    assert titles["curves"][0] == "validation mean IoU" and titles["validation_loss"][0] == "validation loss"
    assert "51.2 %, random reinit" in legend(drawn["curves"])


@pytest.mark.parametrize("name", ["a" * 180, r"a$\frac$b", "^_$$"])
def test_whatever_a_series_is_called_its_legend_shows_it(name, tmp_path, drawn):
    assert figures.draw(outcome(("winning_ticket", name)), tmp_path)
    assert name.replace("_", " ") in legend(drawn["at_the_end"])
    drawn["at_the_end"].draw_without_rendering()


class Weights:
    def pictures(self, outcome, points):
        figure, (axes,) = canvas.panels(1)
        axes.plot([row["layer"] + 1 for row in outcome.measured["weights"]], label="layers")
        yield canvas.Picture("weights", figure)


@pytest.mark.parametrize("row", [{"unit": 1}, {"layer": "fc1"}])
def test_a_table_of_measures_that_cannot_be_drawn_is_named(row, tmp_path, drawn):
    good = {"weights": [{"trial": 0, "round": 0, "layer": 1}]}
    assert figures.draw(replace(outcome(), measured=good), tmp_path, [Weights()])
    with pytest.raises(StoreError, match=r"cannot be drawn of weights\.csv \((KeyError|TypeError): .*run the same"):
        figures.draw(replace(outcome(), measured={"weights": [row]}), tmp_path, [Weights()])


def test_a_paper_may_bring_a_kind_of_figure_of_its_own(tmp_path, drawn):
    class Histogram:
        def pictures(self, outcome, points):
            figure, (axes,) = canvas.panels(1)
            axes.hist(points["winning_ticket"][0]["final_test_acc"], label="networks")
            yield canvas.Picture("histogram", figure)

    assert [path.stem for path in figures.draw(outcome(), tmp_path, [Histogram()])] == ["histogram"] * 2
    assert legend(drawn["histogram"]) == ["networks"]


def test_one_shot_has_a_linear_axis_without_its_last_percents(tmp_path, drawn):
    draw(outcome(("winning_ticket", "one_shot", "one_shot_reinit"), rounds=19), tmp_path)
    axes = drawn["one_shot"].axes[0]
    left, right = axes.get_xlim()
    assert axes.get_xscale() == "linear" and left > 100 and right == 0
    np.testing.assert_allclose(lines(axes)["one-shot"].get_xdata(), [100 * 0.8**r for r in range(1, 16)])  # to 3.5 %


def test_accuracies_far_below_the_dense_network_are_not_shown(tmp_path, drawn):
    """Dense: 90.5 %, so 9.5 points of error; what is more than 1.5 times that below it is left out."""
    whole = outcome()
    for name, acc, bottom in (("collapsed", 0.2, 90.5 - 1.5 * 9.5), ("near", 0.85, None)):
        worse = [row | {"early_stop_test_acc": acc} if row["round"] == 3 else row for row in whole.results]
        draw(replace(whole, results=worse), tmp_path)
        low, high = drawn["early_stopping"].axes[1].get_ylim()
        assert low == pytest.approx(bottom) if bottom else 78 < low < 80.5, name
        assert 91.2 < high < 93, name
        assert min(lines(drawn["early_stopping"].axes[1])["winning ticket"].get_ydata()) == pytest.approx(100 * acc)


def test_fixed_steps_have_a_panel_each(tmp_path, drawn):
    draw(outcome(test_at=(300, 1_000), rounds=2), tmp_path)
    panels = drawn["fixed_steps"].axes
    assert [axes.get_title() for axes in panels] == ["after 300 steps", "after 1,000 steps"]
    np.testing.assert_allclose(lines(panels[1])["winning ticket"].get_ydata(), [90.5, 90.6])
    np.testing.assert_allclose(lines(panels[1])["random reinit"].get_ydata(), [80.6])


def test_fixed_steps_leave_out_what_was_not_looked_at_there(tmp_path, drawn):
    whole = outcome(test_at=(300, 1_000), rounds=2)
    some = [row for row in whole.curves if row["series"] == "winning_ticket" or row["step"] < 400]
    draw(replace(whole, curves=some), tmp_path)
    first, second = drawn["fixed_steps"].axes
    assert "random reinit" in lines(first) and "random reinit" not in lines(second)
    draw(replace(whole, curves=[row for row in whole.curves if row["step"] < 400]), tmp_path)
    assert [axes.get_title() for axes in drawn["fixed_steps"].axes] == ["after 300 steps"]


@pytest.mark.parametrize("step", [300, 1_000])
def test_fixed_steps_share_an_axis_that_holds_all_of_them(step, tmp_path, drawn):
    whole = outcome(test_at=(300, 1_000), rounds=2)
    ours = [row for row in whole.curves if row["series"] == "winning_ticket" and row["step"] == step]
    better = [row | {"test_acc": 0.97} if row in ours else row for row in whole.curves]
    draw(replace(whole, curves=better), tmp_path)
    for axes in drawn["fixed_steps"].axes:
        low, high = axes.get_ylim()
        assert low < 80.6 and 97 < high < 98.5


def test_curves_are_labelled_by_density_and_reinits_dashed(tmp_path, drawn):
    draw(outcome(rounds=19), tmp_path)
    labels = [list(lines(axes)) for axes in drawn["curves"].axes]
    assert labels == [
        ["100.0 %", "51.2 %", "21.0 %"],
        ["100.0 %", "21.0 %", "6.9 %", "3.5 %", "1.8 %"],
        ["100.0 %", "51.2 %", "21.0 %", "51.2 %, reinit", "21.0 %, reinit"],
    ]
    assert legend(drawn["curves"]) == list(dict.fromkeys(chain(*labels)))
    for stem in ("curves", "validation_loss"):
        titles = [axes.get_title() for axes in drawn[stem].axes]
        assert titles == ["down to 21.0 % of the weights", "down to 1.8 % of the weights", "beside random reinit"]
    third = lines(drawn["curves"].axes[2])
    assert third["51.2 %, reinit"].get_linestyle() == "--" and third["51.2 %"].get_linestyle() == "-"
    assert third["51.2 %, reinit"].get_color() == third["51.2 %"].get_color() != third["21.0 %"].get_color()
    np.testing.assert_allclose(third["100.0 %"].get_ydata(), 90.5)
    np.testing.assert_allclose(third["100.0 %"].get_xdata(), np.arange(1, 11) / 10)
    np.testing.assert_allclose(third["21.0 %, reinit"].get_ydata(), 80.5 + 0.7)
    loss = lines(drawn["validation_loss"].axes[0])["100.0 %"].get_ydata()
    np.testing.assert_allclose(loss, 1 / np.arange(100, 1_001, 100))


@pytest.mark.parametrize(("rounds", "labels"), [(1, [["100.0 %"]]), (2, [["100.0 %", "80.0 %"]])])
def test_curves_of_few_rounds_have_no_panel_that_shows_nothing_new(rounds, labels, tmp_path, drawn):
    draw(outcome(("winning_ticket",), rounds=rounds), tmp_path)
    assert [list(lines(axes)) for axes in drawn["curves"].axes] == labels


@pytest.mark.parametrize(("steps", "until"), [(1_000, 0.525), (400, 0.4)])
def test_curves_end_at_one_and_a_half_times_the_latest_early_stop(steps, until, tmp_path, drawn):
    draw(outcome(rounds=3, steps=steps), tmp_path)  # round 2 stops after 300 and 400 steps
    for axes in drawn["curves"].axes + drawn["validation_loss"].axes:
        assert axes.get_xlim() == (0, pytest.approx(until, rel=0.03))


def test_curves_say_which_images_the_accuracy_is_of(tmp_path, drawn):
    for test_at, label in (((), "validation"), ((500, 1_000), "validation"), (range(100, 1_001, 100), "test")):
        whole = outcome(test_at=test_at)
        shifted = [row | {"val_acc": row["val_acc"] - 0.1} for row in whole.curves]
        draw(replace(whole, curves=shifted), tmp_path)
        assert drawn["curves"].axes[0].get_ylabel() == f"{label} accuracy (%)"
        dense = lines(drawn["curves"].axes[0])["100.0 %"].get_ydata()
        np.testing.assert_allclose(dense, 90.5 if label == "test" else 80.5)


def sweep(rates, **changes):
    """What is to be drawn, and what experiments of these rates left behind."""
    parts = {key: outcome(("winning_ticket",), rate=float(key), **changes) for key in rates}
    parts = {key: replace(part, recipe=replace(part.recipe, name=f"rate {key}")) for key, part in parts.items()}
    asked = Sweep("net-prune-rate", "Figure 29", "rate", {key: part.recipe for key, part in parts.items()})
    return asked, {part.recipe.name: part for part in parts.values()}


def test_a_sweep_has_a_line_for_each_value(tmp_path, drawn):
    rates = ["0.1", "0.2", "0.3", "0.8"]
    paths = sweeps.draw_sweep(*sweep(rates), tmp_path)
    assert [path.name for path in paths] == ["net-prune-rate.png", "net-prune-rate.svg"]
    figure = drawn["net-prune-rate"]
    steps, accuracy = figure.axes
    np.testing.assert_allclose(lines(accuracy)["0.8"].get_xdata(), [100, 20, 4, 0.8])
    np.testing.assert_allclose(lines(accuracy)["0.8"].get_ydata(), [90.5, 90.6, 90.7, 90.8])
    np.testing.assert_allclose(lines(steps)["0.1"].get_ydata(), [0.15, 0.25, 0.35, 0.45])
    for axes in figure.axes:
        assert list(lines(axes)) == rates
        assert len({line.get_marker() for line in axes.lines}) == 4  # to be told apart in grey
        assert axes.get_xlim()[0] > 100 and axes.get_xlim()[1] < 0.8
    assert legend(figure) == rates and figure.legends[0].get_title().get_text() == "rate"
    assert figure.get_suptitle() == "A net on data: rate\na note; lines: means"


def test_a_sweep_shows_every_note_and_leaves_out_what_has_not_begun(tmp_path, drawn):
    asked, parts = sweep(["0.1", "0.2", "0.5", "0.8"])
    parts["rate 0.5"] = replace(parts["rate 0.5"], note="half of it")
    parts["rate 0.8"] = replace(parts["rate 0.8"], results=[])
    sweeps.draw_sweep(asked, parts, tmp_path)
    assert legend(drawn["net-prune-rate"]) == ["0.1", "0.2", "0.5"]
    assert drawn["net-prune-rate"].get_suptitle() == (
        "A net on data: rate\n0.1, 0.2: a note; 0.5: half of it; line: mean, band: min-max"
    )
    for few in ("0.1",), ("0.8",), ():  # one experiment is no sweep
        assert sweeps.draw_sweep(asked, {f"rate {key}": parts[f"rate {key}"] for key in few}, tmp_path) == []


def test_a_value_at_which_nothing_is_learned_does_not_flatten_the_others(tmp_path, drawn):
    asked, parts = sweep(["0.1", "0.2", "0.5", "0.8"])
    none = parts["rate 0.8"]
    parts["rate 0.8"] = replace(none, results=[row | {"early_stop_test_acc": 0.1} for row in none.results])
    sweeps.draw_sweep(asked, parts, tmp_path)
    low, high = drawn["net-prune-rate"].axes[1].get_ylim()
    assert 70 < low < 90 < 91 < high < 93


def test_a_dense_network_that_is_far_behind_the_others_is_seen(tmp_path, drawn):
    asked, parts = sweep(["0.1", "0.2", "0.5", "0.8"])
    behind = parts["rate 0.8"]
    parts["rate 0.8"] = replace(behind, results=[row | {"early_stop_test_acc": 0.6} for row in behind.results])
    sweeps.draw_sweep(asked, parts, tmp_path)
    assert 55 < drawn["net-prune-rate"].axes[1].get_ylim()[0] < 60


def overlaps(boxes):
    return [(a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :] if a.overlaps(b)]


def check_layout(figure, name):
    """No text on another, no legend on a panel, nothing outside the figure."""
    figure.canvas.draw()
    everything = [figure._suptitle.get_window_extent(), *(one.get_window_extent() for one in figure.legends)]
    panels = [axes.get_window_extent() for axes in figure.axes]
    assert not overlaps(everything + panels), name
    for axes in figure.axes:
        low, high = sorted(axes.get_xlim())
        ticks = [
            tick.get_window_extent()
            for tick, x in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)
            if tick.get_text() and low <= x <= high
        ]
        assert ticks and not overlaps(ticks), name
        everything += [axes.xaxis.label.get_window_extent(), axes.yaxis.label.get_window_extent()]
    assert not overlaps(everything), name
    width, height = figure.canvas.get_width_height()
    for box in everything:
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1, (name, box)


LONG = "2 trials of 2,000 steps; reduced: 2,000 of 50,000 steps, 3 of 29 rounds, 2 of 5 trials, 2 of 6 series"


@pytest.mark.parametrize(
    ("rounds", "rate"), [(1, 0.2), (2, 0.2), (5, 0.8), (5, 0.2), (12, 0.2), (29, 0.2), (45, 0.1), (45, 0.2)]
)
def test_no_label_lies_on_another_and_nothing_leaves_the_figure(rounds, rate, tmp_path, drawn):
    series = ("winning_ticket", *CONTROLS, "noise_1", "noise_2") if rounds == 12 else ("winning_ticket", "one_shot")
    draw(outcome(series, rounds=rounds, rate=rate, test_at=(500, 1_000), note=LONG), tmp_path)
    for name, figure in drawn.items():
        check_layout(figure, name)


def test_no_label_of_a_sweep_lies_on_another(tmp_path, drawn):
    rates = ["0.05", "0.1", "0.15", "0.2", "0.25", "0.3", "0.4", "0.5", "0.6", "0.8"]
    asked, parts = sweep(rates, rounds=12)
    sweeps.draw_sweep(asked, {name: replace(part, note=f"{LONG}: {name}") for name, part in parts.items()}, tmp_path)
    check_layout(drawn["net-prune-rate"], "sweep")


@pytest.mark.parametrize(
    "damage",
    [
        lambda axes: axes.set_xticks([100, 99], ["100.0", "99.0"]),
        lambda axes: axes.figure.legends[0].set_loc("center"),
        lambda axes: axes.figure.suptitle("far too long " * 20),
    ],
)
def test_the_layout_check_can_fail(damage, tmp_path, drawn):
    draw(outcome(), tmp_path)
    figure = drawn["final_accuracy"]
    check_layout(figure, "collide")
    damage(figure.axes[0])
    with pytest.raises(AssertionError, match="collide"):
        check_layout(figure, "collide")


def test_of_a_figure_that_was_not_finished_the_svg_is_there(tmp_path):
    """It says whose the folder is, so that the next command may write there."""
    figures_there = tmp_path / "figures"
    (figures_there / "some.png" / "in_the_way").mkdir(parents=True)
    with pytest.raises(OSError, match=r"some\.png"):
        finishing.finish(canvas.Picture("some", canvas.panels(1)[0]), "title", "note", figures_there)
    assert [path.name for path in figures_there.iterdir() if path.is_file()] == ["some.svg"]
    shutil.rmtree(figures_there / "some.png")
    assert directory.is_ours(figures_there)


def test_the_users_style_changes_no_figure(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    plain = [path.read_bytes() for path in draw(outcome(), tmp_path / "plain")]
    users = {"font.size": 20, "axes.facecolor": "red", "savefig.dpi": 30, "text.usetex": True, "lines.linewidth": 9}
    with matplotlib.rc_context(users):
        assert [path.read_bytes() for path in draw(outcome(), tmp_path / "users")] == plain != []
        assert matplotlib.rcParams["font.size"] == 20  # it is theirs again


def test_the_same_data_give_the_same_bytes(tmp_path):
    pytest.importorskip("matplotlib")
    first, second = (draw(outcome(), tmp_path / name) for name in "ab")
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes().startswith(b"\x89PNG" if a.suffix == ".png" else b"<?xml")
        assert a.read_bytes() == b.read_bytes()


def test_without_matplotlib_drawing_raises_import_error(monkeypatch, tmp_path):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError):
        draw(outcome(), tmp_path)
