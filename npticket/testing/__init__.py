"""Checkers of the laws of this project, for a user's own layers, scores, scopes, optimizers and engines.

A checker takes one case and raises AssertionError, naming the law, the parameter and the trial. hypothesis, with the
strategies in `npticket.testing.strategies` (which needs it: the extra npticket[testing]), calls it with many cases, and
shows the smallest that fails. See docs/testing.md.
"""

from npticket.testing.engines import batches, check_engine
from npticket.testing.gradients import check_gradient, directional_error
from npticket.testing.optimizers import check_optimizer
from npticket.testing.rounds import check_magnitude, check_round
from npticket.testing.rules import check_rule, positions, prune_one_by_one

__all__ = [
    "batches",
    "check_engine",
    "check_gradient",
    "check_magnitude",
    "check_optimizer",
    "check_round",
    "check_rule",
    "directional_error",
    "positions",
    "prune_one_by_one",
]
