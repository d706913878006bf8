"""Training by one of our engines, step by step as `npticket.train.fit` does it."""

from collections.abc import Iterator

import numpy as np

from npticket.datasets import Dataset
from npticket.engine import plan
from npticket.nets import Net
from npticket.params import Params
from npticket.protocols import MakeOptimizer
from npticket.streams import Place, TrainingStep
from npticket.task import CLASSIFY, evaluate


class Training:
    """One network in training by `engine`."""

    def __init__(
        self,
        net: Net,
        start: Params,
        masks: Params,
        data: Dataset,
        optimizer: MakeOptimizer,
        threads: int = 1,
        engine: str = "fast",
    ) -> None:
        self._dtype = start.flat.dtype
        runner = plan(net, CLASSIFY, start, masks, optimizer, engine, data.sample(self._dtype), threads)
        self._runner, self.read = runner, runner.read
        self._data = data.prepared(runner.prepare)
        self._steps = 0

    def given(self, numbers: np.ndarray) -> np.ndarray:
        return numbers[None]

    def step(self, given: np.ndarray) -> np.ndarray:
        images, labels = (part.take(given, axis=0) for part in (self._data.train.inputs, self._data.train.targets))
        self._steps += 1
        return self._runner.step(self._data.floats(images, self._dtype), labels, TrainingStep(Place(), self._steps))

    def validate(self) -> tuple[float, float]:
        found = evaluate(CLASSIFY, self._runner.predict, self._data, self._data.validation, self._dtype)
        return found["loss"].item(), found["acc"].item()


def minibatches(examples: int, batch: int) -> Iterator[np.ndarray]:
    """Yield the numbers of the examples of each minibatch, epoch after epoch, for ever."""
    rng = np.random.default_rng(0)
    while True:
        yield from rng.permutation(examples)[: examples // batch * batch].reshape(-1, batch)
