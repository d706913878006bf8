"""What controls take in place of a ticket's masks and initial values: drawn from these, layer by layer."""

from collections.abc import Callable

import numpy as np

from npticket.experiments.series import At
from npticket.params import Params

Draw = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]  # (rng, a layer's initial values, its mask)


def scattered(at: At) -> Params:
    """As many weights in each layer as the ticket has, anywhere."""
    masks = at.masks.copy()
    for t, rng in enumerate(at.rngs):
        for name in at.prunable:
            masks[name][t] = rng.permutation(at.masks[name][t].ravel()).reshape(at.masks[name][t].shape)
    return masks


def redrawn(at: At, draw: Draw) -> Params:
    """Initial values, those of each layer that is pruned replaced by what is drawn."""
    values = at.theta0.copy()
    for t, rng in enumerate(at.rngs):
        for name in at.prunable:
            values[name][t] = draw(rng, at.theta0[name][t], at.masks[name][t])
    return values


def permuted(rng: np.random.Generator, initial: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The values of the whole layer in another order, those that the mask lets go among them."""
    return rng.permutation(initial.ravel()).reshape(initial.shape)


def exchanged(rng: np.random.Generator, initial: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The survivors' values in another order among them."""
    values = initial.copy()
    values[mask] = rng.permutation(initial[mask])
    return values


def resampled(rng: np.random.Generator, initial: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The survivors' values drawn from among them, with replacement (appendix F.3)."""
    values = initial.copy()
    values[mask] = rng.choice(initial[mask], mask.sum())
    return values


def noisy(rng: np.random.Generator, initial: np.ndarray, mask: np.ndarray, sigmas: float) -> np.ndarray:
    """The values with Gaussian noise of `sigmas` standard deviations of the layer's (appendix F.7)."""
    return initial + (sigmas * initial.std() * rng.standard_normal(initial.shape)).astype(initial.dtype)
