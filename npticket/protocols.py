"""What layers, networks, optimizers and engines must offer; a class of your own that offers it can take their place."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from npticket.backend import Array, Dtype
from npticket.params import Params, Shapes, Tree
from npticket.streams import TrainingStep

Backward = Callable[..., Array]  # backward(dy, grad, need_dx=True) -> dL/dx: see Layer
State = Mapping[str, Array]  # what an optimizer keeps: arrays (T, P) like theta.flat, or NumPy arrays (T,)
Loss = Callable[[Array, Array], tuple[Array, Array]]  # loss(y, targets) -> (loss of each trial (T,), dL/dy)


class UnsuitedError(ValueError):
    """Raised by what does not support this network, task or data; the message says what it supports."""


class Layer(Protocol):
    """A description (sizes, no arrays) of a differentiable function of parameters and input x (T, B, ...).

    x is (1, B, ...) where all trials are shown the same examples, as in measuring; its gradient is not needed then.
    `layout` maps local names to shapes without the trials axis. What is called W, or ".../W", is a weight, which can be
    pruned; running_... is changed by the layer itself and by no optimizer. `forward` is given the training step it is
    part of, or None when it predicts (only batch normalisation and dropout care), and returns the output and a closure
    `backward(dy, grad, need_dx=True)` that writes the gradients of the parameters into the views `grad` and returns
    dL/dx, or anything if `need_dx` is False. The closure is the cache: the arrays it mentions are kept as long as it.
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
        """The layer that the network is made of; engines look into it to find out whether they know a faster way."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example, without the axes of trials and batch."""

    @property
    def output_shape(self) -> tuple[int, ...]: ...

    def init(self, rngs: Sequence[np.random.Generator], dtype: Dtype = np.float32) -> Params:
        """Draw theta0, one generator per trial."""

    def forward(self, theta: Params, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        """Return y (T, B, *output_shape) and the backward pass.     x (T, B, *input_shape), or (1, B, ...) for all

        It is `body.forward(theta.tree, x, step)`, in whose place engines run `body` by ways of their own. What a
        network does besides belongs in a layer.
        """

    def predict(self, theta: Params, x: Array) -> Array:
        """Return y alone."""


class Optimizer(Protocol):
    """Moves parameters by their gradients. It keeps moments but no parameters; each round makes one from its masks."""

    @property
    def elementwise(self) -> bool:
        """Whether every parameter moves by its own value and gradient alone, whatever its name and place.

        Then engines may pack survivors together and cut them into pieces; otherwise they run it whole.
        """

    @property
    def decays(self) -> bool:
        """Whether parameters move even where their gradient is 0, as by weight decay: engines then leave none out."""

    def step(self, theta: Params, grads: Params) -> None:
        """Update theta.flat in place; grads.flat may be overwritten. What is pruned must stay 0."""

    def state(self) -> State:
        """Return all that later steps depend on besides their arguments. Called after a first step; need not copy."""

    def restore(self, state: State) -> None:
        """Take over the state that another optimizer gave. Called before the first step; must copy what it keeps."""


MakeOptimizer = Callable[[Params], Optimizer]  # from masks


def is_elementwise(optimizer: Optimizer) -> bool:
    """Whether an optimizer says that it is elementwise; one that does not say is taken not to be."""
    return _said(optimizer, "elementwise", otherwise=False)


def does_decay(optimizer: Optimizer) -> bool:
    """Whether an optimizer may move parameters whose gradient is 0; one that does not say is taken to do so."""
    return _said(optimizer, "decays", otherwise=True)


def is_resumable(optimizer: Optimizer) -> bool:
    """Whether an optimizer has `state` and `restore`: runs with one that has not begin anew after an interruption.

    An optimizer that wraps another has an attribute `resumable`, which says whether the other one has them.
    """
    gives, takes = (_said(optimizer, what, otherwise=False) for what in ("state", "restore"))
    return gives and takes and _said(optimizer, "resumable", otherwise=True)


def _said(optimizer: Optimizer, what: str, otherwise: bool) -> bool:
    """Return the attribute `what` if it was declared for the optimizer's own `step`, else `otherwise`.

    A class with a `step` of its own does not inherit what its parents declare of theirs: it may not hold any more.
    """
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

    def prepare(self, inputs: Array) -> Array:
        """Return inputs (..., *input_shape) in the form that `step` and `predict` take, perhaps without some pixels."""

    def step(self, x: Array, targets: Array, step: TrainingStep) -> Array:
        """Take one optimizer step; return the loss before it, per trial (T,).     x, targets (T, B, ...)"""

    def predict(self, x: Array) -> Array:
        """Return y (T, B, ...).     x (T, B, ...), or (1, B, ...) to show every trial the same"""

    def read(self, out: Params) -> None:
        """Copy the present parameters, pruned ones 0, into `out`."""

    def write(self, theta: Params) -> None:
        """Take over parameters that `read` gave earlier, to predict with them, or before the first step."""

    def state(self) -> State:
        """Return the optimizer's state, laid out as the parameters are: see Optimizer."""

    def restore(self, state: State) -> None:
        """Take over the state that another engine gave. Called after `write` and before the first step."""
