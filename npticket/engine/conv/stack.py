"""The convolutional part of a network, with all its memory, for batches of a certain size."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from npticket.engine.conv.blueprint import Block, Blueprint, Unit
from npticket.engine.conv.im2col import Im2col
from npticket.engine.conv.layout import Scratch, as_images, inside
from npticket.engine.conv.maps import Map
from npticket.engine.conv.outputs import Normalised, Output
from npticket.engine.conv.strided import Strided
from npticket.engine.conv.threads import Team
from npticket.engine.conv.two_by_two import TwoByTwo
from npticket.engine.conv.weights import FilterBank, Filters, WinogradFilters
from npticket.engine.conv.winograd import TILE
from npticket.engine.conv.winograd_rows import WinogradRows
from npticket.engine.conv.winograd_whole import WinogradWhole


class ConvStack:
    """From images to features, which are the last map averaged or flattened, and back, in two chunks of the batch.

    The `bank`, and `scratch`, one for each chunk, are shared with trunks for other batch sizes.
    """

    def __init__(
        self, blueprint: Blueprint, size: int, batch: int, bank: FilterBank, scratch: Sequence[Scratch]
    ) -> None:
        self._bank, self._scratch = bank, scratch
        self._images = [n for n in (batch - batch // 2, batch // 2) if n]
        self._size, self._averaged = size, blueprint.averaged
        self._convolutions: list[Any] = []
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
        self._convolutions[0].batch = images
        for map_ in self._maps:
            map_.begin(training)
        for convolution in self._convolutions:
            convolution.out.begin(training)
            convolution.forward(team)
            convolution.out.finish(team)
        area = 1 if self._averaged else self._maps[-1].size ** 2
        features = np.zeros((len(images), area * self._channels), images.dtype)
        team.each(lambda chunk: self._leave(chunk, features), len(self._images))
        return features

    def backward(self, team: Team, dfeatures: np.ndarray) -> None:
        """Write the gradients of all parameters, given that of the features (B, F) of the last training batch."""
        team.each(lambda chunk: self._enter(chunk, dfeatures), len(self._images))
        for convolution in reversed(self._convolutions):
            convolution.out.finish_gradient()
            convolution.backward(team)
        self._bank.put_back()

    def _leave(self, chunk: int, features: np.ndarray) -> None:
        last = self._maps[-1]
        last.fill(chunk, last.size)
        x = as_images(inside(last.x[chunk]), self._images[chunk])
        if self._averaged:
            x = np.add.reduce(x, axis=(1, 2), keepdims=True) / last.size**2
        self._of_chunk(chunk, features)[..., self._kept] = x

    def _enter(self, chunk: int, dfeatures: np.ndarray) -> None:
        last = self._maps[-1]
        given = self._of_chunk(chunk, dfeatures)[..., self._kept]
        dx = as_images(inside(last.dx[chunk]), self._images[chunk])
        dx[...] = given / last.size**2 if self._averaged else given
        last.drain(chunk, last.size)

    def _of_chunk(self, chunk: int, features: np.ndarray) -> np.ndarray:
        """The features of a chunk as images (n, H, W, C), of 1 x 1 if they are averages."""
        first, size = sum(self._images[:chunk]), 1 if self._averaged else self._maps[-1].size
        mine = features[first : first + self._images[chunk]]
        return mine.reshape(len(mine), size, size, self._channels)

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
        layer = unit.conv
        size = self._size if source is None else source.size // layer.stride
        out = self._output(unit, size)
        is_plain = layer.layout["W"][0] == 3 and layer.stride == 1
        is_winograd = is_plain and source is not None and size > 2
        inputs = np.arange(layer.layout["W"][2]) if source is None else source.living
        filters = self._bank.filters(unit, inputs, WinogradFilters if is_winograd else Filters)
        if source is None:
            self._convolutions.append(Im2col(filters, out))
        elif is_winograd:
            self._convolutions.append((WinogradWhole if size == TILE else WinogradRows)(filters, source, out))
        elif is_plain:
            self._convolutions.append(TwoByTwo(filters, source, out))
        else:
            self._convolutions.append(Strided(filters, layer.stride, source, out))
        return out

    def _output(self, unit: Unit, size: int) -> Output:
        living = self._bank.living[unit.prefix]
        if unit.norm is None:
            return Output(size, living, self._images, self._scratch)
        return Normalised(size, living, self._images, self._scratch, unit.norm[1], *self._bank.local(*unit.norm))
