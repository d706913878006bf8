"""The laws of optimizers: what npticket.protocols.Optimizer promises."""

import numpy as np

from npticket.engine.optimizers import made
from npticket.optimizers import moving
from npticket.params import Params
from npticket.protocols import MakeOptimizer, does_decay, is_elementwise, is_resumable
from npticket.testing.laws import require, require_same, where
from npticket.tickets import rewind

STEPS = 4
WILD = (np.inf, -np.inf, np.nan, -0.0, -1.0, 1e38)  # a pruned weight's gradient may be anything


def check_optimizer(make: MakeOptimizer, theta0: Params, masks: Params, seed: int = 0) -> None:
    """Check that an optimizer keeps its promises; call it with what `strategies.parameters` draws.

    `make(masks)` returns a fresh one; it is run as engines run it. The laws: pruned weights stay exactly +0, whatever
    their gradients; one step moves every survivor that has a gradient; buffers stay; the same steps give the same bits;
    it keeps no parameters; trial t among others is trial t alone. And about its attributes: if it is `elementwise`, it
    does the same to survivors that are packed together in another order; if it does not say `decays`, it leaves alone
    what has no gradient; with `state` and `restore`, a fresh one goes on as the old one would.

    Raises AssertionError naming law, parameter and trial.
    """
    for law in (pruned_stay_0, survivors_move, steps_repeat, trials_are_alone, says_what_it_is, resumes):
        law(make, theta0, masks, seed)


def pruned_stay_0(make: MakeOptimizer, theta0: Params, masks: Params, seed: int = 0) -> None:
    """Pruned weights stay exactly +0, under momentum and weight decay, whatever their gradients; buffers stay."""
    gradients, rng = drawn(theta0, seed), np.random.default_rng(seed)
    for each in gradients:
        each[~masks.flat] = rng.choice(WILD, size=(~masks.flat).sum())
    start = rewind(theta0, masks)
    with np.errstate(all="ignore"):
        end = run(make, start, masks, gradients)
    for name in end:
        for t in range(end.trials):
            mask, values = masks[name][t], end[name][t]
            zero = mask | ((values == 0) & ~np.signbit(values))
            require("pruned weights stay exactly 0", zero, where(name, t), end=values, mask=mask)
            require("survivors stay finite", np.isfinite(values), where(name, t), end=values, mask=mask)
            if name in end.buffers:
                there = start[name][t]
                require("buffers stay as they are", values == there, where(name, t), end=values, start=there)


def survivors_move(make: MakeOptimizer, theta0: Params, masks: Params, seed: int = 0) -> None:
    """One step moves every survivor that has a gradient, and nothing else."""
    gradients = np.random.default_rng(seed).uniform(1, 2, (1, *theta0.flat.shape)).astype(theta0.flat.dtype)
    start, moves = rewind(theta0, masks), moving(masks)
    end = run(make, start, masks, gradients)
    for name in end:
        for t in range(end.trials):
            moved = (end[name][t] != start[name][t]) == moves[name][t]
            shown = {"start": start[name][t], "end": end[name][t], "mask": masks[name][t]}
            require("one step moves every survivor with a gradient", moved, where(name, t), **shown)


def steps_repeat(make: MakeOptimizer, theta0: Params, masks: Params, seed: int = 0) -> None:
    """The same steps give the same bits, also if theta is another array at every step."""
    start, gradients = rewind(theta0, masks), drawn(theta0, seed)
    end = run(make, start, masks, gradients)
    require_same("the same steps are the same bits", run(make, start, masks, gradients), end)
    optimizer, theta = made(make, masks), start
    for each in gradients:
        theta = theta.copy()
        optimizer.step(theta, theta.like(each.copy()))
    require_same("an optimizer keeps no parameters", theta, end)


def trials_are_alone(make: MakeOptimizer, theta0: Params, masks: Params, seed: int = 0) -> None:
    """Trial t among others is, bit for bit, trial t alone."""
    start, gradients = rewind(theta0, masks), drawn(theta0, seed)
    end = run(make, start, masks, gradients)
    for t in range(end.trials):
        alone = run(make, start.trial(t), masks.trial(t), gradients[:, t : t + 1])
        require_same("trial t among others is trial t alone", end.trial(t), alone, f"of trial {t} among others")


def says_what_it_is(make: MakeOptimizer, theta0: Params, masks: Params, seed: int = 0) -> None:
    """What it says about itself by `elementwise` and `decays` is true."""
    start, gradients, rng = rewind(theta0, masks), drawn(theta0, seed), np.random.default_rng(seed)
    one = make(masks.trial(0))
    if is_elementwise(one):
        end = run(make, start, masks, gradients)
        for t in range(start.trials):
            index = rng.permutation(np.flatnonzero(moving(masks).flat[t]))
            packed = Params({"packed/W": index.shape}, start.flat[t : t + 1, index])
            everyone = packed.like(np.ones(packed.flat.shape, bool))
            found, expected = start.trial(t).copy(), end.trial(t)
            found.flat[:, index] = run(make, packed, everyone, gradients[:, t : t + 1, index]).flat
            require_same("elementwise: packed together, each moves as before", found, expected, f"of trial {t}")
    if not does_decay(one):
        still = rng.random(start.flat.shape) < 0.5
        gradients[:, still] = 0
        end = run(make, start, masks, gradients)
        for name in end:
            for t in range(end.trials):
                here, there = end[name][t], start[name][t]
                stays = (here == there) | ~start.like(still)[name][t]
                require("no decay: what has no gradient stays", stays, where(name, t), start=there, end=here)


def resumes(make: MakeOptimizer, theta0: Params, masks: Params, seed: int = 0) -> None:
    """A fresh optimizer that is given the state of another goes on as that would."""
    if not is_resumable(make(masks.trial(0))):
        return
    start, gradients = rewind(theta0, masks), drawn(theta0, seed)
    end, theta, optimizer = run(make, start, masks, gradients), start.copy(), made(make, masks)
    for each in gradients[:2]:
        optimizer.step(theta, theta.like(each.copy()))
    state = {name: array.copy() for name, array in optimizer.state().items()}
    for name, array in state.items():
        fits = array.shape in (theta.flat.shape, theta.flat.shape[:1])
        require("a state is (T, P) or (T,)", fits, f"its {name} is {array.shape}, theta {theta.flat.shape}")
    resumed = made(make, masks)
    resumed.restore(state)
    for array in state.values():
        array[...] = 0  # the optimizer must have copied what it keeps
    for each in gradients[2:]:
        resumed.step(theta, theta.like(each.copy()))
    require_same("restored, it goes on as before", theta, end)


def run(make: MakeOptimizer, start: Params, masks: Params, gradients: np.ndarray) -> Params:
    """Return theta after one step for each row of `gradients` (steps, T, P), taken as engines do."""
    optimizer, theta = made(make, masks), start.copy()
    for each in gradients:
        optimizer.step(theta, theta.like(each.copy()))
    return theta


def drawn(theta: Params, seed: int) -> np.ndarray:
    """Draw random gradients (steps, T, P), those of buffers 0, as in engines."""
    gradients = np.random.default_rng(seed).normal(size=(STEPS, *theta.flat.shape)).astype(theta.flat.dtype)
    for each in gradients:
        for name in theta.buffers:
            theta.like(each)[name][...] = 0
    return gradients
