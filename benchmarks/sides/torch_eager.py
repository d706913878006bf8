"""PyTorch eager as one would write it for speed.

Fused optimizers; gradients multiplied by the masks in one call, unless nothing is pruned; bytes gathered and made
floats batch by batch; validation images as floats once and for all; images channels last.
"""

from functools import cached_property, partial

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from npticket.datasets import Dataset, Split
from npticket.nets import Net
from npticket.params import Params
from sides.torch_twin import Twin

CHUNK = 1000  # images evaluated at a time: the best of those that evaluation.py compares
Examples = tuple[torch.Tensor, torch.Tensor]


class Training:
    """One network in training; see sides/__init__.py."""

    channels_last = True

    def __init__(
        self, net: Net, start: Params, masks: Params, data: Dataset, optimizer: partial, threads: int = 1
    ) -> None:
        torch.set_num_threads(threads)
        self.twin, self._scale = Twin(net, start), data.scale
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        self.module = self.twin.module.to(memory_format=layout)
        self.train, self.validation, self.test = map(self._examples, (data.train, data.validation, data.test))
        kind = getattr(torch.optim, optimizer.func.__name__)
        self._optimizer = kind(self.module.parameters(), **optimizer.keywords, fused=True)
        pruned = [] if masks.flat.all() else [(n, p, axes) for n, p, axes in self.twin.pairs if n in masks.weights]
        self._pruned = [parameter for _, parameter, _ in pruned]
        # In the memory order of the gradients: over other strides PyTorch multiplies more slowly.
        self.keep = [
            torch.empty_like(p, requires_grad=False).copy_(torch.from_numpy(masks[n][0].transpose(axes)))
            for n, p, axes in pruned
        ]

    def given(self, numbers: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(numbers)

    def step(self, given: torch.Tensor) -> torch.Tensor:
        self._optimizer.zero_grad(set_to_none=True)
        loss = self.loss(given)
        loss.backward()
        if self._pruned:
            torch._foreach_mul_([parameter.grad for parameter in self._pruned], self.keep)
        self._optimizer.step()
        return loss.detach()

    def loss(self, given: torch.Tensor) -> torch.Tensor:
        """The mean loss of these training examples."""
        images, labels = self.train
        y = self.module(self._floats(images.index_select(0, given)))
        return cross_entropy(y, labels.index_select(0, given))

    def validate(self, chunk: int = CHUNK) -> tuple[float, float]:
        return self.evaluate(*self._validation_floats, chunk)

    @torch.inference_mode()
    def evaluate(self, images: torch.Tensor, labels: torch.Tensor, chunk: int = CHUNK) -> tuple[float, float]:
        """Return mean loss and accuracy."""
        loss, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        self.module.eval()
        for x, y in zip(images.split(chunk), labels.split(chunk), strict=True):
            logits = self.module(self._floats(x))
            loss += cross_entropy(logits, y, reduction="sum")
            correct += (logits.argmax(dim=1) == y).sum()
        self.module.train()
        return loss.item() / len(labels), correct.item() / len(labels)

    def read(self, out: Params) -> None:
        for name, values in self.twin.values():
            out[name][0] = values

    @cached_property
    def _validation_floats(self) -> Examples:
        images, labels = self.validation
        return self._bytes_to_floats(images), labels

    def _floats(self, images: torch.Tensor) -> torch.Tensor:
        """What the network is shown of images as `_examples` made them."""
        x = self._bytes_to_floats(images)
        return x.permute(0, 3, 1, 2) if x.ndim == 4 and self.channels_last else x

    def _bytes_to_floats(self, images: torch.Tensor) -> torch.Tensor:
        return images.to(self.twin.dtype) if images.is_floating_point() else images * self._scale

    def _examples(self, split: Split) -> Examples:
        """Images (N, pixels), or (N, H, W, C) and permuted batch by batch, or (N, C, H, W); labels of 64 bits."""
        images = torch.tensor(split.inputs)
        if images.ndim == 3:
            images = images.flatten(1)
        elif not self.channels_last:
            images = images.permute(0, 3, 1, 2).contiguous()
        return images, torch.from_numpy(split.targets.astype(np.int64))
