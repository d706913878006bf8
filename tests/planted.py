"""A directory's smallest runs, made up, and files that are planted in it."""

import json
import re
from dataclasses import replace

import numpy as np

from npticket.experiments import run_files
from npticket.experiments.parts import Experiment, Parts, merged
from npticket.experiments.recipe import Part, Recipe
from npticket.experiments.series import Key, Series
from npticket.experiments.store import Store
from npticket.layers import Chain, Dense, Flatten
from npticket.nets import Net
from npticket.papers import PARTS


def tiny():
    """18 weights, 3 biases."""
    return Net("tiny", Chain(flatten=Flatten(), out=Dense(6, 3)), (2, 3), (3,))


def nothing(recipe):
    yield from ()


SIZE = 21
KNOWN = merged(PARTS, Parts(nets={"tiny": tiny}, series={"counted": Series(nothing)}))
ASKED = Recipe(
    name="a test", source="Figure 0", net=Part("tiny"), data=Part("noise"), optimizer=Part("sgd", lr=0.1),
    prune=Part("magnitude"), batch=4, steps=30, rounds=6, series=("winning_ticket", "random_reinit"), validate_every=10,
)  # fmt: skip
MANIFEST = {"machine": {"numpy": "2"}, "data": {"name": "noise", "source": "a test", "caveat": "", "sha256": "12ab"}}
MASK = np.packbits(np.arange(SIZE) % 3 > 0)
KEY = Key("winning_ticket", 0, 1)


def made_up(**changes):
    """A run with three validations, the second being the best."""
    run = {
        "masks": MASK, "at_steps": np.array([10, 20, 30]), "train_loss": np.array([3.0, 2, 1]),
        "val_loss": np.array([2.0, 1, 3]), "val_acc": np.array([0.1, 0.2, 0.3]), 
        "test_acc": np.array([np.nan, 0.5, 0.4]),
        "early_stop_step": 20, "early_stop_val_loss": 1.0, "early_stop_test_acc": 0.5,
        "final_test_acc": 0.4, "final_train_acc": 1.0, "best_train_acc": 1.0, "steps": 30, "seconds": 1.5,
    }  # fmt: skip
    run |= changes
    return {"density": np.unpackbits(run["masks"].astype(np.uint8))[:18].sum() / 18} | run


def opened(folder, manifest=MANIFEST, strict=False, **changes):
    return Store(folder, Experiment(replace(ASKED, **changes), KNOWN), manifest, strict)


def planted(path, run, **changes):
    """A file that nobody changed since, whatever is in it."""
    key = Key(*re.fullmatch(r"(.+)-round(..)-trial(.)", path.stem).groups())
    home = {"series": key.series, "round": int(key.round), "trial": int(key.trial), "given": {}, "machine": "0"}
    origin = home | {"experiment": run_files.experiment_digest(ASKED, MANIFEST["data"]["sha256"])} | changes
    path.write_bytes(run_files.packed(run, origin))


def without(folder, key, name):
    """A run's file as if it had not kept an array, and nobody had changed it since."""
    path = folder / "runs" / key.file
    with np.load(path, allow_pickle=False) as file:
        run = {each: file[each] for each in file.files}
    origin = json.loads(str(run.pop("origin")))
    path.write_bytes(run_files.packed({each: array for each, array in run.items() if each != name}, origin))
