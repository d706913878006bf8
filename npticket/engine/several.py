"""Trials in lock-step on a CPU: one engine each, because each has other weights left."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from npticket.params import Params
from npticket.streams import TrainingStep


class Several:
    """Runs trial t with engine t, so that it is, bit for bit, trial t alone."""

    def __init__(self, engines: Sequence[Any]) -> None:
        self._engines = engines

    def see(self, images: np.ndarray) -> np.ndarray:
        """Return `images` as they are: which pixels matter differs from trial to trial."""
        return images

    def step(self, x: np.ndarray, labels: np.ndarray, step: TrainingStep) -> np.ndarray:
        """Take one optimizer step; return the loss before it, per trial (T,).     x (T, B, ...)   labels (T, B)"""
        losses = [
            engine.step(engine.see(x[t : t + 1]), labels[t : t + 1], replace(step, trials=[step.trials[t]]))
            for t, engine in enumerate(self._engines)
        ]
        return np.concatenate(losses)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return logits (T, B, C).     x (T, B, ...), or (1, B, ...) to show every trial the same"""
        shown = [x[t : t + 1] if len(x) > 1 else x for t in range(len(self._engines))]
        return np.concatenate([e.predict(e.see(x)) for e, x in zip(self._engines, shown, strict=True)])

    def read(self, out: Params) -> None:
        """Copy the present parameters, pruned ones 0, into `out`."""
        for t, engine in enumerate(self._engines):
            engine.read(out.trial(t))
