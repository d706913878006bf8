"""How weights start: Gaussian Glorot (Glorot & Bengio 2010, as in Frankle & Carbin 2019, Figure 2), or a given width.

Draws are in float64, so that every precision starts from the same ones.
"""

import numpy as np


def glorot_normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """Draw N(0, 2 / (fan_in + fan_out))."""
    return normal(rng, shape, np.sqrt(2 / (fan_in + fan_out)))


def normal(rng: np.random.Generator, shape: tuple[int, ...], std: float) -> np.ndarray:
    """Draw N(0, std^2)."""
    return rng.standard_normal(shape) * std
