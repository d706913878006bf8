"""Engines run a net from given parameters and masks; `train` drives them and knows none of them by name.

Every engine has `step(x, labels, step) -> loss`, `predict(x) -> logits` and `read(out)`. "plain" calls the layers and
is the oracle; "compact" leaves out what is pruned.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from npticket.backend import array_module
from npticket.engine.compact import Compact
from npticket.engine.plain import Plain
from npticket.params import Params

ENGINES = ("plain", "compact")


def plan(
    net: Any, start: Params, masks: Params, optimizer: Callable[[Params], Any], engine: str = "plain"
) -> Plain | Compact:
    """Return the engine called `engine`, ready to train `start` under `masks`.

    Trials in lock-step have different units left, so they run plain, and so does a GPU.
    """
    if engine not in ENGINES:
        raise ValueError(f"there is no engine {engine!r}; there is {', '.join(ENGINES)}")
    alone = start.trials == 1 and array_module(start.flat, masks.flat) is np
    return (
        Compact(net, start, masks, optimizer) if engine == "compact" and alone else Plain(net, start, masks, optimizer)
    )
