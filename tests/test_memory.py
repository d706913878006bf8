"""Where memory does not suffice: fewer networks at a time, or an error in words."""

from typing import ClassVar

import pytest
from fitted import same, small_data, small_net

from npticket import train
from npticket.engine import plan
from npticket.optimizers import SGD
from npticket.prune import dense_masks
from npticket.streams import Place, streams
from npticket.task import CLASSIFY
from npticket.train import Setting, fit


class Greedy:
    """The plain engine on a machine with memory for two networks."""

    tried: ClassVar[list[int]] = []

    def __new__(cls, net, task, start, *rest):
        cls.tried.append(start.trials)
        if start.trials > 2:
            raise MemoryError("no room")
        return plan(net, task, start, *rest)


def test_where_memory_does_not_suffice_for_all_trials_half_of_them_train_at_a_time(monkeypatch):
    net, trials = small_net(), [3, 1, 4, 15, 9]
    theta = net.init(streams(0, trials, "init"))
    given = Setting(lambda m: SGD(m, 0.1), steps=5, batch=4, validate_every=2), Place(trials=trials)
    together = fit(net, CLASSIFY, theta, dense_masks(theta), small_data(), *given)
    monkeypatch.setattr(train, "plan", Greedy)
    with pytest.warns(RuntimeWarning) as caught:
        in_parts = fit(net, CLASSIFY, theta, dense_masks(theta), small_data(), *given)
    assert [str(warning.message) for warning in caught] == [
        "5 networks do not fit into memory: 3 at a time, if these do",
        "3 networks do not fit into memory: 2 at a time, if these do",
    ]
    assert caught[0].filename == __file__
    assert Greedy.tried == [5, 2, 3, 1, 2]
    assert same(together, in_parts)


def test_too_little_memory_for_a_single_network_is_an_error_in_words(monkeypatch):
    def nothing(*arguments, **keywords):
        raise MemoryError("4 GB asked for")

    monkeypatch.setattr(train, "plan", nothing)
    theta = small_net().init(streams(0, [0], "init"))
    with pytest.raises(MemoryError, match=r"one network does not fit into memory: take a smaller batch \(4 GB asked"):
        fit(small_net(), CLASSIFY, theta, dense_masks(theta), small_data(), Setting(SGD, steps=1, batch=4))
