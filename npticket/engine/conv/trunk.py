"""The convolutional part of a network, with all its memory, for batches of a certain size."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from npticket.engine.conv.filters import Filters, WinogradFilters
from npticket.engine.conv.first import FirstConvolution
from npticket.engine.conv.images import as_images, inside
from npticket.engine.conv.maps import Map
from npticket.engine.conv.outputs import Normalised, Output
from npticket.engine.conv.pairs import PixelPairs
from npticket.engine.conv.planes import Planes
from npticket.engine.conv.rows import RowsOfTiles
from npticket.engine.conv.scratch import Scratch
from npticket.engine.conv.stages import Block, Stages, Step
from npticket.engine.conv.taps import Taps
from npticket.engine.conv.team import Team
from npticket.engine.conv.winograd import TILE
from npticket.params import Params


class Trunk:
    """From images to features, which are the last map averaged or flattened, and back, in two chunks of the batch.

    `filters` by name of their parameter, and `scratch`, for each chunk, are shared with trunks for other batch sizes.
    """

    def __init__(
        self,
        stages: Stages,
        size: int,
        batch: int,
        theta: Params,
        grads: Params,
        filters: dict[str, Filters],
        scratch: Sequence[Scratch],
    ) -> None:
        self._theta, self._grads, self._filters, self._scratch = theta, grads, filters, scratch
        self._images = [n for n in (batch - batch // 2, batch // 2) if n]
        self._size, self._averaged = size, stages.averaged
        self._convolutions: list[Any] = []
        self._maps: list[Map] = []
        for stage in stages.steps:
            if isinstance(stage, Block):
                self._add_block(stage)
            else:
                self._add_step(stage)
        for convolution in self._convolutions:
            convolution.bind()

    def forward(self, team: Team, images: np.ndarray, training: bool) -> np.ndarray:
        """Return features (B, F).     images (B, H, W, C)"""
        self._convolutions[0].batch = images
        for map_ in self._maps:
            map_.begin(training)
        for convolution in self._convolutions:
            convolution.out.begin(training)
            convolution.forward(team)
            convolution.out.finish(team)
        last = self._maps[-1]
        area = 1 if self._averaged else last.size**2
        features = np.empty((len(images), area * last.channels), images.dtype)
        team.each(lambda chunk: self._leave(chunk, features), len(self._images))
        return features

    def backward(self, team: Team, dfeatures: np.ndarray) -> None:
        """Write the gradients of all parameters, given that of the features (B, F) of the last training batch."""
        team.each(lambda chunk: self._enter(chunk, dfeatures), len(self._images))
        for convolution in reversed(self._convolutions):
            convolution.out.finish_gradient()
            convolution.backward(team)

    def _leave(self, chunk: int, features: np.ndarray) -> None:
        last = self._maps[-1]
        last.fill(chunk, last.size)
        x, mine = inside(last.x[chunk]), self._of_chunk(chunk, features)
        if self._averaged:
            total = np.add.reduce(x.reshape(last.size**2, -1), axis=0)
            np.divide(total.reshape(mine.shape), last.size**2, out=mine)
        else:
            seen = as_images(x, len(mine))
            mine.reshape(seen.shape)[...] = seen

    def _enter(self, chunk: int, dfeatures: np.ndarray) -> None:
        last = self._maps[-1]
        dx, mine = inside(last.dx[chunk]), self._of_chunk(chunk, dfeatures)
        if self._averaged:
            dx.reshape(last.size**2, -1)[...] = (mine / last.size**2).ravel()
        else:
            seen = as_images(dx, len(mine))
            seen[...] = mine.reshape(seen.shape)
        last.drain(chunk, last.size)

    def _of_chunk(self, chunk: int, features: np.ndarray) -> np.ndarray:
        first = sum(self._images[:chunk])
        return features[first : first + self._images[chunk]]

    def _add_step(self, step: Step) -> None:
        source = self._maps[-1] if self._maps else None
        self._maps.append(Map([self._convolve(step, source)], relu=step.relu, pooled=step.pooled))

    def _add_block(self, block: Block) -> None:
        source = self._maps[-1]
        shortcut = [self._convolve(block.shortcut, source)] if block.shortcut else []
        for step in block.body[:-1]:
            self._add_step(step)
        out = self._convolve(block.body[-1], self._maps[-1])
        self._maps.append(Map([out, *shortcut], around=None if shortcut else source, relu=block.relu))

    def _convolve(self, step: Step, source: Map | None) -> Output:
        """Add the kind of convolution that suits a step, and return its output."""
        name, layer = step.conv
        size = self._size if source is None else source.size // layer.stride
        is_plain = layer.layout["W"][0] == 3 and layer.stride == 1
        is_winograd = is_plain and source is not None and size > 2
        filters = self._filters_of(f"{name}W", WinogradFilters if is_winograd else Filters)
        out = self._output(step, size, filters.filters)
        bias = [p[f"{name}b"][0].ravel() if "b" in layer.layout else None for p in (self._theta, self._grads)]
        if source is None:
            self._convolutions.append(FirstConvolution(filters, *bias, out))
        elif is_winograd:
            kind = Planes if size == TILE else RowsOfTiles
            self._convolutions.append(kind(filters, *bias, source, out))
        elif is_plain:
            self._convolutions.append(PixelPairs(filters, source, out))
        else:
            self._convolutions.append(Taps(filters, layer.stride, source, out))
        return out

    def _filters_of(self, name: str, kind: type) -> Any:
        if name not in self._filters:
            self._filters[name] = kind(self._theta[name][0], self._grads[name][0])
        return self._filters[name]

    def _output(self, step: Step, size: int, channels: int) -> Output:
        if step.norm is None:
            return Output(size, channels, self._images, self._scratch)
        name, layer = step.norm
        p, grad = ({v: params[f"{name}{v}"][0] for v in layer.layout} for params in (self._theta, self._grads))
        return Normalised(size, channels, self._images, self._scratch, layer, p, grad)
