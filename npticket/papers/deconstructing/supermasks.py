"""Supermasks: masks under which a network that was never trained classifies far better than chance.

Those of the criteria are found by training the weights once, and tried on the initial weights. Learned ones come from
training the mask alone: a weight is there with probability sigmoid(m), drawn anew in every step, and m is what is
trained. Either is tried with the initial weights and with constants of their signs.
"""

from collections.abc import Callable, Sequence

import numpy as np

from npticket.backend import Array, array_module, to_device
from npticket.experiments.planning import require
from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At, Done, Given, Measure, Run, Runs, Series
from npticket.experiments.tables import Row
from npticket.layers import Chain, Dense, Flatten, ReLU
from npticket.nets import Net
from npticket.papers.deconstructing.actions import signed_constant
from npticket.papers.deconstructing.criteria import CRITERIA
from npticket.papers.lottery_ticket.measures import headline
from npticket.papers.lottery_ticket.series import TICKET, Under, look, theta0
from npticket.params import Params, Tree
from npticket.protocols import Backward
from npticket.prune import dense_masks, density
from npticket.streams import TrainingStep
from npticket.tickets import rewind

PRUNINGS, FEW, SAMPLES = 24, 0.006, 10  # as in the authors' code; with larger rates, until half a percent is left
INITIAL, CONSTANT = "initial", "constant"  # weights
LEARNING = {"learned_supermask": INITIAL, "learned_constants": CONSTANT}  # the series that learn masks of them
WEIGHTS = "running_weights"  # a buffer, by its name: no optimizer touches it


def constants(at: At, names: Sequence[str]) -> Params:
    """Initial values, those in `names` replaced by constants of their signs."""
    values = at.theta0.copy()
    for name in names:
        values[name][0] = signed_constant(at.theta0[name][0])
    return values


def untrained(at: At) -> list[Row]:
    """Return a row for each criterion, number of prunings and kind of weights: what is left, and how good it is.

    All look at the end of the dense network: nothing is trained between the prunings, which are the recipe's.
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
    """What each criterion makes of one training run of the dense network."""
    yield Measure(0, untrained, {"end": (yield Done(TICKET, 0))["end"]})


class MaskedDense:
    """y = x (mask weights).     W, the logits m (T, I, O)   weights (T, I, O), a buffer   x (T, B, I)   y (T, B, O)

    In training a mask is drawn, 1 with probability sigmoid(m), and the gradient goes through the draw as if it were
    that probability (straight-through). Prediction takes the probability itself for the mask: the mean of what is
    drawn, the same every time; what the paper tests, masks that are drawn, is measured by `sampled`. If `rescaled`,
    mask weights is multiplied by the number of weights over the sum of the mask. There is no bias.
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
            if self.rescaled:  # each weight more makes all of them smaller
                d_mask = scale * (d_mask - (d_mask * mask).sum(axis=(1, 2), keepdims=True) / ones)
            grad["W"][...] = d_mask * likely * (1 - likely)
            return dy @ effective.swapaxes(-1, -2) if need_dx else None

        return x @ effective, backward


def sigmoid(logits: Array) -> Array:
    """1 / (1 + exp(-m)), for any m."""
    return 0.5 * (1 + array_module(logits).tanh(logits / 2))


def supermask_lenet(hidden: Sequence[int] = (300, 100), rescaled: bool = False) -> Net:
    """LeNet-300-100 that learns which of its initial weights are there; half of them at first."""
    first, second = hidden
    body = Chain(
        flatten=Flatten(), fc1=MaskedDense(784, first, rescaled), relu1=ReLU(),
        fc2=MaskedDense(first, second, rescaled), relu2=ReLU(), out=MaskedDense(second, 10, rescaled),
    )  # fmt: skip
    return Net(f"LeNet-{first}-{second} as a supermask", body, (28, 28), (10,))


def learned(values: Callable[[At], Params]) -> Callable[[Recipe], Runs]:
    """Return a series of one run, that learns a mask for some values."""

    def series(recipe: Recipe) -> Runs:
        require(recipe, net=("supermask_lenet",))
        yield Run(0, Under(values))

    return series


def sampled(at: At) -> list[Row]:
    """Return a row for each kind of weights and each of some masks that are drawn: what is left, how good it is."""
    rows: list[Row] = []
    for weights, theta in at.given.items():
        for index in range(1, SAMPLES + 1):
            drawn = theta.copy()
            there = {name: at.rngs[0].random(theta[name].shape) < sigmoid(theta[name]) for name in theta.weights}
            for name, mask in there.items():
                drawn[name][...] = np.where(mask, np.inf, -np.inf)  # the logits of what is certain
            found = {"density": float(np.mean(np.concatenate([mask.ravel() for mask in there.values()])))}
            found["accuracy"] = headline(at, drawn)
            rows.append({"weights": weights, "index": index, **found})
    return rows


def sampled_supermasks(recipe: Recipe) -> Runs:
    """What masks are worth that are drawn from what was learned."""
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
