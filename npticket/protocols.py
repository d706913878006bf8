"""What layers, networks, optimizers and engines promise each other. Whatever keeps a promise can take the place."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from npticket.backend import Array, Dtype
from npticket.params import Params, Shapes, Tree
from npticket.streams import TrainingStep

Backward = Callable[..., Array]  # backward(dy, grad, need_dx=True) -> dL/dx: see Layer
State = Mapping[str, Array]  # what an optimizer keeps: (T, P) as theta.flat, or NumPy's (T,), a number of each trial
Loss = Callable[[Array, Array], tuple[Array, Array]]  # loss(y, targets) -> (loss of each trial (T,), dL/dy)


class UnsuitedError(ValueError):
    """Raised by what does not support this network, task or data; the message says what it supports."""


class Layer(Protocol):
    """A description (sizes, no arrays) of a differentiable function of parameters and input x (T, B, ...).

    x is (1, B, ...) where all trials are shown the same, as in measuring: then nobody needs dx.
    `layout` maps local names to shapes without the trials axis. `forward` is given the training step it is part of, or
    None when it predicts (only batch normalisation and dropout care), and returns the output and a closure
    `backward(dy, grad, need_dx=True)` that writes the gradients of the parameters into the views it is given and
    returns dL/dx (or anything, if nobody needs it). The closure is the cache: what it mentions lives as long as it.
    """

    @property
    def layout(self) -> Shapes: ...

    def init(self, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
        """Draw the parameters of one trial, in float64."""

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]: ...


@runtime_checkable
class Net(Protocol):
    """A function f(x; theta): it owns no arrays, and knows neither what it is trained for nor how it is pruned."""

    @property
    def name(self) -> str: ...

    @property
    def body(self) -> Layer:
        """What it is made of: a fast engine recognises it, or calls it."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one example, without the axes of trials and batch."""

    @property
    def output_shape(self) -> tuple[int, ...]: ...

    def init(self, rngs: Sequence[np.random.Generator], dtype: Dtype = np.float32) -> Params:
        """Draw theta0, one generator per trial."""

    def forward(self, theta: Params, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        """Return y (T, B, *output_shape) and the backward pass.     x (T, B, *input_shape), or (1, B, ...) for all"""

    def predict(self, theta: Params, x: Array) -> Array:
        """Return y alone."""


class Optimizer(Protocol):
    """Holds moments and nothing else; is built from masks, and afresh for every round."""

    @property
    def elementwise(self) -> bool:
        """Whether every parameter moves by its own value and gradient alone, whatever its name and place.

        Then engines may pack survivors together and cut them into pieces; otherwise they run it whole.
        """

    @property
    def decays(self) -> bool:
        """Whether parameters without a gradient move, too: then engines leave out no unit that is alive."""

    def step(self, theta: Params, grads: Params) -> None:
        """Update theta.flat in place; grads.flat may be overwritten. What is pruned must stay 0."""

    def state(self) -> State:
        """Return all that the next steps depend on besides their arguments, once a step was taken; perhaps no copy."""

    def restore(self, state: State) -> None:
        """Go on, before the first step, as the optimizer did that gave this state, and keep none of its arrays."""


MakeOptimizer = Callable[[Params], Optimizer]  # from masks


def is_elementwise(optimizer: Optimizer) -> bool:
    """Whether an optimizer says that it is elementwise; one that does not say is taken not to be."""
    return _said(optimizer, "elementwise", otherwise=False)


def does_decay(optimizer: Optimizer) -> bool:
    """Whether an optimizer may move parameters without a gradient: all do that do not deny it."""
    return _said(optimizer, "decays", otherwise=True)


def is_resumable(optimizer: Optimizer) -> bool:
    """Whether an optimizer gives its state away and takes it back: the others start anew after an interruption.

    One that wraps another says in `resumable` whether that one does.
    """
    gives, takes = (_said(optimizer, what, otherwise=False) for what in ("state", "restore"))
    return gives and takes and _said(optimizer, "resumable", otherwise=True)


def _said(optimizer: Optimizer, what: str, otherwise: bool) -> bool:
    """What an optimizer says of its own step: what is said of a step that it has replaced or wrapped does not count."""
    if what in getattr(optimizer, "__dict__", {}):
        return bool(getattr(optimizer, what))
    for kind in type(optimizer).__mro__:
        if what in vars(kind):
            return bool(getattr(optimizer, what))
        if "step" in vars(kind):
            break
    return otherwise


class Engine(Protocol):
    """Trains one net, or T in lock-step, from given parameters under given masks."""

    def see(self, inputs: Array) -> Array:
        """Return what `step` and `predict` want to be given of inputs (..., *input_shape)."""

    def step(self, x: Array, targets: Array, step: TrainingStep) -> Array:
        """Take one optimizer step; return the loss before it, per trial (T,).     x, targets (T, B, ...)"""

    def predict(self, x: Array) -> Array:
        """Return y (T, B, ...).     x (T, B, ...), or (1, B, ...) to show every trial the same"""

    def read(self, out: Params) -> None:
        """Copy the present parameters, pruned ones 0, into `out`."""

    def write(self, theta: Params) -> None:
        """Take other parameters over, as `read` once gave them: to predict with, or before the first step."""

    def state(self) -> State:
        """Return the optimizer's state, laid out as the parameters are: see Optimizer."""

    def restore(self, state: State) -> None:
        """Go on, before the first step and after `write`, as the engine did that gave this state."""
