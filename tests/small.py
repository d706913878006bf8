"""A small experiment on noise, its data, and what it leaves: most tests of the runner begin with these."""

from dataclasses import replace

import numpy as np

from npticket.datasets import Dataset, Split
from npticket.experiments import run
from npticket.experiments.recipe import Part
from npticket.experiments.run import Execution
from npticket.papers import PARTS
from npticket.papers.lottery_ticket.recipes import LENET

EVERYTHING = (
    "winning_ticket", "random_reinit", "random_reinit_2", "random_mask", "one_shot", "one_shot_reinit", "fine_tuning",
    "continued_training", "noise_0.5", "survivor_reinit", "shuffled", "pruned_at_init",
)  # fmt: skip
SMALL = replace(
    LENET,
    net=Part("lenet_300_100", hidden=[6, 4]),
    steps=12,
    batch=8,
    validate_every=5,
    test_at=(3, 12),
    train_at=(11,),
    rounds=3,
    trials=2,
    series=(*EVERYTHING, "dense_2"),
)


def data(seed=0, n=80):
    rng = np.random.default_rng(seed)

    def split(count):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        return Split(images, (images[:, 0, 0] // 26).astype(np.uint8))

    return Dataset("noise", split(n), split(20), split(20), classes=10, source="a test")


def experiment(recipe, folder, data, **execution):
    return run.run(recipe, PARTS, folder, data, Execution(**execution))


def rows(outcome):
    """Results without the seconds, which never repeat, and curves."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in outcome.results], list(outcome.curves)
