"""How weights start: Gaussian Glorot (Glorot & Bengio 2010, as in Frankle & Carbin 2019, Figure 2)."""

import numpy as np


def glorot_normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """Draw N(0, 2 / (fan_in + fan_out)), in float64 so that every precision starts from the same draw."""
    return rng.standard_normal(shape) * np.sqrt(2 / (fan_in + fan_out))
