"""A network as a function of its parameters: layers with a name and the shapes of what goes in and comes out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature

import numpy as np

from npticket.backend import Array, Dtype
from npticket.layers import predict
from npticket.params import Params
from npticket.protocols import Backward, Layer
from npticket.reading import Json
from npticket.streams import TrainingStep


@dataclass(frozen=True)
class Net:
    """A network as a function f(x; theta), as npticket.protocols.Net says."""

    name: str
    body: Layer
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    def init(self, rngs: Sequence[np.random.Generator], dtype: Dtype = np.float32) -> Params:
        """Step 1 of the paper: draw theta0, one generator per trial; ValueError if the layers forget a parameter."""
        if not isinstance(rngs, Sequence):
            raise TypeError(f"init takes a generator for each trial, streams(seed, trials, 'init'), got {rngs!r}")
        theta = Params.empty(self.body.layout, len(rngs), dtype)
        for t, rng in enumerate(rngs):
            drawn = self.body.init(rng)
            if wrong := drawn.keys() ^ theta.shapes.keys():
                raise ValueError(f"layout and init of {self.name} do not name the same: {', '.join(sorted(wrong))}")
            for name in theta:
                theta[name][t] = drawn[name]
        return theta

    def forward(self, theta: Params, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        return self.body.forward(theta.tree, x, step)

    def predict(self, theta: Params, x: Array) -> Array:
        if x.ndim != 2 + len(self.input_shape):
            wanted = ("trials or 1", "examples", *self.input_shape)
            raise ValueError(f"inputs have shape {x.shape}, expected {wanted}: is the trials axis missing?")
        return predict(self.body, theta.tree, x)


def shape_options(
    make: Callable[..., object], input_shape: Sequence[int], output_shape: Sequence[int | None]
) -> dict[str, Json]:
    """Return the options by which `make`, a function of npticket.nets, makes a network for these shapes.

    They are "input_shape" and "classes", those that the function has.
    """
    options = {"input_shape": list(input_shape), "classes": output_shape[0]}
    takes = signature(make).parameters
    return {name: value for name, value in options.items() if name in takes and value is not None}
