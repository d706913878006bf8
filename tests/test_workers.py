"""Workers: processes give what one process gives, and failures arrive in words."""

import inspect
import multiprocessing
import os
import signal
import time
import warnings
from concurrent.futures import Future
from functools import partial
from types import SimpleNamespace

import pytest
from fitted import same, small_data, small_net
from strict import strict

from npticket.experiments.workers import Workers, fit_trials
from npticket.optimizers import SGD
from npticket.prune import dense_masks
from npticket.streams import Place, streams
from npticket.task import CLASSIFY
from npticket.train import DivergedError, Setting, fit


def setting(trials=3, lr=0.1):
    net = small_net()
    theta = net.init(streams(0, range(trials), "init"))
    how = Setting(partial(SGD, lr=lr), steps=5, batch=4)
    return theta, dense_masks(theta), partial(fit, net, CLASSIFY, data=small_data(), setting=how)


def test_one_and_two_processes_agree_and_count_finished_trials():
    pytest.importorskip("joblib")
    theta, masks, train = setting()
    place = Place(0, range(3), 1)
    starts = [(theta, masks), (theta.like(theta.flat / 2), masks)]
    counted, outcomes = [], []
    for jobs in (1, 2):
        with Workers(train, jobs) as workers:
            outcomes.append(fit_trials(workers, starts, place, lambda: counted.append(1)))
    for one, two, (start, _) in zip(*outcomes, starts, strict=True):
        assert same(one, two)
        assert same(one, train(start=start, masks=masks, place=place))
    assert not same(*outcomes[0])
    assert len(counted) == 12


def test_on_a_device_trials_that_train_together_are_counted_one_by_one():
    theta, masks, train = setting()
    done, counted = Future(), []
    done.set_result(train(start=theta, masks=masks, place=Place(0, range(3), 1)))
    together = SimpleNamespace(submit=lambda **_: done)
    there = theta.to(strict), masks.to(strict)
    fit_trials(together, [there, there], Place(0, range(3), 1), lambda: counted.append(1))
    assert len(counted) == 6


def test_each_process_computes_with_one_blas_thread(monkeypatch):
    pytest.importorskip("joblib")

    def report():
        return [os.environ[name] for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")]

    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "7")
    with Workers(report, 2) as workers:
        assert workers.submit().result() == ["1", "1", "1"]


def test_without_processes_blas_has_one_thread_while_they_work():
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def threads():
        return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}

    with threadpoolctl.threadpool_limits(2), Workers(threads, 1) as workers:
        assert workers.submit().result() == {1}


def test_a_diverging_trial_is_named_across_the_process_border():
    pytest.importorskip("joblib")
    theta, masks, train = setting(lr=1e38)
    place = Place(0, range(3), 4)
    with pytest.raises(DivergedError, match="trial 0 became inf in round 4 at step 5"), Workers(train, 2) as workers:
        fit_trials(workers, [(theta, masks)], place)


def test_a_killed_worker_is_an_error_and_not_a_hang():
    pytest.importorskip("joblib")

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(RuntimeError, match="terminated"), Workers(die, 2) as workers:
        workers.submit().result()


def sleep():
    time.sleep(60)


def test_only_its_own_processes_are_stopped():
    pytest.importorskip("joblib")
    theta, masks, train = setting(trials=1)
    stranger = multiprocessing.get_context("spawn").Process(target=sleep)
    stranger.start()
    try:
        with Workers(train, 2) as outer:
            with pytest.raises(KeyboardInterrupt), Workers(train, 2):
                raise KeyboardInterrupt
            assert fit_trials(outer, [(theta, masks)], Place())[0].end.trials == 1  # the outer ones still work
        assert stranger.is_alive()
    finally:
        stranger.terminate()


def test_no_jobs_are_refused():
    with pytest.raises(ValueError, match="at least 1 job"):
        Workers(lambda: None, 0)


def test_a_process_that_loky_replaces_for_its_memory_alarms_nobody():
    executor = pytest.importorskip("joblib.externals.loky.process_executor")
    said = "A worker stopped while some jobs were given to the "
    assert said in inspect.getsource(executor), "loky warns in other words"
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with Workers(os.getpid, 2):
            warnings.warn(said, UserWarning, stacklevel=1)
            warnings.warn("something else", UserWarning, stacklevel=1)
        warnings.warn(said, UserWarning, stacklevel=1)
    assert [str(one.message) for one in heard] == ["something else", said]
