"""Which channels of a convolutional network can matter: the others are left out of the maps for the round.

A channel has a way in if a weight from a channel that is left leads to it, or if its bias may make it positive; it has
a way out if a weight leads from it to a channel that is left. Without batch normalisation a channel that lacks either
is 0, or changes nothing; neither it nor its weights have a gradient. With batch normalisation a channel without a way
in is a constant that is learnt, and one without a way out still has running statistics: only one that lacks both can
go, and of what it leaves behind, the running statistics approach those of a channel that is always 0.

What a block reads and adds to is left whole. Only maps are made smaller: optimizers still see every parameter, so that
weight decay, too, does what it would do.
"""

from collections.abc import Iterator

import numpy as np

from npticket.engine.conv.stages import Block, Stages, Step
from npticket.layers import Dense, Flatten
from npticket.params import Params


def living_channels(stages: Stages, start: Params, masks: Params, decays: bool) -> dict[str, np.ndarray]:
    """Return, by the prefix of a convolution's name, the numbers of its output channels that are left; at least one.

    `decays` says that the optimizer moves biases that have no gradient.
    """
    links = list(_links(stages, masks))
    alive = {prefix: np.ones(masks[f"{prefix}W"].shape[-1], bool) for prefix in _convolutions(stages)}
    before = -1
    while before != (before := sum(map(np.count_nonzero, alive.values()))):
        for link in links:
            alive[link.prefix] &= link.matters(alive, start, decays)
    for channels in alive.values():
        channels[0] |= not channels.any()
    return {prefix: np.flatnonzero(channels) for prefix, channels in alive.items()}


class _Link:
    """A map that one convolution writes and one layer reads.

    w_in (C, K) and w_out (K, O) say which channels are connected; `above` and `below` are the convolutions before and
    after, if what they are connected with is a map of theirs and not images or features.
    """

    def __init__(self, step: Step, above: str | None, below: Step | None, w_in: np.ndarray, w_out: np.ndarray) -> None:
        self.prefix, self._step, self._above, self._below = step.conv[0], step, above, below
        self._w_in, self._w_out = w_in, w_out

    def matters(self, alive: dict[str, np.ndarray], start: Params, decays: bool) -> np.ndarray:
        """Which channels can matter, as long as those of the other maps do that are `alive`."""
        w_in = self._w_in if self._above is None else self._w_in & alive[self._above][:, None]
        has_in, has_out = w_in.any(axis=0), self._w_out.any(axis=1)
        if self._step.norm is not None:
            return has_in | has_out | ("b" in self._step.conv[1].layout)
        if self._below is not None and self._below.norm is None:
            has_out = (self._w_out & alive[self._below.conv[0]]).any(axis=1)
        if not self._step.relu:
            return has_out
        if "b" in self._step.conv[1].layout:
            bias = start[f"{self.prefix}b"].ravel()
            has_in = has_in | ((bias != 0) if decays else (bias > 0))
        return has_in & has_out


def _links(stages: Stages, masks: Params) -> Iterator[_Link]:
    """The maps that are written by one convolution and read by one layer."""
    above = None  # the convolution that wrote the present map, if it may lose channels
    for i, stage in enumerate(stages.steps):
        following = stages.steps[i + 1] if i + 1 < len(stages.steps) else None
        if isinstance(stage, Block):
            yield from _inner_links(stage, masks)
            above = None
        elif following is None:
            w_out = _features(stages, masks, masks[f"{stage.conv[0]}W"].shape[-1])
            if w_out is not None:
                yield _Link(stage, above, None, _connected(stage, masks), w_out)
        elif isinstance(following, Step):
            yield _Link(stage, above, following, _connected(stage, masks), _connected(following, masks))
            above = stage.conv[0]
        else:
            above = None


def _inner_links(block: Block, masks: Params) -> Iterator[_Link]:
    above = None
    for step, following in zip(block.body, block.body[1:], strict=False):
        yield _Link(step, above, following, _connected(step, masks), _connected(following, masks))
        above = step.conv[0]


def _connected(step: Step, masks: Params) -> np.ndarray:
    """Which input channels a convolution connects with which filters, (C, K)."""
    return masks[f"{step.conv[0]}W"][0].any(axis=(0, 1))


def _features(stages: Stages, masks: Params, channels: int) -> np.ndarray | None:
    """Which channels of the last map are connected with which units (C, O); None if something stands between them."""
    layers = [(name, layer) for name, layer in stages.tail.items() if not isinstance(layer, Flatten)]
    if not layers or not isinstance(layers[0][1], Dense):
        return None
    w = masks[f"{layers[0][0]}/W"][0]
    return w.reshape(-1, channels, w.shape[-1]).any(axis=0)


def _convolutions(stages: Stages) -> Iterator[str]:
    for stage in stages.steps:
        for step in [stage] if isinstance(stage, Step) else [*stage.body, *filter(None, [stage.shortcut])]:
            yield step.conv[0]
