"""Runs keep their weights if they are told to, and these go out by the command."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from noise import FEW
from small import SMALL, data, experiment, rows

from npticket.experiments.errors import StoreError
from npticket.experiments.kept import read_weights
from npticket.experiments.recipe import Part
from npticket.export import load_weights, shrink
from npticket.papers import PARTS
from npticket.streams import streams
from npticket.tickets import rewind

TWO = replace(SMALL, rounds=2, trials=1, series=("winning_ticket", "random_reinit"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    return folder, experiment(TWO, folder, data(), keep_weights=True)


def test_every_run_keeps_its_weights_and_nothing_else_changes(kept, tmp_path):
    folder, outcome = kept
    assert rows(experiment(TWO, tmp_path, data())) == rows(outcome)
    for path in sorted((folder / "runs").iterdir()):
        with np.load(path) as run, np.load(tmp_path / "runs" / path.name) as without:
            assert set(run) == {*without, "end"} and (run["masks"] == without["masks"]).all()
            assert run["end"].any()


def test_runs_that_kept_none_are_trained_again_and_come_to_the_same(kept, tmp_path):
    folder, outcome = kept
    experiment(TWO, tmp_path, data())
    with pytest.raises(
        StoreError, match=r"winning_ticket-round01-trial0\.npz kept no weights: `npticket run .* --keep"
    ):
        read_weights(tmp_path, PARTS, 1, 0)
    assert rows(experiment(TWO, tmp_path, data(), keep_weights=True)) == rows(outcome)
    for series in TWO.series:
        (_, theta, masks), (_, same, under) = (read_weights(f, PARTS, 1, 0, series) for f in (tmp_path, folder))
        assert theta.flat.tobytes() == same.flat.tobytes() and (masks.flat == under.flat).all()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    experiment(TWO, tmp_path, data())  # not being told does not take them away
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()} == before


def test_finished_runs_are_not_trained_again_by_another_engine(tmp_path):
    """They might end otherwise, and the masks of those that follow would be another's: nothing is written over."""
    experiment(TWO, tmp_path, data())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    with pytest.raises(StoreError, match=r"engine fast there, plain now\. 3 of them did not keep .* another directory"):
        experiment(TWO, tmp_path, data(), keep_weights=True, engine="plain")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()} == before
    more = replace(TWO, trials=2)  # what was never trained may be
    assert len(experiment(more, tmp_path, data(), engine="plain").results) == 6


def test_what_was_kept_is_what_was_measured(kept):
    folder, outcome = kept
    for row in outcome.results:
        net, theta, masks = read_weights(folder, PARTS, row["round"], row["trial"], row["series"])
        test = data().test
        labels = net.predict(theta, data().floats(test.inputs, np.float32)[None])[0].argmax(axis=1)
        assert (labels == test.targets).mean() == row["final_test_acc"]
        assert (theta.flat == rewind(theta, masks).flat).all() and theta.flat.any()
    theta0 = net.init(streams(0, [0], "init"))
    assert (theta.flat != theta0.flat).any()


@pytest.mark.parametrize(
    ("at", "complaint"),
    [
        (
            (2, 0),
            "winning_ticket-round02-trial0: its trials are 0 to 0, its rounds of winning_ticket 0 to 1, its",
        ),
        ((0, -1), "has no training run winning_ticket-round00-trial-1"),
        ((0, 0, "random_reinit"), "has no training run random_reinit-round00-trial0"),
        ((0, 0, "mine"), "has no training run mine-round00-trial0"),
    ],
)
def test_runs_that_are_not_there(kept, at, complaint):
    with pytest.raises(StoreError, match=re.escape(complaint)):
        read_weights(kept[0], PARTS, *at)


def test_a_run_that_is_not_finished_or_was_damaged(kept, tmp_path):
    with pytest.raises(StoreError, match="is not an experiment's directory"):
        read_weights(tmp_path, PARTS, 0, 0)
    experiment(TWO, tmp_path, data(), keep_weights=True)
    path = tmp_path / "runs" / "winning_ticket-round01-trial0.npz"
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="it was changed since it was written"):
        read_weights(tmp_path, PARTS, 1, 0)
    path.unlink()
    with pytest.raises(StoreError, match="is not there: the run is not finished"):
        read_weights(tmp_path, PARTS, 1, 0)


def test_the_command_writes_what_was_kept(small, capsys, tmp_path):
    assert small("run", "lenet-mnist", *FEW, "--series", "winning_ticket", "--keep-weights") == 0
    capsys.readouterr()
    at = ("export", "runs/lenet-mnist", "--trial", "1", "--round", "1")
    assert small(*at, "--to", "npz", "t.npz") == 0
    assert capsys.readouterr().out == "t.npz: LeNet-6-4 with 80.1 % of its weights\n"
    net, theta, masks = read_weights(tmp_path / "runs" / "lenet-mnist", PARTS, 1, 1)
    found, same = load_weights("t.npz", net)
    assert found.flat.tobytes() == theta.flat.tobytes() and (same.flat == masks.flat).all()
    before = Path("t.npz").read_bytes()
    for there in ("t.npz", "runs/lenet-mnist/recipe.json", "."):
        assert small(*at, "--to", "npz", "--plain", there) == 2
        assert f"{there} is there already: remove it, or name another file" in capsys.readouterr().err
    assert Path("t.npz").read_bytes() == before
    assert small(*at, "--to", "npz", "--plain", "plain.npz") == 0
    found, same = load_weights("plain.npz", net)
    assert found.flat.tobytes() == theta.flat.tobytes() and same.flat.all()
    assert small(*at, "--to", "csr", "rows.npz") == 0
    with np.load("rows.npz") as rows_:
        assert len(rows_["fc1.weight.data"]) == masks["fc1/W"].sum()
    capsys.readouterr()
    assert small(*at, "--to", "csr", "--plain", "none.npz") == 2
    assert "--plain is for npz, safetensors and torch; leave it out for csr" in capsys.readouterr().err
    assert small(*at, "--to", "npz", "nowhere/t.npz") == 2
    assert "nowhere/t.npz" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        small(*at, "--to", "pickle", "t")


def test_what_was_pruned_by_whole_units_goes_out_as_the_smaller_network(small, capsys, tmp_path):
    prune = Part("magnitude", scope="units layerwise", rates={"fc*/W": 0.5, "out/W": 0})
    experiment(replace(TWO, prune=prune), tmp_path / "units", data(), keep_weights=True)
    net, theta, masks = read_weights(tmp_path / "units", PARTS, 1, 0)
    assert small("export", "units", "--trial", "0", "--round", "1", "--to", "npz", "--shrink", "t.npz") == 0
    assert re.search(
        r"LeNet-6-4 with \d+\.\d % of its weights, as a network of [\d,]+ parameters", capsys.readouterr().out
    )
    found, values = shrink(net, theta, masks)
    assert values.flat.size < 0.6 * theta.flat.size
    again, kept = load_weights("t.npz", found)
    assert again.flat.tobytes() == values.flat.tobytes() and (kept["fc1/W"] == (values["fc1/W"] != 0)).all()
