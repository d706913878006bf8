"""The random draws by which controls replace a ticket's masks and initial values, layer by layer."""

from collections.abc import Callable

import numpy as np

from npticket.experiments.series import At
from npticket.params import Params

Draw = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]  # (rng, initial values, mask) of a layer


def scattered(at: At) -> Params:
    """Return masks with as many survivors in each layer as the ticket's, at random places."""
    masks = at.masks.copy()
    for t, rng in enumerate(at.rngs):
        for name in at.prunable:
            masks[name][t] = rng.permutation(at.masks[name][t].ravel()).reshape(at.masks[name][t].shape)
    return masks


def redrawn(at: At, draw: Draw) -> Params:
    """Return the initial values, with those of each layer that is pruned replaced by `draw`."""
    values = at.theta0.copy()
    for t, rng in enumerate(at.rngs):
        for name in at.prunable:
            values[name][t] = draw(rng, at.theta0[name][t], at.masks[name][t])
    return values


def permuted(rng: np.random.Generator, initial: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Draw a permutation of all values of the layer, including those of pruned weights."""
    return rng.permutation(initial.ravel()).reshape(initial.shape)


def exchanged(rng: np.random.Generator, initial: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Draw a permutation of the survivors' values among themselves."""
    values = initial.copy()
    values[mask] = rng.permutation(initial[mask])
    return values


def resampled(rng: np.random.Generator, initial: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Draw each survivor's value from all survivors' values, with replacement (appendix F.3)."""
    values = initial.copy()
    values[mask] = rng.choice(initial[mask], mask.sum())
    return values


def noisy(rng: np.random.Generator, initial: np.ndarray, mask: np.ndarray, sigmas: float) -> np.ndarray:
    """Add Gaussian noise of `sigmas` times the standard deviation of the layer's values (appendix F.7)."""
    return initial + (sigmas * initial.std() * rng.standard_normal(initial.shape)).astype(initial.dtype)
