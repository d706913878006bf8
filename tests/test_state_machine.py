"""Whatever is done to a directory, in whatever order: what is on the disk is right, or refused by its name."""

import copy
import os
import shutil
import tempfile
import warnings
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from small import SMALL, data

from npticket import files
from npticket.experiments import checkpoints, run, run_files
from npticket.experiments.errors import StoreError
from npticket.experiments.outcome import read_outcome
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned
from npticket.experiments.series import Key
from npticket.papers import PARTS
from npticket.params import pack
from npticket.prune import dense_masks
from npticket.streams import Place, streams
from npticket.task import CLASSIFY
from npticket.tickets import rewind
from npticket.train import fit

SERIES = ("winning_ticket", "random_reinit", "one_shot")
MOST = replace(SMALL, series=SERIES, rounds=3, trials=2)
TIMES = {"seconds", "chosen"}


class Killed(BaseException):
    """As if the process were gone."""


@contextmanager
def killed_after(count):
    """From a call on that changes the disk none is made any more, not even one that would clean up."""
    left = count

    def counted(real):
        def call(*arguments, **named):
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return real(*arguments, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "replace", "unlink", "mkdir", "rmdir"):
            patch.setattr(os, name, counted(getattr(os, name)))
        for module in (files, checkpoints):
            patch.setattr(module, "open", counted(open), raising=False)
        with suppress(Killed):
            yield


class Once:
    """A checkpoint in memory, kept after so many steps, when the run is killed."""

    def __init__(self, step):
        self._step, self._kept = step, None

    def load(self):
        return self._kept

    def save(self, take):
        if self._kept is None and (found := take())["step"] == self._step:
            self._kept = copy.deepcopy(found)
            raise Killed


@cache
def right():
    """What each run of the largest experiment leaves, had it been asked for at once."""
    with tempfile.TemporaryDirectory() as folder:
        run.run(MOST, PARTS, folder, data())
        return {path.name: arrays(path) for path in (Path(folder) / "runs").iterdir()}


def arrays(path):
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name].tobytes() for name in set(file) - TIMES}


class Directory(RuleBasedStateMachine):
    """An experiment's directory, beside it the same loop by hand, and what is known of both.

    `kept` are the runs that are there, `damaged` what was done to which file, `masks` those of the loop's next round.
    """

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.asked = replace(MOST, series=SERIES[:1], rounds=1, trials=1)
        self.kept, self.damaged, self.grown = set(), {}, None
        self.net, self.rule = Experiment(MOST, PARTS).net, Experiment(MOST, PARTS).rule
        self.theta0 = self.net.init(streams(MOST.seed, [0], "init"))
        self.round, self.masks, self.end = 0, dense_masks(self.theta0), None
        self.start = rewind(self.theta0, self.masks)

    def teardown(self):
        shutil.rmtree(self.folder)

    def runs(self):
        return {path.name: path for path in (self.folder / "runs").glob("*.npz")}

    def go_on(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of a checkpoint that was damaged
            return run.run(self.asked, PARTS, self.folder, data())

    # The hypothesis, by hand

    @precondition(lambda self: self.end is None and self.round < 3)
    @rule(step=st.integers(1, 11))
    def train(self, step):
        once = Once(step)
        setting = replace(Experiment(MOST, PARTS).setting("fast", 1), checkpoints=lambda *_: once)
        place = Place(MOST.seed, [0], self.round)
        with pytest.raises(Killed):
            fit(self.net, CLASSIFY, self.start, self.masks, data(), setting, place)
        self.end = fit(self.net, CLASSIFY, self.start, self.masks, data(), setting, place).end

    @precondition(lambda self: self.end is not None)
    @rule()
    def prune_and_rewind(self):
        key = Key("winning_ticket", self.round, 0)
        after = self.rule(self.end, self.masks)
        found = right()[key.file]
        assert found["masks"] == pack(self.masks).tobytes() and found["next_masks"] == pack(after).tobytes()
        self.round, self.masks, self.end = self.round + 1, after, None
        self.start = rewind(self.theta0, self.masks)

    # The directory

    @rule(what=st.sampled_from(["series", "trials", "rounds"]))
    def extend(self, what):
        if what == "series":
            self.asked = replace(self.asked, series=SERIES[: len(self.asked.series) + 1])
        else:
            self.asked = replace(self.asked, **{what: min(getattr(self.asked, what) + 1, getattr(MOST, what))})

    @rule()
    def resume(self):
        if self.damaged:
            with pytest.raises(StoreError) as refused:
                self.go_on()
            assert any(name in str(refused.value) and said in str(refused.value) for name, said in self.damaged.items())
            return
        found = self.go_on()
        self.grown = self.asked
        self.kept = {key.file for key in planned(self.asked, PARTS.series)}
        assert len(found.results) == len(self.kept) == len(self.runs())
        assert not (self.folder / ".checkpoints").exists()

    @precondition(lambda self: not self.damaged)
    @rule(calls=st.integers(0, 60))
    def kill_between_two_writes(self, calls):
        with killed_after(calls):
            self.go_on()
        self.kept |= self.runs().keys()

    @precondition(lambda self: not self.damaged)
    @rule(steps=st.integers(1, 30))
    def kill_after_a_checkpoint(self, steps):
        left, real = [steps], checkpoints.File.save

        def save(file, take):
            left[0] -= 1
            if left[0] <= 0:
                real(file, take)
                raise Killed

        with pytest.MonkeyPatch.context() as patch, suppress(Killed):
            patch.setattr(checkpoints, "EVERY", 0.0)
            patch.setattr(checkpoints.File, "save", save)
            self.go_on()
        self.kept |= self.runs().keys()

    @precondition(lambda self: list(self.folder.glob(".checkpoints/*/*.npz")))
    @rule(at=st.integers(0), bit=st.integers(0, 7))
    def flip_a_bit_of_a_checkpoint(self, at, bit):
        flip(next(self.folder.glob(".checkpoints/*/*.npz")), at, bit)

    @precondition(lambda self: self.kept - self.damaged.keys())
    @rule(draw=st.data(), at=st.integers(0), bit=st.integers(0, 7))
    def flip_a_bit(self, draw, at, bit):
        name = draw.draw(st.sampled_from(sorted(self.kept - self.damaged.keys())))
        flip(self.folder / "runs" / name, at, bit)
        self.damaged[name] = "it was changed since it was written"

    @precondition(lambda self: self.kept - self.damaged.keys())
    @rule(draw=st.data())
    def copy_a_file(self, draw):
        name = draw.draw(st.sampled_from(sorted(self.kept - self.damaged.keys())))
        strays = {Key("winning_ticket", 0, 99).file: "no trial 99", Key("winning_ticket", 77, 0).file: "no round 77"}
        planned_files = {key.file for key in planned(self.asked, PARTS.series)}
        goal = draw.draw(st.sampled_from(sorted({*planned_files, *strays} - {name})))
        shutil.copyfile(self.folder / "runs" / name, self.folder / "runs" / goal)
        self.damaged[goal] = strays.get(goal, f"is a copy of {name}")

    @precondition(lambda self: self.damaged)
    @rule()
    def delete_what_was_refused(self):
        for name in self.damaged:
            (self.folder / "runs" / name).unlink()
        self.kept -= self.damaged.keys()
        self.damaged = {}

    @precondition(lambda self: not self.damaged and self.grown and self.grown.trials > 1)
    @rule()
    def ask_for_less(self):
        before = {name: path.read_bytes() for name, path in self.runs().items()}
        with pytest.raises(StoreError, match="has 2 trials, 1 asked"):
            run.run(replace(self.grown, trials=1), PARTS, self.folder, data())
        assert before == {name: path.read_bytes() for name, path in self.runs().items()}

    @invariant()
    def what_is_there_is_complete_and_right(self):
        there = self.runs()
        assert self.kept <= there.keys() <= {*self.kept, *self.damaged}
        for name in there.keys() - self.damaged.keys():
            assert run_files.is_sealed(there[name])
            found, expected = arrays(there[name]), right()[name]
            assert found.keys() <= expected.keys() and all(found[what] == expected[what] for what in found)

    @invariant()
    def what_is_there_can_be_shown_or_is_said_to_be_missing(self):
        try:
            found = read_outcome(self.folder, PARTS)
        except StoreError as error:
            assert any(said in str(error) for said in ("is missing", "no finished run", "no recipe.json")), error
        else:
            assert {Key(row["series"], row["round"], row["trial"]).file for row in found.results} <= right().keys()


def flip(path, at, bit):
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 1 << bit
    path.write_bytes(content)


BOUNDED = settings(
    max_examples=12, stateful_step_count=16, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


def test_whatever_is_done_what_is_on_the_disk_is_right_or_refused():
    run_state_machine_as_test(Directory, settings=BOUNDED)


@pytest.mark.parametrize("broken", ["is_sealed", "_misplaced"])
def test_that_the_machine_can_fail(broken, monkeypatch):
    monkeypatch.setattr(run_files, broken, {"is_sealed": lambda _: True, "_misplaced": lambda *_: ""}[broken])
    machine = Directory()
    try:
        machine.resume()
        machine.extend("trials")
        machine.resume()
        if broken == "is_sealed":
            flip(machine.folder / "runs" / Key("winning_ticket", 0, 0).file, -1, 0)
            machine.damaged[Key("winning_ticket", 0, 0).file] = "it was changed since it was written"
        else:
            one, other = (Key("winning_ticket", 0, t).file for t in (0, 1))
            shutil.copyfile(machine.folder / "runs" / one, machine.folder / "runs" / other)
            machine.damaged[other] = f"is a copy of {one}"
        with pytest.raises(pytest.fail.Exception):
            machine.resume()
    finally:
        machine.teardown()
