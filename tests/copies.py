"""Copies of a small network that are trained in other orders, by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from small import SMALL, data

from npticket.experiments.parts import Experiment
from npticket.experiments.recipe import Part
from npticket.papers import PARTS
from npticket.papers.linear_mode.instability import ALL
from npticket.streams import Place
from npticket.task import CLASSIFY
from npticket.train import Setting, fit

PRUNED = Part("magnitude", scope="globally", rates={"*/W": 0.738})
RECIPE = replace(
    SMALL, name="linear-mode-resnet8-800", prune=PRUNED, rewind_step=4, rounds=2, test_at=(), train_at=(), series=ALL
)


def kept(folder, key, what):
    with np.load(Path(folder) / "runs" / key.file, allow_pickle=False) as file:
        return file[what]


def by_hand(start, masks, round, order, first_step=4, steps=12):
    """Train from a step on with a fresh optimizer."""
    made = Experiment(RECIPE, PARTS)
    setting = Setting(made.optimizer(first_step), steps, batch=8, validate_every=5, first_step=first_step)
    return fit(made.net, CLASSIFY, start, masks, data(), setting, Place(0, (0,), round, order)).end
