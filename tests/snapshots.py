"""Checkpoints in files, of parameters that are made up."""

import numpy as np

from npticket.experiments.checkpoints import Checkpoints
from npticket.experiments.series import Key
from npticket.params import Params
from npticket.streams import Place

KEYS = [Key("winning_ticket", 1, 0), Key("winning_ticket", 1, 1)]
PLACE = Place(0, [0, 1], 1)
ORIGIN = {"recipe": {"steps": 12}, "engine": "fast"}


def theta(fill=0.5):
    return Params({"fc/W": (3, 4)}, np.full((2, 12), fill, np.float32))


def masks():
    return Params({"fc/W": (3, 4)}, np.ones((2, 12), bool))


def snapshot(step=7):
    return {"step": np.array(step), "theta": theta(step).flat, "optimizer/v": np.arange(24.0).reshape(2, 12)}


def opened(folder, start=None, place=PLACE, keys=KEYS, every=0.0, **origin):
    folder.mkdir(exist_ok=True)
    return Checkpoints(folder, ORIGIN | origin, every).of(keys, [0, None])(start or theta(), masks(), place)


def saved(folder, step=7, **changes):
    """Save a snapshot there, and return its file."""
    opened(folder, **changes).save(lambda: snapshot(step))
    return max(folder.glob("*/*.npz"), key=lambda path: path.stat().st_mtime_ns)
