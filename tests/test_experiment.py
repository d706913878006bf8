"""The runner: the same results however the work was cut up, and after whatever happened on the way."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import warnings
from concurrent.futures import BrokenExecutor, Future
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from processes import children, command, environment, wait_for_runs
from small import EVERYTHING, SMALL, data, experiment, rows

from npticket import backend, cli, engine, train
from npticket.datasets import Dataset, FlipAndCrop, Shared, Split
from npticket.experiments import cluster, machine, run, run_files, store, training, workers
from npticket.experiments.errors import RecipeError, StoreError
from npticket.experiments.outcome import read_outcome
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned
from npticket.experiments.recipe import Part
from npticket.experiments.run import Execution
from npticket.experiments.series import Key
from npticket.optimizers import SGD, step_drops
from npticket.papers import PARTS
from npticket.papers.lottery_ticket.recipes import RESNET_18_LOW
from npticket.prune import dense_masks
from npticket.report import tables
from npticket.report.quantities import trained
from npticket.report.views import Missing, View
from npticket.streams import Place, streams
from npticket.task import CLASSIFY
from npticket.tickets import find_tickets, rewind
from npticket.train import DivergedError, Setting, fit


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The small experiment, done in one process without interruption: its folder and its outcome."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, experiment(SMALL, folder, data())


def test_every_series_has_its_rounds(whole):
    _, outcome = whole
    expected = [(0, s, t) for s in ("winning_ticket", "dense_2") for t in (0, 1)]
    expected += [(r, s, t) for r in (1, 2) for s in EVERYTHING for t in (0, 1)]
    assert [(row["round"], row["series"], row["trial"]) for row in outcome.results] == expected
    assert outcome.series == [s for s in EVERYTHING if s != "random_reinit_2"]
    assert outcome.note == (
        "2 trials of 12 steps; reduced: 12 of 50,000 steps, 3 of 29 rounds, 2 of 5 trials; "
        "not the paper's: net, batch, validate_every, test_at"
    )
    assert outcome.title == "LeNet-6-4 on noise"
    assert {row["step"] for row in outcome.curves} == {3, 5, 10, 12}
    densities = {(row["round"], row["density"]) for row in outcome.results}
    assert len(densities) == 3  # every series as dense as the ticket of its round


NEVER = "final_train_acc", "best_train_acc"


@pytest.mark.parametrize(("train_at", "empty"), [((), NEVER), ((11,), NEVER[:1])])
def test_the_training_set_is_not_looked_at_where_the_recipe_says_so(whole, train_at, empty, tmp_path):
    """What is not known is empty, is shown as such, and cannot be filled in; all else is the same."""
    recipe = replace(SMALL, series=SMALL.series[:2], train_at=train_at, train_at_end=False)
    outcome = experiment(recipe, tmp_path, data())
    alike = [row for row in whole[1].results if row["series"] in recipe.series]
    for row, same in zip(outcome.results, alike, strict=True):
        differ = {name for name in row if row[name] != same[name]} - {"seconds", "best_train_acc"}
        assert differ == {"final_train_acc"} and [name for name in row if row[name] == ""] == [*empty]
    assert "nan" not in tables.tables(outcome)
    with pytest.raises(Missing, match="final_train_acc is not known of all runs of winning_ticket: nobody looked"):
        View(outcome, [0, 1])(trained(CLASSIFY.headline), "winning_ticket", 80)
    table = tmp_path / "results.csv"
    lines = table.read_text().splitlines()
    at = lines[0].split(",").index("final_train_acc")
    cells = lines[1].split(",")
    table.write_text("\n".join([lines[0], ",".join([*cells[:at], "0.5", *cells[at + 1 :]]), *lines[2:], ""]))
    with pytest.raises(StoreError, match=r"line 2: final_train_acc .* expected nothing: the recipe does not look"):
        read_outcome(tmp_path, PARTS)


def test_the_trunk_is_iterative_magnitude_pruning(whole):
    """Against the loop that the README shows."""
    folder, outcome = whole
    net, noise = Experiment(SMALL, PARTS).net, data()
    theta0 = net.init(streams(0, range(2), "init"))
    fits = []

    def train(start, masks):
        setting = Setting(Experiment(SMALL, PARTS).optimizer(), steps=12, batch=8, validate_every=5, test_at=(3, 12))
        fits.append(fit(net, CLASSIFY, start, masks, noise, setting, Place(0, range(2), len(fits))))
        return fits[-1].end

    prune = Experiment(SMALL, PARTS).rule
    for round in islice(find_tickets(theta0, dense_masks(theta0), train=train, prune=prune), 3):
        for t in range(2):
            saved = np.load(folder / "runs" / Key("winning_ticket", round.index, t).file, allow_pickle=False)
            assert (saved["masks"] == np.packbits(round.masks.flat[t])).all()
            assert (saved["val_loss"] == fits[-1]["val_loss"][t]).all()
    reinit = rewind(net.init(streams(0, range(2), "reinit", 2)), round.masks)
    setting = Setting(Experiment(SMALL, PARTS).optimizer(), steps=12, batch=8, validate_every=5)
    control = fit(net, CLASSIFY, reinit, round.masks, noise, setting, Place(0, range(2), 2))
    row = next(r for r in outcome.results if (r["series"], r["round"], r["trial"]) == ("random_reinit", 2, 1))
    assert row["early_stop_val_loss"] == control["early_stop_val_loss"][1]


@pytest.mark.parametrize("series", ["random_reinit", "winning_ticket"])
def test_draws_of_one_line_differ(series, whole):
    _, outcome = whole
    other = {"random_reinit": "random_reinit_2", "winning_ticket": "dense_2"}[series]
    first, second = (
        [row["early_stop_val_loss"] for row in outcome.results if row["series"] == name] for name in (series, other)
    )
    assert first and second and not set(first) & set(second)


def test_the_dense_network_is_trained_again_from_the_same_values_in_another_order(whole):
    _, outcome = whole
    net = Experiment(SMALL, PARTS).net
    theta0 = net.init(streams(0, range(2), "init"))
    setting = Setting(Experiment(SMALL, PARTS).optimizer(), steps=12, batch=8, validate_every=5, test_at=(3, 12))
    again = fit(net, CLASSIFY, theta0, dense_masks(theta0), data(), setting, Place(0, range(2), 0, order=1))
    losses = [row["val_loss"] for row in outcome.curves if row["series"] == "dense_2"]
    assert losses == again["val_loss"].ravel().tolist()
    dense, *tickets = outcome.points("winning_ticket")
    assert dense.trial.tolist() == [0, 1, 0, 1] and dense.density == 1.0
    assert dense["early_stop_val_loss"][2:].tolist() == again["early_stop_val_loss"].tolist()
    assert [point.trial.tolist() for point in tickets] == [[0, 1], [0, 1]]


def test_continued_training_has_the_masks_of_fine_tuning(whole):
    folder, _ = whole
    described = machine.describe(data(), 1, "numpy", "plain")
    with store.Store(folder, Experiment(SMALL, PARTS), described) as s:
        for round in (1, 2):
            masks = {series: s.load(Key(series, round, 0))["masks"].tobytes() for series in EVERYTHING}
            assert masks["continued_training"] == masks["fine_tuning"]
            assert masks["random_reinit"] == masks["noise_0.5"] == masks["shuffled"] == masks["winning_ticket"]
            assert masks["one_shot"] == masks["one_shot_reinit"]  # the same dense end, pruned in the same way
        assert masks["one_shot"] != masks["winning_ticket"] != masks["random_mask"]
        assert masks["fine_tuning"] != masks["winning_ticket"] != masks["pruned_at_init"]


@pytest.mark.parametrize("options", [{"jobs": 2}, {"lock_step": True}], ids=str)
def test_results_do_not_depend_on_how_the_work_was_cut_up(options, whole, tmp_path):
    if "jobs" in options:
        pytest.importorskip("joblib")
    assert rows(experiment(SMALL, tmp_path, data(), **options)) == rows(whole[1])


def test_all_that_hangs_on_a_round_trains_in_one_batch(tmp_path, monkeypatch):
    batches, real = [], training.train_runs
    monkeypatch.setattr(
        training, "train_runs", lambda *a, **k: batches.append([one.key for one in k["asked"]]) or real(*a, **k)
    )
    experiment(SMALL, tmp_path, data(), lock_step=True)
    chains = ("winning_ticket", "fine_tuning")
    first, second, again, third = batches
    assert first == [Key("winning_ticket", 0, t) for t in range(2)]
    assert again == [Key("dense_2", 0, t) for t in range(2)]  # of which alone the minibatches are in another order
    for round, batch in ((1, second), (2, third)):
        assert {key.series for key in batch} == set(EVERYTHING) and {key.round for key in batch} == {round}
        assert len(batch) == 2 * len(EVERYTHING) and batch[0].series in chains


def test_results_of_a_cluster_are_the_same(whole, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        outcome = experiment(SMALL, tmp_path, data(), jobs=2, scheduler=cluster.scheduler_address)
    assert not (tmp_path / ".data").exists()  # workers elsewhere could not see a folder of this machine
    assert rows(outcome) == rows(whole[1])


def test_no_cluster_is_an_error_in_words(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "CONNECT", "1s")
    with pytest.raises((RuntimeError, OSError), match=r"127\.0\.0\.1:9"):
        experiment(SMALL, tmp_path, data(), scheduler="tcp://127.0.0.1:9")


def copied(whole, folder):
    """Copy the runs of the whole experiment."""
    (folder / "runs").mkdir()
    for path in (whole[0] / "runs").iterdir():
        (folder / "runs" / path.name).write_bytes(path.read_bytes())


@pytest.mark.parametrize(
    "lost", [["winning_ticket-round01-trial0"], ["*-trial1"], ["winning_ticket-round00*", "noise*"]]
)
def test_it_trains_what_is_missing_and_nothing_else(lost, whole, tmp_path, monkeypatch):
    for path in (whole[0] / "runs").iterdir():
        target = tmp_path / "runs" / path.name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    (tmp_path / "recipe.json").write_bytes((whole[0] / "recipe.json").read_bytes())
    gone = [path for pattern in lost for path in (tmp_path / "runs").glob(f"{pattern}.npz")]
    assert gone
    for path in gone:
        path.unlink()
    trained, real = [], training.train_runs
    monkeypatch.setattr(
        training, "train_runs", lambda *a, **k: trained.extend(one.key for one in k["asked"]) or real(*a, **k)
    )
    assert rows(experiment(SMALL, tmp_path, data())) == rows(whole[1])
    assert len(trained) == len(gone)


@pytest.mark.parametrize(("jobs", "threads"), [(1, 5), (2, 2)])
def test_processes_share_the_cores(jobs, threads, tmp_path, monkeypatch):
    """Each may use its share of them; that results do not depend on threads is a law of the engine."""
    asked = []

    class Enough(Exception):
        pass

    def no_workers(call, jobs):
        asked.append(call.keywords["threads"])
        raise Enough

    monkeypatch.setattr(workers, "default_jobs", lambda: 5)
    monkeypatch.setattr(run, "Workers", no_workers)
    with pytest.raises(Enough):
        experiment(SMALL, tmp_path / "new", data(), jobs=jobs)
    assert asked == [threads]


def test_a_finished_experiment_trains_nothing(whole, monkeypatch):
    for module, what in ((training, "train_runs"), (run, "_shared")):
        monkeypatch.setattr(module, what, lambda *_, what=what, **__: pytest.fail(f"{what} was called again"))
    before = (whole[0] / "results.csv").read_bytes()
    assert rows(experiment(SMALL, whole[0], data())) == rows(whole[1])
    assert (whole[0] / "results.csv").read_bytes() == before


def test_the_number_of_blas_threads_that_is_written_down_is_the_one_used(tmp_path):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        assert machine.describe(data(), 1, "numpy", "fast")["machine"]["blas_threads"] == 1
        assert {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"} == {2}


@pytest.fixture
def without_threadpoolctl(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_without_threadpoolctl_openblas_itself_is_asked(without_threadpoolctl, monkeypatch):
    if np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"] != "scipy-openblas":
        pytest.skip("NumPy was not built with the OpenBLAS of its wheels")
    kinds = {"get_num_threads": ctypes.c_int, "get_corename": ctypes.c_char_p}
    said = {name: backend.openblas(name, kind) for name, kind in kinds.items()}
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "77")  # which it was not told when it began
    found = machine.describe(data(), 1, "numpy", "fast")["machine"]
    assert found["blas_threads"] == said["get_num_threads"] != 77
    assert found["blas"].endswith(f"({said['get_corename'].decode()})")
    monkeypatch.undo()
    assert machine.fingerprint()["blas"] == found["blas"]  # in the same words as threadpoolctl's


def test_of_several_blas_that_are_loaded_numpys_is_named(monkeypatch):
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    if np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"] != "scipy-openblas":
        pytest.skip("NumPy was not built with the OpenBLAS of its wheels")
    loaded, alone = threadpoolctl.threadpool_info(), machine.fingerprint()["blas"]
    numpys = next(pool for pool in loaded if pool["user_api"] == "blas")  # others may be of OpenMP
    scipys = {**numpys, "filepath": "/elsewhere/scipy.libs/libscipy_openblas.so", "version": "0.1"}
    for pools in ([scipys, *loaded], [*loaded, scipys]):
        monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda pools=pools: pools)
        assert machine.fingerprint()["blas"] == alone
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: [scipys])  # as where NumPy has the system's
    assert "openblas 0.1 (" in machine.fingerprint()["blas"]


def test_without_that_either_it_is_what_the_environment_says(without_threadpoolctl, monkeypatch):
    monkeypatch.setattr(backend, "openblas", lambda *_: None)
    for value, expected in (("1", 1), ("3", 3), (None, None)):
        for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
            monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
        assert machine.describe(data(), 1, "numpy", "fast")["machine"]["blas_threads"] == expected


def test_what_is_published_has_what_was_tested_of_every_run(whole, tmp_path):
    for name in ("recipe.json", "manifest.json", "results.csv", "curves.csv"):
        (tmp_path / name).write_bytes((whole[0] / name).read_bytes())
    assert len(read_outcome(tmp_path, PARTS).results) == len(whole[1].results)
    kept = [line for line in (tmp_path / "curves.csv").read_text().splitlines() if ",random_mask,1," not in f",{line}"]
    (tmp_path / "curves.csv").write_text("\n".join(kept) + "\n")
    with pytest.raises(StoreError, match=r"curves.csv has nothing of random_mask-round01-trial0"):
        read_outcome(tmp_path, PARTS)


def test_what_ends_before_anything_is_tested_is_published_without_curves(tmp_path):
    recipe = replace(SMALL, rounds=2, trials=1, rewind_step=2, test_at=(12,), series=("winning_ticket",))
    experiment(recipe, tmp_path / "runs", data())
    assert cli.main(["publish", str(tmp_path / "runs"), str(tmp_path / "page")]) == 0
    assert "rewind_point" not in (tmp_path / "page" / "curves.csv").read_text()
    assert len(read_outcome(tmp_path / "page", PARTS).results) == 3


def test_another_recipe_or_other_data_are_refused(whole):
    with pytest.raises(StoreError, match=r"lr: 0.0012 there, 0.5 now"):
        experiment(replace(SMALL, optimizer=Part("adam", lr=0.5)), whole[0], data())
    with pytest.raises(StoreError, match="made from other data"):
        experiment(SMALL, whole[0], data(seed=1))
    with pytest.raises(RecipeError, match="no series 'luck'"):
        experiment(replace(SMALL, series=("winning_ticket", "luck")), whole[0], data())


@pytest.mark.parametrize("memory", [99, 1], ids=["enough", "for one network"])
@pytest.mark.parametrize("lock_step", [False, True])
def test_a_run_that_diverges_costs_itself_and_stops_only_those_that_need_it(lock_step, memory, tmp_path, monkeypatch):
    two = replace(SMALL, series=("winning_ticket", "random_reinit", "pruned_at_init"), rounds=2, trials=3)
    asked, fits, real, really = [], [], training.train_runs, training.fit

    def told(*arguments, **named):
        asked.extend(one.key for one in named["asked"])
        return real(*arguments, **named)

    def too_hot(net, task, start, masks, data, setting, place):
        if place.round == 0:
            start.flat[[t == 1 for t in place.trials]] *= 1e30
        fits.append(len(place.trials))
        return really(net, task, start, masks, data, setting, place)

    def plan(net, task, start, *rest):
        if start.trials > memory:
            raise MemoryError
        return engine.plan(net, task, start, *rest)

    monkeypatch.setattr(training, "train_runs", told)
    monkeypatch.setattr(training, "fit", too_hot)
    monkeypatch.setattr(train, "plan", plan)
    with (
        pytest.raises(DivergedError, match=r"trial 1 .* in round 0 .* 3 of 12 runs are missing"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        experiment(two, tmp_path / "hot", data(), lock_step=lock_step)
    needing = [Key("winning_ticket", 1, 1), Key("random_reinit", 1, 1)]
    assert sorted(asked) == sorted(set(planned(two, PARTS.series)) - set(needing))  # each once
    assert fits == ([3, 7] if lock_step else [1] * 10)
    monkeypatch.undo()
    experiment(two, tmp_path / "cool", data())
    hot, cool = ({path.name: path for path in (tmp_path / name / "runs").iterdir()} for name in ("hot", "cool"))
    lost = {key.file for key in (*needing, Key("winning_ticket", 0, 1))}
    assert hot.keys() == cool.keys() - lost
    for name in hot:  # bit for bit as without the one that diverged
        with np.load(hot[name], allow_pickle=False) as ours, np.load(cool[name], allow_pickle=False) as others:
            for what in set(ours.files) - {"seconds", "chosen"}:
                assert ours[what].tobytes() == others[what].tobytes(), (name, what)


def test_what_is_finished_is_kept_whatever_happens_beside_it(tmp_path, monkeypatch):
    """Two futures are done at the same moment, one of them with an error."""
    outcomes = []

    class AtOnce:
        jobs, lost = 2, (BrokenExecutor,)

        def submit(self, **arguments):
            future = Future()
            first = [one.key for one in arguments["asked"]] == [Key("winning_ticket", 0, 0)]
            if first and isinstance(outcomes[0], DivergedError):
                future.set_result(outcomes)
            elif first:
                future.set_exception(outcomes[0])
            else:
                future.set_result(training.train_runs(Experiment(few, PARTS), data(), Execution(), **arguments))
            return future

        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda self, *_: None  # noqa: E731

    few = replace(SMALL, series=("winning_ticket",), rounds=1)
    monkeypatch.setattr(run, "Workers", lambda *_: AtOnce())
    for error, raised in (
        (DivergedError("too hot"), DivergedError), (BrokenExecutor("gone"), RuntimeError),
        (MemoryError("too large"), MemoryError), (OSError("no room"), OSError),
    ):  # fmt: skip
        outcomes[:] = [error]
        folder = tmp_path / raised.__name__
        with pytest.raises(raised):
            experiment(few, folder, data())
        assert [path.name for path in (folder / "runs").iterdir()] == ["winning_ticket-round00-trial1.npz"]


def test_runs_of_another_history_are_not_mixed(whole, tmp_path):
    """As when round 0 was deleted and made anew on a machine that rounds in another way."""
    for path in (whole[0] / "runs").iterdir():
        (tmp_path / "runs").mkdir(exist_ok=True)
        (tmp_path / "runs" / path.name).write_bytes(path.read_bytes())
    path = tmp_path / "runs" / Key("winning_ticket", 0, 0).file
    with np.load(path, allow_pickle=False) as file:
        run = {name: file[name] for name in file.files}
    run["next_masks"] = run["next_masks"] & np.uint8(0b01111111)
    path.write_bytes(run_files.packed(run, json.loads(str(run.pop("origin")))))
    (tmp_path / "recipe.json").write_bytes((whole[0] / "recipe.json").read_bytes())
    with pytest.raises(StoreError, match=r"has other masks than winning_ticket-round00-trial0\.npz left"):
        experiment(SMALL, tmp_path, data())


def test_a_convolutional_recipe_is_trained_as_it_says(tmp_path):
    """Seed, momentum, weight decay, drops and augmentation, against fit itself."""
    recipe = replace(
        RESNET_18_LOW, net=Part("resnet", depth=8, width=2), steps=4, test_at=(2, 4), seed=3, batch=4,
        schedule=Part("step_drops", drops=[[2, 0.001]]), validate_every=2, rounds=2, trials=1,
        series=("winning_ticket", "random_reinit"),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    splits = [Split(rng.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, 12)) for _ in range(3)]
    pictures = Dataset("noise", *splits, classes=10, source="a test")
    outcome = experiment(recipe, tmp_path, pictures)
    net, prune = Experiment(recipe, PARTS).net, Experiment(recipe, PARTS).rule
    masks = dense_masks(theta0 := net.init(streams(3, [0], "init")))
    setting = Setting(
        lambda m: SGD(m, step_drops(0.01, {2: 0.001}), momentum=0.9, weight_decay=1e-4), steps=4, batch=4,
        validate_every=2, test_at=(2, 4), augment=FlipAndCrop.draw,
    )  # fmt: skip
    dense = fit(net, CLASSIFY, theta0, masks, pictures, setting, Place(seed=3))
    masks = prune(dense.end, masks)
    start = rewind(net.init(streams(3, [0], "reinit", 1)), masks)
    reinit = fit(net, CLASSIFY, start, masks, pictures, setting, Place(seed=3, round=1))
    losses = {(row["series"], row["round"], row["step"]): row["val_loss"] for row in outcome.curves}
    for v, step in enumerate((2, 4)):
        assert losses["winning_ticket", 0, step] == dense["val_loss"][0, v]
        assert losses["random_reinit", 1, step] == reinit["val_loss"][0, v]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 81}, "a batch of 81 does not fit into 80"),
        ({"net": Part("conv_2"), "prune": RESNET_18_LOW.prune.having(rates={"*/W": 0.2})}, "Conv-2 takes"),
    ],
)
def test_what_does_not_go_with_the_data_is_refused_before_anything_is_written(changes, message, tmp_path):
    with pytest.raises(RecipeError, match=message):
        experiment(replace(SMALL, **changes), tmp_path / "out", data())
    assert not (tmp_path / "out").exists()


def test_an_experiment_without_runs_has_no_outcome(tmp_path):
    described = machine.describe(data(), 1, "numpy", "plain")
    store.Store(tmp_path, Experiment(SMALL, PARTS), described).close()
    with pytest.raises(StoreError, match="has no finished run yet"):
        read_outcome(tmp_path, PARTS)


def test_with_a_rewind_step_survivors_go_back_to_it_and_train_from_it(tmp_path):
    late = replace(SMALL, rewind_step=4, rounds=2, trials=1, series=("winning_ticket", "random_reinit", "noise_0.5"))
    outcome = experiment(late, tmp_path, data())
    net, prune, noise = Experiment(late, PARTS).net, Experiment(late, PARTS).rule, data()
    theta0 = net.init(streams(0, [0], "init"))
    masks = dense_masks(theta0)
    setting = Setting(Experiment(late, PARTS).optimizer(), steps=12, batch=8, validate_every=5)
    point = fit(net, CLASSIFY, theta0, masks, noise, replace(setting, steps=4)).end
    dense = fit(net, CLASSIFY, theta0, masks, noise, setting)
    masks = prune(dense.end, masks)
    late_setting = replace(setting, first_step=4)
    ticket = fit(net, CLASSIFY, rewind(point, masks), masks, noise, late_setting, Place(round=1))
    by = {(row["series"], row["round"]): row for row in outcome.results}
    assert by["winning_ticket", 0]["early_stop_val_loss"] == dense["early_stop_val_loss"][0]
    assert by["winning_ticket", 1]["early_stop_val_loss"] == ticket["early_stop_val_loss"][0]
    steps = {key: [r["step"] for r in outcome.curves if (r["series"], r["round"]) == key] for key in by}
    assert steps["winning_ticket", 1] == steps["noise_0.5", 1] == [5, 10, 12]
    assert steps["random_reinit", 1] == [3, 5, 10, 12]  # new values begin at the beginning


def test_shared_data_are_the_data_and_cannot_be_written(tmp_path):
    original = replace(data(), scale=np.full((28, 28), 1 / 255))  # of each pixel its own
    shared = Shared(original, tmp_path)
    for split in ("train", "validation", "test"):
        ours, theirs = getattr(shared(), split), getattr(original, split)
        assert (ours.inputs == theirs.inputs).all() and (ours.targets == theirs.targets).all()
    assert shared() is shared()
    with pytest.raises(ValueError, match="read-only"):
        shared().train.inputs[0] = 0


# From here on from outside: real processes, real kills.


def without_seconds(path):
    return [line.rpartition(",")[0] for line in (path / "results.csv").read_text().splitlines()]


@pytest.fixture(scope="module")
def uninterrupted(asked, tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted")
    done = subprocess.run(command(asked, out, 1), capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    return out


def test_after_sigkill_the_same_command_ends_with_the_same_tables(asked, uninterrupted, tmp_path):
    pytest.importorskip("joblib")
    process = subprocess.Popen(
        command(asked, tmp_path, 2), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_for_runs(process, tmp_path, 3)
    process.kill()
    process.communicate()
    assert not (tmp_path / "runs" / Key("random_reinit", 5, 1).file).exists()
    done = subprocess.run(command(asked, tmp_path, 2), capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert without_seconds(tmp_path) == without_seconds(uninterrupted)
    assert (tmp_path / "curves.csv").read_bytes() == (uninterrupted / "curves.csv").read_bytes()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the worker processes through /proc")
def test_a_worker_that_dies_costs_no_finished_round(asked, uninterrupted, tmp_path):
    pytest.importorskip("joblib")
    process = subprocess.Popen(
        command(asked, tmp_path, 2), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for_runs(process, tmp_path, 2)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*.npz")}
    started = children(process.pid)
    assert started
    os.kill(started[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert without_seconds(tmp_path) == without_seconds(uninterrupted)


def test_workers_that_always_die_are_an_error_in_words(tmp_path, monkeypatch):
    pytest.importorskip("joblib")

    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(training, "train_runs", die)
    with pytest.raises(RuntimeError, match="died 3 times in a row"):
        experiment(replace(SMALL, series=("winning_ticket",)), tmp_path, data(), jobs=2)


def test_workers_may_die_often_as_long_as_runs_are_finished_in_between(tmp_path, monkeypatch):
    deaths, real = [], run.Scheduler.work_off

    def dying(scheduler, workers, lock_step, note, forget):
        def noted(key):
            note(key)
            if len(deaths) < 5:
                deaths.append(key)
                raise BrokenExecutor("a worker died")

        return real(scheduler, workers, lock_step, noted, forget)

    monkeypatch.setattr(run.Scheduler, "work_off", dying)
    recipe = replace(SMALL, series=("winning_ticket",))
    assert len(experiment(recipe, tmp_path, data()).results) == 6 and len(deaths) == 5
