"""Runs that are killed after a step and go on from what was kept."""

from dataclasses import replace

import numpy as np
import pytest
from strict import strict

from npticket import backend
from npticket import nets as library
from npticket.datasets import Dataset, FlipAndCrop, Split
from npticket.optimizers import FLUSH_EVERY, SGD, Adam, step_drops
from npticket.prune import Layerwise, dense_masks, random_scores
from npticket.streams import Place, streams
from npticket.task import CLASSIFY
from npticket.tickets import rewind
from npticket.train import Setting, fit

STEPS = FLUSH_EVERY + 9


class Killed(BaseException):
    """As if the process were gone: nobody catches it."""


class InMemory:
    """Keeps copies, of every step or of the one after which the run is killed."""

    def __init__(self, kill_at=None):
        self.kill_at, self.kept, self.opened = kill_at, None, 0

    def __call__(self, start, masks, place):
        self.opened += 1
        return self

    def load(self):
        return self.kept

    def save(self, take):
        found = take()
        if self.kill_at in (None, found["step"]):
            self.kept = {name: array.copy() for name, array in found.items()}
        if found["step"] == self.kill_at:
            raise Killed


class Clipped:
    """An optimizer of a user's own, which looks at all gradients at once and remembers their norm."""

    elementwise, decays = False, True

    def __init__(self, masks):
        self._inner, self._norms = SGD(masks, 0.2, 0.9), np.zeros(masks.trials)

    def step(self, theta, grads):
        norms = np.sqrt((backend.to_host(grads.flat) ** 2).sum(axis=1))
        self._norms = 0.9 * self._norms + 0.1 * norms
        grads.flat *= float((0.05 / (0.01 + self._norms))[0])
        self._inner.step(theta, grads)

    def state(self):
        return {**self._inner.state(), "norms": self._norms}

    def restore(self, state):
        self._inner.restore(state)
        self._norms = state["norms"].copy()


OPTIMIZERS = {
    "adam": lambda masks: Adam(masks, step_drops(0.01, {20: 0.001})),
    "momentum": lambda masks: SGD(masks, step_drops(0.1, {20: 0.01}), momentum=0.9, weight_decay=0.01),
    "sgd": lambda masks: SGD(masks, 0.1),
    "clipped": Clipped,
}


def small_dense():
    return library.lenet_300_100((20, 10))


def data(shape, classes):
    rng = np.random.default_rng(0)

    def split(count):
        images = rng.integers(0, 256, (count, *shape), dtype=np.uint8) * (rng.random((count, *shape)) < 0.3)
        return Split(images.astype(np.uint8), rng.integers(0, classes, count, dtype=np.uint8))

    return Dataset("noise", split(60), split(15), split(15), classes=classes, source="a test")


def case(make, optimizer, engine="fast", trials=2, rate=0.6, first_step=3):
    """The arguments of `fit` for a pruned network; an epoch has 7 steps."""
    net = make()
    theta0 = net.init(streams(0, range(trials), "init"))
    masks = Layerwise({"*/W": rate})(random_scores(theta0, streams(0, range(trials), "mask")), dense_masks(theta0))
    augment = FlipAndCrop.draw if len(net.input_shape) == 3 else None
    setting = Setting(
        OPTIMIZERS[optimizer], STEPS, 8, 10, first_step, test_at=(6, 33), train_at=(5, 20, STEPS), augment=augment
    )
    start = rewind(theta0, masks)
    if engine == "gpu":
        start, masks = (p.like(strict.asarray(p.flat)) for p in (start, masks))
    return {
        "net": net, "task": CLASSIFY, "start": start, "masks": masks,
        "data": data(net.input_shape, *net.output_shape),
        "setting": replace(setting, engine="plain" if engine == "plain" else "fast"),
        "place": Place(5, range(trials), 1),
    }  # fmt: skip


def run(arguments, checkpoints=None):
    return fit(**arguments | {"setting": replace(arguments["setting"], checkpoints=checkpoints)})


def killed(arguments, *steps):
    """What is kept of a run that was killed after each of these steps, and went on every time."""
    checkpoint = InMemory()
    for step in steps:
        checkpoint.kill_at = step
        with pytest.raises(Killed):
            run(arguments, checkpoint)
    checkpoint.kill_at = -1
    return checkpoint


def assert_same(one, other):
    for what in ("end", "best"):
        assert (
            backend.to_host(getattr(one, what).flat).tobytes() == backend.to_host(getattr(other, what).flat).tobytes()
        )
    assert one.curves.keys() == other.curves.keys() and one.results.keys() == other.results.keys()
    for name in (*one.curves, *one.results):
        assert name == "seconds" or one[name].tobytes() == other[name].tobytes(), name
        assert one[name].dtype == other[name].dtype and one[name].shape == other[name].shape
