"""Workers: processes give what one process gives, and failures arrive in words."""

import multiprocessing
import os
import signal
import time
from functools import partial

import numpy as np
import pytest
from test_train import same, small_data, small_net

from npticket.optimizers import SGD
from npticket.prune import dense_masks
from npticket.streams import streams
from npticket.train import DivergedError, fit
from npticket.workers import Workers


def setting(trials=3, lr=0.1):
    net = small_net()
    theta = net.init(streams(0, range(trials), "init"))
    train = partial(fit, net, data=small_data(), optimizer=partial(SGD, lr=lr), steps=5, batch=4)
    return theta, dense_masks(theta), train


def test_one_and_two_processes_agree_and_count_finished_trials():
    pytest.importorskip("joblib")
    theta, masks, train = setting()
    counted, outcomes = [], []
    for jobs in (1, 2):
        with Workers(train, jobs, lambda: counted.append(1)) as workers:
            outcomes.append(workers.start(theta, masks, round=1).result())
    assert same(outcomes[0], outcomes[1])
    assert same(outcomes[0], train(start=theta, masks=masks, round=1))
    assert len(counted) == 6


def test_each_process_computes_with_one_blas_thread(monkeypatch):
    pytest.importorskip("joblib")
    theta, masks, _ = setting(trials=1)

    def report(**_):
        return [os.environ[name] for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")]

    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "7")
    with Workers(report, 2) as workers:
        assert workers.start(theta, masks, round=0)._futures[0].result() == ["1", "1", "1"]


def test_without_processes_blas_has_one_thread_while_they_work():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    theta, masks, _ = setting(trials=1)

    def threads(**_):
        return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}

    with threadpoolctl.threadpool_limits(2), Workers(threads, 1) as workers:
        assert workers.start(theta, masks, round=0)._futures[0].result() == {1}


def test_a_diverging_trial_is_named_across_the_process_border():
    pytest.importorskip("joblib")
    theta, masks, train = setting(lr=np.inf)
    with pytest.raises(DivergedError, match="trial 0 became nan in round 4 at step 2"), Workers(train, 2) as workers:
        workers.start(theta, masks, round=4).result()


def test_a_killed_worker_is_an_error_and_not_a_hang():
    pytest.importorskip("joblib")
    theta, masks, _ = setting(trials=1)

    def die(**_):
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(RuntimeError, match="terminated"), Workers(die, 2) as workers:
        workers.start(theta, masks, round=0).result()


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
            assert outer.start(theta, masks, round=0).result().end.trials == 1  # the outer ones still work
        assert stranger.is_alive()
    finally:
        stranger.terminate()


def test_no_jobs_are_refused():
    with pytest.raises(ValueError, match="at least 1 job"):
        Workers(lambda: None, 0)
