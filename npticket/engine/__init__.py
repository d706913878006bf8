"""Engines run a net from given parameters and masks; `train` drives them and knows none of them by name.

Every engine has `step(x, labels, step) -> loss`, `predict(x) -> logits` and `read(out)`.
"""

from collections.abc import Callable
from typing import Any

from npticket.engine.plain import Plain
from npticket.params import Params

ENGINES = {"plain": Plain}


def plan(net: Any, start: Params, masks: Params, optimizer: Callable[[Params], Any], engine: str = "plain") -> Plain:
    """Return the engine called `engine`, ready to train `start` under `masks`."""
    if engine not in ENGINES:
        raise ValueError(f"there is no engine {engine!r}; there is {', '.join(ENGINES)}")
    return ENGINES[engine](net, start, masks, optimizer)
