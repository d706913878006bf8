"""The command from outside and from inside: what it lists, runs, shows, draws and judges, and how it ends."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_experiment import data

from npticket import cli, estimate, experiment, manifest, nets, recipe, recipes, store
from npticket.optimizers import Adam

ROOT = Path(__file__).parents[1]


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Every experiment on noise, with a small network: only what the flags say differs."""
    monkeypatch.setitem(recipe.DATASETS, "mnist", lambda folder, seed: data())
    monkeypatch.chdir(tmp_path)
    for name, r in recipes.RECIPES.items():
        if r.net == "lenet_300_100":
            monkeypatch.setitem(recipes.RECIPES, name, replace(r, batch=8, net_options={"hidden": [6, 4]}))


FEW = ["--steps", "20", "--trials", "2", "--rounds", "2", "--jobs", "1"]


def test_list_names_every_recipe_and_sweep_with_its_source(capsys):
    assert cli.main(["list", "--no-cost"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [*recipes.RECIPES, *recipes.SWEEPS]
    assert lines[0].split()[1:8] == ["Figures", "1,", "3,", "4a,", "4b,", "11,", "12,"]
    assert "LeNet-300-100" in lines[0] and "5 x 29 x 50,000" in lines[0]


def test_list_estimates_the_cost(capsys, monkeypatch):
    monkeypatch.setattr(recipes, "SWEEPS", {})
    monkeypatch.setattr(recipes, "RECIPES", {"lenet-mnist": recipes.LENET})
    monkeypatch.setattr(estimate, "step_and_image", lambda *_, **__: (36 / 50_000, 0.0))
    assert cli.main(["list"]) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("845  8.4 hours")  # 5 + 28 x 6 x 5 runs of 36 s


def test_run_show_figures_verify(small, capsys):
    series = "winning_ticket,random_reinit,random_mask"
    assert cli.main(["run", "lenet-mnist", *FEW, "--series", series]) == 0
    output = capsys.readouterr().out
    output = output.removeprefix(manifest.blas_hint())
    assert output.startswith("lenet-mnist (Figures 1, 3, 4a, 4b, 11, 12, 14) on noise from a test: 8 runs of 20 steps")
    assert re.search(r"From the beginning this takes \d+ min or less with 1 processes\.", output)
    assert "reduced: 20 of 50,000 steps, 2 of 29 rounds, 2 of 5 trials, 3 of 6 series" in output
    folder = Path("runs/lenet-mnist")
    table = output[output.index("LeNet-6-4 on noise") : output.index("Results:")].strip()
    assert cli.main(["show", str(folder)]) == 0
    assert capsys.readouterr().out.strip() == table

    pytest.importorskip("matplotlib")
    assert cli.main(["figures", str(folder)]) == 0
    drawn = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert folder / "figures" / "early_stopping.png" in drawn
    assert all(path.stat().st_size for path in drawn)

    status = cli.main(["verify", str(folder)])
    output = capsys.readouterr().out
    assert "reduced: 20 of 50,000 steps" in output
    judged = json.loads((folder / "claims.json").read_text())
    assert judged
    assert status == int(any(claim["status"] == "does not hold" for claim in judged))
    assert all(claim["id"] in output for claim in judged)
    assert "reduced" in (folder / "claims.md").read_text()


def test_the_same_command_goes_on_and_another_is_refused(small, capsys):
    assert cli.main(["run", "lenet-one-shot", *FEW, "--out", "here"]) == 0
    before = Path("here/results.csv").read_bytes()
    assert cli.main(["run", "lenet-one-shot", *FEW, "--out", "here"]) == 0
    assert Path("here/results.csv").read_bytes() == before
    assert cli.main(["run", "lenet-one-shot", *FEW, "--out", "here", "--seed", "3"]) == 2
    assert "seed: 0 there, 3 now" in capsys.readouterr().err


def test_a_recipe_file_gives_what_its_name_gives(small):
    store.write_json(Path("mine.json"), recipe.to_json(replace(recipes.RECIPES["lenet-continued"], name="mine")))
    for name, out in (("mine.json", "a"), ("lenet-continued", "b")):
        assert cli.main(["run", name, *FEW, "--out", out]) == 0
    assert Path("a/curves.csv").read_bytes() == Path("b/curves.csv").read_bytes()


def test_a_sweep_has_a_directory_for_each_value_and_a_figure_for_all(small, capsys, monkeypatch):
    sweep = recipes.SWEEPS["lenet-prune-rate"]
    parts = {label: replace(r, batch=8, net_options={"hidden": [6, 4]}) for label, r in sweep.recipes.items()}
    monkeypatch.setitem(recipes.SWEEPS, sweep.name, replace(sweep, recipes=parts))
    assert cli.main(["run", "lenet-prune-rate", *FEW]) == 0
    assert sorted(path.name for path in Path("runs/lenet-prune-rate").iterdir()) == ["0.1", "0.2", "0.4", "0.6", "0.8"]
    densities = {
        label: experiment.outcome(Path("runs/lenet-prune-rate") / label).results[-1]["density"] for label in parts
    }
    for label, density in densities.items():
        assert density == pytest.approx(1 - float(label), abs=0.01)
    capsys.readouterr()
    assert cli.main(["show", "runs/lenet-prune-rate"]) == 0
    assert capsys.readouterr().out.count("LeNet-6-4 on noise") == 5
    pytest.importorskip("matplotlib")
    assert cli.main(["figures", "runs/lenet-prune-rate"]) == 0
    assert any(path.suffix == ".png" for path in Path("runs/lenet-prune-rate/figures").iterdir())


def test_a_value_of_a_sweep_that_diverges_does_not_stop_the_others(small, capsys, monkeypatch):
    sweep = recipes.SWEEPS["lenet-sgd"]
    parts = {
        label: replace(sweep.recipes["0.1"], name=f"lenet-sgd-{label}", lr=lr, batch=8, net_options={"hidden": [6, 4]})
        for label, lr in (("hot", 1e30), ("0.1", 0.1))
    }
    monkeypatch.setitem(recipes.SWEEPS, sweep.name, replace(sweep, recipes=parts))
    with np.errstate(all="ignore"):
        assert cli.main(["run", "lenet-sgd", *FEW]) == 2
    assert "try a smaller learning rate" in capsys.readouterr().err
    assert len(experiment.outcome(Path("runs/lenet-sgd/0.1")).results) == 4


def test_two_directories_of_one_experiment_cannot_be_judged_together(small, capsys):
    for out in ("all/a", "all/b"):
        assert cli.main(["run", "lenet-mnist", *FEW, "--series", "winning_ticket", "--out", out]) == 0
    assert cli.main(["verify", "all"]) == 2
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
        (["run", "lenet-mnist", "--data", "/nonexistent"], "the data folder /nonexistent does not exist"),
        (["show", "nowhere"], "nowhere holds no experiment"),
        (["figures", "."], "holds no experiment"),
        (["verify", "."], "holds no experiment"),
    ],
)
def test_bad_input_ends_with_status_2_and_a_sentence(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("error: ")
    assert not list(tmp_path.iterdir())


def test_too_little_memory_ends_with_status_2_and_a_sentence(small, monkeypatch, capsys):
    def full(*_, **__):
        raise MemoryError("one network does not fit")

    monkeypatch.setattr(experiment, "run", full)
    assert cli.main(["run", "lenet-mnist", *FEW]) == 2
    assert capsys.readouterr().err == "error: one network does not fit\n"


def test_a_broken_recipe_file_is_refused_by_field(tmp_path, capsys):
    path = tmp_path / "mine.json"
    store.write_json(path, recipe.to_json(recipes.LENET) | {"steps": "many"})
    assert cli.main(["run", str(path)]) == 2
    assert "steps must be an integer, got 'many'" in capsys.readouterr().err


def test_ctrl_c_keeps_what_is_finished(small, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "run", interrupted)
    assert cli.main(["run", "lenet-mnist", *FEW]) == 130
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
    for word in ("list", "run", "show", "figures", "verify", "exit status", "130"):
        assert word in outputs[0].stdout
    flags = "--out --trials --rounds --steps --series --seed --jobs --backend --data --scheduler --lock-step"
    assert all(flag in outputs[1].stdout for flag in flags.split())
    assert "claims.json" in outputs[2].stdout


def test_an_estimate_counts_what_is_evaluated_and_speaks_as_people_do():
    assert estimate.looked_at(1_000, 100, tests=1) == 50_000 + 30_000 + 55_000
    assert [estimate.words(s) for s in (3, 300, 7_200, 86_400 * 12)] == ["1 min", "5 min", "2.0 hours", "12 days"]


def test_an_estimate_times_real_steps():
    step, image = estimate.step_and_image(nets.lenet_300_100(), lambda masks: Adam(masks, lr=1e-3), 60)
    assert 0 < image < step < 1
