"""Checkpoints in files: complete or absent, bound to their run, never trusted unseen, and worth a kill."""

import errno
import os
import re
import subprocess
import sys
import time
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import environment
from snapshots import KEYS, ORIGIN, PLACE, masks, opened, saved, snapshot, theta

from npticket import train
from npticket.datasets import Dataset, Split
from npticket.experiments import checkpoints, run, training
from npticket.experiments.checkpoints import Checkpoints, File
from npticket.experiments.errors import StoreError
from npticket.experiments.json_files import write_json
from npticket.experiments.parts import Experiment
from npticket.experiments.recipe import Part, to_json
from npticket.experiments.run import Execution
from npticket.experiments.series import Key, Run
from npticket.papers import PARTS
from npticket.papers.lottery_ticket.recipes import LENET
from npticket.papers.lottery_ticket.series import ticket
from npticket.testing.strategies import seeds

ROOT = Path(__file__).parents[1]


class Killed(BaseException):
    """As if the process were gone."""


def same(one, other):
    return one.keys() == other.keys() and all(
        one[name].tobytes() == other[name].tobytes() and one[name].dtype == other[name].dtype for name in one
    )


def test_what_is_saved_comes_back_and_the_next_takes_its_place(tmp_path):
    there = tmp_path / "there"
    assert opened(there).load() is None
    for step in (7, 9):
        path = saved(there, step)
        assert same(opened(there).load(), snapshot(step))
        assert list(there.rglob("*.*")) == [path], "nothing else is left"
    both = Checkpoints(there, {}, 0)
    both.remove(KEYS[:1])
    assert path.exists(), "those that train together are one group"
    both.remove(KEYS)
    assert opened(there).load() is None and not list(there.iterdir())
    both.close(is_finished=False)
    assert not there.exists()


def test_a_finished_experiment_leaves_none(tmp_path):
    there = tmp_path / "there"
    saved(there)
    Checkpoints(there, {}, 0).close(is_finished=False)
    assert opened(there).load()
    Checkpoints(there, {}, 0).close(is_finished=True)
    assert not there.exists()


def test_where_the_folder_is_not_there_none_is_made(tmp_path):
    """As on another machine of a cluster."""
    checkpoint = Checkpoints(tmp_path / "not" / "there", ORIGIN, 0.0).of(KEYS, None)(theta(), masks(), PLACE)
    checkpoint.save(lambda: pytest.fail("it would be in vain"))
    assert checkpoint.load() is None and not list(tmp_path.iterdir())


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / ".checkpoints").symlink_to(tmp_path)
    with pytest.raises(StoreError, match="is a link"):
        checkpoints.beside(tmp_path, LENET, {"machine": {}, "data": {"sha256": ""}})


def test_it_does_not_depend_on_what_no_run_depends_on(tmp_path):
    described = {"machine": {"cpu": "a Xeon", "python": "3.11"}, "data": {"sha256": ""}}
    same = replace(LENET, source="elsewhere", trials=1, rounds=9, series=("winning_ticket",))
    origins = [checkpoints.beside(tmp_path, recipe, described).origin for recipe in (LENET, same)]
    described["machine"] |= {"python": "3.13", "jobs": 9}
    assert origins[0] == origins[1] == checkpoints.beside(tmp_path, LENET, described).origin
    assert origins[0] != checkpoints.beside(tmp_path, replace(LENET, seed=1), described).origin


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO])
def test_where_folders_cannot_be_synced_nobody_is_warned(number, tmp_path, monkeypatch):
    real = os.fsync

    def fsync(file):
        if os.path.isdir(f"/proc/self/fd/{file}"):
            raise OSError(number, os.strerror(number))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        saved(tmp_path / "there")
    assert bool(said) == (number == errno.EIO)


def test_it_is_bound_to_its_run_and_to_the_machine(tmp_path, monkeypatch):
    others = {
        "start": {"start": theta(0.25)}, "place": {"place": replace(PLACE, round=2)}, "engine": {"engine": "plain"},
        "recipe": {"recipe": {"steps": 13}}, "runs": {"keys": [Key("random_reinit", 1, 0), KEYS[1]]},
    }  # fmt: skip
    for number, (what, changes) in enumerate(others.items()):
        mine, theirs = saved(tmp_path / f"{number} a"), saved(tmp_path / f"{number} b", **changes)
        mine.write_bytes(theirs.read_bytes())
        with pytest.raises(ValueError, match=f"belongs to a run with another {what}"):
            opened(tmp_path / f"{number} a").load()
    saved(tmp_path / "here")
    here = checkpoints.fingerprint()
    monkeypatch.setattr(checkpoints, "fingerprint", lambda: here | {"numpy": "1.0", "cpu": "8086"})
    with pytest.raises(ValueError, match="another numpy, another cpu"):
        opened(tmp_path / "here").load()


def test_damage_is_seen_wherever_it_is(tmp_path):
    """A file loads as what was saved, or not at all: some bits of an archive, such as its dates, mean nothing."""
    path = saved(tmp_path / "there")
    content = path.read_bytes()
    refused = []

    @settings(max_examples=150)
    @given(st.data(), seeds)
    def check(drawn, seed):
        changed = bytearray(content)
        if drawn.draw(st.booleans()):
            changed[drawn.draw(st.integers(0, len(content) - 1))] ^= 1 << drawn.draw(st.integers(0, 7))
        else:
            changed = changed[: drawn.draw(st.integers(0, len(content) - 1))]
        path.write_bytes(changed)
        try:
            assert same(opened(path.parents[1]).load(), snapshot())
        except ValueError as error:
            assert str(path) in str(error)
            refused.append(seed)

    check()
    assert len(refused) > 75
    path.write_bytes(content)
    assert same(opened(path.parents[1]).load(), snapshot())


def test_what_is_no_checkpoint_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path / "there")
    with np.load(path) as file:
        arrays = dict(file)

    def refusal():
        with pytest.raises(ValueError, match="cannot be trusted") as caught:
            opened(path.parents[1]).load()
        return str(caught.value)

    np.savez(path, **arrays | {"more": np.array([KEYS], object)})
    assert "allow_pickle" in refusal()
    np.savez_compressed(path, zeros=np.zeros(1 << 20), **arrays)
    assert "compressed" in refusal()
    np.savez(path, **arrays | {"theta": arrays["theta"] + 1})
    assert "checksum" in refusal()
    for name in ("sha256", "origin"):
        np.savez(path, **{k: v for k, v in arrays.items() if k != name})
        assert path.name in refusal()
    np.savez(path, **arrays)
    with zipfile.ZipFile(path) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in inside.items():
            archive.writestr(name, content.replace(b"), }", b"), \xfd"))  # NumPy reads on, for the header's end
    assert "EOF" in refusal()
    for content in (b"", b"PK", b"\x93NUMPY\x01\x00v\x00{"):
        path.write_bytes(content)
        assert path.name in refusal()
    np.savez(path, **arrays)
    assert same(opened(path.parents[1]).load(), snapshot())
    monkeypatch.setattr(checkpoints, "LITTLE", 0)
    assert "too large" in refusal()


def failing(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_memory():
    raise MemoryError("none left")


@pytest.mark.parametrize("how", ["disk full", "written wrongly", "not synced", "no memory"])
def test_a_write_that_fails_costs_the_checkpoint_alone(how, tmp_path, monkeypatch):
    """The one before stays until the next is on the disk and was found to be right."""
    path = saved(tmp_path / "there")
    with monkeypatch.context() as patch:
        if how == "disk full":
            patch.setattr(checkpoints.np, "savez", failing)
        elif how == "written wrongly":
            real = np.savez
            patch.setattr(checkpoints.np, "savez", lambda f, **a: real(f, **a | {"theta": a["theta"] * 0}))
        elif how == "not synced":
            patch.setattr(os, "fsync", failing)
        checkpoint = opened(tmp_path / "there")
        with pytest.warns(RuntimeWarning, match="no checkpoint in"):
            checkpoint.save(no_memory if how == "no memory" else lambda: snapshot(9))
    assert list((tmp_path / "there").rglob("*.*")) == [path]
    assert same(opened(tmp_path / "there").load(), snapshot(7))
    saved(tmp_path / "there", 9)
    assert same(opened(tmp_path / "there").load(), snapshot(9))


@pytest.mark.parametrize("where", ["savez", "fsync", "replace"])
def test_killed_while_writing_the_one_before_is_there(where, tmp_path, monkeypatch):
    path = saved(tmp_path / "there")
    script = f"""
import os, signal, sys
sys.path[:0] = [{str(ROOT / "tests")!r}]
import snapshots
from pathlib import Path
from npticket.experiments import checkpoints
module = checkpoints.np if {where!r} == "savez" else os
setattr(module, {where!r}, lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL))
snapshots.saved(Path({str(tmp_path / "there")!r}), 9)
"""
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True)
    assert done.returncode == -9, done.stderr
    assert len(list(path.parent.iterdir())) == 2, "what was being written is left"
    assert same(opened(tmp_path / "there").load(), snapshot(7))
    saved(tmp_path / "there", 9)
    assert list(path.parent.iterdir()) == [path] and same(opened(tmp_path / "there").load(), snapshot(9))


def test_it_is_saved_now_and_then(tmp_path, monkeypatch):
    """Not before `every` seconds, nor before a hundred times what the last one took."""
    clock, at = [0.0], []
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(File, "_write", lambda *_: clock.__setitem__(0, clock[0] + (2.0 if len(at) == 1 else 0.1)))
    checkpoint = opened(tmp_path / "there", every=30.0)
    for second in range(400):
        clock[0] = max(clock[0], float(second))
        checkpoint.save(lambda: at.append(second))
    assert at == [30, 232, 263, 294, 325, 356, 387], "the first took 2 s, the others a tenth of one"


# From here on whole experiments.

SMALL = replace(
    LENET, net=Part("lenet_300_100", hidden=[6, 4]), steps=30, batch=8, validate_every=7, test_at=(3, 12), rounds=2,
    train_at=(5, 11), trials=2, series=("winning_ticket", "random_reinit"),
)  # fmt: skip


def data():
    rng = np.random.default_rng(0)

    def split(count):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        return Split(images, (images[:, 0, 0] // 26).astype(np.uint8))

    return Dataset("noise", split(80), split(20), split(20), classes=10, source="a test")


def left(folder):
    """What runs leave, but for times and what was chosen by timing."""
    found = {}
    for path in sorted((folder / "runs").glob("*.npz")):
        with np.load(path) as file:
            found |= {(path.name, name): file[name].tobytes() for name in file if name not in ("seconds", "chosen")}
    return found, (folder / "curves.csv").read_bytes()


@pytest.mark.parametrize("lock_step", [False, True])
def test_an_experiment_goes_on_in_the_middle_of_a_run(lock_step, tmp_path, monkeypatch):
    run.run(SMALL, PARTS, tmp_path / "whole", data())
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", 0)
    first, steps, real, really_go_on = [], [], File.save, train.resume

    def save(self, take):
        steps.append(1)
        if len(steps) in kill_after:
            real(self, take)
            raise Killed

    monkeypatch.setattr(File, "save", save)
    monkeypatch.setattr(train, "resume", lambda *a: first.append(really_go_on(*a)) or first[-1])
    kill_after, out = {17, 40, 41}, tmp_path / "killed"
    for _ in kill_after:
        with pytest.raises(Killed):
            run.run(SMALL, PARTS, out, data(), Execution(lock_step=lock_step))
        assert (out / ".checkpoints").is_dir()
    grown = replace(SMALL, rounds=3)  # which leaves the runs of fewer rounds as they are
    run.run(grown, PARTS, out, data(), Execution(lock_step=lock_step))
    run.run(grown, PARTS, tmp_path / "whole", data())
    assert left(out) == left(tmp_path / "whole")
    assert not (out / ".checkpoints").exists()
    assert [step for step in first if step] == [17, 11, 12], "nothing was trained twice"


def test_a_run_that_diverges_leaves_no_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", 0)
    hot = replace(SMALL, optimizer=Part("sgd", lr=1e30), validate_every=5, trials=1, series=("winning_ticket",))
    with pytest.raises(train.DivergedError), np.errstate(all="ignore"):
        run.run(hot, PARTS, tmp_path, data())
    assert not (tmp_path / ".checkpoints").exists()


COMMAND = """
import sys
from npticket import cli, train
from npticket.experiments import checkpoints
checkpoints.EVERY, checkpoints.SHARE, real = {every}, 1, train.resume
train.resume = lambda *a: print("went on from step", step := real(*a)) or step
sys.exit(cli.main(sys.argv[1:]))
"""


def test_after_sigkill_the_command_goes_on_in_the_middle_of_the_run(tmp_path):
    """And ends with the same files as one that was never killed."""
    asked = replace(SMALL, net=Part("lenet_300_100", hidden=[20, 10]), steps=400, rounds=1, series=("winning_ticket",))
    write_json(tmp_path / "asked.json", to_json(replace(asked, batch=60, trials=1, validate_every=100)))

    def command(out, every):
        script = COMMAND.format(every=every)
        return [sys.executable, "-c", script, "run", str(tmp_path / "asked.json"), "--out", str(out), "--jobs", "1"]

    process = subprocess.Popen(command(tmp_path / "killed", 0.0), env=environment(), stdout=subprocess.PIPE, text=True)
    seen = set()
    while len(seen) < 6 and process.poll() is None:  # some steps further
        seen |= {path.stat().st_mtime_ns for path in (tmp_path / "killed").glob(".checkpoints/*/*.npz")}
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert not list((tmp_path / "killed" / "runs").iterdir()), "the run is not finished"
    said = {}
    for out in ("killed", "whole"):
        done = subprocess.run(command(tmp_path / out, 30.0), env=environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said[out] = [int(step) for step in re.findall("went on from step (.*)", done.stdout)]
    assert not any(said["whole"]) and 5 < max(said["killed"]) < 400  # some only find out how long it will take
    assert left(tmp_path / "killed") == left(tmp_path / "whole")


def test_a_run_has_the_checkpoint_of_its_own_length():
    """A series may ask for another length one day, under the same name."""
    hows = []
    noted = SimpleNamespace(of=lambda keys, how: hows.append(how))
    for steps in (4, 6):
        one = training.Asked(Key("mine", 0, 0), Run(0, ticket, steps=steps), {}, frozenset(), "mine")
        training.train_runs(Experiment(SMALL, PARTS), data(), training.Execution(), [one], noted)
    assert hows[0] != hows[1]
