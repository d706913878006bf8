"""The lottery ticket hypothesis and nothing else (Frankle & Carbin 2019, section 1).

1 initialise f(x; theta0)   2 train   3 prune the smallest weights   4 reset the survivors to theta0, and again from 2
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from npticket.backend import array_module, to_host
from npticket.params import Params

Step = Callable[[Params, Params], Params]  # train(start, masks) -> end, or prune(end, masks) -> masks


@dataclass(frozen=True)
class Round:
    """One train-prune-rewind: `start` was trained under `masks` and became `end`."""

    index: int
    masks: Params
    start: Params
    end: Params


def find_tickets(theta0: Params, masks: Params, *, train: Step, prune: Step) -> Iterator[Round]:
    """Yield rounds of iterative magnitude pruning for ever; the caller decides when to stop.

    `train(start, masks)` returns the end of a training run that leaves pruned weights at 0; `prune(end, masks)`
    returns the next masks. The pair (theta0, masks) of any round is a ticket.
    """
    for index in count():
        start = rewind(theta0, masks)
        end = train(start, masks)
        yield Round(index, masks, start, end)
        masks = prune(end, masks)


def rewind(theta0: Params, masks: Params) -> Params:
    """Return theta0 where the masks survive and 0 elsewhere, in new memory."""
    if masks.flat.shape != theta0.flat.shape or masks.flat.dtype != bool:
        raise ValueError(
            f"expected bool masks of shape {theta0.flat.shape}, got {masks.flat.dtype} of shape {masks.flat.shape}"
        )
    return theta0.like(array_module(theta0.flat, masks.flat).where(masks.flat, theta0.flat, 0))


def check_round(round: Round, theta0: Params, previous: Round | None = None) -> None:
    """Raise AssertionError, naming the parameter and trial, if `round` breaks a law of iterative pruning.

    The laws: start is theta0 where it survives and 0 elsewhere, bit for bit, biases included; end is exactly 0 where
    pruned; nothing shares memory with theta0; and, given the `previous` round, masks only shrink.
    """
    for params, what in ((round.start, "start"), (round.end, "end"), (round.masks, "masks")):
        if np.shares_memory(to_host(params.flat), to_host(theta0.flat)):
            raise AssertionError(f"round {round.index}: {what} shares memory with theta0")
    for name in theta0:
        for t in range(theta0.trials):
            where = f"round {round.index}, {name}, trial {t}"
            mask, initial, start, end = (
                to_host(params[name][t]) for params in (round.masks, theta0, round.start, round.end)
            )
            if start[mask].tobytes() != initial[mask].tobytes():
                raise AssertionError(f"{where}: a survivor does not start at its value in theta0")
            for values, what in ((start, "start"), (end, "end")):
                if values[~mask].any() or np.signbit(values[~mask]).any():
                    raise AssertionError(f"{where}: a pruned weight is not exactly 0 at the {what}")
            if previous is not None and (mask & ~to_host(previous.masks[name][t])).any():
                raise AssertionError(f"{where}: a pruned weight came back")


def check_magnitude(round: Round, previous: Round) -> None:
    """Raise AssertionError if a weight went that was larger, at the previous round's end, than one of its parameter
    and trial that stayed: what holds when pruning is by magnitude, layer by layer or globally."""
    for name in round.masks:
        for t in range(round.masks.trials):
            before, after = to_host(previous.masks[name][t]), to_host(round.masks[name][t])
            trained = abs(to_host(previous.end[name][t]))
            went = before & ~after
            if went.any() and after.any() and trained[went].max() > trained[after].min():
                raise AssertionError(
                    f"round {round.index}, {name}, trial {t}: a weight went that was larger than one that stayed"
                )
