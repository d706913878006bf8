"""Reads networks from the runs in a directory: masks, initial values and, if they were kept, trained values."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from npticket.experiments.directory import read_recipe
from npticket.experiments.errors import StoreError
from npticket.experiments.manifest import read_manifest
from npticket.experiments.outcome import Outcome
from npticket.experiments.parts import Experiment, Parts
from npticket.experiments.planning import planned, planned_if_known, trained
from npticket.experiments.run_files import RunFiles
from npticket.experiments.series import Key
from npticket.params import Params, unpack
from npticket.protocols import Net
from npticket.streams import streams


class Network(NamedTuple):
    """One network (T = 1): its masks; the values that survivors were reset to; trained values, or None if not kept."""

    masks: Params
    theta0: Params
    end: Params | None


class Kept:
    """The networks of a series, read from the runs in `folder` when they are asked for; nothing is locked or written.

    It is for series that start from theta0 or the rewind point, as winning tickets do. If there are no runs, as in a
    published directory, or if the series is not known here, there are no networks.
    """

    def __init__(self, folder: str | Path, experiment: Experiment, outcome: Outcome, series: str) -> None:
        self._experiment, self._series = experiment, series
        self._planned = planned_if_known(experiment.recipe, experiment.parts.series)
        data = outcome.manifest["data"].get("sha256", "")
        self._files = RunFiles(Path(folder) / "runs", experiment, data, self._planned)
        self._initial = cache(lambda trial: experiment.net.init(streams(experiment.recipe.seed, [trial], "init")))

    def trials(self, round: int) -> list[int]:
        """Return the numbers of the trials that have a network in a round."""
        keys = (Key(self._series, round, trial) for trial in range(self._experiment.recipe.trials))
        return [key.trial for key in keys if key in self._planned and self._files.path(key).exists()]

    def network(self, round: int, trial: int) -> Network | None:
        """Read a network; None if its rewind point was not kept, StoreError for a file that is damaged."""
        key, theta0 = Key(self._series, round, trial), self._initial(trial)
        point = self._planned[key].given.get("theta0")
        if point is not None:
            earlier = self._files.read(point.key)[0] if self._files.path(point.key).exists() else {}
            if point.what not in earlier:
                return None
            theta0 = theta0.like(earlier[point.what][None])
        run = self._files.read(key)[0]
        end = theta0.like(run["end"][None]) if "end" in run else None
        return Network(unpack(run["masks"], theta0), theta0, end)


def read_weights(
    folder: str | Path, parts: Parts, round: int, trial: int, series: str = ""
) -> tuple[Net, Params, Params]:
    """Return a network, its parameters at the end of one of its training runs, and its masks, T = 1.

    `series` is by default the recipe's first. The run must have been made with `Execution(keep_weights=True)`. If it
    was not, or is no run of this experiment, is not yet finished, or is damaged, StoreError says what to do.
    """
    recipe, folder = read_recipe(folder), Path(folder)
    experiment, key = Experiment(recipe, parts), Key(series or recipe.series[0], round, trial)
    runs, name = planned(recipe, parts.series), key.file.removesuffix(".npz")
    if key not in trained(runs):
        there = sorted({one.round for one in trained(runs) if one.series == key.series})
        rounds = f"rounds of {key.series} {there[0]} to {there[-1]}, its " if there else ""
        has = f"trials are 0 to {recipe.trials - 1}, its {rounds}series {', '.join(recipe.series)}"
        raise StoreError(f"{folder} has no training run {name}: its {has}")
    manifest = read_manifest(folder / "manifest.json")
    files = RunFiles(folder / "runs", experiment, manifest["data"].get("sha256", ""), runs)
    if not files.path(key).exists():
        raise StoreError(f"{files.path(key)} is not there: the run is not finished, or only the tables were published")
    run, _ = files.read(key)
    if "end" not in run:
        how = f"`npticket run {folder} --keep-weights` trains it again and keeps them"
        raise StoreError(f"{files.path(key)} kept no weights: {how}")
    theta = Params.empty(experiment.net.body.layout, 1).like(run["end"][None])
    return experiment.net, theta, unpack(run["masks"], theta)
