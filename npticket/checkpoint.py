"""Save a training run in the middle and resume it: it ends with the same bits as an uninterrupted one.

Where a run draws at random is a function of its place and of the step, so that no generator's state is kept. Parameters
and moments are kept as they stand in Params, whatever an engine's own order is; that follows from the start and masks.
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
        """Return what was kept, or None; ValueError says why what is there cannot be trusted."""

    def save(self, take: Callable[[], Snapshot]) -> None:
        """Keep what `take` returns before going on, or do nothing: this is called after every step."""


OpenCheckpoint = Callable[[Params, Params, Place], Checkpoint]  # that of the run with this start, masks and place


class Never:
    """Keeps nothing."""

    def load(self) -> None:
        """There is none."""

    def save(self, take: Callable[[], Snapshot]) -> None:
        """It is lost."""


def opened(
    checkpoints: OpenCheckpoint | None, optimizer: MakeOptimizer, start: Params, masks: Params, place: Place
) -> Checkpoint:
    """Return a run's checkpoint: one that keeps nothing if none is wanted, or the optimizer does not give its state."""
    if checkpoints is None:
        return Never()
    if is_resumable(one := optimizer(masks)):
        return checkpoints(start, masks, place)
    said = "has no state() and restore(): its training runs begin anew after an interruption"
    warnings.warn(f"the optimizer {type(one).__name__} {said}", RuntimeWarning, stacklevel=5)
    return Never()


def snapshot(step: int, engine: Engine, record: Record) -> Snapshot:
    """Return all that a run depends on after `step` steps: "step" (), "theta" (T, P), the optimizer's and the record's.

    These are partly the run's own arrays, which the next step changes.
    """
    theta = record.best.copy()
    engine.read(theta)
    moments = {f"{OPTIMIZER}{name}": to_host(array) for name, array in engine.state().items()}
    return {"step": np.array(step), "theta": to_host(theta.flat), **moments, **record.state()}


def resume(checkpoint: Checkpoint, engine: Engine, record: Record, first_step: int) -> int:
    """Take engine and record to where the checkpoint's run was; return its step, or `first_step` if there is none.

    A checkpoint that cannot be trusted is warned of, and left alone. RuntimeError where an optimizer of the user's own
    does not take back what it gave.
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
        raise RuntimeError(f"{why}; delete the checkpoint if the optimizer has changed since") from error
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
    expected = {"step": ((), "i"), "theta": (theta.shape, "f"), **record.layout(int(step), first_step)}
    for name, array in _moments(saved).items():
        expected[OPTIMIZER + name] = (theta.shape, "f") if array.ndim == 2 else (theta.shape[:1], "fiub")
    if wrong := saved.keys() ^ expected.keys():
        raise ValueError(f"it lacks, or should not have, {', '.join(sorted(wrong))}")
    for name, (shape, kinds) in expected.items():
        array = saved[name]
        if array.shape != shape or array.dtype.kind not in kinds:
            raise ValueError(f"its {name} is {array.dtype} {array.shape}, expected {shape} of kind {kinds}")
        if name not in ("curves", "lowest") and not np.isfinite(array).all():
            raise ValueError(f"its {name} is not finite")
