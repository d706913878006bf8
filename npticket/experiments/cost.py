"""How long training runs will take on this machine, from a few real steps and a piece of a validation."""

import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from npticket.backend import to_device, to_host
from npticket.engine import plan
from npticket.nets import Net
from npticket.prune import dense_masks
from npticket.streams import TrainingStep, streams
from npticket.workers import one_blas_thread

STEPS, IMAGES = 3, 250


def looked_at(steps: int, validate_every: int, tests: int = 0, train: int = 55_000) -> int:
    """How many images a run evaluates: 5,000 per validation, 10,000 per test, and the training set at the end."""
    return steps // validate_every * 5_000 + (2 + tests) * 10_000 + train


def words(seconds: float) -> str:
    """A time as people say it: 5 min, 2.0 hours, 12 days."""
    if seconds < 100 * 60:
        return f"{max(1, round(seconds / 60))} min"
    return f"{seconds / 3600:.1f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:,.0f} days"


def step_and_image(
    net: Net, optimizer: Callable[..., Any], batch: int, xp: ModuleType = np, engine: str = "fast"
) -> tuple[float, float]:
    """Return the seconds of a training step and of predicting an image, on random data with one BLAS thread."""
    with one_blas_thread():
        return _time(net, optimizer, batch, xp, engine)


def _time(net: Net, optimizer: Callable[..., Any], batch: int, xp: ModuleType, engine: str) -> tuple[float, float]:
    """Seconds of a step, and of predicting an image."""
    rng = np.random.default_rng(0)
    theta = net.init(streams(0, [0], "init"))
    theta = theta.like(to_device(theta.flat, xp))
    runner = plan(net, theta, dense_masks(theta), optimizer, engine)
    images = runner.see(to_device(rng.random((1, max(batch, IMAGES), *net.input_shape), np.float32), xp))
    labels = to_device(rng.integers(0, net.classes, (1, batch)), xp)
    seconds = []
    for i in range(STEPS + 1):  # the first one is slower
        began = time.perf_counter()
        to_host(runner.step(images[:, :batch], labels, TrainingStep(0, [0], 0, i)))
        seconds.append(time.perf_counter() - began)
    began = time.perf_counter()
    to_host(runner.predict(images[:, :IMAGES]))
    return float(np.median(seconds[1:])), (time.perf_counter() - began) / IMAGES
