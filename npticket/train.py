"""Step 2, training: minibatch steps, and validation at intervals.

Training runs its full budget, unless patience is asked for. The test set is looked at for early stopping, at the end
and where asked for; it decides nothing. What is measured is the task's business, its names parts of names: val_loss.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

import numpy as np

from npticket.backend import Array, Dtype, array_module, one_blas_thread, to_device, to_host
from npticket.checkpoint import OpenCheckpoint, opened, resume, snapshot
from npticket.datasets import Augment, Dataset, Split, epoch_order, rows_of
from npticket.engine import plan
from npticket.params import Params, check_masks
from npticket.protocols import MakeOptimizer, Net
from npticket.record import DivergedError, Fit, Record, join_trials
from npticket.streams import Place, TrainingStep
from npticket.task import Measured, Task, evaluate, misfit, named


def _nobody(step: int) -> None:
    """Do nothing: the default of `Setting.watch`."""


@dataclass(frozen=True)
class Setting:
    """How to train. Steps are optimizer steps.

    `optimizer(masks)` makes a fresh optimizer, e.g. `lambda masks: Adam(masks, lr=1.2e-3)`. The validation set is
    measured every `validate_every` steps and at the end; with it the test set, after the steps `test_at`; the training
    set after the steps `train_at` before the last and, if `train_at_end`, at the end. A run from a network that is
    `first_step` steps old sees the minibatches, and reports the steps, from there to `steps`; its optimizer is fresh,
    and needs a schedule that begins there. What is left over when an epoch is cut into batches of `batch` examples is
    dropped. `augment` draws how an epoch's inputs are changed, e.g. `FlipAndCrop.draw`. `engine` "plain" calls the
    layers; "fast" equals it up to rounding, and uses at most `threads` threads. `checkpoints` opens a run's checkpoint:
    interrupted, the run goes on from it and ends with the same bits. With `patience` a run ends after so many
    validations without a new minimum of the validation loss: see `Fit`. Of each split the same `evaluated` examples are
    measured every time, or all if it is 0. `watch(step)` is called after each step.
    """

    optimizer: MakeOptimizer
    steps: int
    batch: int = 60
    validate_every: int = 100
    first_step: int = 0
    test_at: Sequence[int] = ()
    train_at: Sequence[int] = ()
    train_at_end: bool = True
    augment: Augment | None = None
    engine: str = "fast"
    threads: int = 1
    checkpoints: OpenCheckpoint | None = None
    patience: int | None = None
    evaluated: int = 0
    watch: Callable[[int], object] = _nobody

    def __post_init__(self) -> None:
        if not callable(self.optimizer):
            raise TypeError("optimizer makes one from masks, lambda masks: Adam(masks, lr=1.2e-3), "
                            f"got {type(self.optimizer).__name__}")  # fmt: skip
        least = {"steps": 1, "batch": 1, "validate_every": 1, "threads": 1, "evaluated": 0, "patience": 1}
        for what in (*least, "first_step", "test_at", "train_at"):
            for value in getattr(self, what) if what.endswith("_at") else [getattr(self, what)]:
                if not hasattr(value, "__index__") and not (what == "patience" and value is None):
                    raise TypeError(f"{what} must be an integer, got {value!r}")
        for what, at_least in least.items():
            if (value := getattr(self, what)) is not None and value < at_least:
                raise ValueError(f"{what} must be at least {at_least}, got {value}")
        if not 0 <= self.first_step < self.steps:
            raise ValueError(f"first_step must lie between 0 and {self.steps - 1}, got {self.first_step}")
        for what in ("test_at", "train_at"):
            if not all(1 <= step <= self.steps for step in getattr(self, what)):
                raise ValueError(f"{what} must lie between 1 and {self.steps} steps, got {list(getattr(self, what))}")

    @property
    def at_steps(self) -> list[int]:
        """The numbers of steps after which validation takes place."""
        at = {*range(self.validate_every, self.steps + 1, self.validate_every), *self.test_at, self.steps}
        return sorted(step for step in at if step > self.first_step)


def fit(
    net: Net, task: Task, start: Params, masks: Params, data: Dataset, setting: Setting, place: Place | None = None
) -> Fit:
    """Train `start` under `masks` and return what was measured; neither is written to.

    `place` says which trials these are, in which round, and the seed: minibatches are a function of it and the epoch
    (default: trials 0, 1, ... of round 0, seed 0). BLAS uses one thread meanwhile. Too many networks for the memory are
    trained fewer at a time. Raises DivergedError, naming trial, round and step, when the other trials are done;
    MemoryError if not even one network fits; ValueError or TypeError for arguments that do not fit each other, and for
    an optimizer that moves pruned weights.
    """
    place = place or Place(trials=range(start.trials))
    _check(net, task, start, masks, data)
    if setting.batch > len(data.train):
        raise ValueError(f"a batch of {setting.batch} does not fit into {len(data.train)} training examples")
    if len(place.trials) != start.trials:
        raise ValueError(f"{len(place.trials)} trial numbers for {start.trials} trials")
    with one_blas_thread():
        found = _fit_in_parts(partial(_fit, net, task, data, setting), start, masks, place)
    if found.diverged:
        raise DivergedError(next(iter(found.diverged.values())), found)
    if array_module(found.end.flat, masks.flat).any(found.end.flat[~masks.flat]):
        raise ValueError("pruned weights have moved away from 0: the optimizer's step must leave them alone, as SGD's "
                         "and Adam's do by their masks")  # fmt: skip
    return found


def _fit_in_parts(train: Callable[[Params, Params, Place], Fit], start: Params, masks: Params, place: Place) -> Fit:
    """Train all trials in lock-step or, if they do not fit into memory, first one half of them and then the other.

    Trials never touch each other, so the results are the same (on a GPU, unless a single trial is left: see
    docs/gpu.md); it only takes longer.
    """
    trials = place.trials
    try:
        return train(start, masks, place)
    except MemoryError as error:
        if len(trials) == 1:
            said = f" ({error})" if str(error) else ""
            raise MemoryError(f"one network does not fit into memory: take a smaller batch{said}") from error
    # Not in the handler: it would keep the failed attempt, and its memory, alive.
    said = f"{len(trials)} networks do not fit into memory: {-(-len(trials) // 2)} at a time, if these do"
    warnings.warn(said, RuntimeWarning, stacklevel=3)
    halves = slice(None, len(trials) // 2), slice(len(trials) // 2, None)
    parts = ((start.like(start.flat[h]), masks.like(masks.flat[h]), place.of(trials[h])) for h in halves)
    return join_trials([_fit_in_parts(train, *part) for part in parts])


def _fit(net: Net, task: Task, data: Dataset, setting: Setting, start: Params, masks: Params, place: Place) -> Fit:
    """Do what `fit` says, after its arguments were checked; diverged trials are noted and not raised."""
    record = Record(task, start, setting.at_steps, setting.train_at, setting.patience)
    xp, dtype = array_module(start.flat, masks.flat), start.flat.dtype
    data = data.to(xp)
    sample = None if setting.augment else data.sample(dtype)  # augmentation may light pixels that are 0 in all of these
    engine = plan(net, task, start, masks, setting.optimizer, setting.engine, sample, setting.threads)
    prepared = data.prepared(engine.prepare)
    evaluated = prepared.at_most(setting.evaluated)
    checkpoint = opened(setting.checkpoints, setting.optimizer, start, masks, place)
    measured_on = partial(evaluate, task, engine.predict, prepared, dtype=dtype)
    first, validations = resume(checkpoint, engine, record, setting.first_step), set(record.at_steps)

    def measure(when: str, split: Split) -> Measured:
        return record.unknown(when) if record.has_stopped.all() else named(when, measured_on(split))

    batches = _minibatches(data if setting.augment else prepared, replace(setting, first_step=first), dtype, place)
    for step, (inputs, targets) in zip(range(first, setting.steps), batches, strict=False):
        if setting.augment:  # it moves pixels, which the engine may reorder or drop only now
            inputs = engine.prepare(inputs)
        record.losses.append(engine.step(inputs, targets, TrainingStep(place, step)))
        if step + 1 in validations:
            since, record.losses = to_host(xp.stack(record.losses)), []
            record.note_diverged("training", since, step + 1, place)
            found = {"train_loss": since.mean(axis=0, dtype=np.float64), **measure("val", evaluated.validation)}
            record.note_diverged("validation", found["val_loss"][None], step + 1, place)
            record.add(engine, {**found, **(measure("test", evaluated.test) if step + 1 in setting.test_at else {})})
        if step + 1 in setting.train_at and step + 1 < setting.steps:
            record.trained.append(measure("train", evaluated.train))
        setting.watch(step + 1)
        if record.is_over:
            break
        if step + 1 < setting.steps and not record.diverged:
            checkpoint.save(partial(snapshot, step + 1, engine, record))
    end = start.like(xp.empty_like(start.flat))
    engine.read(end)
    test_at_end = measure("test", evaluated.test)
    record.trained.append(measure("train", evaluated.train) if setting.train_at_end else record.unknown("train"))
    engine.write(record.best)
    return record.finished(end, measured_on(evaluated.test), test_at_end)


def _minibatches(data: Dataset, setting: Setting, dtype: Dtype, place: Place) -> Iterator[tuple[Array, Array]]:
    """Yield inputs as floats and targets, (T, B, ...) each, epoch after epoch, for ever, from the first step on."""
    xp, batch = array_module(data.train.inputs), setting.batch
    first_epoch, skipped = divmod(setting.first_step, len(data.train) // batch)
    for epoch in count(first_epoch):
        order = epoch_order(len(data.train), batch, place, epoch)
        changes = setting.augment(order.shape[1] * batch, place, epoch).to(xp) if setting.augment else None
        order = to_device(order, xp)
        numbers = range(skipped if epoch == first_epoch else 0, order.shape[1])
        for k, inputs in zip(numbers, rows_of(data.train.inputs, (order[:, k] for k in numbers)), strict=True):
            shown = inputs if changes is None else changes.apply(inputs, slice(k * batch, (k + 1) * batch))
            yield data.floats(shown, dtype), data.train.targets.take(order[:, k], axis=0)


def _check(net: Net, task: Task, start: Params, masks: Params, data: Dataset) -> None:
    if list(start.shapes.items()) != list(net.body.layout.items()):  # the flat array's order, too
        raise ValueError(f"the parameters are not those of {net.name}: draw them by its init(rngs)")
    if start.flat.dtype not in (np.float32, np.float64):
        raise TypeError(f"parameters are {start.flat.dtype}, expected float32 or float64")
    check_masks(start, masks)
    if array_module(start.flat, masks.flat).any(start.flat[~masks.flat]):
        raise ValueError("a pruned weight does not start at 0: use rewind(theta0, masks)")
    if wrong := misfit(net, task, data):
        raise ValueError(wrong)
