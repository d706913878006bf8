"""LeNet's training by one of our engines, step by step as `npticket.train.fit` does it: our side of the benchmarks."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from npticket.datasets import Dataset
from npticket.engine import plan
from npticket.nets import Net
from npticket.optimizers import Adam
from npticket.params import Params
from npticket.streams import Place, TrainingStep
from npticket.task import CLASSIFY
from npticket.train import SHOWN, evaluate


class Training:
    """One dense network in training, from `start` under `masks`, with the methods of torch_lenet.Training."""

    def __init__(self, net: Net, start: Params, masks: Params, data: Dataset, lr: float, engine: str) -> None:
        self._dtype = start.flat.dtype
        some = data.train.inputs[:: len(data.train) // SHOWN + 1]
        optimizer = partial(Adam, lr=lr)
        self.runner = plan(net, CLASSIFY, start, masks, optimizer, engine, data.floats(some, self._dtype))
        self.data = data.seen(self.runner.see)
        self._steps = 0

    def step(self, index: np.ndarray) -> np.ndarray:
        """Take a step with the training images of these numbers (B,); return the loss before it (1,)."""
        images, labels = (part.take(index[None], axis=0) for part in (self.data.train.inputs, self.data.train.targets))
        self._steps += 1
        return self.runner.step(self.data.floats(images, self._dtype), labels, TrainingStep(Place(), self._steps))

    def validate(self) -> tuple[float, float]:
        """Return mean loss and accuracy on the validation images."""
        found = evaluate(CLASSIFY, self.runner.predict, self.data, self.data.validation, self._dtype)
        return found["loss"].item(), found["acc"].item()


def minibatches(examples: int, batch: int) -> Iterator[np.ndarray]:
    """Yield the numbers of the examples of each minibatch, epoch after epoch, for ever."""
    rng = np.random.default_rng(0)
    while True:
        yield from rng.permutation(examples)[: examples // batch * batch].reshape(-1, batch)
