"""The command from outside and from inside: what it lists, runs, shows, draws and judges, and how it ends."""

import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from noise import FEW, Small, on_noise, shrunk
from small import data

import npticket
from npticket import cli
from npticket.cli import commands
from npticket.cli.arguments import joined
from npticket.experiments import costs, evaluation, machine, progress, timings
from npticket.experiments.directory import read_recipe
from npticket.experiments.json_files import write_json
from npticket.experiments.outcome import read_outcome
from npticket.experiments.recipe import Part, to_json
from npticket.experiments.series import Key
from npticket.papers import LIBRARY, PARTS
from npticket.papers.lottery_ticket.recipes import LENET

ROOT = Path(__file__).parents[1]


UNITS = ("s", "min", "hours", "days")


def test_list_names_every_recipe_and_sweep_with_its_source(capsys, monkeypatch):
    monkeypatch.setattr(timings, "fit", None)  # nothing is timed
    assert cli.main(["list"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 100
    heads, *by_paper, hint = printed.strip().split("\n\n")
    assert heads.startswith("name") and "--measure" in hint
    for paper, text in zip(LIBRARY.papers, by_paper, strict=True):
        names = [*paper.recipes, *paper.sweeps]
        citation, lines = text.splitlines()[: -len(names)], text.splitlines()[-len(names) :]
        assert " ".join(citation) == paper.citation
        assert [line.split()[0] for line in lines] == names
    lines = by_paper[0].splitlines()[2:]
    assert lines[0].split()[1:3] == ["Figures", "1,"]
    assert "LeNet-300-100" in lines[0] and "5 x 29 x 50,000" in lines[0]


def test_what_measures_and_networks_read_is_looked_for_where_the_data_are(small, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # an internal error leaves a file
    monkeypatch.setenv("NPTICKET_DATA", "elsewhere")
    monkeypatch.setattr(commands, "run", lambda *_, **__: seen.append(os.environ["NPTICKET_DATA"]) or 1 / 0)
    for flags, there in (([], "elsewhere"), (["--data", str(tmp_path)], str(tmp_path))):
        small("run", "lenet-mnist", *FEW, *flags)
        assert (seen.pop(), os.environ["NPTICKET_DATA"]) == (there, "elsewhere")


def test_list_shows_what_was_measured_on_demand_or_by_a_run(small, capsys, monkeypatch):
    def listed(*flags):
        assert cli.main(["list", *flags], library) == 0
        return capsys.readouterr().out.strip().split("\n\n")[1].splitlines()[-2:]

    two = {name: replace(shrunk(LENET), name=name, batch=batch) for name, batch in (("a", 8), ("b", 9))}
    library = Small((replace(LIBRARY.papers[0], recipes=two, sweeps={}, claims=()),))
    monkeypatch.setattr(commands, "default_jobs", lambda: 1)
    monkeypatch.setattr(costs, "threads_each", lambda jobs: 1)
    assert [line.split()[-1] for line in listed()] == ["865", "865"]
    assert cli.main(["run", "a", *FEW[:4], "--rounds", "29", "--series", "winning_ticket", "--jobs", "1"], library) == 0
    capsys.readouterr()
    assert [line.split()[-1] in UNITS for line in listed()] == [True, False]
    assert [line.split()[-1] in UNITS for line in listed("--measure")] == [True, True]  # and there is nothing to add
    monkeypatch.setattr(timings, "fit", None)
    assert [line.split()[-1] in UNITS for line in listed()] == [True, True]


def test_run_show_figures_verify(small, capsys):
    series = "winning_ticket,random_reinit,random_mask"
    assert small("run", "lenet-mnist", *FEW, "--series", series) == 0
    output = capsys.readouterr().out
    output = output.removeprefix(machine.blas_hint())
    assert output.startswith(
        "lenet-mnist (Figures 1, 3, 4, 11, 12, 14, 15, 19, 21, 23) on noise from a test: 8 runs of 20 steps"
    )
    takes = r"This takes about \d+ s with 1 process(, \d+ % of it for evaluation)?"
    assert re.search(rf"\n8 of 8 runs are left\. {takes}\.\n", output)
    assert "reduced: 20 of 50,000 steps, 2 of 29 rounds, 2 of 5 trials, 3 of 11 series" in output
    folder = Path("runs/lenet-mnist")
    table = output[output.index("lenet-mnist: LeNet-6-4 on noise") : output.index("Results:")].strip()
    assert small("show", str(folder)) == 0
    assert capsys.readouterr().out.strip() == table

    pytest.importorskip("matplotlib")
    assert small("figures", str(folder)) == 0
    drawn = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert folder / "figures" / "early_stopping.png" in drawn
    assert all(path.stat().st_size for path in drawn)

    status = small("verify", str(folder))
    output = capsys.readouterr().out
    assert "reduced: 20 of 50,000 steps" in output
    judged = json.loads((folder / "claims.json").read_text())
    assert judged
    assert status == int(any(claim["status"] == "does not hold" for claim in judged))
    assert all(claim["id"] in output for claim in judged)
    assert "reduced" in (folder / "claims.md").read_text()


def test_what_is_asked_of_series_may_have_spaces_after_commas(small, capsys):
    for series in (["winning_ticket, random_reinit"], ["winning_ticket,", "random_reinit"]):
        assert small("run", "lenet-mnist", *FEW, "--series", *series) == 0
        assert read_recipe("runs/lenet-mnist").series == ("winning_ticket", "random_reinit")
    assert joined(["run", "--series", "a,", "--steps"]) == ["run", "--series", "a,", "--steps"]
    assert joined(["show", "a,", "b"]) == ["show", "a,", "b"]  # a directory's name may end in a comma


def test_one_of_a_kind_is_no_plural(small, capsys):
    one = ("run", "lenet-mnist", "--steps", "1", "--trials", "1", "--rounds", "1", "--series", "winning_ticket")
    assert small(*one, "--jobs", "1") == 0
    said = capsys.readouterr().out
    assert ": 1 run of 1 step\n" in said and "\n1 of 1 run is left. " in said and "; 1 trial of 1 step; " in said
    assert small(*one, "--jobs", "1") == 0
    assert "\nThe run is finished: nothing is left to do.\n" in capsys.readouterr().out


def test_few_steps_evaluate_less_and_it_is_said(small, capsys, monkeypatch):
    asked = ("run", "lenet-mnist", *FEW, "--series", "winning_ticket")
    monkeypatch.setattr(evaluation, "LEAST", 10)
    monkeypatch.setattr(evaluation, "FASTER", 1)
    assert small(*asked, "--out", "few") == 0
    said = capsys.readouterr().out
    assert "\nOf each split at most 10 examples are evaluated: in so few steps all of them would take longer" in said
    assert "; at most 10 examples of each split evaluated; reduced: 20 of 50,000 steps" in said
    assert read_recipe("few").evaluated == 10
    assert small("run", "few", "--jobs", "1", "--rounds", "3") == 0  # it is a part of the recipe
    monkeypatch.setattr(evaluation, "LEAST", 1_000)
    assert small(*asked, "--out", "all") == 0
    assert "evaluated" not in capsys.readouterr().out.partition("LeNet-6-4 on noise")[2].partition("LeNet-6-4")[2]
    assert read_recipe("all").evaluated == 0
    assert Path("few/curves.csv").read_bytes() != Path("all/curves.csv").read_bytes()


def test_a_batch_larger_than_the_data_is_refused_before_anything_is_timed(small, capsys, monkeypatch):
    monkeypatch.setattr(timings, "fit", None)
    for batch in (81, 56_000, 1_000_000):
        write_json(Path("mine.json"), to_json(replace(shrunk(LENET), name="mine", batch=batch)))
        assert small("run", "mine.json") == 2
        assert f"a batch of {batch} does not fit into 80 training examples" in capsys.readouterr().err
    assert not Path("runs").exists()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def resting(watch, at):
    """A training run that sleeps after some of its steps: the bar has time to show them, however fast the machine."""

    def watched(*args, **kwargs):
        note = watch(*args, **kwargs)

        def noted(step):
            note(step)
            if step in at:
                time.sleep(0.5)

        return noted

    return watched


def test_on_a_terminal_steps_within_a_run_are_counted(small, monkeypatch):
    pytest.importorskip("tqdm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "EVERY", 0.01)
    monkeypatch.setattr(progress.Steps, "watch", resting(progress.Steps.watch, at=(1000, 2000)))
    one = ("--steps", "3000", "--trials", "1", "--rounds", "1", "--series", "winning_ticket", "--jobs", "1")
    assert small("run", "lenet-mnist", *one) == 0
    shown = terminal.getvalue()
    counted = {text.rpartition("|")[2].strip() for text in shown.split("/3.00k [")[:-1]}
    assert len(counted - {"0.00", "3.00k"}) > 1  # neither none nor all
    assert "step/s, 1 of 1 runs, winning_ticket 100.0 %: " in shown
    assert not Path("runs/lenet-mnist/.data").exists()


def test_the_bar_does_not_fall_back_when_a_run_ends(monkeypatch):
    shown, now = [0], 30

    class Bar:
        n, disable = 0, False
        set_postfix_str = staticmethod(lambda *_, **__: None)
        close = staticmethod(lambda: None)

        def update(self, by):
            self.n += by
            shown.append(self.n)

    def until(step):
        end = time.monotonic() + 10
        while shown[-1] != step and time.monotonic() < end:
            time.sleep(0.001)
        assert shown[-1] == step

    monkeypatch.setattr(progress, "EVERY", 0.001)
    monkeypatch.setitem(sys.modules, "tqdm", SimpleNamespace(tqdm=lambda **_: Bar()))
    with progress.Progress(100, unit="step") as bar:
        bar.follow(lambda: now)
        until(30)
        bar.advance(by=10)
        until(40)
    assert shown == sorted(shown)


def test_workers_say_how_many_steps_they_have_taken(tmp_path):
    ours = progress.Steps(tmp_path)
    theirs = pickle.loads(pickle.dumps(ours))  # in other processes
    note = theirs.watch("a", first=10, count=3)
    note(15)
    note(16)  # too soon
    theirs.watch("b", first=0, count=1)(7)
    assert ours.taken() == 15 + 7
    ours.forget("a")
    (tmp_path / "c.steps").write_text("")  # just being written
    assert ours.taken() == 7
    shutil.rmtree(tmp_path)
    theirs.watch("a", 0, 1)(1)
    assert ours.taken() == 0


def test_the_command_says_its_version_and_without_arguments_how_it_is_used(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["npticket"])
    assert cli.main() == cli.main([]) == 0
    assert capsys.readouterr().out.count("usage: npticket") == 2
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"npticket {npticket.__version__}\n"


def test_the_same_command_goes_on_one_for_more_grows_and_another_is_refused(small, capsys):
    assert small("run", "lenet-one-shot", *FEW, "--out", "here") == 0
    before = Path("here/results.csv").read_bytes()
    capsys.readouterr()
    assert small("run", "lenet-one-shot", *FEW, "--out", "here") == 0
    assert "All 18 runs are finished: nothing is left to do." in capsys.readouterr().out
    assert Path("here/results.csv").read_bytes() == before
    assert small("run", "lenet-one-shot", *FEW, "--out", "here", "--seed", "3") == 2
    assert "seed: 0 there, 3 now" in capsys.readouterr().err
    assert small("run", "lenet-one-shot", *FEW, "--out", "here", "--trials", "3") == 0
    assert "\n9 of 27 runs are left. This takes about" in capsys.readouterr().out
    assert small("run", "lenet-one-shot", *FEW, "--out", "here") == 2
    assert capsys.readouterr().err == (
        "error: here has 3 trials, 2 asked: ask for at least 3, or choose another directory\n"
    )


def test_a_directory_goes_on_and_grows_from_its_own_recipe(small, capsys):
    few = ("winning_ticket", "random_reinit")
    assert small("run", "lenet-mnist", *FEW, "--series", ",".join(few), "--out", "here") == 0
    before = read_recipe("here")
    Path("here/runs", Key("random_reinit", 1, 0).file).unlink()
    capsys.readouterr()
    assert small("run", "here", "--jobs", "1") == 0
    assert "\n1 of 6 runs is left." in capsys.readouterr().out and read_recipe("here") == before
    assert small("run", "here", "--jobs", "1", "--rounds", "3", "--series", ",".join((*few, "random_mask"))) == 0
    assert "\n8 of 14 runs are left." in capsys.readouterr().out
    assert read_recipe("here") == replace(before, rounds=3, series=(*few, "random_mask"))
    assert small("run", "here", "--seed", "3") == 2
    assert capsys.readouterr().err.startswith("error: here holds another experiment: seed: 0 there, 3 now")
    assert small("run", "here", "--jobs", "1", "--out", "there") == 0  # the same anew
    assert Path("here/curves.csv").read_bytes() == Path("there/curves.csv").read_bytes()
    assert small("run", "here/runs") == 2
    assert "here/runs is not an experiment's directory: it has no recipe.json" in capsys.readouterr().err


def test_a_name_of_a_recipe_comes_before_that_of_a_directory(small, capsys):
    Path("lenet-mnist").mkdir()
    assert small("run", "lenet-mnist", *FEW, "--series", "winning_ticket") == 0
    assert small("run", "./lenet-mnist") == 2
    assert "lenet-mnist is not an experiment's directory" in capsys.readouterr().err


def test_strict_refuses_to_go_on_with_another_engine(small, capsys):
    asked = ("run", "lenet-mnist", *FEW, "--series", "winning_ticket", "--out", "here")
    assert small(*asked, "--engine", "plain") == 0
    assert small(*asked, "--strict") == 2
    assert "engine plain there, fast now. --strict refuses" in capsys.readouterr().err
    assert small(*asked, "--rounds", "3") == 0
    assert "4 finished runs were made otherwise: engine plain there, fast now." in capsys.readouterr().out


def test_a_recipe_file_gives_what_its_name_gives(small):
    write_json(Path("mine.json"), to_json(shrunk(replace(LIBRARY.recipes["lenet-continued"], name="mine"))))
    for name, out in (("mine.json", "a"), ("lenet-continued", "b")):
        assert small("run", name, *FEW, "--out", out) == 0
    assert Path("a/curves.csv").read_bytes() == Path("b/curves.csv").read_bytes()


def test_a_sweep_has_a_directory_for_each_value_and_a_figure_for_all(small, capsys, drawn):
    assert small("run", "lenet-prune-rate", *FEW) == 0
    labels = ["0.1", "0.2", "0.4", "0.6", "0.8"]
    assert sorted(path.name for path in Path("runs/lenet-prune-rate").iterdir()) == labels
    for label in labels:
        found = read_outcome(Path("runs/lenet-prune-rate") / label, PARTS)
        assert found.results[-1]["density"] == pytest.approx(1 - float(label), abs=0.01)
    capsys.readouterr()
    (Path("runs/lenet-prune-rate") / "0.1").rename("runs/lenet-prune-rate/one tenth")
    assert small("show", "runs/lenet-prune-rate") == 0
    titles = [line for line in capsys.readouterr().out.splitlines() if "LeNet-6-4 on noise" in line]
    assert [line.split(":")[0] for line in titles] == [f"lenet-prune-rate-{label}" for label in labels]
    assert small("figures", "runs/lenet-prune-rate") == 0
    assert "lenet-prune-rate" in drawn


def test_a_value_of_a_sweep_alone_is_where_the_sweep_has_it_and_goes_on_from(small, capsys):
    assert small("run", "lenet-prune-rate-0.4", *FEW) == 0
    assert "Results: runs/lenet-prune-rate/0.4\n" in capsys.readouterr().out
    curves = Path("runs/lenet-prune-rate/0.4/curves.csv").read_bytes()
    assert small("run", "lenet-prune-rate", *FEW) == 0
    assert capsys.readouterr().out.count("are finished") == 1
    assert Path("runs/lenet-prune-rate/0.4/curves.csv").read_bytes() == curves
    assert small("run", "lenet-prune-rate-0.4", *FEW, "--out", "one") == 0
    assert Path("one/curves.csv").read_bytes() == curves


def test_a_value_of_a_sweep_that_diverges_does_not_stop_the_others(small, capsys, monkeypatch, tmp_path):
    paper = on_noise(LIBRARY.papers[0])
    sweep = paper.sweeps["lenet-sgd"]
    values = {
        label: replace(sweep.recipes["0.1"], name=f"lenet-sgd-{label}", optimizer=Part("sgd", lr=lr))
        for label, lr in (("hot", 1e30), ("0.1", 0.1))
    }
    library = Small((replace(paper, sweeps={"lenet-sgd": replace(sweep, recipes=values)}, claims=()),))
    with np.errstate(all="ignore"):
        assert cli.main(["run", "lenet-sgd", *FEW], library) == 2
    assert "try a smaller learning rate" in capsys.readouterr().err
    assert len(read_outcome(Path("runs/lenet-sgd/0.1"), PARTS).results) == 4
    for command in ("show", "figures", "report"):
        assert cli.main([command, "runs/lenet-sgd"], library) == 0
        assert "left out: runs/lenet-sgd/hot has no finished run yet" in capsys.readouterr().err
    shutil.rmtree("runs/lenet-sgd/0.1")
    assert cli.main(["show", "runs/lenet-sgd"], library) == 2


def test_one_experiment_and_several_do_not_share_a_directory(small, capsys):
    assert small("run", "lenet-prune-rate", *FEW, "--out", "many") == 0
    assert small("run", "lenet-mnist", *FEW, "--out", "one") == 0
    assert small("run", "lenet-mnist", *FEW, "--out", "many") == 2
    assert "many holds several experiments, and one is asked for: choose another --out" in capsys.readouterr().err
    assert small("run", "lenet-prune-rate", *FEW, "--out", "one") == 2
    assert "one holds a single experiment, and 5 are asked for: choose another --out" in capsys.readouterr().err
    assert small("run", "many") == 2
    assert "it holds 0.1, 0.2, 0.4, 0.6, 0.8: name one of these, or the sweep again and --out many" in (
        capsys.readouterr().err
    )


def test_another_experiment_is_not_published_over_one(small, capsys):
    for name, seed in (("here", "0"), ("there", "1")):
        assert small("run", "lenet-mnist", *FEW, "--out", name, "--seed", seed) == 0
    assert small("publish", "here", "goal") == 0
    page = Path("goal/README.md").read_bytes()
    assert small("publish", "there", "goal") == 2
    assert "goal holds another experiment, lenet-mnist: publish into another directory, or" in capsys.readouterr().err
    assert small("publish", "here", "goal") == 0 and Path("goal/README.md").read_bytes() == page


def test_a_rewind_point_is_not_asked_for(small, capsys):
    assert small("run", "lenet-mnist", *FEW, "--series", "winning_ticket,rewind_point") == 2
    assert "rewind_point is trained where other series need it, and is not asked for: leave it out" in (
        capsys.readouterr().err
    )


def test_a_sweep_over_data_loads_those_of_each_recipe_once(small, capsys):
    paper, loaded = on_noise(LIBRARY.papers[0]), []
    of = {"clean": Part("mnist"), "clean-again": Part("mnist"), "noisy": Part("fashion_mnist")}
    one = next(iter(paper.sweeps["lenet-sgd"].recipes.values()))
    recipes = {name: replace(one, name=name, data=data) for name, data in of.items()}

    class Noisy(Small):
        def __init__(self, papers):
            super().__init__(papers)
            of = {n: lambda folder, seed, n=n: loaded.append(n) or data(len(n)) for n in ("mnist", "fashion_mnist")}
            self.parts = replace(self.parts, data=of)

    sweep = replace(paper.sweeps["lenet-sgd"], name="data", recipes=recipes)
    library = Noisy((replace(paper, sweeps={"data": sweep}, claims=()),))
    assert cli.main(["run", "data", *FEW], library) == 0
    assert loaded == ["mnist", "fashion_mnist"]
    of = {name: json.loads(Path(f"runs/data/{name}/manifest.json").read_text())["data"]["sha256"] for name in recipes}
    assert of["clean"] == of["clean-again"] != of["noisy"]


def test_two_directories_of_one_experiment_cannot_be_judged_together(small, capsys):
    for out in ("all/a", "all/b"):
        assert small("run", "lenet-mnist", *FEW, "--series", "winning_ticket", "--out", out) == 0
    assert small("verify", "all") == 2
    assert "all holds lenet-mnist more than once" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "lenet-5"], "there is no recipe 'lenet-5'"),
        (["run", "lenet-mnist", "--steps", "0"], "--steps must be at least 1, got 0"),
        (["run", "lenet-mnist", "--trials", "0"], "trials must be at least 1, got 0"),
        (["run", "lenet-mnist", "--rounds", "-1"], "rounds must be at least 1, got -1"),
        (["run", "lenet-mnist", "--jobs", "0"], "--jobs must be at least 1, got 0"),
        (["run", "lenet-mnist", "--jobs", "2", "--backend", "cupy"], "use --jobs 1 with --backend cupy"),
        (["run", "lenet-mnist", "--series", "winning_ticket,luck"], "there is no series 'luck'"),
        (["run", "lenet-mnist", "--series", ""], "there is no series ''"),
        (["run", "lenet-mnist", "--series", "wining_ticket"], "no series 'wining_ticket' (is winning_ticket or "),
        (["run", "lenet-mnst"], "there is no recipe 'lenet-mnst' (is lenet-mnist or "),
        (["run", "lenet-mnst.json"], "there is no file 'lenet-mnst.json'"),
        (["run", "lenet-mnist", "--data", __file__], "test_cli.py is no folder"),
        (["run", "lenet-mnist", "--out", f"{__file__}/out", *FEW], "out/runs: Not a directory"),
        (["run", "lenet-mnist", "--data", "/nonexistent"], "the data folder /nonexistent does not exist"),
        (["show", "nowhere"], "nowhere holds no experiment"),
        (["figures", "."], "holds no experiment"),
        (["verify", "."], "holds no experiment"),
        (["publish", ".", "goal"], "holds no experiment"),
    ],
)
def test_bad_input_ends_with_status_2_and_a_sentence(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("error: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["show", ""], ["run", "lenet-mnist", "--out", ""], ["verify", ""]])
def test_a_path_that_is_empty_is_not_this_folder(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    assert "expected a path, got nothing" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_no_name_of_a_recipe_is_not_this_folder(small, capsys):
    assert small("run", "lenet-mnist", *FEW, "--out", ".") == 0
    assert small("run", "") == 2
    assert "there is no recipe ''" in capsys.readouterr().err


def test_without_matplotlib_it_is_said_what_to_install(small, capsys, monkeypatch):
    assert small("run", "lenet-mnist", *FEW, "--out", "mine") == 0
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert small("figures", "mine") == 2
    assert "figures need matplotlib: python -m pip install matplotlib" in capsys.readouterr().err


def test_results_of_somebody_else_are_not_taken_for_published_ones(small, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "results.csv").write_text("a,b\n1,2\n")
    assert small("run", "lenet-mnist", *FEW, "--out", "mine") == 2
    assert "mine/results.csv is there already and not of an experiment" in capsys.readouterr().err


def test_what_is_under_way_is_said_to_be_so(small, tmp_path, capsys):
    assert small("run", "lenet-mnist", *FEW, "--out", "mine") == 0
    for path in (*(tmp_path / "mine" / "runs").iterdir(), *(tmp_path / "mine").glob("*.csv")):
        path.unlink()
    assert small("show", "mine") == 2
    assert "mine has no finished run yet: wait for it, or run the same command" in capsys.readouterr().err


def test_too_little_memory_ends_with_status_2_and_a_sentence(small, monkeypatch, capsys):
    def full(*_, **__):
        raise MemoryError("one network does not fit")

    monkeypatch.setattr(commands, "run", full)
    assert small("run", "lenet-mnist", *FEW) == 2
    assert capsys.readouterr().err == "error: one network does not fit\n"


def test_a_broken_recipe_of_a_directory_is_refused_before_it_is_scaled(tmp_path, capsys):
    write_json(tmp_path / "recipe.json", to_json(replace(LENET, schedule=Part("step_drops", drops=[1, 2]))))
    assert cli.main(["run", str(tmp_path), "--steps", "4"]) == 2
    assert (
        "the schedule step_drops: drops must be a list of [an integer, a number], got [1, 2]" in capsys.readouterr().err
    )


def test_a_broken_recipe_file_is_refused_by_field(tmp_path, capsys):
    path = tmp_path / "mine.json"
    write_json(path, to_json(LENET) | {"steps": "many"})
    assert cli.main(["run", str(path)]) == 2
    assert "steps must be an integer, got 'many'" in capsys.readouterr().err


def test_ctrl_c_keeps_what_is_finished(small, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "run", interrupted)
    assert small("run", "lenet-mnist", *FEW) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_help_is_enough_to_use_it():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    outputs = [
        subprocess.run(
            [sys.executable, "-m", "npticket", *arguments, "--help"], capture_output=True, text=True, env=environment
        )
        for arguments in ([], ["run"], ["verify"])
    ]
    assert [done.returncode for done in outputs] == [0, 0, 0]
    for word in ("list", "run", "show", "figures", "verify", "publish", "exit status", "130"):
        assert word in outputs[0].stdout
    flags = "--out --trials --rounds --steps --series --seed --jobs --backend --data --scheduler --lock-step"
    assert all(flag in outputs[1].stdout for flag in flags.split())
    assert "claims.json" in outputs[2].stdout
    words = set(re.findall(r"[\w.]+", outputs[1].stdout))
    assert words >= {*PARTS.series, *PARTS.nets, *PARTS.data} - {"rewind_point"}
