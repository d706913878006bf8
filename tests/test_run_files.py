"""A run's file belongs to one place of one experiment, and not a byte of it can change unnoticed."""

import shutil
from dataclasses import replace
from hashlib import sha256
from itertools import permutations

import numpy as np
import pytest
from planted import ASKED, KEY, KNOWN, made_up, opened, planted
from small import SMALL, data, experiment, rows

from npticket.experiments import run_files
from npticket.experiments.errors import StoreError
from npticket.experiments.json_files import read_json
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned
from npticket.experiments.recipe import Part, to_json
from npticket.experiments.run_files import SEAL, RunFiles
from npticket.experiments.series import Key
from npticket.papers import PARTS

FREE = {"trials", "rounds", "series", "source"}
FEW = replace(SMALL, rounds=3, series=("winning_ticket", "random_reinit", "one_shot"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few")
    return folder, experiment(FEW, folder, data())


@pytest.fixture
def copy(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "copy")
    return tmp_path / "copy"


def files_of(folder, recipe=FEW):
    known = read_json(folder / "manifest.json")["data"]["sha256"]
    return RunFiles(folder / "runs", Experiment(recipe, PARTS), known, planned(recipe, PARTS.series))


def test_no_file_passes_under_the_name_of_another(copy):
    files = files_of(copy)
    contents = {key: files.path(key).read_bytes() for key in files.present()}
    assert len(contents) == 14
    for key, other in permutations(contents, 2):
        files.path(key).write_bytes(contents[other])
        with pytest.raises(StoreError, match=rf"{key.file} is a copy of {other.file}") as refused:
            files.read(key)
        assert "move it away" in str(refused.value)
        files.path(key).write_bytes(contents[key])
    assert all(files.read(key) for key in contents)


def test_the_command_refuses_a_copy_and_goes_on_once_it_is_away(copy, whole):
    one, other = (copy / "runs" / Key("one_shot", 2, t).file for t in (0, 1))
    shutil.copy(one, other)
    with pytest.raises(StoreError, match=r"one_shot-round02-trial1\.npz is a copy of one_shot-round02-trial0\.npz"):
        experiment(FEW, copy, data())
    other.unlink()
    assert rows(experiment(FEW, copy, data())) == rows(whole[1])


STRAY = ("winning_ticket-round01-trial99", "winning_ticket-round03-trial0", "luck-round1-trial1",
         "shuffled-round01-trial0", "rewind_point-round00-trial0")  # fmt: skip


@pytest.mark.parametrize("name", STRAY)
def test_a_run_that_the_recipe_does_not_ask_for_is_refused_and_changes_nothing(name, copy):
    shutil.copy(copy / "runs" / Key("winning_ticket", 1, 0).file, copy / "runs" / f"{name}.npz")
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    with pytest.raises(StoreError, match=f"{name}.npz is n.*move it away"):
        experiment(replace(FEW, series=(*FEW.series, "random_mask")), copy, data())
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_a_run_of_another_experiment_is_refused(copy, tmp_path):
    for folder, recipe, other in (("seed", replace(FEW, seed=1), data()), ("data", FEW, data(seed=1))):
        experiment(replace(recipe, rounds=1, series=("winning_ticket",)), tmp_path / folder, other)
        name = Key("winning_ticket", 0, 0).file
        shutil.copy(tmp_path / folder / "runs" / name, copy / "runs" / name)
        with pytest.raises(StoreError, match=f"{name} is of another experiment, with another recipe or other data"):
            experiment(FEW, copy, data())


def test_what_may_grow_or_be_reworded_makes_no_other_experiment():
    def of(recipe=ASKED, **changes):
        return run_files.experiment_digest(replace(recipe, **changes), "12ab")

    same = {of(), of(trials=9, rounds=7, series=("one_shot",)), of(source="elsewhere"), of(validate_every=10),
            of(optimizer=Part("sgd", lr=0.1)), of(prune=Part("magnitude"))}  # fmt: skip
    assert same == {of()}
    assert of(optimizer=Part("sgd", lr=1)) == of(optimizer=Part("sgd", lr=1.0))  # as JSON writes either
    changes = ({"seed": 1}, {"steps": 31}, {"name": "b"}, {"optimizer": Part("sgd", lr=0.2)}, {"net": Part("conv_2")})
    others = {of(**change) for change in changes} | {run_files.experiment_digest(ASKED, "34cd")}
    assert len(others) == 6 and not others & same
    assert of(seed=2**60) != of(seed=2**60 + 1)


def test_what_a_recipe_has_by_default_is_no_part_of_its_digest(monkeypatch):
    """Or a field that is new in a later version would make all files another experiment's."""
    asked = []
    monkeypatch.setattr(run_files, "digest", asked.append)
    run_files.experiment_digest(ASKED, "12ab")
    assert asked[0]["recipe"] == {name: value for name, value in to_json(ASKED).items() if name not in FREE}
    assert "rewind_step" not in asked[0]["recipe"]


def test_nobody_is_told_to_delete_what_may_be_good(tmp_path, monkeypatch):
    with opened(tmp_path) as s:
        s.add(KEY, made_up(next_masks=made_up()["masks"], end=np.zeros(21)))
    files = RunFiles(tmp_path / "runs", Experiment(ASKED, KNOWN), "12ab", {})

    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(run_files, "is_sealed", denied)
    with pytest.raises(StoreError, match=r"trial1\.npz cannot be read \(Permission denied\)$"):
        files.read(KEY)


def test_every_byte_counts(tmp_path):
    with opened(tmp_path) as s:
        s.add(KEY, made_up(next_masks=made_up()["masks"], end=np.zeros(21)))
    files = RunFiles(tmp_path / "runs", Experiment(ASKED, KNOWN), "12ab", {})
    path, whole = files.path(KEY), files.path(KEY).read_bytes()
    assert files.read(KEY)
    rng = np.random.default_rng(0)

    def refused():
        with pytest.raises(StoreError, match=r"trial1\.npz cannot be read .*; delete it to train this run again"):
            files.read(KEY)

    with open(path, "r+b", buffering=0) as file:
        for i, byte in enumerate(whole):
            for value in (byte ^ (1 << rng.integers(8)), byte):
                file.seek(i)
                file.write(bytes([value]))
                if value != byte:
                    refused()
    assert path.read_bytes() == whole and files.read(KEY)
    for content in (*(whole[:i] for i in range(0, len(whole), 97)), whole + b"\0", b"\0" + whole, whole + whole):
        path.write_bytes(content)
        refused()


@pytest.mark.parametrize(
    "origin", [{"trial": "1"}, {"given": []}, {"given": {"masks": []}}, {"more": 1}, {"round": True}]
)
def test_an_origin_that_is_none_is_refused(origin, tmp_path):
    opened(tmp_path).close()
    planted(tmp_path / "runs" / KEY.file, made_up(), **origin)
    with pytest.raises(StoreError, match="its origin is none"):
        opened(tmp_path)


def test_what_a_run_took_along_must_be_what_is_there(copy):
    """Also where it made masks of its own, as one-shot pruning does of the dense network's end."""
    files = files_of(copy)
    dense = Key("winning_ticket", 0, 0)
    run, origin = files.read(dense)
    files.write(dense, run | {"end": run["end"] / 2}, origin["given"], origin["machine"])
    with pytest.raises(
        StoreError, match=rf"one_shot-round01-trial0\.npz has other end than {dense.file} left; delete it"
    ):
        experiment(FEW, copy, data())


def test_a_file_that_does_not_say_where_it_belongs_is_refused(tmp_path):
    with opened(tmp_path) as s:
        s.add(KEY, made_up())
    path = tmp_path / "runs" / KEY._replace(trial=2).file
    np.savez(path, allow_pickle=False, **made_up())
    with pytest.raises(StoreError, match=r"trial2\.npz cannot be read \(it was changed since it was written\)"):
        opened(tmp_path)
    content = path.read_bytes()[:-2] + SEAL.to_bytes(2, "little")
    path.write_bytes(content + sha256(content).hexdigest().encode())
    with pytest.raises(StoreError, match=r"trial2\.npz cannot be read \(it does not say where it belongs\)"):
        opened(tmp_path)
