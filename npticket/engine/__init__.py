"""Engines run a net from given parameters and masks; `train` drives them and knows none of them by name.

Every engine has `see(images)`, through which goes all that it is given, and then `step(x, labels, step) -> loss`,
`predict(x) -> logits` and `read(out)`. "plain" calls the layers and is the oracle; "fast" leaves out what is pruned,
and equals it up to rounding.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

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

ENGINES = ("fast", "plain")


def plan(
    net: Any,
    start: Params,
    masks: Params,
    optimizer: Callable[[Params], Any],
    engine: str = "fast",
    shown: np.ndarray | None = None,
    threads: int = 1,
) -> Any:
    """Return the engine called `engine`, ready to train `start`, which is 0 where pruned, under `masks`.

    `optimizer` is called several times, and some of what it returns takes steps without effect, to be timed. `shown`
    are some of the images that it will see, as floats (N, *input_shape). `threads` is how many it may use, on which its
    results do not depend. On a GPU "fast" runs all trials in lock-step, pruned weights included.
    """
    if engine not in ENGINES:
        raise ValueError(f"there is no engine {engine!r}; there is {', '.join(ENGINES)}")
    on_gpu = array_module(start.flat, masks.flat) is not np
    if engine == "plain" or on_gpu:
        return (Plain if engine == "plain" else Gpu)(net, start, masks, optimizer)
    trials = [_fast(net, start.trial(t), masks.trial(t), optimizer, shown, threads) for t in range(start.trials)]
    return trials[0] if len(trials) == 1 else Several(trials)


def _fast(
    net: Any,
    start: Params,
    masks: Params,
    optimizer: Callable[[Params], Any],
    shown: np.ndarray | None,
    threads: int,
) -> Any:
    """The fast engine for one trial: of networks that it does not know it runs the layers, and only packs survivors."""
    if is_dense(net.body):
        return DenseNet(net, start, masks, optimizer, shown)
    if supports(net):
        return ConvNet(net, start, masks, optimizer, min(threads, 2))
    return Plain(net, start, masks, partial(packed, optimizer, dtype=start.flat.dtype))
