"""How long an experiment takes: what is counted, what is timed, and a file in the cache that can never hurt."""

import multiprocessing
import os
from dataclasses import replace

import numpy as np
import pytest
from small import SMALL, data

from npticket.datasets import cache_folder
from npticket.experiments import announcements, costs, timings
from npticket.experiments.amounts import duration
from npticket.experiments.json_files import write_json
from npticket.experiments.parts import Experiment
from npticket.experiments.recipe import Part
from npticket.experiments.timings import Cost
from npticket.papers import PARTS
from npticket.papers.lottery_ticket.recipes import LENET
from npticket.prune import dense_masks
from npticket.streams import Place
from npticket.task import CLASSIFY
from npticket.train import Setting, fit

LONG = replace(LENET, steps=1_000, train_at=(), rounds=3, trials=2, series=("winning_ticket", "random_reinit"))


def seconds(recipe, jobs=1, evaluating=True, **given):
    found = costs.seconds(Experiment(recipe, PARTS), jobs, **given)
    return None if found is None else found[not evaluating]


@pytest.fixture
def timed(monkeypatch):
    """Which densities were timed, by rounds; each comes to the same."""
    asked = []

    def pretend(experiment, rounds, *_):
        asked.append(rounds)
        return Cost(1.0, 0.01, 1e-4)

    monkeypatch.setattr(timings, "_timed", pretend)
    return asked


def test_all_that_a_run_does_is_counted(timed):
    noise = data()  # 80 for training, 20 for validation, 20 for testing
    one = 1.0 + 1_000 * 0.01 + (80 + 12 * 20) * 1e-4
    assert seconds(LONG, data=noise) == pytest.approx((2 * 3 + 2 * 2) * one)
    twice = replace(LONG, test_at=(500, 1_000))
    assert seconds(twice, data=noise) == pytest.approx(10 * (one + 2 * 20 * 1e-4))
    rewound = replace(LONG, rewind_step=500, series=("winning_ticket",))  # to the rewind point, and from there
    half = one - 500 * 0.01 - 5 * 20 * 1e-4
    assert seconds(rewound, data=noise) == pytest.approx(2 * one + 2 * half + 2 * 2 * half)


def test_it_is_said_how_much_of_it_is_evaluation(timed):
    noise, whole = data(), 1.0 + 1_000 * 0.01 + (80 + 12 * 20) * 1e-4
    assert seconds(LONG, evaluating=False, data=noise) == pytest.approx(10 * (1.0 + 1_000 * 0.01))
    assert seconds(LONG, data=noise) == pytest.approx(10 * whole)
    said = [announcements.time_needed(Experiment(LONG, PARTS), 1, "fast", each) for each in (noise, data(n=10_000))]
    assert said[0].endswith(" with 1 process.")  # not a hundredth
    assert said[1].endswith(" with 1 process, 9 % of it for evaluation.")


def test_without_data_the_papers_sizes_are_taken(timed):
    seconds(LONG, data=data())
    one = 1.0 + 1_000 * 0.01 + (55_000 + 10 * 5_000 + 2 * 10_000) * 1e-4
    assert seconds(LONG) == pytest.approx(10 * one)


def test_processes_share_the_work_but_a_round_waits_for_the_one_before(timed):
    noise = data()
    one = seconds(replace(LONG, rounds=1, trials=1, series=("winning_ticket",)), data=noise)
    assert seconds(LONG, 2, data=noise) == pytest.approx(10 * one / 2)
    assert seconds(LONG, 100, data=noise) == pytest.approx(3 * one)
    alone = replace(LONG, trials=1, series=("winning_ticket",))
    assert seconds(alone, 2, data=noise) == pytest.approx(3 * one)


def test_sparse_rounds_cost_what_they_cost(monkeypatch):
    monkeypatch.setattr(timings, "_timed", lambda e, rounds, *_: Cost(0.0, 0.8**rounds, 0.0))
    dense, sparse = (replace(LONG, rounds=rounds, trials=1, series=("winning_ticket",)) for rounds in (1, 15))
    assert seconds(dense, data=data()) == pytest.approx(1_000)
    steps_of_dense = seconds(sparse, data=data()) / 1_000
    assert steps_of_dense == pytest.approx(sum(0.8**r for r in range(15)), rel=0.3)  # between what is timed, a line
    assert steps_of_dense < 8


def test_it_is_timed_once_for_all_learning_rates_and_prune_rates(timed):
    assert seconds(LONG) is None
    assert seconds(replace(LONG, rounds=9), data=data()) is not None
    assert timed == pytest.approx([0, np.log(0.2) / np.log(0.8), 2 * np.log(0.2) / np.log(0.8)])
    for known in (
        replace(LONG, optimizer=LONG.optimizer.having(lr=0.5)),
        replace(LONG, prune=LONG.prune.having(rates={"fc*/W": 0.5, "out/W": 0.25}), rounds=4),
        replace(LONG, trials=7, steps=5),
        replace(LONG, prune=LONG.prune.having(rates={"*/W": 0})),
    ):
        assert seconds(known) is not None
    for other in (
        replace(LONG, batch=61),
        replace(LONG, net=Part("lenet_300_100", hidden=[300, 101])),
        replace(LONG, optimizer=LONG.optimizer.having(beta1=0.8)),
        replace(LONG, rounds=29),
        replace(LONG, prune=LONG.prune.having(rates={"fc*/W": 0.2})),
        replace(LONG, prune=LONG.prune.having(scope="units layerwise")),
    ):
        assert seconds(other) is None
    assert seconds(LONG, engine="plain") is None


def test_other_code_or_another_machine_is_timed_anew(timed, monkeypatch):
    seconds(LONG, data=data())
    monkeypatch.setattr(timings, "_here", lambda: "another")
    assert seconds(LONG) is None


@pytest.mark.parametrize("series", ["winning_ticket", "one_shot"])
def test_real_steps_are_timed(series):
    found = seconds(replace(SMALL, series=("winning_ticket", series)[: 1 + (series == "one_shot")]), data=data())
    assert 0 < found < 60
    assert [path.name for path in cache_folder().iterdir() if path.suffix == ".json"] == ["costs.json"]


def test_many_rounds_after_which_hardly_a_weight_is_left_do_not_stop_the_timing():
    half = replace(SMALL, rounds=60, series=("winning_ticket",), prune=Part("magnitude", rates={"*/W": 0.5}))
    assert seconds(half, data=data()) > 0


def test_a_hot_learning_rate_does_not_stop_the_timing():
    hot = replace(SMALL, optimizer=Part("sgd", lr=1e30), series=("winning_ticket",))
    assert seconds(hot, data=data()) > 0


def test_timing_finds_what_a_training_is_made_of(monkeypatch):
    """A training whose parts take known times: 3 s once, 0.5 s a step, 2 ms an example."""
    clock, noise = [0.0], data()
    monkeypatch.setattr(timings.time, "perf_counter", lambda: clock[0])

    def pretend(net, task, start, masks, some, setting, place):
        def look(split):
            def predict(x):
                clock[0] += 0.002 * x.shape[1]
                return np.zeros((1, x.shape[1], 10))

            task.evaluate(predict, [(split.inputs[None], split.targets[None])])

        clock[0] += 3.0
        for step in range(1, setting.steps + 1):
            clock[0] += 0.5
            if step in setting.at_steps:
                look(some.validation)
        for split in (some.test, some.train, some.test):
            look(split)

    monkeypatch.setattr(timings, "fit", pretend)
    found = timings._timed(Experiment(SMALL, PARTS), 2, "fast", 1, noise)
    assert found == pytest.approx(Cost(3.0, 0.5, 0.002))


def test_a_training_evaluates_in_the_order_that_timing_relies_on():
    noise, sizes = data(), []
    noise = replace(noise, validation=noise.train.take(slice(30)))

    def evaluate(predict, examples):
        examples = list(examples)
        sizes.append(sum(targets.shape[1] for _, targets in examples))
        return CLASSIFY.evaluate(predict, examples)

    e = Experiment(SMALL, PARTS)
    theta = e.net.init(Place().rngs("init"))
    setting = Setting(e.optimizer(), steps=6, batch=8, validate_every=2)
    fit(e.net, replace(CLASSIFY, evaluate=evaluate), theta, dense_masks(theta), noise, setting)
    assert sizes == [30] * 3 + [20, 80, 20]


DAMAGED = [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b'{"a": 1', b"[" * 100_000]
FOREIGN = ["fast", None, [], [1.0, 2.0], [1.0, 1.0, "1"], [1.0, float("nan"), 1.0], [-1.0, 1.0, 1.0],
           {"once": 1.0}, [True] * 3, [float("inf")] * 3, [1.0] * 4]  # fmt: skip


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_is_as_none_and_is_replaced(content, timed):
    path = cache_folder() / "costs.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert seconds(LONG) is None
    assert seconds(LONG, data=data()) == seconds(LONG, data=data())
    assert len(timed) == 2


@pytest.mark.parametrize("value", FOREIGN)
def test_a_value_that_is_no_cost_is_timed_anew(value, timed):
    good = seconds(LONG, data=data())
    path = cache_folder() / "costs.json"
    write_json(path, dict.fromkeys(timings._read(), value))
    assert seconds(LONG) is None
    assert seconds(LONG, data=data()) == good


@pytest.mark.parametrize("obstacle", ["a file", "a folder", "no home"])
def test_where_nothing_can_be_kept_it_is_timed_each_time(obstacle, timed, monkeypatch):
    if obstacle == "a file":
        cache_folder().write_text("in the way")
    elif obstacle == "a folder":
        (cache_folder() / "costs.json").mkdir(parents=True)
    else:
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(timings.Path, "home", lambda: exec('raise RuntimeError("no home")'))
    assert seconds(LONG, data=data()) == seconds(LONG, data=data())
    assert len(timed) == 4
    announcements.time_needed(Experiment(LONG, PARTS), 1, "fast", data())
    assert len(timed) == 6  # once for both its numbers


def write_some(folder, numbers):
    os.environ["XDG_CACHE_HOME"] = folder
    for n in numbers:
        timings._write(f"key {n}", Cost(1.0, 1.0, float(n)))


def test_two_processes_that_write_at_once_leave_a_whole_file():
    spawn, folder = multiprocessing.get_context("spawn"), os.environ["XDG_CACHE_HOME"]
    writers = [spawn.Process(target=write_some, args=(folder, range(i, 40, 2))) for i in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    found = timings._read()
    assert found and all(timings._cost(value) == (1.0, 1.0, float(key[4:])) for key, value in found.items())


def test_times_are_said_as_people_do():
    said = [duration(s) for s in (0, 45, 300, 7_200, 86_400 * 12)]
    assert said == ["1 s", "45 s", "5 min", "2.0 hours", "12 days"]
