"""What a network is trained for: a loss with its gradient, and what is measured on a whole split."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from npticket.backend import Array, Dtype, array_module, to_host
from npticket.datasets import Dataset, Split, rows_of
from npticket.loss import score, softmax_cross_entropy, split_weights, weighted_softmax_cross_entropy
from npticket.protocols import Loss, Net

Predict = Callable[[Array], Array]  # of a batch: y (T, B, ...)
Measured = Mapping[str, np.ndarray]  # by name, for each trial
Examples = Iterable[tuple[Array, Array]]  # a split in batches: inputs (1, B, ...) and targets (1, B, ...)

CHUNK = 500  # examples evaluated at a time, at most
NUMBERS = 3 << 17  # numbers in the inputs of these, at most: so they stay in the cache, and a convolution's maps small


@dataclass(frozen=True)
class Metric:
    """A number that says how good predictions are: its `name` in columns, the acc of val_acc, and how it is shown.

    `words` and `short` are what people call it. What is printed is `scale` times the value, in `unit`; `difference` is
    the unit of a difference. Values lie between `least` and `most`: others in a file are refused as never measured.
    The best is the highest or, with `lower_is_better` (losses and errors), the lowest.
    """

    name: str
    words: str
    short: str
    unit: str = ""
    difference: str = ""
    scale: float = 1
    least: float = -math.inf
    most: float = math.inf
    lower_is_better: bool = False

    def best(self, values: np.ndarray) -> np.ndarray:
        """Return the best along the first axis; NaN, which is what nobody measured, only if all are."""
        return (np.fmin if self.lower_is_better else np.fmax).reduce(values)

    def is_worse(self, value: float, other: float) -> bool:
        """Whether a value is worse than another one."""
        return value > other if self.lower_is_better else value < other

    def text(self, value: float) -> str:
        """Return a value as it is shown: "97.97 %" for an accuracy of 0.9797."""
        return f"{self.scale * value:.2f} {self.unit}".rstrip()


@dataclass(frozen=True)
class Task:
    """What a network is trained for.

    `loss(y, targets)` returns the loss of each trial (T,), a mean over B and never over T, and dL/dy. What is measured
    on a split comes from `evaluate(predict, examples)`, a value per trial (T,) under the name of each of `metrics`.
    The first of these is "loss", whose lowest value on the validation set is the early stop; the last is what verdicts
    are about. `output_shape(data)` is the shape that a network's outputs must have for such data.
    """

    name: str
    loss: Loss
    evaluate: Callable[[Predict, Examples], Measured]
    metrics: tuple[Metric, ...]
    output_shape: Callable[[Dataset], tuple[int | None, ...]]

    def __post_init__(self) -> None:
        if self.names[:1] != ("loss",):
            raise ValueError(
                f"the first metric of a task is its loss, called loss, got {', '.join(self.names) or 'none'}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the metrics, "loss" first."""
        return tuple(metric.name for metric in self.metrics)

    @property
    def headline(self) -> Metric:
        """The metric that verdicts are about."""
        return self.metrics[-1]


def mean_over_examples(sums: Iterable[tuple[Array, ...]], count: int) -> list[np.ndarray]:
    """Add up over batches, as `sum_over_batches` does, and divide by `count`, the number of examples."""
    return [total / count for total in sum_over_batches(sums)]


def sum_over_batches(sums: Iterable[tuple[Array, ...]]) -> list[np.ndarray]:
    """Add up over batches: float64 (T,) on the host, for each quantity.

    `sums` gives for each batch a tuple of one array (T,) per quantity, its sum over the batch.
    """
    parts = list(zip(*sums, strict=True))  # kept on the device until here: reading one would wait for the GPU
    xp = array_module(parts[0][0])
    # One after the other: NumPy's own sum would round differently with another number of trials.
    totals = [to_host(xp.stack(part)).astype(np.float64) for part in parts]
    return [np.asarray(sum(total)) for total in totals]


def _loss_and_accuracy(predict: Predict, examples: Examples) -> Measured:
    """Mean cross-entropy and the fraction of examples whose class is the one predicted."""
    sums, count = [], 0
    for x, classes in examples:
        sums.append(score(predict(x), classes))
        count += classes.shape[1]
    loss, accuracy = mean_over_examples(sums, count)
    return {"loss": loss, "acc": accuracy}


def _weighted_loss_and_accuracy(predict: Predict, examples: Examples) -> Measured:
    """The same, with each example counted as often as its weight says."""
    sums = []
    for x, targets in examples:
        y = predict(x)
        classes, weights = split_weights(targets, y.dtype)
        sums.append((*score(y, classes, weights), weights.sum(axis=1)))
    loss, correct, total = sum_over_batches(sums)
    return {"loss": loss / total, "acc": correct / total}


def evaluate(task: Task, predict: Predict, data: Dataset, split: Split, dtype: Dtype = np.float32) -> Measured:
    """Return what the task measures on `split`, by name, (T,) each, for `predict(x) -> y`, x (1, B, ...)."""
    room = NUMBERS if array_module(split.targets) is np else 4 * NUMBERS  # on a device launches cost more than a cache
    count = min(CHUNK, max(1, room // math.prod(split.inputs.shape[1:])))
    parts = [slice(i, i + count) for i in range(0, len(split), count)]
    shown = zip(rows_of(split.inputs, parts), parts, strict=True)
    return task.evaluate(predict, ((data.floats(x[None], dtype), split.targets[None, part]) for x, part in shown))


def named(when: str, measured: Measured) -> dict[str, np.ndarray]:
    """Return the measures under the names of columns: "loss" as "val_loss" if `when` is "val"."""
    return {f"{when}_{name}": values for name, values in measured.items()}


def misfit(net: Net, task: Task, data: Dataset) -> str:
    """Return a sentence that says why a network cannot be trained for a task on some data; "" if it can."""
    given, wanted = data.train.inputs.shape[1:], task.output_shape(data)
    if given != net.input_shape:
        return f"{data.name} has inputs of shape {given}, {net.name} takes {net.input_shape}"
    if None in wanted:
        return f"{data.name} has no classes, which it needs to {task.name}: name the task that the data are for"
    if wanted != net.output_shape:
        return f"to {task.name} {data.name} takes outputs of shape {wanted}, {net.name} has {net.output_shape}"
    return ""


def _classes(data: Dataset) -> tuple[int | None, ...]:
    return (data.classes,)


# A task whose loss can be negative brings a metric of its own.
LOSS = Metric("loss", "loss", "loss", least=0, lower_is_better=True)
ACCURACY = Metric("acc", "accuracy", "acc.", unit="%", difference="points", scale=100, least=0, most=1)
CLASSIFY = Task("classify", softmax_cross_entropy, _loss_and_accuracy, (LOSS, ACCURACY), _classes)


def classify_weighted(classes: int) -> Task:
    """Return the task to classify examples that have weights: an example of weight 3 counts as three of weight 1.

    Targets are (N, 2), a class from 0 to classes - 1 and a weight that is not negative, of data whose `classes` are
    None. The loss of a minibatch is its weighted mean: of weights that are integers, that of repeated examples.
    """

    def shape(data: Dataset) -> tuple[int]:
        for split in (data.train, data.validation, data.test):
            labels, weights = (to_host(split.targets[..., i]) for i in (0, 1))
            if not np.isin(labels, np.arange(classes)).all():
                wrong = labels[~np.isin(labels, np.arange(classes))][0]
                raise ValueError(f"classes must be integers from 0 to {classes - 1}, got {wrong}")
            if not ((weights >= 0) & np.isfinite(weights)).all() or not weights.any():
                raise ValueError("weights must be finite numbers, none negative and not all 0")
        return (classes,)

    metrics = LOSS, ACCURACY
    return Task("classify weighted", weighted_softmax_cross_entropy, _weighted_loss_and_accuracy, metrics, shape)
