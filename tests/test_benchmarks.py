"""The benchmarks run and write what they promise, and PyTorch does the same work as we; no speed is asserted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from npticket import nets
from npticket.datasets import Dataset, Split
from npticket.prune import dense_masks, prune_layerwise, random_scores
from npticket.streams import streams
from npticket.tickets import rewind

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MACHINE = {"npticket", "python", "numpy", "torch", "blas", "blas_threads", "cpu", "cores", "system"}


@pytest.mark.parametrize(
    ("script", "arguments", "tables"),
    [
        ("lenet_step.py", [], {"steps": {"density", "plain_ms", "fast_ms"}}),
        ("imp_lenet.py", [], {"rounds": {"round", "density", "ours_s", "ours_acc"}, "total": {"ours_s"}}),
        (
            "scaling.py",
            ["--only", "width", "memory"],
            {"width": {"hidden", "fast_ms"}, "memory": {"trials", "fast_mib"}},
        ),
        ("evaluation.py", [], {"evaluation": {"density", "plain_ms", "fast_ms"}}),
        ("sparse_predict.py", [], {"prediction": {"density", "batch", "ratio", "bytes", "labels"}}),
    ],
)
def test_a_benchmark_writes_its_tables_and_what_they_depend_on(tmp_path, script, arguments, tables):
    path = tmp_path / "found.json"
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, "--quick", "--json", path, *arguments],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(BENCHMARKS.parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text())
    assert found["benchmark"] == script.removesuffix(".py")
    assert found["date"] and found["machine"].keys() >= MACHINE
    assert found["data"]["caveat"]  # nobody takes figures from the bundled subset for MNIST's
    for name, columns in tables.items():
        assert found["tables"][name]
        assert all(columns <= row.keys() for row in found["tables"][name])
    if script == "lenet_step.py":
        draws_its_figure(path, tmp_path / "step.png")


def draws_its_figure(found, png):
    pytest.importorskip("matplotlib")
    subprocess.run([sys.executable, BENCHMARKS / "figure.py", found, png], check=True)
    assert png.stat().st_size > 10_000


@pytest.fixture
def torch(monkeypatch):
    """PyTorch in float64, with the benchmarks' modules in reach."""
    module = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = module.get_default_dtype()
    module.set_default_dtype(module.float64)
    yield module
    module.set_default_dtype(before)


@pytest.mark.parametrize("rate", [0, 0.9])
def test_pytorchs_side_takes_the_same_steps(torch, rate):
    """From the same start with the same batches, both come to the same losses and parameters."""
    import our_lenet
    import torch_lenet

    net, data = nets.lenet_300_100((7, 5)), noise()
    theta0 = net.init(streams(0, [0], "init"), np.float64)
    scores = random_scores(theta0, [np.random.default_rng(0)])
    masks = prune_layerwise(scores, dense_masks(theta0), dict.fromkeys(net.rates, rate))
    start = rewind(theta0, masks)
    ours = our_lenet.Training(net, start, masks, data, 0.01, "plain")
    theirs = torch_lenet.Training(net, start, masks, torch_lenet.Tensors(data), 0.01)
    for index in np.random.default_rng(1).integers(0, len(data.train), (5, 20)):
        assert ours.step(index).item() == pytest.approx(theirs.step(torch.from_numpy(index)).item(), rel=1e-10)
    ends = [start.copy(), start.copy()]
    ours.runner.read(ends[0])
    theirs.read(ends[1])
    np.testing.assert_allclose(ends[1].flat, ends[0].flat, rtol=1e-8, atol=1e-10)
    assert theirs.validate() == pytest.approx(ours.validate(), rel=1e-10)
    assert abs(ends[1].flat - start.flat).max() > 0.01  # they did move
    assert not ends[1].flat[~masks.flat].any()


def noise():
    rng = np.random.default_rng(0)
    splits = (Split(rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), rng.integers(0, 10, n)) for n in (60, 30, 10))
    return Dataset("noise", *splits, classes=10, source="a test")
