"""The convolutional part of a network, with all its memory, for batches of a certain size."""

from collections.abc import Mapping

import numpy as np

from npticket.engine.conv.blueprint import Blueprint, Unit
from npticket.engine.conv.layout import Halves, as_images
from npticket.engine.conv.maps import Convolution, Map
from npticket.engine.conv.outputs import Normalised, Output
from npticket.engine.conv.taps import Im2col, Strided, TwoByTwo
from npticket.engine.conv.weights import Filters, WinogradFilters, local
from npticket.engine.conv.winograd import TILE
from npticket.engine.conv.winograd_maps import WinogradRows, WinogradWhole
from npticket.params import Params


class ConvStack:
    """From images to features, which are the last map averaged or flattened, and back.

    The `filters` of its units, and the scratch memory of the batch's `halves`, are shared with stacks for other batch
    sizes; `theta` and `grads` hold the parameters of batch normalisation and their gradients.
    """

    def __init__(
        self, blueprint: Blueprint, halves: Halves, filters: Mapping[Unit, Filters], theta: Params, grads: Params
    ) -> None:
        self._halves, self._averaged = halves, blueprint.averaged
        self._filters, self._theta, self._grads = filters, theta, grads
        self._convolutions: list[Convolution] = []
        maps: dict[Unit | None, Map] = {}
        outputs: dict[Unit | None, Output] = {}
        shortcuts = {unit.shortcut for unit in blueprint.units}
        for unit in blueprint.units:
            convolution = self._convolution(unit, maps.get(unit.source))
            self._convolutions.append(convolution)
            outputs[unit] = convolution.out
            if unit not in shortcuts:
                terms = [outputs[term] for term in (unit, unit.shortcut) if term]
                maps[unit] = Map(terms, maps.get(unit.around), unit.relu, unit.pooled)
        self._maps, self._last = list(maps.values()), maps[blueprint.units[-1]]
        living, self._channels = filters[unit].outputs, unit.shape[-1]
        self._kept = slice(None) if len(living) == self._channels else living  # a slice is much faster

    def forward(self, images: np.ndarray, training: bool) -> np.ndarray:
        """Return features (B, F).     images (B, H, W, C)"""
        for map_ in self._maps:
            map_.begin(training)
        for convolution in self._convolutions:
            convolution.out.begin(training)
            convolution.forward(images)
            convolution.out.finish()
        area = 1 if self._averaged else self._last.size**2
        features = np.zeros((len(images), area * self._channels), images.dtype)
        self._halves.each(lambda half_batch: self._leave(half_batch, features))
        return features

    def backward(self, dfeatures: np.ndarray) -> None:
        """Write the gradients of all parameters, given that of the features (B, F) of the last training batch."""
        self._halves.each(lambda half_batch: self._enter(half_batch, dfeatures))
        for convolution in reversed(self._convolutions):
            convolution.out.finish_gradient()
            convolution.backward()

    def _leave(self, half_batch: int, features: np.ndarray) -> None:
        last = self._last
        last.make_rows(half_batch, last.size)
        x = as_images(last.x[half_batch], self._halves.counts[half_batch])
        if self._averaged:
            x = np.add.reduce(x, axis=(1, 2), keepdims=True) / last.size**2
        self._as_images(half_batch, features)[..., self._kept] = x

    def _enter(self, half_batch: int, dfeatures: np.ndarray) -> None:
        last, given = self._last, self._as_images(half_batch, dfeatures)[..., self._kept]
        dx = as_images(last.dx[half_batch], self._halves.counts[half_batch])
        dx[...] = given / last.size**2 if self._averaged else given
        last.pass_on(half_batch, last.size)

    def _as_images(self, half_batch: int, features: np.ndarray) -> np.ndarray:
        """View the features of half of the batch as images (n, H, W, C), of 1 x 1 if they are averages."""
        size = 1 if self._averaged else self._last.size
        return features[self._halves.images[half_batch]].reshape(-1, size, size, self._channels)

    def _convolution(self, unit: Unit, source: Map | None) -> Convolution:
        """Make the kind of convolution that suits a unit, which reads `source` or, the first, images."""
        filters = self._filters[unit]
        if unit.norm is None:
            out = Output(unit.size, filters.filters, self._halves)
        else:
            p, grad = (local(params, *unit.norm) for params in (self._theta, self._grads))
            out = Normalised(unit.size, filters.outputs, self._halves, unit.norm[1], p, grad)
        if source is None:
            return Im2col(filters, out)
        if isinstance(filters, WinogradFilters):
            return (WinogradWhole if unit.size == TILE else WinogradRows)(filters, source, out)
        if unit.conv.stride == 1 and unit.shape[0] == 3:
            return TwoByTwo(filters, source, out)
        return Strided(filters, source, out)
