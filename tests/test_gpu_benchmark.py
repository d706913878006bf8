"""The GPU benchmark runs on the CPU, and mixes no arrays of host and device."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from on_device import why_no_gpu
from strict import StrictArray, strict

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_the_script_can_be_tried_without_a_gpu(tmp_path):
    path = tmp_path / "gpu.json"
    call = [sys.executable, BENCHMARKS / "gpu.py", "--backend", "numpy", "--quick", "--json", path]
    environment = os.environ | {"PYTHONPATH": str(BENCHMARKS.parent)}
    done = subprocess.run(call, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(path.read_text()).values()
    tables = found["tables"]
    assert [row["trials"] for row in tables["lenet_300_100"]] == [1, 2]
    assert all(row["parameters"] == 0 for row in tables["agreement"])  # the CPU agrees with itself


@pytest.mark.parametrize("name", ["lenet_300_100", "conv_2"])
def test_what_it_measures_stays_on_the_device(name, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    monkeypatch.setitem(gpu.BATCH, name, 3)
    shape = (28, 28) if name.startswith("lenet") else (32, 32, 3)
    rng = np.random.default_rng(0)
    images = strict.asarray(rng.integers(0, 256, (20, *shape), dtype=np.uint8))
    labels = strict.asarray(rng.integers(0, 10, 20))
    step = gpu.our_step(name, 2, images, labels, strict)
    losses = [step() for _ in range(2)]
    assert all(isinstance(loss, StrictArray) and loss.get().shape == (2,) for loss in losses)
    rows = gpu.shares(name, (images, labels), strict, lambda: None, steps=2).rows
    assert {"Dense", "Flatten", "other"} <= {row["part"] for row in rows}
    assert "ReLU" not in {row["part"] for row in rows}  # what is timed are the layers with kernels
    np.testing.assert_allclose(sum(row["share"] for row in rows), 1)


def test_our_convolutions_are_measured_by_windows_too(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    monkeypatch.setattr(gpu, "torch", None)
    monkeypatch.setitem(gpu.BATCH, "conv_2", 2)
    images = strict.asarray(np.zeros((4, 32, 32, 3), np.uint8)), strict.asarray(np.arange(4))
    kinds = []
    monkeypatch.setattr(gpu, "rate", lambda step, *_: kinds.append(gpu.fused.WINOGRAD_CHANNELS) or 1.0)
    (row,) = gpu.compare("conv_2", (1,), images, strict, lambda: None, 0).rows
    assert row == {"trials": 1, "ours": 1.0, "windows": 1.0} and kinds == [8, np.inf]
    assert gpu.fused.WINOGRAD_CHANNELS == 8


def test_without_a_gpu_it_says_so():
    if not why_no_gpu():
        pytest.skip("there is a GPU here")
    environment = os.environ | {"PYTHONPATH": str(BENCHMARKS.parent)}
    call = [sys.executable, BENCHMARKS / "gpu.py", "--quick"]
    done = subprocess.run(call, capture_output=True, text=True, env=environment)
    assert done.returncode and "--backend numpy tries the script on the CPU" in done.stderr
