"""Supermasks: masks under which a network that was never trained classifies far better than chance.

Supermasks by criteria are found by training the weights once, and are applied to the initial weights. Learned ones come
from training the mask alone: a weight is there with probability sigmoid(m), drawn anew in every step, and m is trained.
Both kinds are tested with the initial weights, and with constants of the same signs.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from npticket.backend import Array, array_module, to_device
from npticket.experiments.planning import require
from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At, Done, Given, Measure, Run, Runs, Series
from npticket.experiments.tables import Row
from npticket.layers import Dense
from npticket.nets import Net
from npticket.nets.lenet import lenet_body
from npticket.papers.deconstructing.actions import signed_constant
from npticket.papers.deconstructing.criteria import CRITERIA
from npticket.papers.lottery_ticket.measures import headline
from npticket.papers.lottery_ticket.series import TICKET, Under, look, theta0
from npticket.params import Params, Tree
from npticket.protocols import Backward
from npticket.prune import dense_masks, density
from npticket.streams import TrainingStep
from npticket.tickets import rewind

PRUNINGS, SAMPLES = 24, 10  # as in the authors' code: prunings at most, and masks that are drawn of one learned
FEW = 0.006  # with larger rates than the paper's, pruning ends at a density below this
INITIAL, CONSTANT = "initial", "constant"  # the two kinds of weights
LEARNING = {"learned_supermask": INITIAL, "learned_constants": CONSTANT}  # the series that learn masks of them
WEIGHTS = "running_weights"  # a buffer, by its name: no optimizer touches it


def constants(at: At, names: Sequence[str]) -> Params:
    """Return the initial values; in `names`, each is replaced by its sign times the layer's standard deviation."""
    values = at.theta0.copy()
    for name in names:
        values[name][0] = signed_constant(at.theta0[name][0])
    return values


def untrained(at: At) -> list[Row]:
    """Return a row for each criterion, number of prunings and kind of weights: density and accuracy, untrained.

    All masks come from one run of the dense network: nothing is trained between prunings. Rates are the recipe's.
    """
    values, rows = {INITIAL: at.theta0, CONSTANT: constants(at, at.prunable)}, list[Row]()
    for criterion, score in CRITERIA.items():
        masks = dense_masks(at.theta0)
        for index in range(1, PRUNINGS + 1):
            masks = at.prune(at.end, masks, at.theta0, score)
            for weights, theta in values.items():
                found = {"density": float(density(masks)[0]), "accuracy": headline(at, rewind(theta, masks))}
                rows.append({"criterion": criterion, "weights": weights, "index": index, **found})
            if density(masks)[0] < FEW:
                break
    return rows


def supermasks(recipe: Recipe) -> Runs:
    """The series of measures of `untrained`."""
    yield Measure(0, untrained, {"end": (yield Done(TICKET, 0))["end"]})


class MaskedDense:
    """y = x (mask weights).     W, the logits m (T, I, O)   weights (T, I, O), a buffer   x (T, B, I)   y (T, B, O)

    In training a mask is drawn, 1 with probability sigmoid(m), and the gradient is that of the probability (a
    straight-through estimate). Prediction takes the probability itself for the mask, which is its mean. The paper tests
    drawn masks: for that see `sampled`. If `rescaled`, mask weights is multiplied by the number of weights divided by
    the sum of the mask. There is no bias.
    """

    def __init__(self, inputs: int, outputs: int, rescaled: bool = False) -> None:
        self.rescaled, self._drawn_as = rescaled, Dense(inputs, outputs)
        self.layout = dict.fromkeys(("W", WEIGHTS), self._drawn_as.layout["W"])

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"W": np.zeros(self.layout["W"]), WEIGHTS: self._drawn_as.init(rng)["W"]}

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        xp, weights = array_module(x, p["W"]), p[WEIGHTS]
        likely = sigmoid(p["W"])
        mask = likely
        if step is not None:
            draws = np.stack([rng.random(likely.shape[1:], np.float32) for rng in step.rngs])
            mask = (to_device(draws, xp) < likely).astype(likely.dtype)
        ones = xp.maximum(mask.sum(axis=(1, 2), keepdims=True), 1)
        scale = mask[0].size / ones if self.rescaled else 1
        effective = mask * weights * scale

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array | None:
            d_mask = (x.swapaxes(-1, -2) @ dy) * weights
            if self.rescaled:  # each further weight makes the scale of all smaller
                d_mask = scale * (d_mask - (d_mask * mask).sum(axis=(1, 2), keepdims=True) / ones)
            grad["W"][...] = d_mask * likely * (1 - likely)
            return dy @ effective.swapaxes(-1, -2) if need_dx else None

        return x @ effective, backward


def sigmoid(logits: Array) -> Array:
    """Return 1 / (1 + exp(-m)); by tanh, which cannot overflow."""
    return 0.5 * (1 + array_module(logits).tanh(logits / 2))


def supermask_lenet(hidden: Sequence[int] = (300, 100), rescaled: bool = False) -> Net:
    """LeNet-300-100 that learns which of its initial weights are there; at first each is with probability 1/2.

    The paper chooses the logits at the start, which set how much is pruned; here they are 0.
    """
    body = lenet_body(partial(MaskedDense, rescaled=rescaled), hidden=hidden)
    return Net("LeNet-{}-{} as a supermask".format(*hidden), body, (28, 28), (10,))


def learned(values: Callable[[At], Params]) -> Callable[[Recipe], Runs]:
    """Return a series of one run, which learns a mask for the weights that `values` returns."""

    def series(recipe: Recipe) -> Runs:
        require(recipe, net=("supermask_lenet",))
        yield Run(0, Under(values))

    return series


def sampled(at: At) -> list[Row]:
    """Return a row for each kind of weights and each of SAMPLES masks that are drawn: density and accuracy."""
    rows: list[Row] = []
    for weights, theta in at.given.items():
        for index in range(1, SAMPLES + 1):
            drawn = theta.copy()
            there = {name: at.rngs[0].random(theta[name].shape) < sigmoid(theta[name]) for name in theta.weights}
            for name, mask in there.items():
                drawn[name][...] = np.where(mask, np.inf, -np.inf)  # the logits of the probabilities 1 and 0
            found = {"density": float(np.mean(np.concatenate([mask.ravel() for mask in there.values()])))}
            found["accuracy"] = headline(at, drawn)
            rows.append({"weights": weights, "index": index, **found})
    return rows


def sampled_supermasks(recipe: Recipe) -> Runs:
    """The series of measures of `sampled`."""
    given: Given = {}
    for series, weights in LEARNING.items():
        given = {**given, weights: (yield Done(series, 0))["end"]}
    yield Measure(0, sampled, given)


SERIES = {
    "learned_supermask": Series(learned(theta0), "learned supermask", look("#0072b2", "-", "o")),
    "learned_constants": Series(
        learned(lambda at: constants(at, at.theta0.buffers)), "the same of constants", look("#cc79a7", "--", "D")),
    "supermasks": Series(supermasks),
    "sampled_supermasks": Series(sampled_supermasks),
}  # fmt: skip
