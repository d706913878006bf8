"""Weights that an experiment kept, read while others may be at work in its directory."""

from pathlib import Path

from npticket.experiments.binding import RunFiles
from npticket.experiments.files import StoreError, read_manifest
from npticket.experiments.parts import Experiment, Parts
from npticket.experiments.planning import planned, trained
from npticket.experiments.run import read_recipe
from npticket.experiments.series import Key
from npticket.params import Params, unpack
from npticket.protocols import Net


def read_weights(
    folder: str | Path, parts: Parts, round: int, trial: int, series: str = ""
) -> tuple[Net, Params, Params]:
    """Return a network, its parameters at the end of one of its training runs, and its masks, T = 1.

    By default of the recipe's first series. The run must have been made with `Means(keep_weights=True)`. StoreError
    says what to do if it was not, or is no run of this experiment, or not yet finished, or damaged.
    """
    recipe, folder = read_recipe(folder), Path(folder)
    experiment, key = Experiment(recipe, parts), Key(series or recipe.series[0], round, trial)
    runs, name = planned(recipe, parts.series), key.file.removesuffix(".npz")
    if key not in trained(runs):
        has = (
            f"trials are below {recipe.trials}, its rounds below {recipe.rounds}, its series {', '.join(recipe.series)}"
        )
        raise StoreError(f"{folder} has no training run {name}: its {has}")
    manifest = read_manifest(folder / "manifest.json")
    files = RunFiles(folder / "runs", experiment, manifest["data"].get("sha256", ""), runs, "format" in manifest)
    if not files.path(key).exists():
        raise StoreError(f"{files.path(key)} is not there: the run is not finished, or only the tables were published")
    run, _ = files.read(key)
    if "end" not in run:
        how = f"`npticket run {folder} --keep-weights` trains it again and keeps them"
        raise StoreError(f"{files.path(key)} kept no weights: {how}")
    theta = Params.empty(experiment.net.body.layout, 1).like(run["end"][None])
    return experiment.net, theta, unpack(run["masks"], theta)
