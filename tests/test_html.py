"""The page that `npticket report` writes: one file, whole by itself, that shows what the runs left and no more."""

import builtins
import json
import shutil
import struct
import subprocess
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from noise import FEW, Small, cut, on_noise

from npticket import cli
from npticket.cli.commands import outcomes
from npticket.datasets import Dataset, Split
from npticket.experiments import run
from npticket.experiments.kept import Kept
from npticket.experiments.parts import Experiment
from npticket.experiments.recipe import Part
from npticket.experiments.series import Key
from npticket.papers import LIBRARY, PARTS
from npticket.papers.lottery_ticket.recipes import LENET
from npticket.params import Params
from npticket.report.html import images, numbers
from npticket.report.html.document import document
from npticket.report.html.markup import VOID, Markup, joined, table, tag
from npticket.report.html.tickets import Tickets
from npticket.streams import streams
from npticket.testing.strategies import tickets
from npticket.tickets import rewind

PAPERS = (replace(on_noise(paper), plots=paper.plots[:1]) for paper in LIBRARY.papers)  # drawing takes time
NOISE = Small(tuple(PAPERS))
CONV = replace(
    LENET, name="conv-noise", net=Part("resnet", depth=8, width=2), batch=4, steps=2,
    prune=Part("magnitude", scope="globally", rates={"*/W": 0.5}),
    rewind_step=1, validate_every=2, train_at=(), rounds=2, trials=2, series=("winning_ticket",),
)  # fmt: skip


class Page(HTMLParser):
    """What is in a page: AssertionError if an element is not closed where it should be, or an id is there twice."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.ids, self.links, self.sources = [], [], set(), set(), []
        self.text, self.summaries = "", []
        self.feed(text)
        self.close()
        assert not self.open, f"{self.open} are not closed"
        assert self.links <= self.ids, f"{self.links - self.ids} lead nowhere"

    def handle_starttag(self, name, attributes):
        given = dict(attributes)
        assert len(given) == len(attributes), f"{name} has an attribute twice"
        self.seen.append((name, given))
        if name not in VOID:
            self.open.append(name)
        if "id" in given:
            assert given["id"] not in self.ids, f"the id {given['id']} is there twice"
            self.ids.add(given["id"])
        for key in ("href", "xlink:href", "for"):
            if key in given:
                self.links.add(given[key].removeprefix("#"))
        self.sources += [given[key] for key in ("src", "data", "action", "srcset") if key in given]

    def handle_startendtag(self, name, attributes):
        self.handle_starttag(name, attributes)
        if name not in VOID:
            self.open.pop()

    def handle_endtag(self, name):
        assert self.open and self.open[-1] == name, f"</{name}> does not close {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        if self.open[-1:] == ["summary"]:
            self.summaries.append(data)
        self.text += data

    def all(self, name):
        return [given for seen, given in self.seen if seen == name]


def check(text):
    """Return what is in a whole page that loads nothing and has one script, ours."""
    page = Page(text)
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert "http" not in text.replace("http-equiv", "") and "@import" not in text
    assert len(page.all("script")) == 1 and page.all("script")[0] == {}
    assert not any(key.startswith("on") for _, given in page.seen for key in given)
    for name in ("link", "iframe", "object", "embed", "form", "base", "foreignobject"):
        assert not page.all(name)
    return page


@pytest.mark.parametrize(
    "text",
    [
        "<p><b></p></b>", "<p>", '<p id="a"></p><b id="a"></b>', '<a href="#x"></a>', '<img src="x.png">',
        "<p>http://a</p>", "<script>1</script><script></script>", '<script></script><p onclick="f()"></p>',
        "<script></script><link>",
    ],
)  # fmt: skip
def test_the_check_of_pages_can_fail(text):
    with pytest.raises(AssertionError):
        check(text)


# Parts


@settings(max_examples=15)
@given(st.text(), st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_texts_are_shown_as_they_are(text, value):
    text = text.replace("\r", "").replace("\0", "")  # which no file of ours has
    page = Page(table([text], [[text, tag("b", text, title=value)]]))
    assert page.text == 3 * text and page.all("b") == [{"title": value}]
    assert [name for name, _ in page.seen] == ["div", "table", "thead", "tr", "th", "tbody", "tr", "th", "td", "b"]


def test_what_is_markup_already_is_left_and_the_rest_is_not():
    assert joined(["<", Markup("<i></i>"), ["&"]]) == "&lt;<i></i>&amp;"
    assert tag("input", for_="a", aria_hidden="b", hidden=True, open=False) == '<input for="a" aria-hidden="b" hidden>'


def decoded(png):
    """The pixels (H, W, 4) of a PNG file as we write it, every checksum held."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, parts = 8, {}
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        assert struct.unpack(">I", png[at + 8 + size : at + 12 + size]) == (zlib.crc32(kind + data),)
        parts[kind], at = data, at + 12 + size
    width, height, *rest = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    assert rest == [8, 6, 0, 0, 0] and list(parts) == [b"IHDR", b"IDAT", b"IEND"]
    lines = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, 1 + 4 * width)
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(height, width, 4)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_images_hold_their_pixels(height, width, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    np.testing.assert_array_equal(decoded(images.png(pixels)), pixels)


def test_what_is_pruned_is_see_through_and_signs_have_two_colours():
    assert images.heat(np.array([[0, 0.1, 0.2]]), 0.2)[0, :, 3].tolist() == [0, 128, 255]
    assert not images.heat(np.zeros((1, 2)), 0.0)[..., 3].any()
    one, other, none = images.signs(np.array([[2.0, -0.1, 0.0]]))[0].tolist()
    assert one == [*images.BLUE, 255] and other == [*images.YELLOW, 255] and none[3] == 0
    pixels = images.colours(np.array([[[0.5, -0.5, 0.0], [0.0, 0.0, 0.0]]]))[0]
    assert pixels[0].tolist() == [255, 0, 128, 255] and pixels[1, 3] == 0


def masks_of(*layers):
    """Masks of one layer of trials, from literal arrays."""
    return [Params({"a/W": np.shape(layer)}, np.array(layer, bool).reshape(1, -1)) for layer in layers]


def test_what_two_trials_share_is_held_against_chance():
    found = numbers.shared(masks_of([[1, 1, 0, 0], [0, 0, 0, 0]], [[0, 1, 1, 0], [0, 0, 0, 0]]), "a/W")
    # One of two; of 8 places 2 are taken, so by chance a quarter; of the first input's 4 places half of them.
    np.testing.assert_allclose(found, [[0.5], [0.25], [0.5]])
    assert all(each.size == 0 for each in numbers.shared(masks_of([[1]], [[0]]), "a/W"))
    assert all(each.size == 0 for each in numbers.shared(masks_of([[1]]), "a/W"))


def test_independent_masks_share_what_chance_gives_and_the_same_ones_everything():
    rng = np.random.default_rng(0)
    several = masks_of(*(rng.random((300, 100)) < 0.3 for _ in range(4)))
    found = numbers.shared(several, "a/W")
    assert found.found.shape == (6,)
    np.testing.assert_allclose(found.found, found.by_chance, rtol=0.05)
    np.testing.assert_allclose(found.found, found.by_input, rtol=0.05)
    assert numbers.shared([several[0], several[0]], "a/W").found == [1]


def test_degrees_count_connections_of_units_and_of_inputs():
    units, inputs = numbers.degrees(masks_of([[1, 0], [1, 0], [1, 1]]), "a/W")
    np.testing.assert_allclose(units.fractions, [1, 1 / 3])
    np.testing.assert_allclose(inputs.fractions, [1 / 2, 1 / 2, 1])
    assert (units.connections, inputs.connections) == (3, 2)
    np.testing.assert_allclose(inputs.bars.edges, [-0.25, 0.25, 0.75, 1.25])  # 0, 1 and 2 connections
    np.testing.assert_allclose(inputs.bars.heights, [0, 4 / 3, 2 / 3])
    filters = np.zeros((2, 2, 3, 5), bool)
    filters[..., 1, 4] = True
    units, inputs = numbers.degrees(masks_of(filters), "a/W")
    np.testing.assert_allclose(units.fractions, [0, 0, 0, 0, 1 / 3])
    np.testing.assert_allclose(inputs.fractions, [0, 1 / 5, 0])


@given(st.lists(st.floats(-9, 9), min_size=1), st.floats(0.1, 3))
def test_a_histogram_of_values_is_a_density_and_says_what_lies_beyond(values, scale):
    found = numbers.spread([np.array(values), np.array([])], [scale, 1.0])
    area = (found.bars.heights * np.diff(found.bars.edges)).sum()
    assert area + found.beyond == pytest.approx(1)
    assert found.beyond == pytest.approx(np.mean(abs(np.array(values) / scale) > numbers.EDGE))
    assert numbers.spread([np.array([])], [1.0]) is None


def test_the_strongest_units_keep_most_and_ties_go_by_index():
    mask = np.array([[1, 0, 1, 1], [0, 0, 1, 1]], bool)
    assert numbers.strongest(mask, 1) == [2] and numbers.strongest(mask, 3) == [0, 2, 3]


# What the runs left


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs on noise, of two trials of two rounds of tickets and one control; of the dense network the end was kept."""
    folder = tmp_path_factory.mktemp("runs") / "lenet"
    flags = [*FEW, "--series", "winning_ticket,random_reinit,weights", "--out", str(folder)]
    assert cli.main(["run", "lenet-mnist", *flags], NOISE) == 0
    return folder


@pytest.fixture(scope="module")
def conv(tmp_path_factory):
    """A directory of a small residual network on noise, rewound to step 1."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("runs") / "conv"

    def split(n):
        return Split(rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), np.arange(n, dtype=np.uint8) % 10)

    run.run(CONV, PARTS, folder, Dataset("noise", split(20), split(10), split(10), 10, "a test"))
    return folder


def kept_of(folder, library=NOISE):
    (outcome,) = outcomes(folder, library).values()
    return outcome, Kept(folder, Experiment(outcome.recipe, library.parts), outcome, outcome.series[0])


def test_networks_are_as_the_runs_left_them(runs):
    outcome, kept = kept_of(runs)
    net = Experiment(outcome.recipe, NOISE.parts).net
    for point in outcome.points("winning_ticket"):
        assert kept.trials(point.round) == [0, 1]
        for trial in (0, 1):
            network = kept.network(point.round, trial)
            left = sum(network.masks[name].sum() for name in network.masks.weights)
            assert left / sum(network.masks[name].size for name in network.masks.weights) == point.density
            assert network.theta0["fc1/W"].std() == pytest.approx(np.sqrt(2 / (784 + 6)), rel=0.1)
            assert list(network.theta0) == list(net.body.layout)
            assert (network.end is None) == (point.round > 0)
            if network.end:
                assert 0 < abs(network.end.flat - network.theta0.flat).max() < 0.2  # twenty steps away
    assert kept.trials(2) == []


def test_the_rewind_point_is_what_survivors_were_reset_to(conv, tmp_path):
    _, kept = kept_of(conv)
    file = Key("rewind_point", 0, 1).file
    with np.load(conv / "runs" / file) as point:
        end = point["end"]
    np.testing.assert_array_equal(kept.network(1, 1).theta0.flat[0], end)
    assert (kept.network(0, 1).theta0.flat[0] != end).any()
    copy = shutil.copytree(conv, tmp_path / "copy")
    (copy / "runs" / file).unlink()
    assert kept_of(copy)[1].network(1, 1) is None and kept_of(copy)[1].network(1, 0) is not None


@given(tickets())
def test_a_ticket_that_was_trained_is_drawn_without_what_was_pruned(case):
    _, theta0, masks = case
    start = rewind(theta0, masks)
    for name in theta0.weights:
        assert (images.signs(start[name][0])[..., 3] > 0).sum() == (start[name][0] != 0).sum()


# The page


@pytest.fixture(scope="module")
def page(runs):
    pytest.importorskip("matplotlib")
    assert cli.main(["report", str(runs)], NOISE) == 0
    return (runs / "report.html").read_text()


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Runs on noise, of three trials of three rounds of tickets and one control."""
    folder = tmp_path_factory.mktemp("runs") / "three"
    flags = [*FEW, "--trials", "3", "--rounds", "3", "--series", "winning_ticket,random_reinit", "--out", str(folder)]
    assert cli.main(["run", "lenet-mnist", *flags], NOISE) == 0
    return folder


@pytest.mark.parametrize(
    ("of_trials", "said"),
    [
        ((3, 1, 0), "no pruned network is there in all of them yet (3 trials)"),
        ((3, 2, 0), "no pruned network is there in all of them yet (3 trials)"),
        ((3, 3, 1), "3 trials"), ((3, 3, 2), "3 trials"), ((2, 1, 1), "in all of them yet (2 trials)"),
        ((1, 1, 1), "1 trial"), ((0, 1, 0), "No verdict: the dense network is not trained yet."),
    ],
)  # fmt: skip
def test_what_is_unfinished_is_shown_as_far_as_it_is(of_trials, said, three, tmp_path, capsys):
    """In each round as many trials are there; if none has a dense network, a control is there by itself."""
    pytest.importorskip("matplotlib")
    there, series = shutil.copytree(three, tmp_path / "there"), "winning_ticket" if of_trials[0] else "random_reinit"
    cut(there, lambda key: key.trial < of_trials[key.round] and key.series in (series, "random_reinit"))
    for command in (["report"], ["show"], ["figures"], ["publish"]):
        goal = [str(tmp_path / "goal")] if command == ["publish"] else []
        assert cli.main([*command, str(there), *goal], NOISE) == 0, capsys.readouterr().err
    assert said in check((there / "report.html").read_text()).text
    assert "unfinished" in capsys.readouterr().out


def test_the_page_is_whole_by_itself_and_the_same_again(page, runs):
    found = check(page)
    assert page == document(outcomes(runs, NOISE), NOISE)
    assert "LeNet-6-4 on noise" in found.text and "reduced: 20 of 50,000 steps" in found.text
    assert [text for text in found.summaries if "Round" in text] == [
        "Round 0: 100.0 % of the weights", "Round 1: 80.1 % of the weights",
    ]  # fmt: skip
    alts = [given["alt"] for given in found.all("img")]
    assert alts.count("weights left of each input, trial 1") == 2 and alts.count("unit 5") == 3  # once after training
    assert found.text.count("Trained values were not kept.") == 1 == found.text.count("theirs after training")
    assert len(page) < 600_000


def test_without_the_script_rounds_open_one_by_one(page):
    found = check(page)
    assert [given for given in found.all("div") if given.get("class") == "slider"] == [
        {"class": "slider", "hidden": None}
    ]
    assert [name for name, given in found.seen if name == "details" and "open" in given] == ["details"]
    (handle,) = found.all("input")
    assert (handle["type"], handle["min"], handle["max"]) == ("range", "0", "1")


def test_a_browser_runs_the_script_and_loads_nothing(page, runs, tmp_path):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--enable-logging=stderr"]
    address = (runs / "report.html").as_uri()
    shown = subprocess.run([browser, *flags, "--dump-dom", address], capture_output=True, text=True, timeout=60)
    assert '<div class="slider">' in shown.stdout and 'class="rounds sliding"' in shown.stdout  # the script ran
    assert "CONSOLE" not in shown.stderr, shown.stderr  # where refused scripts, styles and addresses are reported
    (runs / "other.html").write_text(page.replace("sliding", "gliding"))  # a script that the page does not vouch for
    other = subprocess.run(
        [browser, *flags, "--dump-dom", (runs / "other.html").as_uri()], capture_output=True, text=True, timeout=60
    )
    assert 'class="rounds"' in other.stdout and "CONSOLE" in other.stderr


def test_published_tables_give_what_they_can(runs, tmp_path):
    pytest.importorskip("matplotlib")
    goal = shutil.copytree(runs, tmp_path / "goal", ignore=lambda *_: ["runs", "report.html"])
    assert cli.main(["report", str(goal)], NOISE) == 0
    found = check((goal / "report.html").read_text())
    assert "in the files of runs, which are not here" in found.text and not found.all("img")
    assert [given.get("class") for given in found.all("figure")] == ["drawing"]


def test_filters_of_convolutions_are_shown_and_several_experiments_side_by_side(runs, conv, tmp_path):
    pytest.importorskip("matplotlib")
    shutil.copytree(runs, tmp_path / "a")
    shutil.copytree(conv, tmp_path / "b")
    found = check(document(outcomes(tmp_path, NOISE), NOISE))
    assert [given["alt"] for given in found.all("img")].count("filter 1") == 2
    assert "survivors as red, green and blue" in found.text
    assert {"e0", "e1", "e0-tickets", "e1-tickets"} <= found.ids


def test_a_sweep_is_drawn_at_once_and_its_experiments_not_again(runs, tmp_path):
    pytest.importorskip("matplotlib")
    recipe = json.loads((runs / "recipe.json").read_text())
    sweep = NOISE.sweeps["lenet-prune-rate"]
    for part in list(sweep.recipes.values())[:2]:
        copy = shutil.copytree(runs, tmp_path / part.name, ignore=lambda *_: ["runs", "report.html"])
        (copy / "recipe.json").write_text(json.dumps(recipe | {"name": part.name}))
    found = check(document(outcomes(tmp_path, NOISE), NOISE))
    assert "Side by side" in found.text
    assert len(found.all("figure")) == 1 and found.text.count("which are not here") == 2


def test_no_more_rounds_are_shown_than_a_page_can_hold(runs):
    outcome, kept = kept_of(runs)
    net, points = Experiment(outcome.recipe, NOISE.parts).net, outcome.points("winning_ticket")
    one = Tickets(net, kept, outcome, [*points, replace(points[1], round=7)], 1, "x").shown()
    assert Page(one).summaries == ["Round 0: 100.0 % of the weights"] and "1 of 3 rounds" in one


def test_without_matplotlib_the_rest_is_there(runs, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name, name="matplotlib")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    found = check(document(outcomes(runs, NOISE), NOISE))
    assert "matplotlib, which is not installed" in found.text and found.all("img")
    assert not [given for given in found.all("figure") if given.get("class") == "drawing"]


EVIL = """</title><script>alert(1)</script>"'&lt; $x_1^2$ <img src=x onerror=alert(1)> id="a" """


def test_what_files_say_is_never_read_as_html(runs, tmp_path):
    pytest.importorskip("matplotlib")
    copy = shutil.copytree(runs, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["data"] |= {"name": EVIL, "caveat": EVIL}
    manifest["machines"][0] |= {"cpu": EVIL}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    recipe = json.loads((copy / "recipe.json").read_text()) | {"source": EVIL}
    (copy / "recipe.json").write_text(json.dumps(recipe))
    found = check(document(outcomes(copy, NOISE), NOISE))
    assert found.text.count("<script>alert(1)</script>") >= 10 and not any(i == "a" for i in found.ids)


def test_a_file_of_others_is_left_alone_and_a_damaged_run_is_refused(runs, tmp_path, capsys):
    copy = shutil.copytree(runs, tmp_path / "copy")
    (copy / "report.html").write_text("<p>theirs")
    assert cli.main(["report", str(copy)], NOISE) == 2
    assert "report.html is there already" in capsys.readouterr().err
    (copy / "report.html").unlink()
    path = copy / "runs" / Key("winning_ticket", 1, 0).file
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert cli.main(["report", str(copy)], NOISE) == 2
    assert f"{path} cannot be read" in capsys.readouterr().err
    assert not Path(copy / "report.html").exists()


def test_networks_begin_with_the_values_of_their_own_seed(tmp_path):
    flags = [*FEW, "--series", "winning_ticket", "--seed", "3", "--out", str(tmp_path / "runs")]
    assert cli.main(["run", "lenet-mnist", *flags], NOISE) == 0
    outcome, kept = kept_of(tmp_path / "runs")
    for trial in (0, 1):
        theta0 = Experiment(outcome.recipe, NOISE.parts).net.init(streams(3, [trial], "init"))
        assert kept.network(0, trial).theta0.flat.tobytes() == theta0.flat.tobytes()
