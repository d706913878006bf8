"""The lottery ticket hypothesis and nothing else (Frankle & Carbin 2019, section 1).

1 initialise f(x; theta0)   2 train   3 prune the smallest weights   4 reset the survivors to theta0, and again from 2
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from npticket.backend import array_module
from npticket.params import Params, check_masks

Train = Callable[[Params, Params], Params]  # train(start, masks) -> end
Prune = Callable[[Params, Params], Params]  # prune(end, masks) -> masks


@dataclass(frozen=True)
class Round:
    """One round: `start`, which is theta0 under `masks`, was trained and became `end`; all are Params (T, P)."""

    index: int
    masks: Params
    start: Params
    end: Params


def find_tickets(theta0: Params, masks: Params, *, train: Train, prune: Prune) -> Iterator[Round]:
    """Yield rounds of iterative magnitude pruning for ever; the caller decides when to stop.

    `train(start, masks)` returns the end of a training run that leaves pruned weights at 0; `prune(end, masks)`
    returns the next masks. The pair (theta0, masks) of any round is a ticket. TypeError unless `train` returns Params.
    """
    for index in count():
        start = rewind(theta0, masks)
        end = train(start, masks)
        if not isinstance(end, Params):
            raise TypeError(f"train returns the parameters at the end, as fit(...).end are, got {type(end).__name__}")
        yield Round(index, masks, start, end)
        masks = prune(end, masks)


def rewind(theta0: Params, masks: Params) -> Params:
    """Return theta0 where the masks are True and 0 elsewhere, in new memory; raises as `check_masks` does."""
    check_masks(theta0, masks)
    return theta0.like(array_module(theta0.flat, masks.flat).where(masks.flat, theta0.flat, 0))
