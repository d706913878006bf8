"""How long training runs will take on this machine, and how far they are: a bar on a terminal, silence elsewhere."""

import sys
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from timeit import timeit

import numpy as np

from npticket.backend import one_blas_thread
from npticket.engine import plan
from npticket.protocols import MakeOptimizer, Net
from npticket.prune import dense_masks
from npticket.streams import Place, TrainingStep
from npticket.task import Task

STEPS, EXAMPLES = 3, 250  # that are timed: a few real steps and a piece of a validation


def looked_at(steps: int, validate_every: int, tests: int = 0) -> int:
    """Count the examples that a run evaluates: 5,000 a validation, 10,000 a test, the training set at the end."""
    return steps // validate_every * 5_000 + (2 + tests) * 10_000 + 55_000


def step_and_example(
    net: Net, task: Task, optimizer: MakeOptimizer, batch: int, engine: str = "fast"
) -> tuple[float, float]:
    """Return the seconds of a training step and of predicting an example, on random data with one BLAS thread."""
    theta = net.init((place := Place()).rngs("init"))
    inputs = np.random.default_rng(0).random((1, max(batch, EXAMPLES), *net.input_shape), np.float32)
    with one_blas_thread():
        runner = plan(net, task, theta, dense_masks(theta), optimizer, engine)
        inputs = runner.see(inputs)
        step = partial(runner.step, inputs[:, :batch], task.blank(batch))
        seconds = [timeit(partial(step, TrainingStep(place, i)), number=1) for i in range(STEPS + 1)]
        example = timeit(partial(runner.predict, inputs[:, :EXAMPLES]), number=1) / EXAMPLES
        return float(np.median(seconds[1:])), example  # the first step is slower


def words(seconds: float) -> str:
    """Say a time as people do: 5 min, 2.0 hours, 12 days."""
    if seconds < 100 * 60:
        return f"{max(1, round(seconds / 60))} min"
    return f"{seconds / 3600:.1f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:,.0f} days"


def percent(density: float) -> str:
    """Say a density as the paper does: 100 %, 21.1 %, 0.26 %."""
    return f"{100 * density:.{1 if density >= 0.01 else 2}f} %"


class Progress(AbstractContextManager["Progress"]):
    """Counts finished training runs on stderr with the time left; needs tqdm, and does without it."""

    def __init__(self, total: int, done: int = 0) -> None:
        try:
            from tqdm import tqdm
        except ImportError:
            self._bar = None
        else:  # disable=None: quiet unless stderr is a terminal
            self._bar = tqdm(total=total, initial=done, unit="run", disable=None, leave=False, file=sys.stderr)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, latest: str = "") -> None:
        """One more run is done, with this result."""
        if self._bar is not None:
            self._bar.set_postfix_str(latest, refresh=False)
            self._bar.update()

    def say(self, text: str) -> None:
        """Print to stdout at once, above the bar if there is one."""
        with self._bar.external_write_mode() if self._bar is not None else nullcontext():
            print(text, flush=True)
