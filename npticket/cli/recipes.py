"""The recipes that `npticket run` is asked for: by name, from a file or a directory, with the changes by flags."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from npticket.experiments.bounds import MOST, wrong_size
from npticket.experiments.checks import check
from npticket.experiments.directory import read_recipe, recipe_at
from npticket.experiments.errors import RecipeError
from npticket.experiments.recipe import Recipe, scaled
from npticket.reading import nearest, shown
from npticket.report.paper import Library

FLAGS = ("trials", "rounds", "seed", "patience")  # each has the name of the field that it changes


def chosen_recipes(args: Namespace, library: Library) -> tuple[dict[str, Recipe], Path]:
    """Return the recipes to run, as the flags change them, by the names of their directories; and where these lie.

    A single recipe's results go into the second value itself, a sweep's into directories in it; those of a sweep's
    value alone are where the sweep has them. RecipeError or StoreError if there is no such recipe, or one is not valid.
    """
    name, folder = args.recipe, args.out or Path("runs") / args.recipe
    if name in library.sweeps:
        chosen = dict(library.sweeps[name].recipes)
    elif name in library.recipes:
        chosen = {name: library.recipes[name]}
    elif name in library.published:
        places = {one.name: Path(s.name) / value for s in library.sweeps.values() for value, one in s.recipes.items()}
        chosen, folder = {name: library.published[name]}, args.out or "runs" / places[name]
    elif name and Path(name).is_dir():
        chosen, folder = {name: (recipe := read_recipe(Path(name)))}, args.out or Path(name)
        check(recipe, library.parts)  # before it is scaled
    elif Path(name).suffix == ".json" and Path(name).is_file():
        recipe = recipe_at(Path(name))
        check(recipe, library.parts)
        chosen, folder = {recipe.name: recipe}, args.out or Path("runs") / recipe.name
    elif Path(name).suffix == ".json":
        raise RecipeError(f"there is no file {shown(name)}")
    else:
        meant = nearest(name, (*library.recipes, *library.sweeps))
        hint = "`npticket list` shows what there is, or name a .json file or a directory of results"
        raise RecipeError(f"there is no recipe {shown(name)}{meant}: {hint}")
    changes = {what: getattr(args, what) for what in FLAGS if getattr(args, what) is not None}
    if args.series is not None:
        changes["series"] = tuple(name.strip() for name in args.series.split(","))
    if args.steps is not None and (wrong := wrong_size("--steps", args.steps, MOST["steps"])):
        raise RecipeError(wrong)
    for key, recipe in chosen.items():
        chosen[key] = replace(recipe if args.steps is None else scaled(recipe, args.steps), **changes)
        check(chosen[key], library.parts)
    return chosen, folder
