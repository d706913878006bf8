"""Save a training run in the middle and resume it: it ends with the same bits as an uninterrupted one.

What a run draws at random is a function of its place and the step, so no generator's state need be kept. Parameters
and moments are kept in the order of Params; an engine derives its own order anew from the start and the masks.
"""

import warnings
from collections.abc import Callable
from typing import Protocol

import numpy as np

from npticket.backend import array_module, to_device, to_host
from npticket.params import Params
from npticket.protocols import Engine, MakeOptimizer, State, is_resumable
from npticket.record import Record
from npticket.streams import Place

OPTIMIZER = "optimizer/"  # before the names of what an optimizer keeps

Snapshot = dict[str, np.ndarray]


class Checkpoint(Protocol):
    """Keeps the last snapshot of a training run, wherever it likes."""

    def load(self) -> Snapshot | None:
        """Return the snapshot, or None if there is none; ValueError, with the reason, if it cannot be trusted."""

    def save(self, take: Callable[[], Snapshot]) -> None:
        """Called after every step: keep the snapshot that `take()` returns, or do nothing because it is too early."""


OpenCheckpoint = Callable[[Params, Params, Place], Checkpoint]  # (start, masks, place) -> the checkpoint of that run


class Never:
    """A checkpoint that keeps nothing."""

    def load(self) -> None:
        """Return None: there is no snapshot."""

    def save(self, take: Callable[[], Snapshot]) -> None:
        """Do nothing."""


def opened(
    checkpoints: OpenCheckpoint | None, optimizer: MakeOptimizer, start: Params, masks: Params, place: Place
) -> Checkpoint:
    """Return a run's checkpoint; one that keeps nothing if `checkpoints` is None or the optimizer has no state()."""
    if checkpoints is None:
        return Never()
    if is_resumable(one := optimizer(masks)):
        return checkpoints(start, masks, place)
    said = "has no state() and restore(): its training runs begin anew after an interruption"
    warnings.warn(f"the optimizer {type(one).__name__} {said}", RuntimeWarning, stacklevel=5)
    return Never()


def snapshot(step: int, engine: Engine, record: Record) -> Snapshot:
    """Return all that a run depends on after `step` steps: "step" (), "theta" (T, P), the optimizer's and the record's.

    Some are the run's own arrays: write them before the next step, which changes them.
    """
    theta = record.best.copy()
    engine.read(theta)
    moments = {f"{OPTIMIZER}{name}": to_host(array) for name, array in engine.state().items()}
    return {"step": np.array(step), "theta": to_host(theta.flat), **moments, **record.state()}


def resume(checkpoint: Checkpoint, engine: Engine, record: Record, first_step: int) -> int:
    """Set engine and record to the checkpoint's state; return its step, or `first_step` if there is no checkpoint.

    A checkpoint that cannot be trusted is not used, with a warning. RuntimeError if an optimizer of the user's own
    does not take back the state that it gave.
    """
    try:
        saved = checkpoint.load()
        if saved is None:
            return first_step
        _check(saved, record, first_step)
    except ValueError as error:
        warnings.warn(f"a training run begins anew, without its checkpoint: {error}", RuntimeWarning, stacklevel=5)
        return first_step
    xp = array_module(record.best.flat)
    engine.write(record.best.like(to_device(saved["theta"], xp)))
    try:
        engine.restore({name: to_device(a, xp) if a.ndim == 2 else a for name, a in _moments(saved).items()})
    except (LookupError, TypeError, ValueError) as error:
        why = f"the optimizer cannot go on from its checkpoint ({type(error).__name__}: {error})"
        raise RuntimeError(f"{why}; delete {checkpoint} if the optimizer has changed since") from error
    step = int(saved["step"])
    record.restore(step, saved)
    return step


def _moments(saved: Snapshot) -> State:
    return {name.removeprefix(OPTIMIZER): array for name, array in saved.items() if name.startswith(OPTIMIZER)}


def _check(saved: Snapshot, record: Record, first_step: int) -> None:
    """Raise ValueError unless everything is there, in the shapes and types of this run, and finite where it must be."""
    step, theta, steps = saved.get("step", np.array("no")), record.best.flat, record.at_steps[-1]
    if step.shape != () or step.dtype.kind != "i" or not first_step < step < steps:
        raise ValueError(f"it is of {step} steps, expected more than {first_step} and fewer than {steps}")
    expected = {"step": ((), "i"), "theta": (theta.shape, "f"), **record.state_layout(int(step), first_step)}
    for name, array in _moments(saved).items():
        expected[OPTIMIZER + name] = (theta.shape, "f") if array.ndim == 2 else (theta.shape[:1], "fiub")
    if wrong := saved.keys() ^ expected.keys():
        raise ValueError(f"it lacks, or should not have, {', '.join(sorted(wrong))}")
    for name, (shape, kinds) in expected.items():
        array = saved[name]
        if array.shape != shape or array.dtype.kind not in kinds:
            raise ValueError(f"its {name} is {array.dtype} {array.shape}, expected {shape} of kind {kinds}")
    running = ~record.are_out_of_patience(int(step), saved["stop"])  # the others may be NaN by now
    for name, array in saved.items():
        if name in ("losses", "trained"):
            array = array[..., running]
        elif name == "theta" or (name.startswith(OPTIMIZER) and array.ndim == 2):
            array = array[running]
        if name not in ("curves", "lowest") and not np.isfinite(array).all():
            raise ValueError(f"its {name} is not finite")
