"""What layers without parameters have in common."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from npticket.params import Shapes


class Parameterless:
    """A layer that has nothing to learn and nothing to draw."""

    layout: ClassVar[Shapes] = {}

    def init(self, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
        """Draw nothing."""
        return {}
