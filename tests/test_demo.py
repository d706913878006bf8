"""The main job from outside: a process, its output, its files, its exit status."""

import csv
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_bert
from strict import StrictArray, strict

from npticket import backend, nets
from npticket.cli import demos
from npticket.engine import plain
from npticket.experiments import tables
from npticket.experiments.directory import read_recipe
from npticket.experiments.parts import Experiment, load_data
from npticket.experiments.recipe import Part
from npticket.experiments.run import run
from npticket.layers import Chain, Dense, GlobalAveragePool
from npticket.papers import LIBRARY, PARTS
from npticket.params import Params
from npticket.prune import dense_masks
from npticket.streams import streams
from npticket.task import CLASSIFY

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "demos" / "lenet_mnist.py"
TINY = ["--trials", "2", "--rounds", "2", "--steps", "120"]


def environment(**changes):
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **changes}


def demo(*arguments, check=0, **changes):
    """Run the demo to its end with pipes for output; return the finished process."""
    done = subprocess.run(
        [sys.executable, str(DEMO), *map(str, arguments)], capture_output=True, text=True, env=environment(**changes)
    )
    assert done.returncode == check, done.stdout + done.stderr
    return done


def results(folder):
    """The rows of results.csv without the seconds, which never repeat."""
    rows = tables.read(folder / "results.csv", tables.result_columns(CLASSIFY))
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    nowhere = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    return folder, demo(*TINY, "--jobs", 1, "--out", folder, XDG_CACHE_HOME=str(folder / "none"), **nowhere)


def test_it_prints_a_row_per_round_a_verdict_and_where_the_files_are(one_process):
    folder, done = one_process
    lines = done.stdout.splitlines()
    assert [line.split()[:3] for line in lines if line.strip()[:1].isdigit() and "%" in line[:18]] == [
        ["0", "100.0", "%"],
        ["1", "80.0", "%"],
    ]
    assert "2 trials" in done.stdout
    assert "verdict" in done.stdout
    assert str(folder / "results.csv") in done.stdout
    assert done.stderr == ""  # no progress bar where there is no terminal


def test_the_subset_is_named_in_the_output(one_process):
    _, done = one_process
    assert done.stdout.startswith("LeNet-300-100 on MNIST (bundled subset of 5,000 images) from ")
    assert "All of this on MNIST, bundled subset of 5,000 images" in done.stdout


def test_it_writes_tables_and_figure(one_process):
    folder, _ = one_process
    rows = results(folder)
    assert [(row["round"], row["series"], row["trial"]) for row in rows] == [
        (round, series, trial) for round in (0, 1) for series in ("winning_ticket", "random_reinit") for trial in (0, 1)
    ]
    assert [row["density"] for row in rows[:4]] == [1.0] * 4
    assert rows[4]["density"] == pytest.approx((235_200 * 0.8 + 30_000 * 0.8 + 900) / 266_200)
    assert {row["steps"] for row in rows} == {120}
    with open(folder / "curves.csv", newline="") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert steps == [100, 120] * 8
    assert (folder / "figures" / "early_stopping.png").read_bytes().startswith(b"\x89PNG")


def test_it_is_the_recipe_that_it_writes_down(one_process, tmp_path):
    """The loop in the demo and the experiment runner, given the demo's recipe.json, come to the same results."""
    folder, _ = one_process
    recipe = read_recipe(folder)
    assert (recipe.name, recipe.steps, recipe.rounds, recipe.trials) == ("lenet-mnist", 120, 2, 2)
    outcome = run(recipe, PARTS, tmp_path, load_data(recipe, PARTS))
    ours = [row for row in results(folder) if row["round"] or row["series"] == "winning_ticket"]
    assert ours == [{name: value for name, value in row.items() if name != "seconds"} for row in outcome.results]


def without(folder, *names):
    """The PYTHONPATH of a demo that cannot import these packages, with files that are written into `folder`."""
    for name in names:
        (folder / f"{name}.py").write_text(f"raise ModuleNotFoundError('no {name} here', name='{name}')")
    return f"{folder}:{ROOT}"


def test_two_processes_give_the_results_of_one(one_process, tmp_path):
    pytest.importorskip("joblib")
    demo(*TINY, "--jobs", 2, "--out", tmp_path / "out", PYTHONPATH=without(tmp_path, "matplotlib"))
    assert results(tmp_path / "out") == results(one_process[0])


def test_another_seed_gives_other_results(one_process, tmp_path):
    flags = [*TINY, "--rounds", 1, "--jobs", 1, "--seed", 1]
    demo(*flags, "--out", tmp_path / "out", PYTHONPATH=without(tmp_path, "matplotlib"))
    found, there = results(tmp_path / "out"), results(one_process[0])
    assert len(found) == 4 and all(row not in there for row in found)


def start(*arguments):
    """Start the demo in a session of its own and leave it running."""
    return subprocess.Popen(
        [sys.executable, str(DEMO), *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), start_new_session=True,
    )  # fmt: skip


def assert_nobody_is_left(group, seconds):
    with pytest.raises(ProcessLookupError):
        for _ in range(10 * seconds):
            os.killpg(group, 0)
            time.sleep(0.1)


LONG = ["--trials", 2, "--rounds", 50, "--steps", 150, "--jobs", 2, "--out"]


def test_ctrl_c_stops_at_once_and_keeps_the_rounds_written(tmp_path):
    pytest.importorskip("joblib")
    process = start(*LONG, tmp_path)
    for line in process.stdout:
        if line.split()[:2] == ["1", "80.0"]:
            break
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Stopped. The rounds shown above are in" in stdout
    assert "Traceback" not in stderr
    assert {row["round"] for row in results(tmp_path)} >= {0, 1}
    assert_nobody_is_left(process.pid, seconds=5)


@pytest.mark.parametrize("delay", [0, 0.2, 0.5, 0.9])
def test_ctrl_c_while_the_processes_start(tmp_path, delay):
    """The last that is said before they do is the seed; the training would outlast any wait."""
    pytest.importorskip("joblib")
    process = start("--trials", 2, "--steps", 1_000_000, "--jobs", 2, "--out", tmp_path)
    for line in process.stdout:
        if line.endswith("seed 0\n"):
            break
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=15)
    assert process.returncode == 130
    assert "Stopped." in stdout
    assert "Traceback" not in stderr
    assert_nobody_is_left(process.pid, seconds=5)


@pytest.mark.parametrize("death", [signal.SIGTERM, signal.SIGKILL])
def test_when_the_main_process_dies_its_workers_end(tmp_path, death):
    pytest.importorskip("joblib")
    process = start(*LONG, tmp_path)
    for line in process.stdout:
        if line.split()[:1] == ["0"]:
            break
    process.send_signal(death)  # to the main process alone
    process.wait(timeout=10)
    process.stdout.close()
    process.stderr.close()
    assert_nobody_is_left(process.pid, seconds=10)


@pytest.mark.parametrize("lines", [1, 6, 8])
def test_a_reader_that_goes_away_ends_it_quietly(tmp_path, lines):
    command = f"{sys.executable} {DEMO} {' '.join(TINY)} --jobs 1 --out {tmp_path} | head -n {lines}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment(), timeout=60)
    assert done.stdout.startswith("LeNet-300-100 on MNIST")
    assert len(done.stdout.splitlines()) == lines
    assert done.stderr == ""


def test_without_extras_it_runs_and_says_what_was_skipped(tmp_path):
    """As after a bare `pip install npticket`: none of the demo's optional packages can be imported."""
    out, there = tmp_path / "out", without(tmp_path, "matplotlib", "tqdm", "joblib", "threadpoolctl", "pooch")
    done = demo("--trials", 1, "--rounds", 1, "--steps", 10, "--out", out, PYTHONPATH=there)
    assert "Figures skipped: matplotlib is not installed" in done.stdout
    assert "which is not installed" in done.stdout  # pooch, hence the subset
    assert len(results(out)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "0"], "--steps must be at least 1, got 0"),
        (["--trials", "0"], "--trials must be at least 1"),
        (["--jobs", "0"], "--jobs must be at least 1"),
        (["--jobs", "2", "--backend", "cupy"], "use --jobs 1 with --backend cupy"),
        (["--seed", "-1"], "--seed must be at least 0"),
        (["--quick", "--paper"], "not allowed with"),
        (["--backend", "jax"], "invalid choice: 'jax'"),
        (["--data", "/nonexistent"], "error: the data folder /nonexistent does not exist"),
    ],
)
def test_bad_arguments_end_with_status_2_and_a_sentence(tmp_path, arguments, message):
    done = demo(*arguments, "--out", tmp_path / "out", check=2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def load(path, monkeypatch):
    """Import a demo without running it."""
    monkeypatch.syspath_prepend(path.parent)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_network_spelled_out_in_the_demo_is_the_librarys(monkeypatch):
    module = load(DEMO, monkeypatch)
    ours, theirs = (net.init(streams(0, [0], "init")) for net in (module.LENET, nets.lenet_300_100()))
    assert ours.shapes == theirs.shapes
    assert (ours.flat == theirs.flat).all()
    assert recipe_of(module, monkeypatch) == LIBRARY.recipes["lenet-mnist"]


def test_what_is_edited_in_the_demo_is_written_down(monkeypatch):
    module = load(DEMO, monkeypatch)
    monkeypatch.setattr(module, "LEARNING_RATE", 3e-3)
    monkeypatch.setattr(module, "PRUNING_RATES", {"*/W": 0.5})
    recipe = recipe_of(module, monkeypatch)
    assert (recipe.optimizer, recipe.prune) == (Part("adam", lr=3e-3), Part("magnitude", rates={"*/W": 0.5}))


def recipe_of(module, monkeypatch):
    """The recipe that the demo asks its journal to write down."""
    asked = []
    monkeypatch.setattr(module, "run", lambda args, recipe, find: asked.append(recipe))
    module.main(["--quick"])
    return asked[0]


def test_the_four_steps_are_seen_as_four_steps():
    for path in (DEMO, CIFAR, DEMO.with_name("bert_trec.py")):
        text = path.read_text()
        assert "find_tickets(theta0, dense_masks(theta0), train=train, prune=prune)" in text
        assert all(f"# {step}" in text for step in ("1 initialise", "2 train", "3 prune"))
    assert all(len(path.read_text().splitlines()) < 120 for path in (ROOT / "demos").glob("*.py"))


CIFAR = ROOT / "demos" / "cifar10.py"


def test_the_conv_demo_without_data_says_how_to_get_it(tmp_path):
    done = subprocess.run(
        [sys.executable, str(CIFAR), "--out", str(tmp_path / "out")], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 2
    assert "put it into a folder, and name that folder as the argument (--data)" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def random_pictures(tmp_path_factory):
    """A folder with CIFAR-10's files, full of noise."""
    folder = tmp_path_factory.mktemp("cifar")
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        records = rng.integers(0, 256, (10_000, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        (folder / name).write_bytes(records.tobytes())
    return folder


SMALL = ["--rounds", "2", "--trials", "2", "--steps", "20", "--jobs", "1"]


def tiny(monkeypatch, name, rates):
    """Put a network of three weights a class in the place of a large one: in the library and all that is made of it."""
    body = Chain(pool=GlobalAveragePool(), out=Dense(3, 10))
    monkeypatch.setitem(PARTS.nets, name, lambda: nets.Net("Tiny", body, (32, 32, 3), (10,)))
    for key, recipe in LIBRARY.recipes.items():
        if recipe.net.name == name:
            monkeypatch.setitem(LIBRARY.recipes, key, replace(recipe, prune=recipe.prune.having(rates=rates)))


def test_a_conv_demo_runs_from_end_to_end_and_estimates_its_time(random_pictures, tmp_path, monkeypatch, capsys, drawn):
    cifar = load(CIFAR, monkeypatch)
    tiny(monkeypatch, "conv_2", {"out/W": 0.1})
    assert cifar.main([*SMALL, "--data", str(random_pictures), "--out", str(tmp_path / "out")]) == 0
    output = capsys.readouterr().out
    assert re.search(r"This takes about \d+ s with 1 process", output)
    assert "Of each split at most 1,000 examples are evaluated: in so few steps" in output
    rows = results(tmp_path / "out")
    assert [row["series"] for row in rows] == (["winning_ticket"] * 2 + ["random_reinit"] * 2) * 2
    assert [row["density"] for row in rows[4:]] == [0.9] * 4
    assert "early_stopping" in drawn


@pytest.mark.parametrize("name", ["resnet18", "vgg19"])
def test_the_deep_demos_run_from_end_to_end_and_look_at_fixed_steps(
    name, random_pictures, tmp_path, monkeypatch, capsys, drawn
):
    cifar = load(CIFAR, monkeypatch)
    tiny(monkeypatch, {"resnet18": "resnet_18", "vgg19": "vgg_19"}[name], {"out/W": 0.2})
    assert cifar.main(["--net", name, *SMALL, "--data", str(random_pictures), "--out", str(tmp_path / "out")]) == 0
    output = capsys.readouterr().out
    at = [6, 13, 20] if name == "resnet18" else [5, 10, 20]
    header = next(line for line in output.splitlines() if line.startswith("round"))
    assert header.split()[2:8] == [str(step) for step in at * 2]
    rows = results(tmp_path / "out")
    assert [row["density"] for row in rows[4:]] == [0.8] * 4
    with open(tmp_path / "out" / "curves.csv", newline="") as file:
        tested = [int(row["step"]) for row in csv.DictReader(file) if row["test_acc"]]
    assert tested == at * 8
    last = next(line for line in output.splitlines() if line.startswith("    1"))
    finals = [np.mean([100 * row["final_test_acc"] for row in rows[i : i + 2]]) for i in (4, 6)]
    assert [last.split()[i] for i in (5, 8)] == [f"{final:.2f}" for final in finals]
    assert "dense network has" in output
    assert "fixed_steps" in drawn


def asked_for(monkeypatch, *arguments):
    """The arguments and the paper's recipe with which the demo would run."""
    cifar = load(CIFAR, monkeypatch)
    asked = []
    monkeypatch.setattr(cifar, "run", lambda args, recipe, find: asked.append((args, recipe)) or 0)
    cifar.main(["--paper", *arguments])
    return asked[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trials", "1000", "--rounds", "1000"], "error: trials x series x rounds must be at most 100,000"),
        (["--steps", "100000000"], "error: validate_every must be at least 1,000"),
        (["--out", ""], "expected a path, got nothing"),
        (["--data", ""], "expected a path, got nothing"),
    ],
)
def test_a_demo_that_cannot_be_run_says_why(arguments, message, tmp_path):
    done = subprocess.run(
        [sys.executable, str(DEMO), *arguments], capture_output=True, text=True, env=environment(), cwd=tmp_path
    )
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("net", "steps"), [("conv2", 20_000), ("conv4", 25_000), ("conv6", 30_000)])
def test_the_conv_demos_know_the_papers_settings(net, steps, monkeypatch):
    args, recipe = asked_for(monkeypatch, "--net", net)
    assert (args.steps, args.trials, str(args.out)) == (steps, 5, f"runs/{net}-demo")
    assert recipe == LIBRARY.recipes[f"{net}-cifar10"]
    assert demos.smaller(recipe, args).series == ("winning_ticket", "random_reinit")


@pytest.mark.parametrize(
    ("name", "setting", "rates"),
    [  # the learning rate after so many steps
        ("resnet18", "low", {0: 0.01, 19_999: 0.01, 20_000: 0.001, 25_000: 0.0001}),
        ("resnet18", "high", {0: 0.1, 19_999: 0.1, 20_000: 0.01, 25_000: 0.001, 29_999: 0.001}),
        ("resnet18", "warmup", {0: 0.03 / 20_000, 9_999: 0.015, 19_999: 0.03, 20_000: 0.003, 25_000: 0.0003}),
        ("vgg19", "low", {0: 0.01, 56_239: 0.01, 56_240: 0.001, 84_360: 0.0001}),
        ("vgg19", "high", {0: 0.1, 56_239: 0.1, 56_240: 0.01, 84_360: 0.001}),
        ("vgg19", "warmup", {4_999: 0.05, 9_999: 0.1, 56_239: 0.1, 56_240: 0.01, 84_360: 0.001}),
    ],
)
def test_the_deep_demos_know_the_papers_settings(name, setting, rates, monkeypatch):
    args, recipe = asked_for(monkeypatch, "--net", name, "--setting", setting)
    optimizer = Experiment(recipe, PARTS).optimizer()(dense_masks(Params.empty({"a/W": (1,)}, 1)))
    assert {step: optimizer.schedule(step) for step in rates} == pytest.approx(rates)
    assert (args.trials, recipe.prune.options["scope"]) == (5, "globally")
    assert recipe.test_at == ((10_000, 20_000, 30_000) if name == "resnet18" else (30_000, 60_000, 112_480))
    assert (recipe.name, recipe.batch) == (f"{name}-{setting}", 128 if name == "resnet18" else 64)
    assert recipe.steps == args.steps


@pytest.fixture
def encoder(tmp_path, monkeypatch):
    """The demo of an encoder with a tiny one, whose files are where nothing but --data leads."""
    sha, _ = tiny_bert.write(tmp_path / "there")
    options = {"weights": tiny_bert.WEIGHTS, "sha256": sha, "text": "trec", "classes": 6, "pieces": tiny_bert.KEPT}
    net = Part("bert", **options, length=10, called="tiny", **tiny_bert.SIZES)
    recipe = replace(LIBRARY.recipes["bert-trec"], net=net, data=Part("trec", length=10))
    monkeypatch.setitem(LIBRARY.recipes, "bert-trec", recipe)
    demo, small = load(DEMO.with_name("bert_trec.py"), monkeypatch), ["--rounds", "2", "--steps", "6", "--jobs", "1"]
    return lambda name, *given: demo.main(
        [*small, "--data", f"{tmp_path}/there", "--out", f"{tmp_path}/{name}", *given]
    )


def test_the_demo_of_an_encoder_finds_its_weights_in_the_folder_of_its_data(encoder, tmp_path, monkeypatch):
    """And its figure says which encoder it is."""
    figure, saved = pytest.importorskip("matplotlib.figure").Figure, {}
    monkeypatch.setattr(figure, "savefig", lambda figure, file, **_: saved.update({file: figure}))
    monkeypatch.delenv("NPTICKET_DATA", raising=False)
    assert encoder("out") == 0
    rows = results(tmp_path / "out")
    assert [row["series"] for row in rows] == ["winning_ticket", "bert_shuffled"] * 2
    (legend,) = saved[tmp_path / "out" / "words.png"].legends
    assert legend.get_title().get_text() == "tiny"


def test_the_demo_of_an_encoder_trains_on_the_device_that_it_is_asked_for(encoder, tmp_path, monkeypatch):
    modules, seen, real = {"numpy": np, "cupy": strict}, set(), plain.Plain.step
    monkeypatch.setattr(backend, "load", modules.get)
    monkeypatch.setattr(backend, "described", lambda name: {})
    monkeypatch.setattr(plain.Plain, "step", lambda self, x, *rest: seen.add(type(x)) or real(self, x, *rest))
    for name, kind in (("numpy", np.ndarray), ("cupy", StrictArray)):
        seen.clear()
        assert encoder(name, "--backend", name, "--engine", "plain", "--trials", "2") == 0
        assert seen == {kind}
    assert results(tmp_path / "cupy") == results(tmp_path / "numpy")
