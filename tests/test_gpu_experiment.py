"""An experiment on the stand-in for a GPU finds the tickets of the host."""

import numpy as np
import pytest
from small import SMALL, experiment
from small import data as noise
from strict import strict

from npticket import backend
from npticket.nets import Net


def test_an_experiment_on_a_device_finds_the_tickets_of_the_host(tmp_path, monkeypatch):
    """Every series, in lock-step by rounds, in float64: masks bit for bit."""
    drawn = Net.init
    monkeypatch.setattr(Net, "init", lambda net, rngs, dtype=np.float64: drawn(net, rngs, np.float64))
    host = experiment(SMALL, tmp_path / "host", noise(), engine="plain")
    monkeypatch.setattr(backend, "load", lambda name: {"numpy": np, "cupy": strict}[name])
    monkeypatch.setattr(backend, "described", lambda name: {"gpu": name})
    device = experiment(SMALL, tmp_path / "device", noise(), array_module="cupy")
    assert device.manifest["machines"][0]["gpu"] == "cupy"
    for ours, theirs in zip(device.results, host.results, strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours.keys() - {"seconds"}:
            assert ours[name] == (
                theirs[name] if isinstance(ours[name], str) else pytest.approx(theirs[name], rel=1e-9)
            )
    runs = sorted(path.name for path in (tmp_path / "host" / "runs").glob("*.npz"))
    assert len(runs) == len(host.results)
    for run in runs:
        ours, theirs = (np.load(tmp_path / side / "runs" / run, allow_pickle=False) for side in ("device", "host"))
        for name in {"masks", "next_masks"} & set(theirs.files):
            assert (ours[name] == theirs[name]).all()
