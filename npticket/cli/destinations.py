"""Where `npticket publish` writes: over nothing but what it wrote before of the same experiments."""

from collections.abc import Mapping
from pathlib import Path

from npticket.experiments.directory import check_free, read_recipe
from npticket.experiments.errors import StoreError
from npticket.experiments.growth import common
from npticket.experiments.outcome import Outcome


def destinations(found: Mapping[Path, Outcome], folder: Path, goal: Path) -> dict[Path, Path]:
    """Return where in `goal` each of the experiments `found` in `folder` is published, by its directory.

    StoreError if runs are kept there, or another experiment is published there, about which a page may say much.
    """
    alone, other = folder in found, "publish into another directory"
    if any((place / "runs").exists() for place in (goal, *(goal / path.name for path in found))):
        raise StoreError(f"{goal} is where runs are kept; {other}")
    if folder.resolve() in goal.resolve().parents:
        raise StoreError(f"{goal} lies in {folder}, whose own files are there; {other}")
    if not alone and (goal / "recipe.json").exists():
        raise StoreError(f"{goal} holds a single experiment, {folder} several; {other}")
    if alone and any(goal.glob("*/recipe.json")):
        raise StoreError(f"{goal} holds several experiments, {folder} only one; {other}")
    places = {path: goal if alone else goal / path.name for path in found}
    for path, outcome in found.items():
        check_free(place := places[path], outcome.measured)
        if (place / "recipe.json").exists() and common(there := read_recipe(place)) != common(outcome.recipe):
            raise StoreError(f"{place} holds another experiment, {there.name}: {other}, or delete that")
    return places
