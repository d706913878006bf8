"""What an experiment left in its directory, read back, with what must be said beside every result."""

from pathlib import Path

from npticket.experiments import tables
from npticket.experiments.files import StoreError, read_json
from npticket.experiments.parts import Experiment, Parts
from npticket.experiments.recipe import Recipe, from_json, reduced
from npticket.experiments.tables import Outcome


def outcome(folder: str | Path, parts: Parts) -> Outcome:
    """Read what an experiment left in `folder`, with its title and its note."""
    recipe, folder = read_recipe(folder), Path(folder)
    experiment = Experiment(recipe, parts)
    task = experiment.task
    try:
        results = tables.read(folder / "results.csv", tables.result_columns(task))
        curves = tables.read(folder / "curves.csv", tables.curve_columns(task))
    except FileNotFoundError as error:
        raise StoreError(f"{error.filename} is missing: run the same command again to make it") from error
    except ValueError as error:
        raise StoreError(str(error)) from error
    manifest = read_json(folder / "manifest.json")
    data = manifest["data"]
    title = f"{experiment.net.name} on {data['name']}" + (f" ({data['caveat']})" if data["caveat"] else "")
    if not results:
        raise StoreError(f"{folder} has no finished run yet: run the same command again")
    trials = len({row["trial"] for row in results})
    note = f"{trials} trial{'s' * (trials != 1)} of {recipe.steps:,} steps"
    tf32 = "products in TF32" if any(machine.get("tf32") for machine in manifest["machines"]) else ""
    note = "; ".join(filter(None, (note, reduced(recipe, parts.published), tf32)))
    return Outcome(recipe, manifest, results, curves, title, note, task, parts.series)


def read_recipe(folder: str | Path) -> Recipe:
    """Return the recipe of a directory; StoreError if it is no experiment's, RecipeError for a wrong field."""
    path = Path(folder) / "recipe.json"
    if not path.is_file():
        raise StoreError(f"{folder} is not an experiment's directory: it has no recipe.json")
    return from_json(read_json(path))
