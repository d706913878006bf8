"""All parameters of a convolutional network, for trunks of several batch sizes to share."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from npticket.engine.conv.filters import Filters
from npticket.engine.conv.stages import Named
from npticket.engine.conv.team import Team
from npticket.params import Params

Local = dict[str, np.ndarray]  # a layer's parameters, or their gradients, by their local names


class FilterBank:
    """Filters of convolutions, made when first asked for; `living` are the channels that each writes, by its name."""

    def __init__(self, theta: Params, grads: Params, living: Mapping[str, np.ndarray]) -> None:
        self._theta, self._grads, self.living = theta, grads, living
        self._filters: dict[str, Filters] = {}
        self._stale = True

    def local(self, named: Named) -> tuple[Local, Local]:
        """The parameters of a layer, and their gradients."""
        prefix, layer = named
        p, grad = ({v: params[f"{prefix}{v}"] for v in layer.layout} for params in (self._theta, self._grads))
        return p, grad

    def filters(self, conv: Named, inputs: np.ndarray, kind: type[Filters]) -> Any:
        """The filters of a convolution that reads the channels `inputs`."""
        if conv[0] not in self._filters:
            self._filters[conv[0]] = kind(*self.local(conv), inputs, self.living[conv[0]])
            self._stale = True
        return self._filters[conv[0]]

    def changed(self) -> None:
        """The parameters have changed."""
        self._stale = True

    def prepare(self, team: Team) -> None:
        """Have all filters follow the parameters."""
        if self._stale:
            team.each(lambda part: [filters.prepare(part) for filters in self._filters.values()])
            self._stale = False

    def put_back(self) -> None:
        """All filters' gradients have been written."""
        for filters in self._filters.values():
            filters.put_back()
