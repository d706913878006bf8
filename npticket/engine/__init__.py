"""Engines run a net from given parameters and masks; `train` drives them and knows none of them by name.

All of them are as npticket.protocols.Engine says. "plain" calls the layers and is the oracle; "fast" leaves out what is
pruned, and equals it up to rounding.
"""

from functools import partial

import numpy as np

from npticket.backend import array_module
from npticket.engine.conv import ConvNet, supports
from npticket.engine.dense import DenseNet
from npticket.engine.gpu import Gpu
from npticket.engine.living import is_dense
from npticket.engine.packed import packed
from npticket.engine.plain import Plain
from npticket.engine.several import Several
from npticket.params import Params
from npticket.protocols import Engine, Loss, MakeOptimizer, Net
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
    """Return the engine called `engine`, ready to train `start`, which is 0 where pruned, under `masks`.

    `optimizer` is called several times, and some of what it returns takes steps without effect, to be timed. `shown`
    are some of the inputs that it will see, as floats (N, *input_shape). `threads` is how many it may use, on which its
    results do not depend. On a GPU "fast" runs all trials in lock-step, pruned weights included.
    """
    if engine not in ENGINES:
        raise ValueError(f"there is no engine {engine!r}; there is {', '.join(ENGINES)}")
    if engine == "plain":
        return Plain(net, task.loss, start, masks, optimizer)
    if array_module(start.flat, masks.flat) is not np:
        return Gpu(net, task.loss, start, masks, optimizer)
    one = partial(_fast, net, task.loss, optimizer, shown, threads)
    trials = [one(start.trial(t), masks.trial(t)) for t in range(start.trials)]
    return trials[0] if len(trials) == 1 else Several(trials)


def _fast(
    net: Net,
    loss: Loss,
    optimizer: MakeOptimizer,
    shown: np.ndarray | None,
    threads: int,
    start: Params,
    masks: Params,
) -> Engine:
    """The fast engine for one trial: of networks that it does not know it runs the layers, and only packs survivors."""
    if is_dense(net.body):
        return DenseNet(net, loss, start, masks, optimizer, shown)
    if supports(net):
        return ConvNet(net, loss, start, masks, optimizer, min(threads, 2))
    return Plain(net, loss, start, masks, partial(packed, optimizer, dtype=start.flat.dtype))
