"""The command `npticket`: run the paper's experiments, look at what came out, and judge its claims by it."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from npticket import (
    backend,
    claims,
    estimate,
    experiment,
    figures,
    manifest,
    paper,
    recipe,
    recipes,
    report,
    runs,
    store,
)
from npticket.datasets import DataError
from npticket.engine import ENGINES
from npticket.recipe import Recipe, RecipeError
from npticket.store import StoreError
from npticket.tables import Outcome
from npticket.train import DivergedError
from npticket.workers import default_jobs

EXIT_CODES = """exit status:
  0    done
  1    verify: at least one claim does not hold
  2    bad arguments, data, recipe or directory, or a run that failed; the message says what to do
  130  stopped by Ctrl-C; finished runs are kept, and the same command goes on from them
"""

FAILURES = (RecipeError, StoreError, DataError, DivergedError, ImportError, RuntimeError, MemoryError, OSError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    args = parser().parse_args(argv)
    try:
        return args.command(args)
    except KeyboardInterrupt:
        print("\nStopped. Finished runs are kept: the same command goes on from them.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except FAILURES as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """What the command understands."""
    whole = argparse.ArgumentParser(
        prog="npticket",
        description="The experiments of the lottery ticket paper (Frankle & Carbin, ICLR 2019) on your own machine.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    add = commands.add_parser("list", help="what can be run, with its source and its cost on this machine")
    add.add_argument("--no-cost", action="store_true", help="do not time the networks first")
    add.set_defaults(command=_list)

    add = commands.add_parser(
        "run",
        help="run an experiment, or go on with it",
        description="Run an experiment or a sweep. The same command again goes on from the runs that are finished.",
    )
    add.add_argument("recipe", metavar="RECIPE", help="a name that `npticket list` shows, or a recipe.json")
    add.add_argument("--out", type=Path, help="directory of the results (runs/RECIPE)")
    add.add_argument("--trials", type=int, help="networks per series")
    add.add_argument("--rounds", type=int, help="trainings per trial; the first is the dense network")
    add.add_argument("--steps", type=int, help="optimizer steps per training; schedules shrink in proportion")
    add.add_argument("--series", help="what to train, by commas: winning_ticket,random_reinit ...")
    add.add_argument("--seed", type=int, help="the same seed gives the same tickets")
    add.add_argument("--jobs", type=int, help="processes on this machine (the number of cores)")
    add.add_argument("--backend", choices=("numpy", "cupy"), default="numpy", help="(%(default)s)")
    add.add_argument("--engine", choices=ENGINES, default="fast", help="what runs the network (%(default)s)")
    add.add_argument("--lock-step", action="store_true", help="train all runs of a round at once, in one process")
    add.add_argument("--data", type=Path, help="folder with the data (default: see README.md)")
    add.add_argument("--scheduler", default="", metavar="ADDRESS", help="a dask.distributed cluster: tcp://host:8786")
    add.set_defaults(command=_run)

    for name, command, text in (
        ("show", _show, "print the tables of an experiment"),
        ("figures", _figures, "draw its figures, PNG and SVG, into DIR/figures"),
        ("verify", _verify, "judge the paper's claims by it; writes DIR/claims.json and claims.md"),
    ):
        add = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        add.add_argument("folder", type=Path, metavar="DIR", help="of an experiment, or of several side by side")
        add.set_defaults(command=command)
    return whole


def _list(args: argparse.Namespace) -> int:
    timed: dict[tuple, tuple[float, float]] = {}
    print(f"{'name':24} {'paper':28} {'network':16} {'trials x rounds x steps':>24} {'runs':>6}  cost on one core")
    for name, source, parts in (
        *((r.name, r.source, [r]) for r in recipes.RECIPES.values()),
        *((s.name, s.source, list(s.recipes.values())) for s in recipes.SWEEPS.values()),
    ):
        first = parts[0]
        net = recipe.make_net(first).name if len({r.net for r in parts}) == 1 else ""
        size = f"{first.trials} x {first.rounds} x {first.steps:,}"
        count = sum(len(runs.keys(r)) for r in parts)
        cost = "" if args.no_cost else estimate.words(sum(len(runs.keys(r)) * _run_seconds(r, timed) for r in parts))
        print(f"{name:24} {source:28} {net:16} {size:>24} {count:6,}  {cost}", flush=True)
    return 0


def _run_seconds(r: Recipe, timed: dict[tuple, tuple[float, float]], engine: str = "fast") -> float:
    """Seconds of one run of a recipe; networks of the same size are timed once."""
    key = (r.net, str(r.net_options), r.batch, r.optimizer)
    if key not in timed:
        timed[key] = estimate.step_and_image(recipe.make_net(r), recipe.make_optimizer(r), r.batch, engine=engine)
    step, image = timed[key]
    return r.steps * step + estimate.looked_at(r.steps, r.validate_every, len(r.test_at)) * image


def _run(args: argparse.Namespace) -> int:
    chosen, folder = _chosen(args)
    jobs = 1 if args.backend == "cupy" or args.lock_step else default_jobs()
    jobs = jobs if args.jobs is None else args.jobs
    if jobs < 1:
        raise RecipeError(f"--jobs must be at least 1, got {jobs}")
    if jobs > 1 and args.backend == "cupy":
        raise RecipeError("on a GPU all trials train in one process: use --jobs 1 with --backend cupy")
    backend.load(args.backend)
    data = recipe.load_data(next(iter(chosen.values())), args.data)
    print(manifest.blas_hint(), end="")
    timed: dict[tuple, tuple[float, float]] = {}
    status = 0
    for name, r in chosen.items():
        out = folder / name if len(chosen) > 1 else folder
        print(f"{r.name} ({r.source}) on {data.name} from {data.source}: {len(runs.keys(r))} runs of {r.steps:,} steps")
        if args.scheduler:
            print(f"On the cluster at {args.scheduler}.", flush=True)
        elif args.backend == "numpy":
            seconds = len(runs.keys(r)) * _run_seconds(r, timed, args.engine) / jobs  # as if all were dense
            print(f"From the beginning this takes {estimate.words(seconds)} or less with {jobs} processes.", flush=True)
        options = {"scheduler": args.scheduler, "array_module": args.backend, "engine": args.engine}
        try:
            result = experiment.run(r, out, data, jobs=jobs, lock_step=args.lock_step, say=print, **options)
        except DivergedError as error:  # a sweep goes on with its other values
            print(f"error: {error}", file=sys.stderr)
            status = 2
            continue
        print(f"\n{report.tables(result)}\nResults: {out}", flush=True)
    return status


def _chosen(args: argparse.Namespace) -> tuple[dict[str, Recipe], Path]:
    """The recipes to run, by the name of their directory, with what the flags change; and the directory of all."""
    name = args.recipe
    if name in recipes.SWEEPS:
        chosen = dict(recipes.SWEEPS[name].recipes)
    elif name in recipes.RECIPES:
        chosen = {name: recipes.RECIPES[name]}
    elif Path(name).suffix == ".json" and Path(name).is_file():
        r = recipe.from_json(store.read_json(Path(name)))
        chosen, name = {r.name: r}, r.name
    else:
        raise RecipeError(f"there is no recipe {name!r}: `npticket list` shows what there is, or name a .json file")
    changes = {what: getattr(args, what) for what in ("trials", "rounds", "seed") if getattr(args, what) is not None}
    if args.series:
        changes["series"] = tuple(args.series.split(","))
    if args.steps is not None:
        if args.steps < 1:
            raise RecipeError(f"--steps must be at least 1, got {args.steps}")
        chosen = {key: recipe.scaled(r, args.steps) for key, r in chosen.items()}
    chosen = {key: replace(r, **changes) for key, r in chosen.items()}
    for r in chosen.values():
        runs.check_series(r)
    return chosen, args.out or Path("runs") / name


def _outcomes(folder: Path) -> dict[str, Outcome]:
    """The experiments in a directory: itself, or its subdirectories, by name."""
    if (folder / "recipe.json").is_file():
        return {folder.name: experiment.outcome(folder)}
    inside = sorted(path.parent for path in folder.glob("*/recipe.json"))
    if not inside:
        raise StoreError(f"{folder} holds no experiment: there is no recipe.json in it or in its subdirectories")
    found = {path.name: experiment.outcome(path) for path in inside}
    names = [result.recipe["name"] for result in found.values()]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise StoreError(f"{folder} holds {', '.join(sorted(twice))} more than once: name one of the directories")
    return found


def _show(args: argparse.Namespace) -> int:
    for result in _outcomes(args.folder).values():
        print(report.tables(result), end="\n\n")
    return 0


def _figures(args: argparse.Namespace) -> int:
    found = _outcomes(args.folder)
    for name, result in found.items():
        inside = args.folder if (args.folder / "recipe.json").is_file() else args.folder / name
        for path in figures.draw(result, inside / "figures"):
            print(path)
    for sweep in recipes.SWEEPS.values():
        parts = _parts(sweep, found)
        if len(parts) > 1:
            title = f"{next(iter(parts.values())).title}: {sweep.label}"
            for path in figures.draw_sweep(parts, args.folder / "figures", title, sweep.label):
                print(path)
    return 0


def _parts(sweep: recipes.Sweep, found: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """The outcomes that belong to a sweep, by their labels, in its order."""
    by_name = {result.recipe["name"]: result for result in found.values()}
    return {label: by_name[r.name] for label, r in sweep.recipes.items() if r.name in by_name}


def _verify(args: argparse.Namespace) -> int:
    found = _outcomes(args.folder)
    verdicts = claims.judge(paper.CLAIMS, {result.recipe["name"]: result for result in found.values()})
    made_from = "\n\n".join(f"{r.recipe['name']}: {r.title}; {r.note}" for r in found.values())
    print(f"{made_from}\n\n{claims.table(verdicts)}")
    store.write_json(args.folder / "claims.json", claims.as_json(verdicts))
    store.write(args.folder / "claims.md", f"{made_from}\n\n{claims.markdown(verdicts)}\n".encode())
    print(f"\nWritten: {args.folder / 'claims.json'}, {args.folder / 'claims.md'}")
    return int(any(verdict.status == "does not hold" for verdict in verdicts))
