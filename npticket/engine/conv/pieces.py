"""An optimizer's step on pieces of the parameters, of a size that stays in the cache, shared out to the team."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npticket.engine.conv.team import Team
from npticket.engine.packed import packed
from npticket.engine.whole import Whole
from npticket.params import Params
from npticket.protocols import is_elementwise

PIECE = 1 << 18


class Pieces:
    """Exactly what `optimizer(masks)` does to one trial: as each parameter is treated alone, many do what one does."""

    def __init__(self, optimizer: Callable[[Params], Any], masks: Params, dtype: Any) -> None:
        self._whole = False
        moves = masks.copy()
        for name in masks.buffers:
            moves[name][...] = False
        size = moves.flat.shape[1]
        self._pieces = [slice(i, min(i + PIECE, size)) for i in range(0, size, PIECE)]
        if not is_elementwise(optimizer(masks)):
            self._pieces = [slice(None)]
            self._optimizers = [Whole(optimizer, masks)]
            self._whole = True
            return
        self._optimizers = [packed(optimizer, _params(moves.flat[:, piece]), dtype) for piece in self._pieces]
        self._arguments: list[tuple[Params, Params]] = []

    def step(self, team: Team, theta: Params, grads: Params) -> None:
        """Update theta.flat in place; it and grads.flat are the same memory every time."""
        if self._whole:
            self._optimizers[0].step(theta, grads)
            return
        if not self._arguments:
            self._arguments = [(_params(theta.flat[:, p]), _params(grads.flat[:, p])) for p in self._pieces]
        team.each(self._step)

    def _step(self, part: int) -> None:
        for optimizer, arguments in list(zip(self._optimizers, self._arguments, strict=True))[part::2]:
            optimizer.step(*arguments)


def _params(flat: np.ndarray) -> Params:
    return Params({"piece/W": (flat.shape[1],)}, flat)
