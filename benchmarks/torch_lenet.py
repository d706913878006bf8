"""LeNet's training in PyTorch eager as one would write it for speed: the peer of the benchmarks.

Fused Adam; gradients multiplied by the masks, unless nothing is pruned; the images on hand as bytes, gathered and made
floats batch by batch; the validation images as floats once and for all.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch_twin import Twin

from npticket.datasets import Dataset, Split
from npticket.nets import Net
from npticket.params import Params

BATCH = 60
CHUNK = 500  # images evaluated at a time: evaluation.py compares


class Tensors:
    """A dataset's images as bytes (N, pixels), its labels as the 64-bit integers that cross_entropy asks for."""

    def __init__(self, data: Dataset) -> None:
        self.train, self.validation, self.test = map(_tensors, (data.train, data.validation, data.test))
        self.scale = data.scale

    @cached_property
    def validation_floats(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The validation images as the network sees them, and their labels."""
        images, labels = self.validation
        return self.floats(images), labels

    def floats(self, images: torch.Tensor) -> torch.Tensor:
        """What the network is shown."""
        return images if images.is_floating_point() else images * self.scale


class Training:
    """One dense network in training, from `start` under `masks`."""

    def __init__(self, net: Net, start: Params, masks: Params, data: Tensors, lr: float) -> None:
        torch.set_num_threads(1)
        self.data = data
        self.twin = Twin(net, start)
        self.module = self.twin.module
        self.optimizer = torch.optim.Adam(self.module.parameters(), lr=lr, fused=True)
        prunable = [(p, masks[name][0].transpose(axes)) for name, p, axes in self.twin.pairs if name in masks.weights]
        self.pruned = [] if masks.flat.all() else [p for p, _ in prunable]
        # In the memory order of the gradients: over other strides PyTorch multiplies more slowly.
        self.keep = [torch.from_numpy(np.ascontiguousarray(keep, np.float32)) for _, keep in prunable]

    def step(self, index: torch.Tensor) -> torch.Tensor:
        """Take a step with the training images of these numbers; return the loss before it."""
        images, labels = self.data.train
        x = self.data.floats(images.index_select(0, index))
        self.optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(self.module(x), labels.index_select(0, index))
        loss.backward()
        if self.pruned:
            torch._foreach_mul_([parameter.grad for parameter in self.pruned], self.keep)
        self.optimizer.step()
        return loss.detach()

    def validate(self, chunk: int = CHUNK) -> tuple[float, float]:
        """Return mean loss and accuracy on the validation images."""
        return self.evaluate(*self.data.validation_floats, chunk)

    @torch.inference_mode()
    def evaluate(self, images: torch.Tensor, labels: torch.Tensor, chunk: int = CHUNK) -> tuple[float, float]:
        """Return mean loss and accuracy."""
        loss, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for x, y in zip(images.split(chunk), labels.split(chunk), strict=True):
            logits = self.module(self.data.floats(x))
            loss += cross_entropy(logits, y, reduction="sum")
            correct += (logits.argmax(dim=1) == y).sum()
        return loss.item() / len(labels), correct.item() / len(labels)

    def state(self) -> list[torch.Tensor]:
        """A copy of the parameters."""
        return [parameter.detach().clone() for _, parameter, _ in self.twin.pairs]

    def restore(self, state: list[torch.Tensor]) -> None:
        """Put such a copy back."""
        with torch.no_grad():
            for (_, parameter, _), value in zip(self.twin.pairs, state, strict=True):
                parameter.copy_(value)

    def read(self, out: Params) -> None:
        """Copy the present parameters into `out`."""
        for name, parameter, axes in self.twin.pairs:
            values = parameter.detach().numpy()
            out[name][0] = values.reshape(out[name][0].shape) if values.ndim < len(axes) else values.transpose(axes)


class Fit(NamedTuple):
    """What `fit` returns: the parameters at the end, and the test accuracy there and where validation was best."""

    end: Params
    final_test_acc: float
    early_stop_test_acc: float


def fit(
    net: Net, start: Params, masks: Params, data: Tensors, *, lr: float, steps: int, validate_every: int, seed: int
) -> Fit:
    """Train in batches of 60 and evaluate as often as `npticket.train.fit` does."""
    training = Training(net, start, masks, data, lr)
    losses, lowest, best = [], float("inf"), training.state()
    for step, index in zip(range(1, steps + 1), minibatches(len(data.train[1]), BATCH, seed), strict=False):
        losses.append(training.step(index))
        if step % validate_every == 0 or step == steps:
            if not torch.stack(losses).isfinite().all():
                raise ArithmeticError(f"PyTorch's training loss is not finite at step {step}")
            losses.clear()
            loss, _ = training.validate()
            if loss < lowest:
                lowest, best = loss, training.state()
    end = start.copy()
    training.read(end)
    _, final_test_acc = training.evaluate(*data.test)
    training.evaluate(*data.train)
    training.restore(best)
    _, early_stop_test_acc = training.evaluate(*data.test)
    return Fit(end, final_test_acc, early_stop_test_acc)


def minibatches(examples: int, batch: int, seed: int) -> Iterator[torch.Tensor]:
    """Yield the numbers of the examples of each minibatch, epoch after epoch, for ever."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(examples, generator=generator)
        yield from order[: examples // batch * batch].split(batch)


def _tensors(split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(split.inputs.reshape(len(split), -1)), torch.tensor(split.targets.astype(np.int64))
