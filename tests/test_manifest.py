"""Another machine, engine or library: it is said, written down with the runs that it made, and refused if asked for."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted import KEY, MANIFEST, made_up, opened
from small import SMALL, data

import npticket
from npticket.experiments import directory, machine, run, timings
from npticket.experiments.errors import StoreError
from npticket.experiments.json_files import read_json
from npticket.experiments.manifest import _places
from npticket.experiments.run import Execution
from npticket.experiments.series import Key
from npticket.papers import PARTS

HERE = {
    "npticket": "1", "code": "c0de", "numpy": "2.4", "blas": "openblas 0.3 (SkylakeX)", "cpu": "a Xeon",
    "python": "3.11", "blas_threads": 1, "jobs": 2, "backend": "numpy", "engine": "fast",
    "cores": 2, "system": "Linux-6",
}  # fmt: skip
FEW = replace(SMALL, trials=1, rounds=2, series=("winning_ticket", "random_reinit"))


def on(**changes):
    return {"machine": HERE | changes, "data": MANIFEST["data"]}


def made(folder, manifest, *trials):
    with opened(folder, manifest) as s:
        for trial in trials:
            s.add(KEY._replace(trial=trial), made_up(seconds=float(trial)))


@pytest.mark.parametrize(
    ("name", "value"),
    [("blas", "openblas 0.3 (Haswell)"), ("blas_threads", 4), ("blas_threads", None), ("engine", "plain"),
     ("numpy", "2.3"), ("cpu", "an EPYC"), ("backend", "cupy"), ("npticket", "0"),
     ("code", "0123")],
)  # fmt: skip
def test_each_difference_is_named_noted_with_its_runs_and_refused_if_strict(name, value, tmp_path):
    made(tmp_path, on(**{name: value}), 0, 1)
    with opened(tmp_path, on()) as s:
        assert s.difference == f"2 finished runs were made otherwise: {name} {value} there, {HERE[name]} now"
        s.add(KEY._replace(trial=2), made_up())
    of_series = ({KEY.series: dict.fromkeys(trials, f"{KEY.round}")} for trials in (("0", "1"), ("2",)))
    assert read_json(tmp_path / "manifest.json")["machines"] == [
        HERE | {name: value, "runs": 2, "made": next(of_series)}, HERE | {"runs": 1, "made": next(of_series)}
    ]  # fmt: skip
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(
        StoreError, match=rf"{re.escape(f'{name} {value}')} there, .* now\. --strict refuses to mix them"
    ):
        opened(tmp_path, on(), strict=True, trials=9)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("changes", [{}, {"jobs": 1}, {"cores": 64}, {"system": "Linux-7"}, {"python": "3.13"}])
def test_what_changes_no_bit_is_none(changes, tmp_path):
    made(tmp_path, on(**changes), 0)
    with opened(tmp_path, on(), strict=True) as s:
        assert s.difference == ""


def test_several_are_said_in_one_line(tmp_path):
    for trial, engine in enumerate(("plain", "fast")):
        made(tmp_path, on(engine=engine, numpy=f"2.{trial}"), trial)
    with opened(tmp_path, on()) as s:
        assert s.difference == (
            "2 finished runs were made otherwise: numpy 2.0 and 2.1 there, 2.4 now; engine plain there, fast now"
        )


def test_a_machine_that_made_nothing_is_no_part_of_it(tmp_path):
    made(tmp_path, on(engine="plain"), 0)
    made(tmp_path, on())
    assert [m["engine"] for m in read_json(tmp_path / "manifest.json")["machines"]] == ["plain"]
    (tmp_path / "runs" / KEY._replace(trial=0).file).unlink()
    made(tmp_path, on(), 0)
    assert [m["engine"] for m in read_json(tmp_path / "manifest.json")["machines"]] == ["fast"]


def test_several_machines_say_which_runs_are_theirs(tmp_path):
    for trial, engine in enumerate(("plain", "fast")):
        made(tmp_path, on(engine=engine), trial)
    one, other = read_json(tmp_path / "manifest.json")["machines"]
    of_series = {KEY.series: {"0": f"{KEY.round}"}}, {KEY.series: {"1": f"{KEY.round}"}}
    assert ((one["runs"], one["made"]), (other["runs"], other["made"])) == ((1, of_series[0]), (1, of_series[1]))
    with opened(tmp_path, on(engine="plain")):  # what they made is no part of what they are
        pass
    assert len(read_json(tmp_path / "manifest.json")["machines"]) == 2
    (tmp_path / "runs" / KEY._replace(trial=1).file).unlink()
    made(tmp_path, on())
    assert read_json(tmp_path / "manifest.json")["machines"] == [on(engine="plain")["machine"] | {"runs": 1}]


def test_runs_are_named_by_ranges_of_rounds():
    keys = [Key("b", round, 0) for round in (4, 0, 2, 1, 7, 6)] + [Key("a", 3, 11)]
    assert _places(keys) == {"a": {"11": "3"}, "b": {"0": "0-2, 4, 6-7"}}


def test_after_a_kill_the_manifest_describes_whoever_made_a_run(tmp_path):
    s = opened(tmp_path, on())
    s.add(KEY, made_up())
    s._lock.close()  # and nothing else, as when it was killed
    assert read_json(tmp_path / "manifest.json")["machines"] == [HERE | {"runs": 1}]
    with opened(tmp_path, on(engine="plain")) as s:
        assert "engine fast there, plain now" in s.difference


def test_a_run_of_another_worker_is_noted_as_made_on_its_machine(tmp_path):
    """As on a cluster, and even if this process is killed before it ends."""
    worker = {"cpu": "an EPYC", "cores": 64}
    s = opened(tmp_path, on())
    s.add(KEY, made_up(machine=np.array(json.dumps(worker))))
    s._lock.close()
    with opened(tmp_path, on()) as s:
        assert s.difference == "1 finished run was made otherwise: cpu an EPYC there, a Xeon now"
        assert "machine" not in s.load(KEY)
    assert read_json(tmp_path / "manifest.json")["machines"] == [HERE | worker | {"runs": 1}]


def test_workers_of_this_machine_are_it(tmp_path):
    run.run(FEW, PARTS, tmp_path, data(), Execution(jobs=2))
    (one,) = read_json(tmp_path / "manifest.json")["machines"]
    assert one["runs"] == 3 and one["cpu"] == machine.fingerprint()["cpu"]


def test_a_machine_that_is_not_described_is_another(tmp_path):
    made(tmp_path, on(), 0)
    (tmp_path / "manifest.json").unlink()
    with opened(tmp_path, on(engine="plain")) as s:
        assert s.difference == "1 finished run was made otherwise: a machine that manifest.json does not describe"
    with pytest.raises(StoreError, match="strict"):
        opened(tmp_path, on(engine="plain"), strict=True)


def test_run_prints_the_difference_once_and_only_if_something_is_left(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(timings, "_timed", lambda *_: timings.Cost(0.0, 0.0, 0.0))

    def said(recipe, **execution):
        run.run(recipe, PARTS, tmp_path, data(), Execution(**execution), say=True)
        return capsys.readouterr().out.splitlines()

    assert "otherwise" not in "".join(said(FEW))
    assert said(FEW, engine="plain") == ["All 3 runs are finished: nothing is left to do."]
    lines = said(replace(FEW, trials=2), engine="plain")
    assert lines[0] == (
        "3 finished runs were made otherwise: engine fast there, plain now. The last digits may differ."
    )
    assert [m["runs"] for m in read_json(tmp_path / "manifest.json")["machines"]] == [3, 3]
    with pytest.raises(StoreError, match="engine plain there, fast now"):
        run.run(replace(FEW, trials=3), PARTS, tmp_path, data(), Execution(), strict=True)
    assert directory.read_recipe(tmp_path).trials == 2


def test_code_is_another_once_a_file_is_on_which_numbers_depend(tmp_path, monkeypatch):
    digests, copy = [], tmp_path / "npticket"
    shutil.copytree(Path(npticket.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (None, "papers/rewinding.py", "prune.py", "engine/dense.py", "cli/commands.py", "report/claims.py"):
        if name:
            (copy / name).write_text((copy / name).read_text() + "# changed\n")
        monkeypatch.setattr(machine, "__file__", str(copy / "experiments" / "machine.py"))
        machine.code.cache_clear()
        digests.append(machine.code())
    (copy / "prune.py").write_bytes((copy / "prune.py").read_bytes().replace(b"\n", b"\r\n"))  # as git does on Windows
    machine.code.cache_clear()
    assert machine.code() == digests[-1]
    machine.code.cache_clear()
    assert len(set(digests[:4])) == 4 and digests[3] == digests[4] == digests[5]


def test_what_machine_describes_is_what_is_compared():
    assert HERE.keys() == machine.describe(data(), 1, "numpy", "fast")["machine"].keys()


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("what", ["inputs", "targets"])
def test_another_input_or_label_of_any_split_is_other_data(split, what):
    one = data()
    there = getattr(one, split)
    changed = getattr(there, what).copy()
    changed.flat[-1] ^= 1
    other = replace(one, **{split: replace(there, **{what: changed})})
    assert machine.sha256(one) == machine.sha256(data()) != machine.sha256(other)
