"""Step 2, training: minibatch steps, validation at intervals, and the early-stopping iteration after the fact.

The early-stopping iteration is the step of minimum validation loss (Frankle & Carbin 2019, section 1, footnote 2).
Training always runs its full budget. The test set is looked at for that step, at the end, and where it is asked for; it
decides nothing.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from npticket.backend import Array, array_module, to_device, to_host
from npticket.datasets import Dataset, Split, epoch_order
from npticket.engine import plan
from npticket.loss import score
from npticket.nets import Net
from npticket.params import Params, stack
from npticket.streams import TrainingStep

CHUNK = 250  # images evaluated at a time: few enough that a convolutional network's maps stay small
SHOWN = 1000  # training images, at most, that an engine may look at before it begins


class DivergedError(ArithmeticError):
    """The loss of a training run became NaN or infinite."""


@dataclass(frozen=True)
class Fit:
    """What came out of training T networks with V validations on the way.

    Accuracies are fractions, losses means per example; `train_loss` is the mean over the steps since the validation
    before. `seconds` is the wall time of the lock-step run divided by T.
    """

    end: Params
    at_steps: np.ndarray  # (V,) the numbers of steps after which validation took place
    train_loss: np.ndarray  # (T, V)
    val_loss: np.ndarray  # (T, V)
    val_acc: np.ndarray  # (T, V)
    test_acc: np.ndarray  # (T, V), NaN where it was not evaluated
    early_stop_step: np.ndarray  # (T,)
    early_stop_val_loss: np.ndarray  # (T,)
    early_stop_test_acc: np.ndarray  # (T,)
    final_test_acc: np.ndarray  # (T,)
    final_train_acc: np.ndarray  # (T,)
    seconds: np.ndarray  # (T,)


def fit(
    net: Net,
    start: Params,
    masks: Params,
    data: Dataset,
    *,
    optimizer: Callable[[Params], Any],
    steps: int,
    batch: int = 60,
    validate_every: int = 100,
    seed: int = 0,
    trials: Sequence[int] | None = None,
    round: int = 0,
    first_step: int = 0,
    test_at: Sequence[int] = (),
    augment: Callable[..., Any] | None = None,
    engine: str = "fast",
    threads: int = 1,
) -> Fit:
    """Train `start` under `masks` for `steps` steps and return what was measured; `start` and `masks` are not written.

    `optimizer(masks)` makes a fresh optimizer, e.g. `lambda masks: Adam(masks, lr=1.2e-3)`. `trials` are the numbers
    of the rows of `start` (default 0, 1, ...): the minibatch order is a function of (seed, trial, round, epoch), so
    trial 3 trained alone is trial 3 trained among others. `test_at` are steps at which the test set is looked at too.
    A run that goes on from a network of `first_step` steps sees the minibatches, and reports the steps, from there to
    `steps`; the optimizer is a fresh one all the same, whose schedule should begin there.
    `engine` "plain" calls the layers, "fast" equals it up to rounding and may use as many threads as `threads` says.
    `augment(examples per epoch, seed, trials, round, epoch)` draws how an epoch's images are changed, e.g.
    `FlipAndCrop.draw`; what it returns has the methods `to` and `apply` of that class. Raises DivergedError, naming
    trial, round and step, and MemoryError where not even one network fits; of several, as many train at a time as do.
    """
    trials = list(range(start.trials) if trials is None else trials)
    _check(net, start, masks, data, trials, steps=steps, batch=batch, validate_every=validate_every)
    if not 0 <= first_step < steps:
        raise ValueError(f"first_step must lie between 0 and {steps - 1}, got {first_step}")
    if not all(1 <= step <= steps for step in test_at):
        raise ValueError(f"test_at must lie between 1 and {steps} steps, got {list(test_at)}")
    settings = {
        "optimizer": optimizer, "steps": steps, "batch": batch, "validate_every": validate_every, "seed": seed,
        "round": round, "first_step": first_step, "test_at": test_at, "augment": augment, "engine": engine,
        "threads": threads,
    }  # fmt: skip
    return _fit_in_parts(partial(_fit, net, data=data, **settings), start, masks, trials)


def _fit_in_parts(train: Callable[..., Fit], start: Params, masks: Params, trials: Sequence[int]) -> Fit:
    """Train all trials in lock-step or, where memory does not suffice for so many, one half of them after the other.

    Trials never touch each other, so that this is nothing but slower.
    """
    try:
        return train(start, masks, trials)
    except MemoryError as error:
        if len(trials) == 1:
            raise MemoryError(f"one network does not fit into memory: take a smaller batch ({error})") from error
    # Not in the handler: it would keep the failed attempt, and its memory, alive.
    half = -(-len(trials) // 2)
    warnings.warn(
        f"{len(trials)} networks do not fit into memory: {half} at a time, if these do", RuntimeWarning, stacklevel=3
    )
    halves = slice(None, len(trials) // 2), slice(len(trials) // 2, None)
    parts = ((start.like(start.flat[half]), masks.like(masks.flat[half]), trials[half]) for half in halves)
    return join_trials([_fit_in_parts(train, *part) for part in parts])


def _fit(
    net: Net,
    start: Params,
    masks: Params,
    trials: Sequence[int],
    *,
    data: Dataset,
    optimizer: Callable[[Params], Any],
    steps: int,
    batch: int,
    validate_every: int,
    seed: int,
    round: int,
    first_step: int,
    test_at: Sequence[int],
    augment: Callable[..., Any] | None,
    engine: str,
    threads: int,
) -> Fit:
    """`fit`, once its arguments were found to be good."""
    began = time.perf_counter()
    xp = array_module(start.flat, masks.flat)
    data = data.to(xp)
    dtype = start.flat.dtype
    some = data.train.images[:: len(data.train) // SHOWN + 1]
    runner = plan(net, start, masks, optimizer, engine, shown=data.floats(some, dtype), threads=threads)
    seen = data.seen(runner.see)
    at_steps = sorted({*range(validate_every, steps + 1, validate_every), *test_at, steps})
    record = _Record(start, [step for step in at_steps if step > first_step])
    look_at = set(record.at_steps)
    losses = []  # kept on the device: looking at one would wait for it
    batches = _minibatches(data if augment else seen, batch, dtype, seed, trials, round, first_step, augment)
    for step, (images, labels) in zip(range(first_step, steps), batches, strict=False):
        if augment:  # moves pixels, so that they had to be in their places until now
            images = runner.see(images)
        losses.append(runner.step(images, labels, TrainingStep(seed, trials, round, step)))
        if step + 1 in look_at:
            since = to_host(xp.stack(losses))
            losses.clear()
            _check_finite("training", since, step + 1, trials, round)
            train_loss = since.mean(axis=0, dtype=np.float64)
            val_loss, val_acc = evaluate(runner.predict, seen, seen.validation, dtype)
            _check_finite("validation", val_loss[None], step + 1, trials, round)
            tested = evaluate(runner.predict, seen, seen.test, dtype)[1] if step + 1 in test_at else np.nan
            record.add(runner, train_loss, val_loss, val_acc, tested)

    end = start.like(xp.empty_like(start.flat))
    runner.read(end)
    _, early_stop_test_acc = evaluate(partial(net.predict, record.best), data, data.test, dtype)
    _, final_test_acc = evaluate(runner.predict, seen, seen.test, dtype)
    record.test_acc[:, -1] = final_test_acc
    record.test_acc[np.arange(start.trials), record.val_loss.argmin(axis=1)] = early_stop_test_acc
    _, final_train_acc = evaluate(runner.predict, seen, seen.train, dtype)
    return Fit(
        end=end,
        at_steps=np.array(record.at_steps),
        train_loss=record.train_loss,
        val_loss=record.val_loss,
        val_acc=record.val_acc,
        test_acc=record.test_acc,
        early_stop_step=np.array(record.at_steps)[record.val_loss.argmin(axis=1)],
        early_stop_val_loss=record.val_loss.min(axis=1),
        early_stop_test_acc=early_stop_test_acc,
        final_test_acc=final_test_acc,
        final_train_acc=final_train_acc,
        seconds=np.full(start.trials, (time.perf_counter() - began) / start.trials),
    )


def _minibatches(
    data: Dataset,
    batch: int,
    dtype: Any,
    seed: int,
    trials: Sequence[int],
    round: int,
    first_step: int,
    augment: Callable[..., Any] | None,
) -> Iterator[tuple[Array, Array]]:
    """Yield images (T, B, ...) as floats and labels (T, B), epoch after epoch, for ever, from `first_step` on."""
    xp = array_module(data.train.images)
    first_epoch, skipped = divmod(first_step, len(data.train) // batch)
    for epoch in count(first_epoch):
        order = epoch_order(len(data.train), batch, seed, trials, round, epoch)
        examples = order.shape[1] * batch
        changes = augment(examples, seed, trials, round, epoch).to(xp) if augment else None
        order = to_device(order, xp)
        for k in range(skipped if epoch == first_epoch else 0, order.shape[1]):
            images = data.train.images.take(order[:, k], axis=0)
            if changes is not None:
                images = changes.apply(images, slice(k * batch, (k + 1) * batch))
            yield data.floats(images, dtype), data.train.labels.take(order[:, k])


def evaluate(
    predict: Callable[[Array], Array], data: Dataset, split: Split, dtype: Any = np.float32
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean loss and accuracy over `split` of each trial, (T,) and (T,), for `predict(images) -> logits`."""
    chunks = []  # kept on the device: looking at one would wait for it
    for i in range(0, len(split), CHUNK):
        images, labels = split.images[None, i : i + CHUNK], split.labels[None, i : i + CHUNK]
        chunks.append(score(predict(data.floats(images, dtype)), labels))
    xp = array_module(split.labels)
    losses, corrects = (to_host(xp.stack(part)).astype(np.float64) for part in zip(*chunks, strict=True))
    # One after the other: NumPy's own sum would depend on how many trials there are.
    return sum(losses) / len(split), sum(corrects) / len(split)


def join_trials(parts: Sequence[Fit]) -> Fit:
    """Join fits of different trials, made with the same steps, into one with all of them, in order."""
    joined = {f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Fit)[2:]}
    return Fit(end=stack([part.end for part in parts]), at_steps=parts[0].at_steps, **joined)


class _Record:
    """The curves of a run, and each trial's parameters at its lowest validation loss so far."""

    def __init__(self, start: Params, at_steps: list[int]) -> None:
        self.at_steps = at_steps
        self.train_loss, self.val_loss, self.val_acc, self.test_acc = np.full((4, start.trials, len(at_steps)), np.inf)
        self.best = start.copy()
        self._present = start.copy()
        self._count = 0

    def add(self, runner: Any, *values: Any) -> None:
        """Note training loss, validation loss and accuracy, test accuracy; of equal losses the first is the best."""
        better = values[1] < self.val_loss.min(axis=1)
        for curve, value in zip((self.train_loss, self.val_loss, self.val_acc, self.test_acc), values, strict=True):
            curve[:, self._count] = value
        self._count += 1
        if better.any():
            runner.read(self._present)
            for t in np.flatnonzero(better):
                self.best.flat[t] = self._present.flat[t]


def _check_finite(what: str, losses: np.ndarray, step: int, trials: Sequence[int], round: int) -> None:
    """Raise DivergedError for the first bad loss of the last steps (S, T); `step` is the number of the last one."""
    bad = np.argwhere(~np.isfinite(losses))
    if len(bad):
        row, t = bad[0]
        raise DivergedError(
            f"the {what} loss of trial {trials[t]} became {losses[row, t]} in round {round} at step "
            f"{step - len(losses) + row + 1}: try a smaller learning rate"
        )


def _check(net: Net, start: Params, masks: Params, data: Dataset, trials: Sequence[int], **counts: int) -> None:
    for what, value in counts.items():
        if value < 1:
            raise ValueError(f"{what} must be at least 1, got {value}")
    if counts["batch"] > len(data.train):
        raise ValueError(f"a batch of {counts['batch']} does not fit into {len(data.train)} training examples")
    if len(trials) != start.trials:
        raise ValueError(f"{len(trials)} trial numbers for {start.trials} trials")
    if start.shapes != dict(net.body.layout):
        raise ValueError(f"the parameters are not those of {net.name}")
    if start.flat.dtype not in (np.float32, np.float64):
        raise TypeError(f"parameters are {start.flat.dtype}, expected float32 or float64")
    if masks.flat.dtype != bool:
        raise TypeError(f"masks are {masks.flat.dtype}, expected bool")
    for name in start:
        if name not in masks or masks[name].shape != start[name].shape:
            shape = masks[name].shape if name in masks else None
            raise ValueError(
                f"masks[{name!r}] has shape {shape}, the parameter has {start[name].shape}: is the trials axis missing?"
            )
    if array_module(start.flat, masks.flat).any(start.flat[~masks.flat]):
        raise ValueError("a pruned weight does not start at 0: use rewind(theta0, masks)")
    if data.train.images.shape[1:] != net.input_shape:
        raise ValueError(f"{data.name} has images of {data.train.images.shape[1:]}, {net.name} takes {net.input_shape}")
    if data.classes != net.classes:
        raise ValueError(f"{data.name} has {data.classes} classes, {net.name} tells {net.classes} apart")
