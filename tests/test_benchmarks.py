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


TABLES = {  # of each script, the tables and some columns of each
    "lenet_step.py": {"steps": {"density", "plain_ms", "fast_ms"}},
    "imp_lenet.py": {"rounds": {"round", "density", "ours_s", "ours_acc"}, "total": {"ours_s"}},
    "scaling.py --only memory": {"memory": {"trials", "plain_mib", "fast_mib"}},
    "evaluation.py": {"evaluation": {"density", "plain_ms", "fast_ms"}},
    "trials_axis.py": {"steps": {"step", "ms", "ratio"}},
    "engines_agree.py": {"rounds": {"round", "differ", "fast_acc"}},
    "sparse_predict.py": {"prediction": {"density", "batch", "ratio", "bytes", "labels"}},
}


def start(folder, command):
    """Start a benchmark that writes its figures to a file in `folder`; return the process and the file."""
    script, *arguments = command.split()
    path = folder / f"{script}.json"
    call = [sys.executable, BENCHMARKS / script, "--quick", "--json", path, *arguments]
    environment = os.environ | {"PYTHONPATH": str(BENCHMARKS.parent)}
    return subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment), path


def test_benchmarks_write_their_tables_and_what_they_depend_on(tmp_path):
    """All at once: most of their time goes by while they import PyTorch."""
    running = {command: start(tmp_path, command) for command in TABLES}
    for command, (process, path) in running.items():
        _, errors = process.communicate()
        assert process.returncode == 0, f"{command}: {errors}"
        found = json.loads(path.read_text())
        assert f"{found['benchmark']}.py" == command.split()[0]
        assert found["date"] and found["machine"].keys() >= MACHINE
        assert found["data"]["caveat"]  # nobody takes figures from the bundled subset for MNIST's
        for name, columns in TABLES[command].items():
            assert found["tables"][name], (command, name)
            assert all(row.keys() >= columns for row in found["tables"][name]), (command, name)


def test_the_figure_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [{"density": 0.8**r, "plain_ms": 1.0, "fast_ms": 0.9**r, "torch_ms": 2.0} for r in range(0, 20, 5)]
    machine = dict.fromkeys(MACHINE, "some")
    (tmp_path / "step.json").write_text(json.dumps({"tables": {"steps": rows}, "machine": machine}))
    call = [sys.executable, BENCHMARKS / "figure.py", tmp_path / "step.json", tmp_path / "step.png"]
    subprocess.run(call, check=True)
    assert (tmp_path / "step.png").stat().st_size > 10_000


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
    masks = prune_layerwise(scores, dense_masks(theta0), dict.fromkeys(theta0.weights, rate))
    start = rewind(theta0, masks)
    ours = our_lenet.Training(net, start, masks, data, 0.01, "plain")
    theirs = torch_lenet.Training(net, start, masks, torch_lenet.Tensors(data), 0.01)
    assert all(keep.is_contiguous() for keep in theirs.keep)
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
