"""The store: files complete or absent, everything validated, one recipe and one process per directory."""

import hashlib
import multiprocessing
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from planted import ASKED, KEY, KNOWN, MANIFEST, MASK, SIZE, made_up, opened, planted

import npticket
from npticket.experiments import directory, store, tables
from npticket.experiments.errors import StoreError
from npticket.experiments.json_files import read_json
from npticket.experiments.outcome import read_outcome
from npticket.experiments.recipe import Part
from npticket.experiments.scheduler import Scheduler
from npticket.experiments.series import Key
from npticket.files import write
from npticket.task import CLASSIFY


def test_runs_come_back_and_tables_are_ordered_by_round_series_trial(tmp_path):
    keys = [Key("random_reinit", 1, 0), Key("winning_ticket", 1, 0), KEY, Key("winning_ticket", 0, 0)]
    with opened(tmp_path) as s:
        for i, key in enumerate(keys):
            s.add(key, made_up(seconds=float(i)))
        loaded = s.load(KEY)
        assert KEY in s and Key("winning_ticket", 5, 0) not in s
        assert len(s) == 4
    assert {name: value.tolist() for name, value in loaded.items() if name != "test_acc"} == {
        name: np.asarray(value).tolist() for name, value in made_up(seconds=2.0).items() if name != "test_acc"
    }
    found = read_outcome(tmp_path, KNOWN)
    results, curves = found.results, found.curves
    assert directory.read_recipe(tmp_path) == found.recipe == ASKED
    machines = [MANIFEST["machine"] | {"runs": 4}]
    assert found.manifest == {"data": MANIFEST["data"], "machines": machines, "format": 2}
    assert [(row["round"], row["series"], row["trial"]) for row in results] == [
        (0, "winning_ticket", 0), (0, "winning_ticket", 1), (1, "winning_ticket", 0), (1, "random_reinit", 0)
    ]  # fmt: skip
    assert results[1] == {"trial": 1, "series": "winning_ticket", "round": 0} | {
        name: made_up()[name] for name in tables.result_columns(CLASSIFY)[3:-1]
    } | {"seconds": 2.0}
    assert [row["test_acc"] for row in curves[:3]] == ["", 0.5, 0.4]
    assert [row["step"] for row in curves] == [10, 20, 30] * 4
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {".lock", "recipe.json", "manifest.json", "results.csv", "curves.csv", *(key.file for key in keys)}


def test_a_store_goes_on_where_it_was(tmp_path):
    with opened(tmp_path) as s:
        s.add(KEY, made_up(next_masks=MASK))
    before = (tmp_path / "results.csv").read_bytes()
    with opened(tmp_path) as s:
        assert s.holds(KEY, "next_masks") and not s.holds(KEY, "end")
        assert not s.holds(Key("winning_ticket", 0, 0), "masks")
    assert (tmp_path / "results.csv").read_bytes() == before


def test_the_manifest_counts_what_engines_chose(tmp_path):
    with opened(tmp_path) as s:
        s.add(KEY, made_up(chosen=np.array(["a: whole", "b: in_rows of 15"])))
        s.add(Key("winning_ticket", 1, 0), made_up(chosen=np.array(["a: whole"])))
        s.add(Key("winning_ticket", 2, 0), made_up())
    assert read_json(tmp_path / "manifest.json")["chosen"] == {"a: whole": 2, "b: in_rows of 15": 1}
    with opened(tmp_path) as s:
        s.add(Key("winning_ticket", 3, 0), made_up(chosen=np.array([], str)))
    assert read_json(tmp_path / "manifest.json")["chosen"] == {"a: whole": 2, "b: in_rows of 15": 1}


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f"
    write(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write(path, b"new")
    assert path.read_bytes() == b"old"


def test_another_recipe_is_refused_and_the_difference_shown(tmp_path):
    opened(tmp_path).close()
    with pytest.raises(StoreError, match="steps: 30 there, 40 now"):
        opened(tmp_path, steps=40)
    with pytest.raises(StoreError, match="seed: 0 there, 5 now"):
        opened(tmp_path, seed=5)
    with pytest.raises(StoreError, match=r"optimizer's lr: 0\.1 there, 0\.2 now"):
        opened(tmp_path, optimizer=Part("sgd", lr=0.2))
    opened(tmp_path).close()


def test_other_data_are_refused_and_another_machine_is_noted(tmp_path):
    opened(tmp_path).close()
    other = MANIFEST | {"data": MANIFEST["data"] | {"sha256": "34cd"}}
    with pytest.raises(StoreError, match="made from other data"):
        opened(tmp_path, other)
    moved = {"machine": {"numpy": "3"}, "data": MANIFEST["data"] | {"source": "elsewhere"}}
    for manifest, trials in ((MANIFEST, (0, 1)), (moved, (2,)), (MANIFEST, ())):
        with opened(tmp_path, manifest) as s:
            for trial in trials:
                s.add(KEY._replace(trial=trial), made_up())
    machines = read_json(tmp_path / "manifest.json")["machines"]
    assert [(machine["numpy"], machine["runs"]) for machine in machines] == [("2", 2), ("3", 1)]


def hold(folder, ready, done):
    with opened(folder):
        ready.set()
        done.wait(20)


def test_a_second_process_is_told_and_the_directory_is_free_when_the_first_is_killed(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(tmp_path, ready, done))
    process.start()
    try:
        assert ready.wait(20)
        with pytest.raises(StoreError, match="another process is at work in"):
            opened(tmp_path)
        with pytest.raises(StoreError, match="another process is at work in"):
            directory.set_aside(tmp_path)
    finally:
        process.kill()
        process.join()
    opened(tmp_path).close()


def flipped(masks, i):
    bits = np.unpackbits(masks)
    bits[i] ^= 1
    return np.packbits(bits)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masks": MASK[:-1]}, "masks are not 21 packed bits"),
        ({"masks": MASK.astype(np.int64)}, "masks are not 21 packed bits"),
        ({"masks": flipped(MASK, 22)}, "bits beyond 21"),
        ({"next_masks": flipped(MASK, 0)}, "bring a pruned weight back"),
        ({"end": np.ones(SIZE, np.float32)}, "end is not 0 where pruned"),
        ({"end": np.zeros(SIZE + 1, np.float32)}, "end is not 21 floats"),
        ({"end": np.full(SIZE, np.nan)}, "end is not finite"),
        ({"chosen": np.zeros(2)}, "chosen is not a list of texts"),
        ({"val_acc": np.zeros(2)}, "val_acc does not go with at_steps"),
        ({"val_loss": np.array([1.0, np.inf, 1])}, "early_stop_step 20 is not where val_loss is lowest"),
        ({"val_loss": np.array([2.0, 1, np.inf])}, "val_loss is inf, expected a finite number"),
        ({"at_steps": np.array([10, 10, 30])}, "at_steps are not the recipe's 3, up to 30"),
        ({"at_steps": np.array([10.0, 20, 30])}, "at_steps is not a list of integers"),
        ({"steps": 30.0}, "steps is not a single i number"),
        ({"density": np.ones(1)}, "density is not a single f number"),
        ({"surprise": 1}, "unknown .*surprise"),
    ],
)
def test_a_run_that_is_not_right_is_refused_on_its_way_in_and_on_its_way_back(tmp_path, changes, message):
    with opened(tmp_path) as s:
        with pytest.raises(StoreError, match=message):
            s.add(KEY, made_up(**changes))
        assert KEY not in s
    path = tmp_path / "runs" / KEY.file
    planted(path, made_up(**changes))
    with pytest.raises(StoreError, match=message) as error:
        opened(tmp_path)
    assert str(path) in str(error.value)
    path.unlink()
    opened(tmp_path).close()  # and the lock was not kept


def test_a_run_that_lacks_something_is_refused(tmp_path):
    with opened(tmp_path) as s, pytest.raises(StoreError, match="lacks \\['val_acc'\\]"):
        s.add(KEY, {name: value for name, value in made_up().items() if name != "val_acc"})


def test_damaged_files_are_named(tmp_path):
    with opened(tmp_path) as s:
        s.add(KEY, made_up())
    path = tmp_path / "runs" / KEY.file
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no archive at all"):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match="cannot be read") as error:
            opened(tmp_path)
        assert str(path) in str(error.value)
    path.unlink()
    np.savez(path, **made_up() | {"masks": np.array([{}], dtype=object)})  # a pickle inside
    content = path.read_bytes()[:-2] + b"\x40\x00"
    path.write_bytes(content + hashlib.sha256(content).hexdigest().encode())
    with pytest.raises(StoreError, match="Python objects, for one, are never read"):
        opened(tmp_path)
    path.write_bytes(whole)
    (tmp_path / "runs" / "lucky.npz").write_bytes(whole)
    with pytest.raises(StoreError, match=r"lucky.npz is not named like a run"):
        opened(tmp_path)


def test_digests_tell_masks_apart(tmp_path):
    with opened(tmp_path) as s:
        s.add(KEY, made_up(next_masks=flipped(MASK, 1)))
        s.add(KEY._replace(round=1), made_up(masks=flipped(MASK, 1)))
        assert s.digest(KEY, "next_masks") == s.digest(KEY._replace(round=1), "masks") != s.digest(KEY, "masks")
        assert KEY in s and KEY._replace(round=1) in s and len(s) == 2


def test_tables_are_written_on_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "TABLES_EVERY", 0)
    monkeypatch.setattr(store, "TABLES_SHARE", 0)
    with opened(tmp_path) as s:
        for t in (0, 1):
            s.add(KEY._replace(trial=t), made_up())
            assert len(tables.read(tmp_path / "results.csv", tables.result_columns(CLASSIFY))) == t + 1


def test_a_table_that_cannot_be_written_costs_no_run(tmp_path, monkeypatch):
    """As on Windows, where nothing is written over a file that another program has open."""
    real, closed = store.write, []

    def held(path, content):
        if path.name == "results.csv" and not closed:
            raise PermissionError(13, "it is open elsewhere", str(path))
        real(path, content)

    monkeypatch.setattr(store, "write", held)
    with opened(tmp_path) as s:
        s._next_tables = 0
        with pytest.warns(RuntimeWarning, match=r"it is open elsewhere: .*results.csv.*: this is tried again later"):
            s.add(KEY, made_up())
        assert s.due() > 1 and KEY in s
        with pytest.raises(PermissionError):  # nobody tries again later
            s.close()
    closed.append(True)
    with opened(tmp_path) as s:
        assert KEY in s
    assert len(tables.read(tmp_path / "results.csv", tables.result_columns(CLASSIFY))) == 1


def test_tables_do_not_wait_for_the_next_run(tmp_path):
    """The last runs before a long one are in them, and in the manifest, while it trains."""
    with opened(tmp_path) as s:
        s.write_tables()
        assert s.due() is None
        s.add(KEY, made_up())
        s._next_tables = time.monotonic() + 0.05
        assert 0 < s.due() <= 0.05
        with ThreadPoolExecutor(1) as pool:
            long = pool.submit(time.sleep, 0.3)
            assert Scheduler._finished(SimpleNamespace(store=s), {long: [KEY]}) == {long}
        assert s.due() is None and len(tables.read(tmp_path / "results.csv", tables.result_columns(CLASSIFY))) == 1
        assert sum(machine.get("runs", 0) for machine in read_json(tmp_path / "manifest.json")["machines"]) == 1


def test_writing_tables_takes_a_small_part_of_the_time(tmp_path, monkeypatch):
    with opened(tmp_path) as s:
        clock = iter([0.0, 3.0, 3.0 + 50 * 3.0, 3.1 + 50 * 3.0, 160.0, 163.0])  # each writing takes 3 seconds
        monkeypatch.setattr(store.time, "monotonic", lambda: next(clock))
        s.write_tables()
        for t in range(2):  # just not yet, and now
            s.add(KEY._replace(trial=t), made_up())
            assert len(tables.read(tmp_path / "results.csv", tables.result_columns(CLASSIFY))) == 2 * t
        monkeypatch.undo()


def test_a_full_disk_at_the_end_does_not_keep_the_lock(tmp_path, monkeypatch):
    s = opened(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
        s.close()
    opened(tmp_path).close()


NO_JSON = [("recipe.json", "[]"), ("manifest.json", "[]"), ("manifest.json", "{}"),
           ("manifest.json", '{"data": {}, "machines": [1]}')]  # fmt: skip


@pytest.mark.parametrize(("name", "content"), NO_JSON)
def test_json_of_another_kind_is_named(name, content, tmp_path):
    opened(tmp_path).close()
    (tmp_path / name).write_text(content)
    with pytest.raises(StoreError, match=name):
        opened(tmp_path)


def test_an_array_that_is_no_archive_is_named(tmp_path):
    opened(tmp_path).close()
    with open(tmp_path / "runs" / KEY.file, "wb") as file:
        np.save(file, MASK, allow_pickle=False)
    with pytest.raises(StoreError, match="cannot be read"):
        opened(tmp_path)


def test_reading_says_what_is_missing_or_wrong(tmp_path):
    with pytest.raises(StoreError, match=r"has no recipe\.json"):
        directory.read_recipe(tmp_path)
    opened(tmp_path).close()
    (tmp_path / "results.csv").write_text("a,b\n")
    with pytest.raises(StoreError, match=r"results.csv, line 1: it has the columns"):
        read_outcome(tmp_path, KNOWN)
    (tmp_path / "results.csv").unlink()
    with pytest.raises(StoreError, match="has no finished run yet"):
        read_outcome(tmp_path, KNOWN)
    (tmp_path / "runs" / KEY.file).write_bytes(b"")
    with pytest.raises(StoreError, match=r"results.csv is missing"):
        read_outcome(tmp_path, KNOWN)
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(StoreError, match=r"recipe.json cannot be read"):
        opened(tmp_path)
    (tmp_path / "recipe.json").unlink()
    (tmp_path / "runs" / KEY.file).write_bytes(b"")
    with pytest.raises(StoreError, match=r"has runs but no recipe.json"):
        opened(tmp_path)


def test_earlier_results_are_set_aside_and_not_overwritten(tmp_path):
    assert directory.set_aside(tmp_path / "nothing") is None
    kept = []
    for _ in range(2):
        with opened(tmp_path) as s:
            s.add(KEY, made_up())
        os.utime(tmp_path / "recipe.json", (1e9, 1e9))  # even when both are of the same second
        kept.append(directory.set_aside(tmp_path))
        assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [".lock"]
    assert kept[0] != kept[1]
    assert all((goal / "runs" / KEY.file).is_file() and (goal / "results.csv").is_file() for goal in kept)


def test_tables_are_brought_up_to_date_when_an_error_ends_the_work(tmp_path):
    with pytest.raises(KeyboardInterrupt), opened(tmp_path) as s:
        s.add(KEY, made_up())
        s.add(KEY._replace(trial=0), made_up())
        raise KeyboardInterrupt
    assert len(tables.read(tmp_path / "results.csv", tables.result_columns(CLASSIFY))) == 2


def unpickling(folder):
    """The lines of Python files that could make an object of a pickle, or a pickle of one."""
    asks = re.compile(r"np\.(load|save|savez|savez_compressed)\(|import pickle|pickle\.load|cloudpickle")
    lines = [line for path in folder.rglob("*.py") for line in path.read_text().splitlines() if asks.search(line)]
    assert lines, "nothing is loaded at all"
    return [line for line in lines if "allow_pickle=False" not in line]


def test_nothing_in_the_package_can_unpickle(tmp_path):
    assert unpickling(Path(npticket.__file__).parent) == []
    wrong = ["np.load(path)", "np.savez(path, **arrays)", "import pickle"]
    (tmp_path / "mine.py").write_text("\n".join([*wrong, "np.load(path, allow_pickle=False)"]))
    assert unpickling(tmp_path) == wrong
