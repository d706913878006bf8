"""The benchmark of convolutional steps runs, compares gradients first, and writes what it promises."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "conv_step.py"


def test_the_benchmark_writes_gradients_steps_and_shares(tmp_path):
    path = tmp_path / "conv_step.json"
    environment = os.environ | {"PYTHONPATH": str(BENCHMARK.parents[1])}
    call = [sys.executable, BENCHMARK, "--quick", "--threads", "2", "--peers", "torch", "nchw", "--json", path]
    subprocess.run(call, check=True, capture_output=True, cwd=BENCHMARK.parents[1], env=environment)
    (found,) = json.loads(path.read_text()).values()
    (steps,) = found["tables"]["steps"]
    assert steps["net"] == "conv_2" and steps["fast_ms"] > 0
    (shares,) = found["tables"]["shares"]
    assert shares["winograd"] > 0  # modules of the engine are known by name
    assert abs(sum(share for name, share in shares.items() if name != "net") - 1) < 1e-6
    if importlib.util.find_spec("torch"):
        assert steps["torch/fast"] > 0 and steps["nchw/fast"] > 0
        (gradients,) = found["tables"]["gradients"]
        assert gradients["plain"] < 1e-10 and gradients["fast"] < 1e-10
