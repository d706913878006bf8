"""Engines: they train and predict with a net, from given parameters under given masks (npticket.protocols.Engine).

"plain" calls the layers and is the oracle; "fast" leaves out what is pruned, and equals it up to rounding.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from npticket.backend import array_module
from npticket.engine.conv import ConvEngine, supports
from npticket.engine.dense import DenseEngine
from npticket.engine.gpu.lockstep import Gpu
from npticket.engine.living import dense_layers
from npticket.engine.optimizers import of_trial, packed, stacked
from npticket.engine.plain import Plain
from npticket.params import Params
from npticket.protocols import Engine, MakeOptimizer, Net, State
from npticket.streams import TrainingStep
from npticket.task import Task

ENGINES = ("fast", "plain")


def plan(
    net: Net,
    task: Task,
    start: Params,
    masks: Params,
    optimizer: MakeOptimizer,
    engine: str = "fast",
    shown: np.ndarray | None = None,
    threads: int = 1,
) -> Engine:
    """Return the engine called `engine`, ready to train `start`, which must be 0 where `masks` are False.

    `optimizer` is called several times, and some of the optimizers are only stepped to be timed. `shown` are some of
    the inputs to come, as floats (N, *input_shape): a pixel that is 0 in all of them must be 0 in every step. At most
    `threads` threads are used; the results do not depend on how many. ValueError for another engine.
    """
    if engine not in ENGINES:
        raise ValueError(f"there is no engine {engine!r}; there is {', '.join(ENGINES)}")
    if engine == "plain":
        return Plain(net, task.loss, start, masks, optimizer)
    if array_module(start.flat, masks.flat) is not np:
        return Gpu(net, task.loss, start, masks, optimizer)

    def fast(start: Params, masks: Params) -> Engine:
        if dense_layers(net.body):
            return DenseEngine(net, task.loss, start, masks, optimizer, shown)
        if supports(net):
            return ConvEngine(net, task.loss, start, masks, optimizer, min(threads, 2))
        # Other networks are run layer by layer, and only the optimizer's work is made less.
        return Plain(net, task.loss, start, masks, partial(packed, optimizer, dtype=start.flat.dtype))

    trials = [fast(start.trial(t), masks.trial(t)) for t in range(start.trials)]
    return trials[0] if len(trials) == 1 else PerTrial(trials)


class PerTrial:
    """Runs trial t by an engine of its own, as other weights are left in each: bit for bit, it is trial t alone."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = engines

    def prepare(self, inputs: np.ndarray) -> np.ndarray:
        """Return `inputs` as they are: which of them matter differs from trial to trial."""
        return inputs

    def step(self, x: np.ndarray, targets: np.ndarray, step: TrainingStep) -> np.ndarray:
        losses = [
            engine.step(
                engine.prepare(x[t : t + 1]), targets[t : t + 1], TrainingStep(step.place.of([trial]), step.number)
            )
            for t, (engine, trial) in enumerate(zip(self._engines, step.place.trials, strict=True))
        ]
        return np.concatenate(losses)

    def predict(self, x: np.ndarray) -> np.ndarray:
        shown = [x[t : t + 1] if len(x) > 1 else x for t in range(len(self._engines))]
        return np.concatenate([e.predict(e.prepare(x)) for e, x in zip(self._engines, shown, strict=True)])

    def read(self, out: Params) -> None:
        for t, engine in enumerate(self._engines):
            engine.read(out.trial(t))

    def write(self, theta: Params) -> None:
        for t, engine in enumerate(self._engines):
            engine.write(theta.trial(t))

    def state(self) -> State:
        return stacked([engine.state() for engine in self._engines])

    def restore(self, state: State) -> None:
        for t, engine in enumerate(self._engines):
            engine.restore(of_trial(state, t))
