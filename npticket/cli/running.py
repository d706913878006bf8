"""`npticket list` and `npticket run`: what can be run, what it costs here, and running it."""

import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from npticket import backend
from npticket.experiments import machine, progress
from npticket.experiments.files import read_json
from npticket.experiments.parts import Experiment, Parts, check, load_data
from npticket.experiments.recipe import Recipe, RecipeError, from_json, scaled
from npticket.experiments.run import Means, run
from npticket.experiments.series import planned
from npticket.experiments.workers import default_jobs
from npticket.report import tables
from npticket.report.paper import Library
from npticket.train import DivergedError


class Costs:
    """Seconds of runs; networks of the same size are timed once."""

    def __init__(self, parts: Parts, engine: str = "fast") -> None:
        self._parts, self._engine = parts, engine
        self._timed: dict[str, tuple[float, float]] = {}

    def __call__(self, recipe: Recipe) -> float:
        """Seconds of all runs of a recipe on one core, as if all networks were dense."""
        key = f"{recipe.net} {recipe.optimizer.name} {recipe.batch}"
        if key not in self._timed:
            e = Experiment(recipe, self._parts)
            self._timed[key] = progress.step_and_example(e.net, e.task, e.optimizer(), recipe.batch, self._engine)
        step, example = self._timed[key]
        looked_at = progress.looked_at(recipe.steps, recipe.validate_every, len(recipe.test_at))
        return len(planned(recipe, self._parts.series)) * (recipe.steps * step + looked_at * example)


def list_recipes(args: Namespace, library: Library) -> int:
    """Print all recipes and sweeps, a line each."""
    costs = Costs(library.parts)
    print(f"{'name':24} {'paper':28} {'network':16} {'trials x rounds x steps':>24} {'runs':>6}  cost on one core")
    for name, source, recipes in (
        *((r.name, r.source, [r]) for r in library.recipes.values()),
        *((s.name, s.source, list(s.recipes.values())) for s in library.sweeps.values()),
    ):
        first = recipes[0]
        net = Experiment(first, library.parts).net.name if len({r.net.name for r in recipes}) == 1 else ""
        size = f"{first.trials} x {first.rounds} x {first.steps:,}"
        count = sum(len(planned(r, library.parts.series)) for r in recipes)
        seconds = "" if args.no_cost else progress.words(sum(map(costs, recipes)))
        print(f"{name:24} {source:28} {net:16} {size:>24} {count:6,}  {seconds}", flush=True)
    return 0


def run_recipe(args: Namespace, library: Library) -> int:
    """Run a recipe or a sweep, and print its tables."""
    parts, (chosen, folder) = library.parts, _chosen(args, library)
    means = _means(args)
    backend.load(args.backend)
    data = load_data(next(iter(chosen.values())), parts, args.data)
    print(machine.blas_hint(), end="")
    costs, status = Costs(parts, args.engine), 0
    for name, recipe in chosen.items():
        out = folder / name if len(chosen) > 1 else folder
        count = len(planned(recipe, parts.series))
        print(
            f"{recipe.name} ({recipe.source}) on {data.name} from {data.source}: {count} runs of {recipe.steps:,} steps"
        )
        if args.scheduler:
            print(f"On the cluster at {args.scheduler}.", flush=True)
        elif args.backend == "numpy":
            time = progress.words(costs(recipe) / means.jobs)
            print(f"From the beginning this takes {time} or less with {means.jobs} processes.", flush=True)
        try:
            result = run(recipe, parts, out, data, means, say=True)
        except DivergedError as error:  # a sweep goes on with its other values
            print(f"error: {error}", file=sys.stderr)
            status = 2
            continue
        print(f"\n{tables.tables(result)}\nResults: {out}", flush=True)
    return status


def _means(args: Namespace) -> Means:
    jobs = 1 if args.backend == "cupy" or args.lock_step else default_jobs()
    jobs = jobs if args.jobs is None else args.jobs
    if jobs < 1:
        raise RecipeError(f"--jobs must be at least 1, got {jobs}")
    if jobs > 1 and args.backend == "cupy":
        raise RecipeError("on a GPU all trials train in one process: use --jobs 1 with --backend cupy")
    return Means(jobs, args.scheduler, args.backend, args.engine, args.lock_step)


def _chosen(args: Namespace, library: Library) -> tuple[dict[str, Recipe], Path]:
    """The recipes to run, by the name of their directory, with what the flags change; and the directory of all."""
    name = args.recipe
    if name in library.sweeps:
        chosen = dict(library.sweeps[name].recipes)
    elif name in library.recipes:
        chosen = {name: library.recipes[name]}
    elif Path(name).suffix == ".json" and Path(name).is_file():
        recipe = from_json(read_json(Path(name)))
        chosen, name = {recipe.name: recipe}, recipe.name
    else:
        raise RecipeError(f"there is no recipe {name!r}: `npticket list` shows what there is, or name a .json file")
    changes = {what: getattr(args, what) for what in ("trials", "rounds", "seed") if getattr(args, what) is not None}
    if args.series:
        changes["series"] = tuple(args.series.split(","))
    if args.steps is not None:
        if args.steps < 1:
            raise RecipeError(f"--steps must be at least 1, got {args.steps}")
        chosen = {key: scaled(recipe, args.steps) for key, recipe in chosen.items()}
    chosen = {key: replace(recipe, **changes) for key, recipe in chosen.items()}
    for recipe in chosen.values():
        check(recipe, library.parts)
    return chosen, args.out or Path("runs") / name
