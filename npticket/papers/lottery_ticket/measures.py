"""What later papers measure of tickets as well: how far two networks are apart, and at which rounds."""

import math
from collections.abc import Iterable
from functools import partial

import numpy as np

from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At
from npticket.params import Params
from npticket.train import evaluate


def headline(at: At, theta: Params) -> float:
    """Return what the task is about, such as accuracy, of a network (T = 1) on the test set."""
    found = evaluate(at.task, partial(at.net.predict, theta), at.data, at.data.test, theta.flat.dtype)
    return float(found[at.task.headline.name][0])


def rounds_near(recipe: Recipe, densities: Iterable[float]) -> list[int]:
    """Return the rounds of a recipe that come nearest to some densities, by the highest of its rates, first to last."""
    left = 1 - max(recipe.prune.options.get("rates", {}).values(), default=0)
    nearest = {round(math.log(density) / math.log(left)) if left < 1 else 0 for density in densities}
    return sorted(nearest.intersection(range(recipe.rounds)))


def apart(one: Params, other: Params) -> tuple[float, float]:
    """Return the L2 distance of the weights of two networks (T = 1), and their angle as seen from 0 in degrees.

    Of the weights alone: no biases, and nothing of batch normalisation.
    """
    a, b = (np.concatenate([p[name].ravel().astype(float) for name in p.weights]) for p in (one, other))
    u, v = a / np.linalg.norm(a), b / np.linalg.norm(b)
    angle = 2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v))  # precise where they are near each other, too
    return float(np.linalg.norm(a - b)), float(np.degrees(angle))
