"""Experiments that are small and have everything, and what must be the same whatever happens to them."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from npticket.checkpoint import Snapshot
from npticket.datasets import Dataset, Split
from npticket.experiments import run
from npticket.experiments.checkpoints import File
from npticket.experiments.recipe import Part, Recipe
from npticket.experiments.series import Key
from npticket.papers import PARTS
from npticket.papers.lottery_ticket.recipes import LENET, RESNET_18_LOW

SERIES = (
    "winning_ticket", "random_reinit", "random_mask", "one_shot", "one_shot_reinit", "fine_tuning",
    "continued_training", "noise_0.5", "survivor_reinit", "shuffled", "pruned_at_init", "dense_2", "weights",
)  # fmt: skip
DENSE = replace(
    LENET, name="small-dense", net=Part("lenet_300_100", hidden=[6, 4]), steps=30, batch=8, validate_every=7,
    test_at=(3, 12), train_at=(5, 11), rounds=3, trials=2, series=SERIES,
)  # fmt: skip
CONV = replace(
    RESNET_18_LOW, name="small-conv", net=Part("resnet", depth=8, width=2), steps=8, batch=4, validate_every=3,
    test_at=(2, 8), schedule=Part("step_drops", drops=[[4, 0.001]]), rounds=3, trials=2, rewind_step=2,
    series=("winning_ticket", "random_reinit", "one_shot", "fine_tuning", "continued_training", "weights"),
)  # fmt: skip

Content = dict[str, object]
Reference = dict[tuple[Key, int], str]  # what a checkpoint of a run holds after so many steps


def data_for(recipe: Recipe, seed: int = 0) -> Dataset:
    """Pictures of noise, in the shape that the recipe's network takes."""
    rng, shape = np.random.default_rng(seed), (28, 28) if recipe.net.name == "lenet_300_100" else (32, 32, 3)
    sizes = (80, 20, 20) if len(shape) == 2 else (16, 8, 8)
    splits = [Split(rng.integers(0, 256, (n, *shape), dtype=np.uint8), rng.integers(0, 10, n)) for n in sizes]
    return Dataset("noise", *splits, classes=10, source="torture.py")


def grown(recipe: Recipe) -> list[Recipe]:
    """The recipe, after two that ask for less of it."""
    few = replace(recipe, trials=1, rounds=2, series=recipe.series[:2])
    return [few, replace(recipe, trials=1), recipe]


def runs(folder: Path) -> Content:
    """The SHA-256 of all that the files of runs hold, but for times, the machine, and what was chosen by timing."""
    found: Content = {}
    for path in sorted((folder / "runs").glob("*.npz")):
        try:
            with np.load(path, allow_pickle=False) as file:
                where = json.loads(file["origin"].item())
                found[f"{path.name} origin"] = {name: value for name, value in where.items() if name != "machine"}
                for name in set(file) - {"seconds", "chosen", "origin"}:
                    found[f"{path.name} {name}"] = hashlib.sha256(file[name].tobytes()).hexdigest()
        except (ValueError, LookupError, EOFError, zipfile.BadZipFile):
            found[path.name] = "is torn"
    return found


def content(folder: Path) -> Content:
    """All that must be the same: weights, masks, what was measured, the recipe, and the tables but for their times."""
    found = runs(folder)
    for path in (folder / "recipe.json", *folder.glob("*.csv")):
        lines = path.read_text().splitlines()
        found[path.name] = [line.rpartition(",")[0] for line in lines] if path.name == "results.csv" else lines
    return found


def of_trial(snapshot: Mapping[str, np.ndarray], t: int) -> str:
    """The SHA-256 of what a snapshot says of its trial `t`: parameters, moments, curves."""
    first = [name for name in snapshot if name in ("theta", "best", "lowest", "stop") or name.startswith("optimizer/")]
    parts = [snapshot[name][t] for name in sorted(first)] + [snapshot["curves"][:, t], snapshot["losses"][:, t]]
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def uninterrupted(recipe: Recipe, folder: Path, data: Dataset) -> Reference:
    """Run an experiment in `folder`, and return what checkpoints of it hold after each step."""
    found: Reference = {}

    def save(self: File, take: object) -> None:
        snapshot: Snapshot = take()
        for t, key in enumerate(self._common["runs"]):
            found[Key(*key), int(snapshot["step"])] = of_trial(snapshot, t)

    really, File.save = File.save, save
    try:
        run.run(recipe, PARTS, folder, data)
    finally:
        File.save = really
    return found


def checkpoints(folder: Path, reference: Reference) -> tuple[int, int]:
    """How many trials the checkpoints in a folder are of, and how many of those are not what they should be."""
    there = wrong = 0
    for path in folder.glob(".checkpoints/*/*.npz"):
        try:
            with np.load(path, allow_pickle=False) as file:
                found = dict(file)
            keys = json.loads(found["origin"].item())["runs"]
            wrong += sum(of_trial(found, t) != reference[Key(*key), int(found["step"])] for t, key in enumerate(keys))
            there += len(keys)
        except FileNotFoundError:  # of a run that was finished meanwhile
            continue
        except (ValueError, LookupError, zipfile.BadZipFile):
            wrong += 1
    return there, wrong
