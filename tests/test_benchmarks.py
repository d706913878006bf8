"""The benchmarks run and write what they promise, and the peers do the same work as we; no speed is asserted."""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from npticket import nets
from npticket.datasets import Dataset, Split
from npticket.optimizers import SGD, Adam
from npticket.papers import LIBRARY
from npticket.params import Params
from npticket.prune import dense_masks, prune_layerwise, random_scores
from npticket.streams import streams
from npticket.tickets import rewind
from npticket.units import multiply_adds

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MACHINE = {"npticket", "python", "numpy", "torch", "jax", "blas", "blas_threads", "cpu", "cores", "system"}
STEP = {"fast_ms", "plain_ms"}
HAS_DASK = find_spec("distributed") is not None  # without it no messages are counted
IMAGENET = "imagenet.py" if HAS_DASK else "imagenet.py --only steps decode messages cost cluster"

TABLES = {  # of each script, the tables and some columns of each
    "lenet_step.py --peers": {"steps": {"density", "after"} | STEP},
    "imp_lenet.py": {"rounds": {"round", "density", "ours_s", "val_s", "ours_acc"}, "total": {"ours_s", "steps_s"}},
    "scaling.py --only memory": {"memory": {"trials", "plain_mib", "fast_mib"}},
    "evaluation.py": {"evaluation": {"density"} | STEP},
    "input_scaling.py": {"scalings": {"network_input", "stop", "test_acc", "test_acc_least", "end_acc_most"}},
    "limits.py": {"core": {"GFLOP/s", "GB/s from L2"}, "limits": {"net", "density", "step ms", "step/limit"}},
    "late_steps.py": {"late": {"engine", "optimizer", "density", "last/first", "stretches_ms"}},
    "derived_steps.py --peers": {
        "losses": {"what", "loss", "fast differs"},
        "steps": {"what", "batch"} | STEP,
        "memory": {"what", "side", "before_mib", "peak_mib"},
    },
    "checkpoints.py": {"checkpoints": {"MB", "checkpoint_ms", "share"}},
    "trials_axis.py": {"steps": {"step", "ms", "ratio"}},
    "engines_agree.py": {"rounds": {"round", "differ", "fast_acc"}},
    "pruned_conv.py": {"steps": {"density", "fast_ms", "dense/this"}, "parts": {"part", "share"}},
    "sparse_predict.py": {"prediction": {"density", "batch", "ratio", "bytes", "labels"}},
    IMAGENET: {
        "steps": {"net", "images/s", "GFLOP/s", "peak MiB"},
        "decode": {"what", "images/s"},
        "messages": {"net", "masks MB", "a run MB"},
        "cost": {"by", "images/s", "8 rounds, days"},
        **({"traffic": {"images", "workers", "call KiB", "written KiB"}} if HAS_DASK else {}),
    },
    "images.py": {"images": {"case", "threads", "files", "peak MiB"}},
    "structured.py": {
        "steps": {"net", "kind", "density", "parameters", "multiply_adds", "microseconds", "ratio"},
        "predictions": {"kind", "batch", "microseconds", "ratio"},
    },
}


def ran(path, command):
    """Run a benchmark that puts its figures into a file; return the process."""
    script, *arguments = command.split()
    call = [sys.executable, BENCHMARKS / script, "--quick", "--json", path, *arguments]
    environment = os.environ | {"PYTHONPATH": str(BENCHMARKS.parent)}
    return subprocess.run(call, capture_output=True, text=True, env=environment)


def test_benchmarks_write_their_tables_and_what_they_depend_on(tmp_path):
    with ThreadPoolExecutor(2) as at_once:
        done = at_once.map(lambda command: ran(tmp_path / f"{command}.json", command), TABLES)
    for command, process in zip(TABLES, done, strict=True):
        assert process.returncode == 0, f"{command}: {process.stderr}"
        ((key, found),) = json.loads((tmp_path / f"{command}.json").read_text()).items()
        assert f"{found['benchmark']}.py" == command.split()[0]
        assert key.split()[0] == found["benchmark"] and "--quick" in key and "--json" not in key
        assert found["date"] and found["commit"] and found["machine"].keys() >= MACHINE
        assert found["data"]["caveat"]  # nobody takes figures from the bundled subset for MNIST's
        for name, columns in TABLES[command].items():
            assert found["tables"][name], (command, name)
            assert all(row.keys() >= columns for row in found["tables"][name]), (command, name)


@pytest.mark.parametrize("recipe", ["bert-trec", "detection-cells"])
def test_an_encoder_and_a_detector_take_the_same_steps_in_pytorch(recipe, at_hand):
    pytest.importorskip("torch")
    import derived_steps

    row = derived_steps.losses(derived_steps.Work(recipe, quick=True), ["fast", "plain", *derived_steps.PEERS])
    assert row["loss"] > 0 and all(value < 1e-9 for name, value in row.items() if "differs" in name)
    assert ("torch_tokens differs" in row) == (recipe == "bert-trec")


def test_recipes_whose_memory_is_measured_are_published(at_hand):
    import derived_steps

    assert set(derived_steps.RECIPES) <= LIBRARY.published.keys()


@pytest.fixture
def at_hand(monkeypatch):
    """The benchmarks' modules, in reach."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_results_of_one_processor_share_a_file(at_hand, tmp_path, monkeypatch, capsys):
    """A run replaces what the same script with the same arguments left, and nothing else; limits are kept beside it."""
    import bench
    import results

    for variable in results.LIMITS:
        monkeypatch.delenv(variable, raising=False)

    def run(*arguments, value):
        monkeypatch.setattr(
            sys, "argv", ["benchmarks/some_script.py", *arguments, "--json", str(tmp_path / "cpu.json")]
        )
        options = bench.parser("A script.")
        options.add_argument("--threads", type=int, default=1)
        options.add_argument("--nets", nargs="+", default=["a"])
        table = bench.Table("some", {"value": "d"})
        table.add(value=value)
        results.save(bench.parse(options), noise(), {"some": table})

    run(value=1)
    run("--threads", "2", "--nets", "a", "b", value=2)
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    run("--threads", "1", value=3)
    found = results.read(tmp_path / "cpu.json")
    assert {key: run["tables"]["some"][0]["value"] for key, run in found.items()} == {
        "some_script": 3, "some_script --threads 2 --nets a b": 2,
    }  # fmt: skip
    limits = [run["machine"].get("limits", []) for run in found.values()]
    assert limits == [["ATEN_CPU_CAPABILITY=avx2"], []]


@pytest.mark.parametrize(
    ("model_name", "kernels", "name"),
    [
        ("Intel(R) Xeon(R) Processor", "", "intel-xeon-6-167"),
        ("Intel(R) Xeon(R) Platinum 8488C", "", "intel-xeon-platinum-8488c"),
        ("Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz", "", "intel-core-i7-8700"),
        ("AMD EPYC 7763 64-Core Processor", "Haswell", "amd-epyc-7763-haswell"),
    ],
)
def test_a_processor_has_a_name(at_hand, tmp_path, monkeypatch, model_name, kernels, name):
    import results

    monkeypatch.setenv("OPENBLAS_CORETYPE", kernels)
    (tmp_path / "cpuinfo").write_text(f"cpu family\t: 6\nmodel\t\t: 167\nmodel name\t: {model_name}\n")
    assert results.processor(tmp_path / "cpuinfo") == name
    assert results.processor(gpu="NVIDIA H100 80GB HBM3") == "nvidia-h100-80gb-hbm3"


def some_results():
    """Results as they are read from a file, of a LeNet step at some densities."""
    machine = dict.fromkeys(MACHINE, "some")
    steps = [
        {"density": 0.8**r, "after": after, "fast_ms": 0.9**r, "torch_ms": 2.0, "torch/fast": 2 / 0.9**r}
        for r in range(0, 20, 5)
        for after in (0, 2000)
    ]
    columns = {"density": ".1%", "after": ",d", "fast_ms": ".3f", "torch_ms": ".3f", "torch/fast": ".2f"}
    rounds = [{"density": 0.8**r, "ours_s": 1.0, "steps_s": 0.5, "torch_s": 2.0, "torch/ours": 2.0} for r in range(21)]
    about = {"machine": machine, "date": "2026-01-01T00:00", "commit": "abc", "arguments": {}}
    return {
        "lenet_step": about | {"benchmark": "lenet_step", "tables": {"steps": steps}, "columns": {"steps": columns}},
        "imp_lenet": about | {"benchmark": "imp_lenet", "tables": {"rounds": rounds, "total": rounds[:1]},
                              "columns": {"rounds": {"torch_s": ".1f"}, "total": {"torch/ours": ".2f"}}},
    }  # fmt: skip


@pytest.mark.parametrize("what", ["step", "round"])
def test_figures_have_a_panel_for_each_processor(tmp_path, what):
    pytest.importorskip("matplotlib")
    paths = [tmp_path / f"{name}.json" for name in ("one", "other")]
    for path in paths:
        path.write_text(json.dumps(some_results()))
    call = [sys.executable, BENCHMARKS / "figure.py", what, tmp_path / "drawn.png", *paths]
    environment = os.environ | {"PYTHONPATH": str(BENCHMARKS.parent)}
    subprocess.run(call, check=True, env=environment)
    assert (tmp_path / "drawn.png").stat().st_size > 20_000


def test_accuracies_are_drawn_at_the_times_of_networks_of_that_density(at_hand):
    """Those of the nearest round, of which there has to be one; every line begins with the dense network."""
    pytest.importorskip("matplotlib")
    import time_figure

    known = {"weights": {1.0: 98.0, 0.5: 98.5, 0.1: 97.0}, "units": {1.0: 98.0, 0.5: 97.5}}
    rows = [{"kind": "dense", "density": 1.0, "microseconds": 900.0}, {"kind": "torch", "microseconds": 700.0}] + [
        {"kind": kind, "density": density, "microseconds": 1000 * density}
        for kind in ("units", "weights") for density in (0.11, 0.3, 0.49)
    ]  # fmt: skip
    assert time_figure.lines(rows, known) == {
        "weights": [(900.0, 98.0), (490.0, 98.5), (110.0, 97.0)], "units": [(900.0, 98.0), (490.0, 97.5)],
    }  # fmt: skip
    times = {batch: [{"net": "lenet", "batch": batch, **row} for row in rows] for batch in (1, 60)}
    tables = {"steps": times[60], "predictions": times[1] + times[60]}
    run = {"tables": tables, "machine": some_results()["lenet_step"]["machine"]}
    other = {"tables": {name: [{**row, "net": "conv_2"} for row in rows] for name, rows in tables.items()}}
    runs = time_figure.by_net([other, run])  # of which the second has published accuracies
    figure = time_figure.draw(runs, {"lenet": known})
    assert figure.get_suptitle().endswith("\nEach line begins at 100 % of the weights")
    assert [axes.get_title().splitlines()[1] for axes in figure.axes] == [
        "a training step, batch 60", "a prediction, batch 1", "a prediction, batch 60",
    ]  # fmt: skip
    assert {line.get_label() for line in figure.axes[0].lines} == {
        "single weights pruned", "whole units pruned, masked", "PyTorch, dense",
    }  # fmt: skip


def test_tables_are_written_between_their_marks(at_hand):
    """Each processor's one below the other; in the summary a column each. An unknown name says which there are."""
    import tables

    other = some_results()
    del other["imp_lenet"]
    other["lenet_step"]["machine"]["limits"] = ["A=1", "B=2"]
    made = tables.tables({"one": some_results(), "other": other})
    page = "before\n<!-- speed: {} -->\nold\n<!-- end -->\nafter\n"
    text = tables.filled(page.format("lenet_step: steps"), made)
    assert text.startswith("before\n<!-- speed: lenet_step: steps -->\n\none: some, NumPy some")
    assert text.count("commit abc\n") == text.count("commit abc; with A=1, B=2\n") == 1
    assert "old" not in text and text.endswith("\n\n<!-- end -->\nafter\n")
    assert text.count("| density | after | fast ms | torch/fast |\n") == 2
    assert text.count("| 32.8% | 2,000 | 0.590 | 3.39 |\n") == 2
    assert tables.filled(text, made) == text
    assert "| LeNet step, dense, after 2,000 | 2.00 / - / - / - | 2.00 / - / - / - |" in made["summary"]
    assert "| LeNet pruned to 1.2 %, rounds of 1,000 steps | 2.00 / - / - / - | - |" in made["summary"]
    with pytest.raises(SystemExit, match="nothing called 'speed: lenet: x'"):
        tables.filled(page.format("lenet: x"), made)


@pytest.mark.parametrize(
    "path", ["performance.md", "gpu.md", "reliability.md", "scaling.md", "results/input_scaling.md"]
)
def test_the_tables_on_pages_are_those_of_the_results(at_hand, path):
    """`python benchmarks/tables.py --into PAGE` makes them anew."""
    import results
    import tables

    made = tables.tables(results.by_processor())
    text = (BENCHMARKS.parent / "docs" / path).read_text()
    assert "<!-- speed: " in text and tables.filled(text, made) == text
    a_row = next(line for line in text.splitlines() if re.match(r"\| .*\d", line))
    assert tables.filled(text.replace(a_row, a_row + " more |"), made) == text


def test_what_a_gpu_reaches_is_reckoned_from_the_steps_that_were_timed(at_hand):
    """In docs/scaling.md: networks x steps a second, times images, times 6 operations for each multiply-add."""
    import gpu
    import imagenet
    import results

    page, networks = (BENCHMARKS.parent / "docs" / "scaling.md").read_text(), {}
    for run in results.runs(results.by_processor()["nvidia-h100-80gb-hbm3"], "gpu"):
        networks |= run["tables"]
    assert imagenet.ON_H100.items() <= gpu.BATCH.items()
    said = iter(imagenet.reached())
    for name in imagenet.ON_H100:
        net = getattr(nets, name)()
        each = multiply_adds(net, dense_masks(Params.empty(net.body.layout, 1))).item()
        rates = {row["trials"]: row["ours"] * gpu.BATCH[name] * 6 * each / 1e12 for row in networks[name]}
        for trials, words in ((1, "one"), (8, "eight")):
            part, text = next(said)
            assert part == pytest.approx(rates[trials] / 67) and text == f"{part:.1%}, as {words} {net.name}"
            assert f"| {text} |" in page


def test_summaries_take_the_faster_layout_and_quartiles_far_apart_are_shown(at_hand):
    import tables

    row = {"net": "vgg_19", "torch/fast": 1.8, "nchw/fast": 1.6, "compiled/fast": 1.75, "torch/fast_low": 1.5,
           "torch/fast_high": 1.9, "nchw/fast_low": 1.6, "nchw/fast_high": 1.7}  # fmt: skip
    run = {"benchmark": "conv_step", "arguments": {}, "tables": {"steps": [row]}, "date": "2026-11-26", "commit": "x",
           "columns": {"steps": {"net": "", "torch/fast": ".2f", "nchw/fast": ".2f", "jax/fast": ".2f"}},
           "machine": dict.fromkeys(("cpu", "numpy", "blas", "torch", "jax"), "some")}  # fmt: skip
    made = tables.tables({"one": {"conv_step": run}})
    assert "| VGG-19 step | 1.60 / - / 1.75 / - |" in made["summary"]
    assert "| vgg_19 | 1.80 (1.50 to 1.90) | 1.60 | - |" in made["conv_step: steps"]


@pytest.mark.parametrize(("benchmark", "shown"), [("another", "fast ms"), ("derived_steps", "fast ms | torch ms")])
def test_of_what_came_after_the_times_of_both_sides_are_shown(at_hand, benchmark, shown):
    import tables

    run = some_results()["lenet_step"] | {"benchmark": benchmark}
    assert f"| density | after | {shown} | torch/fast |\n" in tables.tables({"one": {"x": run}})["x: steps"]


def test_the_table_of_patience_is_that_of_the_script(at_hand, capsys):
    import patience

    patience.main(BENCHMARKS.parent / "docs" / "results" / "lenet")
    assert capsys.readouterr().out in (BENCHMARKS.parent / "docs" / "estimator.md").read_text()


def test_the_tables_of_coverage_are_those_of_the_script(at_hand):
    """`python benchmarks/interval_coverage.py --into docs/claims.md` makes them anew."""
    import interval_coverage as coverage

    text = (BENCHMARKS.parent / "docs" / "claims.md").read_text()
    experiments = {coverage.means: 10_000, coverage.optima: 2_000, coverage.apart: 2_000}
    made = {f"coverage: {table.__name__}": table(count) for table, count in experiments.items()}
    assert text.count("<!-- coverage: ") == 3 and coverage.filled(text, made) == text
    few = {f"coverage: {table.__name__}": table(20) for table in experiments}
    assert coverage.filled(text, few) != text


@pytest.fixture(params=["torch", "flushed", "compiled", "nchw", "jax"])
def peer(request, at_hand):
    """What makes one of the peers, as it comes to float64."""
    if request.param == "jax":
        jax = pytest.importorskip("jax")
        with jax.enable_x64(True):
            yield load(request.param)
    else:
        torch = pytest.importorskip("torch")
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        yield load(request.param)
        torch.set_default_dtype(before)


def load(name):
    import sides

    if name == "compiled" and shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("there is no C++ compiler, which torch.compile needs")
    return sides.installed([name])[name]


def test_a_peer_that_is_broken_is_not_one_that_is_missing(at_hand, monkeypatch, capsys):
    import sides

    def importing(name):
        exec({"sides.torch_eager": "import not_installed", "sides.jax_jit": "from npticket import gone"}[name])

    monkeypatch.setattr(sides, "import_module", importing)
    assert sides.installed(["torch"]) == {}
    assert "without torch: No module named 'not_installed'" in capsys.readouterr().out
    with pytest.raises(ImportError, match="cannot import name 'gone'"):
        sides.installed(["jax"])


NETS = {
    "dense": (nets.lenet_300_100((7, 5)), partial(Adam, lr=0.01)),
    "conv": (nets.conv_2(), partial(Adam, lr=1e-3)),
    "residual": (nets.resnet(8, 4), partial(SGD, lr=0.01, momentum=0.9, weight_decay=1e-2)),
    "vgg": (nets.vgg_19(width=2), partial(SGD, lr=0.01, momentum=0.9, weight_decay=1e-2)),
}


@pytest.mark.parametrize(("name", "rate"), [("dense", 0), ("dense", 0.9), ("conv", 0.5), ("residual", 0), ("vgg", 0.5)])
def test_every_peer_takes_the_same_steps(peer, name, rate):
    """From the same start with the same batches, both come to the same losses, parameters and running statistics."""
    from sides import ours

    net, optimizer = NETS[name]
    data = noise(net.input_shape)
    theta0 = net.init(streams(0, [0], "init"), np.float64)
    scores = random_scores(theta0, [np.random.default_rng(0)])
    masks = prune_layerwise(scores, dense_masks(theta0), dict.fromkeys(theta0.weights, rate))
    start = rewind(theta0, masks)
    sides = [make(net, start, masks, data, optimizer) for make in (partial(ours.Training, engine="plain"), peer)]
    for numbers in np.random.default_rng(1).integers(0, len(data.train), (5, 20)):
        our_loss, their_loss = (side.step(side.given(numbers)).item() for side in sides)
        assert our_loss == pytest.approx(their_loss, rel=1e-9)
    ends = [start.copy(), start.copy()]
    for side, end in zip(sides, ends, strict=True):
        side.read(end)
    np.testing.assert_allclose(ends[1].flat, ends[0].flat, rtol=1e-7, atol=1e-9)
    assert sides[1].validate() == pytest.approx(sides[0].validate(), rel=1e-8)
    assert abs(ends[1].flat - start.flat).max() > 0.005  # they did move
    assert not ends[1].flat[~masks.flat].any()


def test_gradients_and_masks_of_pytorch_lie_alike_in_memory(at_hand):
    """Or the product of the two is slow."""
    pytest.importorskip("torch")
    from sides import torch_eager

    for name in ("dense", "conv"):
        net, optimizer = NETS[name]
        theta = net.init(streams(0, [0], "init"))
        masks = prune_layerwise(theta.like(abs(theta.flat)), dense_masks(theta), dict.fromkeys(theta.weights, 0.5))
        data = noise(net.input_shape)
        training = torch_eager.Training(net, rewind(theta, masks), masks, data, optimizer)
        training.step(training.given(np.arange(20)))
        parameters = [parameter for name, parameter, _ in training.twin.pairs if name in masks.weights]
        assert [keep.stride() for keep in training.keep] == [p.grad.stride() for p in parameters]


def test_subnormal_numbers_are_flushed_in_the_calls_of_that_side_alone(at_hand):
    torch = pytest.importorskip("torch")
    from sides import torch_flushed

    least = np.full(8, 1e-40, np.float32)
    seen = []

    class Watched(torch_flushed.Training):
        def loss(self, given):
            seen.append((least * np.float32(0.5)).any())
            return super().loss(given)

    net, optimizer = NETS["dense"]
    theta = net.init(streams(0, [0], "init"))
    training = Watched(net, theta, dense_masks(theta), noise(net.input_shape), optimizer)
    training.step(torch.arange(20))
    training.validate()
    assert seen == [False]
    assert (least * np.float32(0.5)).all()


def noise(shape=(28, 28)):
    """Sixty training images and labels that have nothing to do with them."""
    rng = np.random.default_rng(0)
    splits = (Split(rng.integers(0, 256, (n, *shape), dtype=np.uint8), rng.integers(0, 10, n)) for n in (60, 30, 10))
    return Dataset("noise", *splits, classes=10, source="a test")
