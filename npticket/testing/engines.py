"""The law of engines: whatever an engine does to be fast, its results are those of the layers."""

from collections.abc import Callable, Sequence

import numpy as np

from npticket.backend import Array, array_module, to_device, to_host
from npticket.engine.plain import Plain
from npticket.loss import softmax_cross_entropy
from npticket.params import Params
from npticket.protocols import Engine, Loss, MakeOptimizer, Net, is_resumable
from npticket.streams import Place, TrainingStep
from npticket.testing.laws import close, require, require_same, where

MakeEngine = Callable[[Net, Loss, Params, Params, MakeOptimizer], Engine]  # of net, loss, start, masks, optimizer
Batches = Sequence[tuple[np.ndarray, np.ndarray]]  # inputs and targets, (T, B, ...) each


def batches(net: Net, trials: int, seed: int = 0, steps: int = 8, size: int = 7) -> Batches:
    """Draw minibatches for a classifier, one of them smaller: [(x, classes), ...].

    x (T, B, *input_shape) in [0, 1), of which some inputs are mostly or always 0; classes (T, B). In float64.
    """
    rng = np.random.default_rng(seed)
    x = rng.random((steps, trials, size, *net.input_shape))
    x *= rng.random(x.shape) < rng.choice([0, 0.1, 0.5, 1], net.input_shape)
    classes = rng.integers(0, net.output_shape[0], (steps, trials, size))
    sizes = [max(1, size // 2) if step == steps // 2 else size for step in range(steps)]
    return [(x[i, :, :n], classes[i, :, :n]) for i, n in enumerate(sizes)]


def check_engine(
    make: MakeEngine,
    net: Net,
    start: Params,
    masks: Params,
    optimizer: MakeOptimizer,
    given: Batches | None = None,
    loss: Loss = softmax_cross_entropy,
    tolerance: float = 1e-10,
) -> Params:
    """Compare an engine, step by step, with the plain one, which calls the layers; return its last parameters.

    Call it with what `strategies.pruned_nets` and `convolutional_nets` draw, in float64. `make(net, loss, start, masks,
    optimizer)` returns the engine; it and what it is given are on the device of `start`. `given` are the minibatches
    (default: `batches(net, T)`).

    The laws: the loss of every step, the predictions and the parameters are the plain engine's, up to `tolerance` times
    the largest of them, or 1; pruned weights are exactly 0; start is not written to; after `write` an engine predicts
    with the parameters written; and, if the optimizer can be resumed, an engine that takes over parameters and state
    goes on with the same bits. Raises AssertionError naming law, parameter and trial.
    """
    before, resumed = start.copy(), None
    given = batches(net, start.trials) if given is None else given
    pair = _Pair(make, (net, loss, start, masks, optimizer), tolerance)
    pair.predict(given[0][0], "before the first step")  # what it may keep must not outlive the next step
    for number, batch in enumerate(given):
        if 0 < number == len(given) - 1 and is_resumable(optimizer(masks.trial(0))):
            resumed = pair.taken_over(batch, number)
        pair.step(batch, number)
        require_same("an engine does not write to start", start, before)
    end, lit = pair.read(), np.random.default_rng(0).random((1, *given[0][0].shape[1:]))  # also where no batch was
    for x in (given[0][0], lit):
        pair.predict(x, f"after {len(given)} steps")
    require_same("the parameters are the plain engine's", end, pair.plain.theta, tolerance=tolerance)
    _check_pruned(end, masks)
    if resumed:
        require_same("an engine that takes over goes on with the same bits", resumed, end)
    pair.write(start)
    pair.predict(lit, "after write(start)")
    return end


class _Pair:
    """An engine, made from `case`, and the plain one, which is on the host."""

    def __init__(
        self, make: MakeEngine, case: tuple[Net, Loss, Params, Params, MakeOptimizer], tolerance: float
    ) -> None:
        net, loss, start, masks, optimizer = case
        here, there = (params.to(np) for params in (start, masks))
        self.plain, self.engine = Plain(net, loss, here, there, optimizer), make(*case)
        self._fresh, self._start, self._tolerance = (lambda: make(*case)), start, tolerance

    def taken_over(self, batch: tuple[np.ndarray, np.ndarray], number: int) -> Params:
        """The parameters after one step of a new engine that takes over from this one."""
        other = self._fresh()
        other.write(self.read())
        other.restore({name: array.copy() for name, array in self.engine.state().items()})
        _step(other, batch, self._start.trials, number, self._start.flat)
        return _read(other, self._start)

    def step(self, batch: tuple[np.ndarray, np.ndarray], number: int) -> None:
        expected = _step(self.plain, batch, self._start.trials, number, self.plain.theta.flat)
        found = to_host(_step(self.engine, batch, self._start.trials, number, self._start.flat))
        same = close(found, expected, self._tolerance)
        require("a step's loss is the plain engine's", same, f"step {number}", found=found, expected=expected)

    def predict(self, x: np.ndarray, when: str) -> None:
        x = x.astype(self._start.flat.dtype)
        expected = self.plain.predict(x)
        found = to_host(self.engine.predict(self.engine.prepare(to_device(x, array_module(self._start.flat)))))
        for t in range(len(expected)):
            same = close(found[t], expected[t], self._tolerance)
            shown = {"found": found[t], "expected": expected[t]}
            require("predictions are the plain engine's", same, where("y", t, when), **shown)

    def read(self) -> Params:
        return _read(self.engine, self._start)

    def write(self, theta: Params) -> None:
        self.engine.write(theta)
        self.plain.write(theta.to(np))


def _step(engine: Engine, batch: tuple[np.ndarray, np.ndarray], trials: int, number: int, like: Array) -> Array:
    """Take one step with a new `TrainingStep`, as layers draw from its generators."""
    xp = array_module(like)
    x, targets = to_device(batch[0].astype(like.dtype), xp), to_device(batch[1], xp)
    return engine.step(engine.prepare(x), targets, TrainingStep(Place(trials=range(trials)), number))


def _read(engine: Engine, start: Params) -> Params:
    """The engine's parameters; what it does not write stays NaN."""
    end = start.like(start.flat * np.nan)
    engine.read(end)
    return end


def _check_pruned(end: Params, masks: Params) -> None:
    for name in end:
        for t in range(end.trials):
            values, mask = to_host(end[name][t]), to_host(masks[name][t])
            require("pruned weights are exactly 0", mask | (values == 0), where(name, t), end=values, mask=mask)
