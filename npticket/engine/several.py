"""Trials in lock-step on a CPU: one engine each, because each has other weights left."""

from collections.abc import Sequence

import numpy as np

from npticket.params import Params
from npticket.protocols import Engine
from npticket.streams import TrainingStep


class Several:
    """Runs trial t with engine t, so that it is, bit for bit, trial t alone."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = engines

    def see(self, inputs: np.ndarray) -> np.ndarray:
        """Return `inputs` as they are: which of them matter differs from trial to trial."""
        return inputs

    def step(self, x: np.ndarray, targets: np.ndarray, step: TrainingStep) -> np.ndarray:
        """Take one optimizer step; return the loss before it, per trial (T,).     x, targets (T, B, ...)"""
        losses = [
            engine.step(engine.see(x[t : t + 1]), targets[t : t + 1], TrainingStep(step.place.of([trial]), step.number))
            for t, (engine, trial) in enumerate(zip(self._engines, step.place.trials, strict=True))
        ]
        return np.concatenate(losses)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return y (T, B, ...).     x (T, B, ...), or (1, B, ...) to show every trial the same"""
        shown = [x[t : t + 1] if len(x) > 1 else x for t in range(len(self._engines))]
        return np.concatenate([e.predict(e.see(x)) for e, x in zip(self._engines, shown, strict=True)])

    def read(self, out: Params) -> None:
        """Copy the present parameters, pruned ones 0, into `out`."""
        for t, engine in enumerate(self._engines):
            engine.read(out.trial(t))
