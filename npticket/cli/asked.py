"""What `npticket run` is asked for: recipes by name, from a file or a directory, and what flags change of them."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from npticket.experiments.bounds import MOST, wrong_size
from npticket.experiments.checks import check
from npticket.experiments.directory import read_recipe, recipe_at
from npticket.experiments.recipe import Recipe, RecipeError, scaled
from npticket.reading import nearest, shown
from npticket.report.paper import Library

FLAGS = ("trials", "rounds", "seed", "patience")  # called like what they change


def chosen_recipes(args: Namespace, library: Library) -> tuple[dict[str, Recipe], Path]:
    """The recipes to run, by the name of their directory, with what the flags change; and the directory of all."""
    name, folder = args.recipe, args.out or Path("runs") / args.recipe
    if name in library.sweeps:
        chosen = dict(library.sweeps[name].recipes)
    elif name in library.recipes:
        chosen = {name: library.recipes[name]}
    elif Path(name).is_dir():
        chosen, folder = {name: (recipe := read_recipe(Path(name)))}, args.out or Path(name)
        check(recipe, library.parts)  # before it is scaled
    elif Path(name).suffix == ".json" and Path(name).is_file():
        recipe = recipe_at(Path(name))
        check(recipe, library.parts)
        chosen, folder = {recipe.name: recipe}, args.out or Path("runs") / recipe.name
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
