"""Figures from made-up outcomes: which are drawn, what their lines say, and that nothing is written over anything."""

import builtins

import numpy as np
import pytest

from npticket import figures
from npticket.tables import Outcome

CONTROLS = ("random_reinit", "random_reinit_2", "random_mask", "one_shot", "one_shot_reinit", "fine_tuning",
            "continued_training", "noise_0.5", "noise_3", "survivor_reinit", "shuffled", "pruned_at_init")  # fmt: skip


def outcome(series=("winning_ticket", "random_reinit"), rounds=4, test_at=(), rate=0.2, steps=1_000):
    """Trial t of round r stops after 100 (r + t + 1) steps with 0.9 + r / 1000 + t / 100 right, controls 0.1 less."""
    results, curves = [], []
    for i, name in enumerate(series):
        for r in range(min(i, 1), rounds):
            for t in (0, 1):
                run = {"trial": t, "series": name, "round": r}
                acc = 0.9 + r / 1000 + t / 100 - 0.1 * min(i, 1)
                results.append(run | {
                    "density": (1 - rate) ** r, "early_stop_step": 100 * (r + t + 1), "early_stop_val_loss": 0.1,
                    "early_stop_test_acc": acc, "final_test_acc": acc - 0.02, "final_train_acc": 1.0, "steps": steps,
                    "seconds": 1.0,
                })  # fmt: skip
                curves.extend(
                    run | {"step": step, "train_loss": 1.0, "val_loss": 1 / step, "val_acc": acc,
                           "test_acc": acc if step in test_at else ""}
                    for step in range(100, steps + 1, 100)
                )  # fmt: skip
    return Outcome({"series": list(series), "test_at": list(test_at)}, {}, results, curves, "A net on data", "a note")


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved, by the stem of their file."""
    figure = pytest.importorskip("matplotlib.figure")
    saved = {}
    monkeypatch.setattr(figure.Figure, "savefig", lambda self, path, **_: saved.update({path.stem: self}))
    return saved


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


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
    paths = figures.draw(outcome(series, test_at=test_at), tmp_path)
    assert {path.stem for path in paths} == ALWAYS | more == set(drawn)
    assert sorted(path.suffix for path in paths) == [".png"] * (len(paths) // 2) + [".svg"] * (len(paths) // 2)
    for figure in drawn.values():
        assert figure.get_suptitle().startswith("A net on data\na note")


def test_lines_are_means_and_bands_the_range_of_the_runs(tmp_path, drawn):
    figures.draw(outcome(rounds=3), tmp_path)
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
    corners = accuracy.collections[0].get_paths()[0].vertices[:, 1]
    assert (corners.min(), corners.max()) == (pytest.approx(90.0), pytest.approx(91.2))
    gap = lines(drawn["generalisation"].axes[2])["winning ticket"].get_ydata()
    np.testing.assert_allclose(gap, [11.5, 11.4, 11.3])


def test_draws_of_one_control_are_one_line(tmp_path, drawn):
    figures.draw(outcome(("winning_ticket", "random_reinit", "random_reinit_2")), tmp_path)
    assert set(lines(drawn["early_stopping"].axes[0])) == {"winning ticket", "random reinit", "dense network"}


def test_one_shot_has_a_linear_axis(tmp_path, drawn):
    figures.draw(outcome(("winning_ticket", "one_shot", "one_shot_reinit")), tmp_path)
    axes = drawn["one_shot"].axes[0]
    assert axes.get_xscale() == "linear" and axes.get_xlim() == (102, 0)
    assert set(lines(axes)) == {"winning ticket", "one-shot", "one-shot, reinit", "dense network"}


def test_fixed_steps_have_a_panel_each(tmp_path, drawn):
    figures.draw(outcome(test_at=(300, 1_000), rounds=2), tmp_path)
    panels = drawn["fixed_steps"].axes
    assert [axes.get_title() for axes in panels] == ["after 300 steps", "after 1,000 steps"]
    np.testing.assert_allclose(lines(panels[1])["winning ticket"].get_ydata(), [90.5, 90.6])
    np.testing.assert_allclose(lines(panels[1])["random reinit"].get_ydata(), [80.6])


def test_curves_are_labelled_by_density_and_reinits_dashed(tmp_path, drawn):
    figures.draw(outcome(rounds=19), tmp_path)
    labels = [list(lines(axes)) for axes in drawn["curves"].axes]
    assert labels == [
        ["100.0 %", "51.2 %", "21.0 %", "6.9 %"],
        ["100.0 %", "6.9 %", "3.5 %", "1.8 %"],
        ["100.0 %", "51.2 %", "21.0 %", "51.2 %, reinit", "21.0 %, reinit"],
    ]
    third = lines(drawn["curves"].axes[2])
    assert third["51.2 %, reinit"].get_linestyle() == "--" and third["51.2 %"].get_linestyle() == "-"
    np.testing.assert_allclose(third["100.0 %"].get_ydata(), 90.5)
    np.testing.assert_allclose(third["100.0 %"].get_xdata(), np.arange(1, 11) / 10)
    loss = lines(drawn["validation_loss"].axes[0])["100.0 %"].get_ydata()
    np.testing.assert_allclose(loss, 1 / np.arange(100, 1_001, 100))


def test_a_sweep_has_a_line_for_each_value(tmp_path, drawn):
    rates = {"0.1": 0.1, "0.2": 0.2, "0.8": 0.8}
    paths = figures.draw_sweep({key: outcome(rate=rate) for key, rate in rates.items()}, tmp_path, "A sweep", "rate")
    assert [path.name for path in paths] == ["sweep.png", "sweep.svg"]
    axes = drawn["sweep"].axes[1]
    assert list(lines(axes)) == list(rates)
    np.testing.assert_allclose(lines(axes)["0.8"].get_xdata(), [100, 20, 4, 0.8])
    assert len({line.get_marker() for line in axes.lines}) == 3  # to be told apart in grey
    (legend,) = drawn["sweep"].legends
    assert legend.get_title().get_text() == "rate"


def overlaps(boxes):
    return [(a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :] if a.overlaps(b)]


@pytest.mark.parametrize(
    ("rounds", "rate"), [(1, 0.2), (2, 0.2), (5, 0.8), (5, 0.2), (12, 0.2), (29, 0.2), (45, 0.1), (45, 0.2)]
)
def test_no_label_lies_on_another_and_nothing_leaves_the_figure(rounds, rate, tmp_path, drawn):
    figures.draw(outcome(("winning_ticket", *CONTROLS), rounds=rounds, rate=rate, test_at=(500, 1_000)), tmp_path)
    for name, figure in drawn.items():
        figure.canvas.draw()
        everything = [figure._suptitle.get_window_extent(), *(one.get_window_extent() for one in figure.legends)]
        for axes in figure.axes:
            ticks = [tick.get_window_extent() for tick in axes.get_xticklabels() if tick.get_text()]
            low, high = sorted(axes.get_xlim())
            inside = [box for box, x in zip(ticks, axes.get_xticks(), strict=False) if low <= x <= high]
            assert not overlaps(inside), (name, rounds, rate)
            everything += [axes.xaxis.label.get_window_extent(), axes.yaxis.label.get_window_extent()]
        assert not overlaps(everything), (name, rounds, rate)
        width, height = figure.canvas.get_width_height()
        for box in everything:
            assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1, (name, box)


def test_the_overlap_check_can_fail():
    transforms = pytest.importorskip("matplotlib.transforms")
    first, second, third = (transforms.Bbox.from_bounds(x, 0, 2, 2) for x in (0, 1, 5))
    assert overlaps([first, second, third]) == [(first, second)]


def test_the_same_data_give_the_same_bytes(tmp_path):
    pytest.importorskip("matplotlib")
    first, second = (figures.draw(outcome(), tmp_path / name) for name in "ab")
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
        figures.draw(outcome(), tmp_path)
