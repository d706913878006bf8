"""How long training runs will take on this machine, from a few real steps and a piece of a validation."""

import time
from types import ModuleType

import numpy as np

from npticket.backend import one_blas_thread, to_device, to_host
from npticket.engine import plan
from npticket.protocols import MakeOptimizer, Net
from npticket.prune import dense_masks
from npticket.streams import Place, TrainingStep
from npticket.task import Task

STEPS, EXAMPLES = 3, 250


def looked_at(steps: int, validate_every: int, tests: int = 0, train: int = 55_000) -> int:
    """How many examples a run evaluates: 5,000 per validation, 10,000 per test, and the training set at the end."""
    return steps // validate_every * 5_000 + (2 + tests) * 10_000 + train


def words(seconds: float) -> str:
    """A time as people say it: 5 min, 2.0 hours, 12 days."""
    if seconds < 100 * 60:
        return f"{max(1, round(seconds / 60))} min"
    return f"{seconds / 3600:.1f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:,.0f} days"


def step_and_example(
    net: Net, task: Task, optimizer: MakeOptimizer, batch: int, xp: ModuleType = np, engine: str = "fast"
) -> tuple[float, float]:
    """Return the seconds of a training step and of predicting an example, on random data with one BLAS thread."""
    rng, place = np.random.default_rng(0), Place()
    theta = net.init(place.rngs("init"))
    theta = theta.like(to_device(theta.flat, xp))
    with one_blas_thread():
        runner = plan(net, task, theta, dense_masks(theta), optimizer, engine)
        inputs = runner.see(to_device(rng.random((1, max(batch, EXAMPLES), *net.input_shape), np.float32), xp))
        targets = to_device(task.blank(batch), xp)
        seconds = []
        for i in range(STEPS + 1):  # the first one is slower
            began = time.perf_counter()
            to_host(runner.step(inputs[:, :batch], targets, TrainingStep(place, i)))
            seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
        to_host(runner.predict(inputs[:, :EXAMPLES]))
        return float(np.median(seconds[1:])), (time.perf_counter() - began) / EXAMPLES
