"""What is done to weights once there is a mask: mask-1 actions to survivors, mask-0 actions to pruned weights.

Mask-1: the survivors start from other values of about the same size, with or without the signs of their initial values.
Here all actions have the same masks, those of the tickets. (In the paper each goes on with masks of its own.)

Mask-0: pruned weights are not set to 0 but frozen at their initial values: all of them, or (variant 1) only those that
did not shrink in training, or (variant 2) the same, and survivors that shrank start at 0. This is done round after
round, so each action has masks of its own. In this package a pruned weight is always 0; frozen values are kept in an
array of their own, see `FrozenDense`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from npticket.backend import Array
from npticket.experiments.planning import require
from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At, Done, Run, Runs, Series, Start, rewind_point
from npticket.layers import Dense
from npticket.nets import Net
from npticket.nets.lenet import lenet_body
from npticket.papers.lottery_ticket.draws import Draw, exchanged, permuted, redrawn
from npticket.papers.lottery_ticket.series import TICKET, Under, control, look
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep
from npticket.tickets import rewind


def signed_constant(initial: np.ndarray) -> np.ndarray:
    """Return the standard deviation of a layer's initial values, with the sign of each of them."""
    return np.sign(initial) * initial.std()


def constant(rng: np.random.Generator, initial: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Draw the same with the signs of the layer permuted."""
    return permuted(rng, signed_constant(initial), mask)


def signed(draw: Draw) -> Draw:
    """Return a draw that gives the values of `draw` the signs of the initial values."""
    return lambda rng, initial, mask: abs(draw(rng, initial, mask)) * np.sign(initial)


MASK_1 = {
    name: Series(control(Under(partial(redrawn, draw=draw))), legend, its_look)
    for name, legend, draw, its_look in (
        ("permuted_reinit", "reinit", permuted, look("#d55e00", "--", "s")),
        ("signed_reinit", "reinit, sign kept", signed(permuted), look("#d55e00", "-", "s")),
        ("signed_shuffled", "shuffled, sign kept", signed(exchanged), look("#009e73", "-", "<")),
        ("constant", "constant", constant, look("#cc79a7", "--", "D")),
        ("signed_constant", "constant, sign kept", signed(constant), look("#cc79a7", "-", "D")),
    )
}

FROZEN = "running_frozen"  # a buffer, by its name: no optimizer touches it


class FrozenDense(Dense):
    """y = x (W + frozen) + b.     frozen (T, I, O), a buffer of 0 at first

    W is 0 where pruned, and frozen is 0 where not, so a pruned weight has its frozen value. As frozen is a buffer, it
    is not trained.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.layout = {**self.layout, FROZEN: self.layout["W"]}

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {**super().init(rng), FROZEN: np.zeros(self.layout[FROZEN])}

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        return super().forward({"W": p["W"] + p[FROZEN], "b": p["b"]}, x, step)


def frozen_lenet(hidden: Sequence[int] = (300, 100)) -> Net:
    """LeNet-300-100 with buffers for frozen weights; while these are 0 it computes the same as LeNet-300-100."""
    body = lenet_body(FrozenDense, hidden=hidden)
    return Net("LeNet-{}-{} with frozen weights".format(*hidden), body, (28, 28), (10,))


def freeze(at: At, zeroed: bool = False, from_zero: bool = False) -> Start:
    """Start from initial values, with the weights pruned after the last run frozen; what was frozen before stays so.

    With `zeroed`, pruned weights that shrank in that run, |w_f| < |w_i|, become 0 instead. With `from_zero`, survivors
    that shrank start at 0.
    """
    values = rewind(at.theta0, at.masks)
    for name in at.prunable:
        mask, w_i, w_f = at.masks[name], at.theta0[name], at.end[name]
        shrank, place = abs(w_f) < abs(w_i), name.removesuffix("W") + FROZEN
        newly = ~mask & (w_f != 0)  # what had been pruned before was 0 in that run
        values[place][...] = at.end[place] + np.where(newly & ~(shrank & zeroed), w_i, 0)
        values[name][shrank & from_zero] = 0
    return values, at.masks


def round_after_round(start: Callable[[At], Start]) -> Callable[[Recipe], Runs]:
    """Return a series of rounds that begins with the ticket's dense network; `start` sees the end of the last run."""

    def series(recipe: Recipe) -> Runs:
        require(recipe, net=("frozen_lenet",))
        point = yield from rewind_point(recipe)
        left = yield Done(TICKET, 0)
        for round in range(1, recipe.rounds):
            given = {"end": left["end"], "masks": left["next_masks"], **point}
            left = yield Run(round, start, given, first_step=recipe.rewind_step)

    return series


MASK_0: Mapping[str, Series] = {
    "frozen_at_init": Series(round_after_round(freeze), "frozen", look("#d55e00", "--", "s")),
    "frozen_variant_1": Series(
        round_after_round(partial(freeze, zeroed=True)), "frozen, 0 if it shrank", look("#009e73", "-.", "^")),
    "frozen_variant_2": Series(
        round_after_round(partial(freeze, zeroed=True, from_zero=True)),
        "the same, survivors that shrank start at 0", look("#cc79a7", ":", "D")),
}  # fmt: skip
