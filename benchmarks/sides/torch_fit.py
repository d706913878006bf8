"""A whole training run in PyTorch, with the steps and the evaluations of `npticket.train.fit`."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch

from npticket.datasets import Dataset
from npticket.nets import Net
from npticket.params import Params
from sides import torch_eager

BATCH = 60


class Fit(NamedTuple):
    """What `fit` returns: the parameters at the end, and the test accuracy there and where validation was best."""

    end: Params
    final_test_acc: float
    early_stop_test_acc: float


def fit(
    make: Callable[..., torch_eager.Training],
    net: Net,
    start: Params,
    masks: Params,
    data: Dataset,
    optimizer: partial,
    steps: tuple[int, int],
    seed: int,
) -> Fit:
    """Train in batches of 60; `steps` are how many in all, and from one validation to the next."""
    training = make(net, start, masks, data, optimizer)
    losses, lowest, best = [], float("inf"), _copy(training)
    for step, index in zip(range(1, steps[0] + 1), _minibatches(len(data.train), seed), strict=False):
        losses.append(training.step(index))
        if step % steps[1] == 0 or step == steps[0]:
            if not torch.stack(losses).isfinite().all():
                raise ArithmeticError(f"PyTorch's training loss is not finite at step {step}")
            losses.clear()
            loss, _ = training.validate()
            if loss < lowest:
                lowest, best = loss, _copy(training)
    end = start.copy()
    training.read(end)
    _, final_test_acc = training.evaluate(*training.test)
    training.evaluate(*training.train)
    training.module.load_state_dict(best)
    _, early_stop_test_acc = training.evaluate(*training.test)
    return Fit(end, final_test_acc, early_stop_test_acc)


def _minibatches(examples: int, seed: int) -> Iterator[torch.Tensor]:
    """Yield the numbers of the examples of each minibatch, epoch after epoch, for ever."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(examples, generator=generator)
        yield from order[: examples // BATCH * BATCH].split(BATCH)


def _copy(training: torch_eager.Training) -> dict[str, torch.Tensor]:
    return {name: values.clone() for name, values in training.module.state_dict().items()}
