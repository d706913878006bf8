"""Short forms of `python benchmarks/torture.py ...`, each of which is shown to find what is wrong."""

import os
import re
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from npticket import files, prune
from npticket.experiments import checkpoints, run_files, store

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def torture(monkeypatch):
    """The script; what it sets in npticket is as before afterwards."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for module, name in ((checkpoints, "EVERY"), (checkpoints, "SHARE"), (store, "TABLES_EVERY"),
                         (store, "TABLES_SHARE")):  # fmt: skip
        monkeypatch.setattr(module, name, getattr(module, name))
    import torture

    return torture


def test_what_is_promised_is_what_is_measured(torture):
    """Each promise has the line that its command printed, and each command is one that there is."""
    page = (BENCHMARKS.parent / "docs" / "reliability.md").read_text()
    lines = re.findall(r"```\n(\w+): ([\d,]+) ", page)
    assert dict(lines).keys() == torture.TORTURES.keys()
    assert {number for name, number in lines if name != "readers"} == {
        "0"
    } and " files of 22 kinds: 0 tracebacks" in page
    assert re.findall(r"torture\.py (\w+)`: ", page) == [name for name, _ in lines]
    assert all((BENCHMARKS.parent / path).exists() for path in re.findall(r"tests/\w+\.py", page))


def test_writing_that_fails_loses_nothing(torture, monkeypatch):
    from tortures import faults

    monkeypatch.setattr(faults, "RECIPE", replace(faults.RECIPE, series=("winning_ticket", "weights"), trials=1))
    assert torture.faults(40).startswith("faults: 0 corrupt loads, 0 lost rounds")

    @contextmanager
    def writing(path):
        with getattr(files, "open", open)(path, "wb") as file:  # under its own name at once
            yield file

    monkeypatch.setattr(files, "writing", writing)
    assert not torture.faults(200).startswith("faults: 0 corrupt")


def test_files_that_are_not_what_or_where_they_were_are_refused(torture, monkeypatch):
    from tortures import copies

    monkeypatch.setattr(copies, "RECIPE", replace(copies.RECIPE, series=("winning_ticket", "weights"), rounds=2))
    line = torture.copies(20)
    assert line.startswith("copies: 0 accepted, of ") and "20 flips" in line
    monkeypatch.setattr(run_files, "_misplaced", lambda *_: "")
    assert int(re.match(r"copies: (\d+) accepted", torture.copies(1))[1]) > 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, and kills")
def test_whoever_is_killed_goes_on(torture, monkeypatch):
    from tortures import kills, small

    monkeypatch.setattr(small, "DENSE", replace(small.DENSE, series=("winning_ticket", "weights")))
    monkeypatch.setattr(kills, "CASES", (kills.Case(small.DENSE, kills.Execution()),))
    monkeypatch.setattr(kills, "PAUSE", {1: 0.3})
    assert re.match(r"kills: 0 differences, \d+ kills .* [1-9]\d* checkpoints compared", torture.kills(3))
    right = small.of_trial
    monkeypatch.setattr(small, "of_trial", lambda snapshot, t: f"{right(snapshot, t)} {snapshot['seconds']}")
    assert not torture.kills(3).startswith("kills: 0 differences")


def test_ties_are_settled_by_order(torture, monkeypatch):
    line = torture.prunings(100)
    assert re.fullmatch(r"prunings: 0 off, of 100 networks \([1-9]\d* cuts between equal scores\)", line)
    argsort = np.argsort
    monkeypatch.setattr(prune.np, "argsort", lambda a, kind: argsort(a[::-1], kind=kind)[::-1])
    assert not torture.prunings(100).startswith("prunings: 0 off")
