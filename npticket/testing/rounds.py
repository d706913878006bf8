"""The laws of iterative pruning, for the rounds of `find_tickets` or of a user's own loop."""

import numpy as np

from npticket.backend import to_host
from npticket.params import Params
from npticket.testing.laws import close, require, where
from npticket.tickets import Round


def check_round(round: Round, theta0: Params, previous: Round | None = None) -> None:
    """Raise AssertionError, naming law, parameter and trial, if `round` breaks a law of iterative pruning.

    The laws: start is theta0 where it survives and 0 elsewhere, bit for bit, biases included; end is exactly 0 where
    pruned; nothing shares memory with theta0; and, given the `previous` round, masks only shrink.
    """
    number = f"round {round.index}"
    for params, what in ((round.start, "start"), (round.end, "end"), (round.masks, "masks")):
        shared = np.shares_memory(to_host(params.flat), to_host(theta0.flat))
        require("nothing shares memory with theta0", not shared, f"{what}, {number}")
    for name in theta0:
        for t in range(theta0.trials):
            at = where(name, t, number)
            mask, initial, start, end = (
                to_host(params[name][t]) for params in (round.masks, theta0, round.start, round.end)
            )
            same = close(start, initial) | ~mask
            require("survivors start at theta0", same, at, start=start, theta0=initial, mask=mask)
            for values, what in ((start, "start"), (end, "end")):
                zero = mask | close(values, np.zeros_like(values))
                require(f"pruned weights are exactly 0 at the {what}", zero, at, values=values, mask=mask)
            if previous is not None:
                before = to_host(previous.masks[name][t])
                require("masks only shrink", before | ~mask, at, before=before, mask=mask)


def check_magnitude(round: Round, previous: Round) -> None:
    """Raise AssertionError if a weight was pruned that was larger than one of the same parameter and trial that stayed.

    Values are those at the end of the previous round. It is a law of pruning by magnitude, layerwise or globally.
    """
    for name in round.masks:
        for t in range(round.masks.trials):
            before, after = to_host(previous.masks[name][t]), to_host(round.masks[name][t])
            trained = abs(to_host(previous.end[name][t]))
            least = trained[after].min(initial=np.inf)
            small = ~(before & ~after & (trained > least))
            at = where(name, t, f"round {round.index}")
            require("no weight goes that is larger than one that stays", small, at, end=trained, mask=after)
