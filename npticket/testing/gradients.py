"""The gradient check: a backward pass against central differences, <dy, J v> = <J^T dy, v>, in float64."""

from collections.abc import Callable
from functools import partial

import numpy as np

from npticket.params import Params
from npticket.protocols import Backward, Layer
from npticket.streams import Place, TrainingStep
from npticket.testing.laws import close, require, require_same, where

Forward = Callable[..., tuple[np.ndarray, Backward]]  # forward(theta, x, first=0), for trials from `first` on
DIRECTIONS = 20  # random directions that are tried, at most
ALONE = 1e-12  # tolerance, as a stacked product may round differently from a single one


def check_gradient(
    layer: Layer,
    x: np.ndarray,
    seed: int = 0,
    *,
    theta: Params | None = None,
    training: bool = False,
    tolerance: float = 1e-6,
) -> None:
    """Check the backward pass of a layer, or of a network's body. Call it with random inputs of the right shape.

    x (T, B, ...) in float64. `theta` are the parameters, of T trials (default: drawn from N(0, 1), buffers from
    [0.5, 2]). `training` runs the layer as in a training step, which matters for batch normalisation and dropout.

    The laws: `init` draws what the layout says; the backward pass writes every gradient, and none of buffers; each
    agrees with central differences, for every parameter and for x, trial by trial, up to `tolerance` times its norm; it
    does not depend on `need_dx`; a trial among others gives the same as alone; and one x (1, B, ...) for all trials
    gives the same as copies of it. Raises AssertionError naming law, parameter and trial, and ValueError for inputs
    that are not float64.
    """
    if x.dtype != np.float64 or x.ndim < 3:
        raise ValueError(f"a gradient is checked at inputs (T, B, ...) in float64, got {x.dtype} of shape {x.shape}")
    _check_init(layer)
    rng = np.random.default_rng(seed)
    theta = drawn(layer, len(x), rng) if theta is None else theta

    def forward(theta: Params, x: np.ndarray, first: int = 0) -> tuple[np.ndarray, Backward]:
        step = TrainingStep(Place(trials=range(first, first + theta.trials)), 0) if training else None
        return layer.forward(theta.copy().tree, x, step)  # of a copy: running statistics move

    y, backward = forward(theta, x)
    dy, grads = rng.normal(size=y.shape), _unwritten(theta)
    dx = backward(dy, grads.tree)
    _check_written(grads)
    _check_alone(forward, theta, x, y)
    _check_directions(lambda theta, x: forward(theta, x)[0], (theta, x), (grads, dx), dy, (rng, tolerance))
    without = _unwritten(theta)
    forward(theta, x)[1](dy, without.tree, need_dx=False)
    require_same("gradients do not depend on need_dx", without, grads, tolerance=ALONE)
    _check_one_for_all(forward, theta, x[:1], dy)


def directional_error(
    function: Callable[[np.ndarray], np.ndarray | float],
    gradient: np.ndarray,
    point: np.ndarray,
    rng: np.random.Generator,
    dy: np.ndarray | float = 1.0,
    eps: float = 1e-6,
) -> float:
    """Return how far <gradient, d> is from the central difference of <dy, function> along a random direction d.

    It is relative to the gradient's norm or, where that is nearly 0, to the precision of differences. If a kink of a
    ReLU lies within eps of the point, central differences at eps and eps / 2 disagree; then another direction is tried.
    Raises AssertionError if they disagree in 20 directions.
    """
    least = 1e-3 * (1 + float(np.linalg.norm(dy) * np.linalg.norm(function(point))))
    for _ in range(DIRECTIONS):
        d = rng.normal(size=point.shape)
        d /= np.linalg.norm(d)
        wide, narrow = (
            float(np.sum((function(point + e * d) - function(point - e * d)) * dy)) / (2 * e) for e in (eps, eps / 2)
        )
        scale = max(least, abs(wide), float(np.linalg.norm(gradient)))
        if abs(wide - narrow) < 1e-6 * scale:
            return abs(float((gradient * d).sum()) - narrow) / scale
    raise AssertionError(f"central differences did not settle in any of {DIRECTIONS} directions")


def drawn(layer: Layer, trials: int, rng: np.random.Generator) -> Params:
    """Draw parameters for a gradient check, (T, P) in float64: from N(0, 1), and buffers from [0.5, 2]."""
    theta = Params.empty(layer.layout, trials, np.float64)
    theta.flat[...] = rng.normal(size=theta.flat.shape)
    for name in theta.buffers:
        theta[name][...] = rng.uniform(0.5, 2, theta[name].shape)
    return theta


def _check_init(layer: Layer) -> None:
    found = {name: np.shape(value) for name, value in layer.init(np.random.default_rng(0)).items()}
    said = {name: tuple(shape) for name, shape in layer.layout.items()}
    require(f"init draws what the layout says, {said}", found == said, f"it draws {found}")


def _unwritten(theta: Params) -> Params:
    """Memory for gradients: NaN, so that what is not written can be seen, but 0 for buffers, as in engines."""
    grads = theta.like(np.full_like(theta.flat, np.nan))
    for name in grads.buffers:
        grads[name][...] = 0
    return grads


def _check_written(grads: Params) -> None:
    for name in grads:
        for t, each in enumerate(grads[name]):
            if name in grads.buffers:
                require("buffers take no gradient", each == 0, where(name, t), gradient=each)
            else:
                require("every gradient is written", ~np.isnan(each), where(name, t), gradient=each)


def _check_alone(forward: Forward, theta: Params, x: np.ndarray, y: np.ndarray) -> None:
    for t in range(len(x)):
        alone, _ = forward(theta.trial(t), x[t : t + 1], t)
        same = close(alone[0], y[t], ALONE)
        require("trials never touch each other", same, where("y", t), found=y[t], alone=alone[0])


def _check_one_for_all(forward: Forward, theta: Params, x: np.ndarray, dy: np.ndarray) -> None:
    """Compare one x (1, B, ...) for all trials with as many copies of it; of one x no dx is asked."""
    law = "trials may be shown one x"
    y, backward = forward(theta, x)
    expected, of_copies = forward(theta, x.repeat(theta.trials, axis=0))
    if y.shape[1:] == expected.shape[1:] and len(y) == 1:  # as of a layer without parameters
        y = y.repeat(theta.trials, axis=0)
    require(law, y.shape == expected.shape, f"y is {y.shape}, and {expected.shape} of copies")
    for t in range(theta.trials):
        require(law, close(y[t], expected[t], ALONE), where("y", t), found=y[t], expected=expected[t])
    if not theta.shapes:
        return
    grads, copies = _unwritten(theta), _unwritten(theta)
    backward(dy, grads.tree, need_dx=False)
    of_copies(dy, copies.tree, need_dx=False)
    require_same(law, grads, copies, "of one x for all", ALONE)


def _check_directions(
    function: Callable[[Params, np.ndarray], np.ndarray],
    point: tuple[Params, np.ndarray],
    gradients: tuple[Params, np.ndarray],
    dy: np.ndarray,
    how: tuple[np.random.Generator, float],
) -> None:
    """Check x and each parameter, trial by trial, so that a small gradient cannot hide behind a large one."""
    (theta, x), (grads, dx), (rng, tolerance) = point, gradients, how

    def along(name: str, t: int, values: np.ndarray) -> np.ndarray:
        changed, inputs = theta.copy(), x.copy()
        (changed[name] if name in theta else inputs)[t] = values
        return function(changed, inputs)

    for name in ["x", *(name for name in theta if name not in theta.buffers)]:
        values, gradient = (theta[name], grads[name]) if name in theta else (x, dx)
        for t in range(len(x)):
            error = directional_error(partial(along, name, t), gradient[t], values[t], rng, dy)
            shown = {"disagreement": np.array(error), "gradient": gradient[t], "values": values[t]}
            require("backward is the gradient of forward", error < tolerance, where(name, t), **shown)
