"""The convolutional part of a network, with all its memory, for batches of a certain size."""

import numpy as np

from npticket.engine.conv.blueprint import Block, Blueprint, Unit
from npticket.engine.conv.im2col import Im2col
from npticket.engine.conv.layout import Halves, as_images, inside
from npticket.engine.conv.maps import Convolution, Map
from npticket.engine.conv.outputs import Normalised, Output
from npticket.engine.conv.strided import Strided
from npticket.engine.conv.threads import Team
from npticket.engine.conv.two_by_two import TwoByTwo
from npticket.engine.conv.weights import FilterBank, Filters, WinogradFilters
from npticket.engine.conv.winograd import TILE
from npticket.engine.conv.winograd_rows import WinogradRows
from npticket.engine.conv.winograd_whole import WinogradWhole


class ConvStack:
    """From images to features, which are the last map averaged or flattened, and back.

    The `bank`, and the scratch memory of the batch's `halves`, are shared with stacks for other batch sizes.
    """

    def __init__(self, blueprint: Blueprint, halves: Halves, bank: FilterBank) -> None:
        self._bank, self._halves = bank, halves
        self._size, self._averaged = blueprint.size, blueprint.averaged
        self._convolutions: list[Convolution] = []
        self._maps: list[Map] = []
        for unit in blueprint.units:
            if isinstance(unit, Block):
                self._add_block(unit)
            else:
                self._add_unit(unit)
        last = blueprint.units[-1]
        self._channels = (last.body[-1] if isinstance(last, Block) else last).conv.layout["W"][-1]
        living = self._maps[-1].living
        self._kept = slice(None) if len(living) == self._channels else living  # a slice is much faster
        for convolution in self._convolutions:
            convolution.bind()

    def forward(self, team: Team, images: np.ndarray, training: bool) -> np.ndarray:
        """Return features (B, F).     images (B, H, W, C)"""
        self._bank.prepare(team)
        for map_ in self._maps:
            map_.begin(training)
        for convolution in self._convolutions:
            convolution.out.begin(training)
            convolution.forward(team, images)
            convolution.out.finish(team)
        area = 1 if self._averaged else self._maps[-1].size ** 2
        features = np.zeros((len(images), area * self._channels), images.dtype)
        team.each(lambda half_batch: self._leave(half_batch, features), len(self._halves))
        return features

    def backward(self, team: Team, dfeatures: np.ndarray) -> None:
        """Write the gradients of all parameters, given that of the features (B, F) of the last training batch."""
        team.each(lambda half_batch: self._enter(half_batch, dfeatures), len(self._halves))
        for convolution in reversed(self._convolutions):
            convolution.out.finish_gradient()
            convolution.backward(team)
        self._bank.put_back()

    def _leave(self, half_batch: int, features: np.ndarray) -> None:
        last = self._maps[-1]
        last.make_rows(half_batch, last.size)
        x = as_images(inside(last.x[half_batch]), self._halves.counts[half_batch])
        if self._averaged:
            x = np.add.reduce(x, axis=(1, 2), keepdims=True) / last.size**2
        self._as_images(half_batch, features)[..., self._kept] = x

    def _enter(self, half_batch: int, dfeatures: np.ndarray) -> None:
        last = self._maps[-1]
        given = self._as_images(half_batch, dfeatures)[..., self._kept]
        dx = as_images(inside(last.dx[half_batch]), self._halves.counts[half_batch])
        dx[...] = given / last.size**2 if self._averaged else given
        last.pass_on(half_batch, last.size)

    def _as_images(self, half_batch: int, features: np.ndarray) -> np.ndarray:
        """View the features of half of the batch as images (n, H, W, C), of 1 x 1 if they are averages."""
        size = 1 if self._averaged else self._maps[-1].size
        return features[self._halves.images(half_batch)].reshape(-1, size, size, self._channels)

    def _add_unit(self, unit: Unit) -> None:
        source = self._maps[-1] if self._maps else None
        self._maps.append(Map([self._convolve(unit, source)], relu=unit.relu, pooled=unit.pooled))

    def _add_block(self, block: Block) -> None:
        source = self._maps[-1]
        shortcut = [self._convolve(block.shortcut, source)] if block.shortcut else []
        for unit in block.body[:-1]:
            self._add_unit(unit)
        out = self._convolve(block.body[-1], self._maps[-1])
        self._maps.append(Map([out, *shortcut], around=None if shortcut else source, relu=block.relu))

    def _convolve(self, unit: Unit, source: Map | None) -> Output:
        """Add the kind of convolution that suits a unit, and return its output."""
        convolution = self._first(unit) if source is None else self._following(unit, source)
        self._convolutions.append(convolution)
        return convolution.out

    def _first(self, unit: Unit) -> Convolution:
        channels = np.arange(unit.conv.layout["W"][2])
        return Im2col(self._bank.filters(unit, channels, Filters), self._output(unit, self._size))

    def _following(self, unit: Unit, source: Map) -> Convolution:
        stride = unit.conv.stride
        out = self._output(unit, source.size // stride)
        if unit.kernel == 3 and stride == 1 and out.size > 2:
            kind = WinogradWhole if out.size == TILE else WinogradRows
            return kind(self._bank.filters(unit, source.living, WinogradFilters), source, out)
        filters = self._bank.filters(unit, source.living, Filters)
        if unit.kernel == 3 and stride == 1:
            return TwoByTwo(filters, source, out)
        return Strided(filters, stride, source, out)

    def _output(self, unit: Unit, size: int) -> Output:
        living = self._bank.living[unit.prefix]
        if unit.norm is None:
            return Output(size, living, self._halves)
        prefix, norm = unit.norm
        return Normalised(size, living, self._halves, norm, *self._bank.local(prefix, norm.layout))
