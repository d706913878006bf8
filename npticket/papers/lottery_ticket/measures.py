"""What measures of several papers compute: test results of any network, and how far apart two networks are."""

import math
from collections.abc import Iterable
from functools import partial

import numpy as np

from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At
from npticket.params import Params
from npticket.task import evaluate


def headline(at: At, theta: Params) -> float:
    """Return the task's headline measure, such as accuracy, of a network (T = 1) on the test set."""
    found = evaluate(at.task, partial(at.net.predict, theta), at.data, at.data.test, theta.flat.dtype)
    return float(found[at.task.headline.name][0])


def rounds_near(recipe: Recipe, densities: Iterable[float]) -> list[int]:
    """Return the rounds of a recipe nearest to some densities, ascending; as if all layers had its highest rate."""
    left = 1 - max(recipe.prune.options.get("rates", {}).values(), default=0)
    nearest = {round(math.log(density) / math.log(left)) if left < 1 else 0 for density in densities}
    return sorted(nearest.intersection(range(recipe.rounds)))


def apart(one: Params, other: Params) -> tuple[float, float]:
    """Return the L2 distance between the weights of two networks (T = 1), and their angle as seen from 0 in degrees.

    Biases and batch normalisation are not counted.
    """
    a, b = (np.concatenate([p[name].ravel().astype(float) for name in p.weights]) for p in (one, other))
    u, v = a / np.linalg.norm(a), b / np.linalg.norm(b)
    angle = 2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v))  # unlike arccos, precise for small angles
    return float(np.linalg.norm(a - b)), float(np.degrees(angle))
