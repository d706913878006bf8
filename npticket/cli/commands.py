"""The commands list, run, show, figures, report and verify; each returns the exit status."""

import sys
import textwrap
from argparse import Namespace
from contextlib import suppress
from pathlib import Path

from npticket import backend
from npticket.cli.arguments import all_data_in
from npticket.cli.recipes import chosen_recipes
from npticket.datasets import DataError
from npticket.experiments import costs, machine
from npticket.experiments.amounts import counted, duration
from npticket.experiments.bounds import wrong_jobs, wrong_name
from npticket.experiments.checks import data_within
from npticket.experiments.directory import check_ours
from npticket.experiments.errors import NothingYetError, RecipeError, StoreError
from npticket.experiments.evaluation import affordable, said
from npticket.experiments.json_files import write_json
from npticket.experiments.outcome import Outcome, read_outcome
from npticket.experiments.parts import Experiment, load_data
from npticket.experiments.planning import planned, trained
from npticket.experiments.run import Execution, run
from npticket.experiments.workers import default_jobs
from npticket.files import write
from npticket.report import claims, figures, sweeps, tables, verdicts
from npticket.report.html.document import document
from npticket.report.paper import Library
from npticket.train import DivergedError


def list_recipes(args: Namespace, library: Library) -> int:
    """Print all recipes and sweeps of each paper, a line each, with their costs if known (--measure: times them)."""
    jobs, unknown = default_jobs(), False
    wide = max(len(name) for name in (*library.recipes, *library.sweeps))
    room = (line := tables.width()) - 52 - wide  # for sources
    print(f"{'name':{wide}} {'in the paper':{room}} {'network':7} {'trials x rounds x steps':>23} {'runs':>6}  cost")
    for paper in library.papers:
        print(f"\n{textwrap.fill(paper.citation, line)}")
        singles = [(recipe.name, recipe.source, [recipe]) for recipe in paper.recipes.values()]
        sweeps = [(sweep.name, sweep.source, list(sweep.recipes.values())) for sweep in paper.sweeps.values()]
        for name, source, recipes in singles + sweeps:
            experiments, first = [Experiment(recipe, library.parts) for recipe in recipes], recipes[0]
            net = experiments[0].net.name if len({recipe.net.name for recipe in recipes}) == 1 else ""
            size = f"{first.trials} x {first.rounds} x {first.steps:,}"
            count = sum(len(trained(planned(recipe, library.parts.series))) for recipe in recipes)
            seconds = [_seconds(experiment, jobs, args.measure) for experiment in experiments]
            cost = "" if None in seconds else duration(sum(filter(None, seconds)))
            unknown |= not cost
            source, net = textwrap.shorten(source, room, placeholder=" ..."), textwrap.shorten(net, 13, placeholder="")
            print(f"{name:{wide}} {source:{room}} {net:13} {size:>17} {count:6,}  {cost}".rstrip(), flush=True)
    print(f"\nCosts are with {counted(jobs, 'process', 'processes')}, and without measures that train nothing.")
    if unknown:
        how = "the data are not here" if args.measure else "`npticket run` does so as it begins, --measure for all"
        print(f"Where none is shown, none was measured here: {how}.")
    return 0


def _seconds(experiment: Experiment, jobs: int, measure: bool) -> float | None:
    """The seconds that an experiment takes here, if they are known or are to be measured now and can be; else None."""
    found, recipe, parts = costs.seconds(experiment, jobs), experiment.recipe, experiment.parts
    if found is None and measure:
        with suppress(DataError):
            data, others = load_data(recipe, parts), data_within(planned(recipe, parts.series), parts)
            found = costs.seconds(experiment, jobs, data=data, others=others)
    return found[0] if found else None


def run_recipe(args: Namespace, library: Library) -> int:
    """Run a recipe or a sweep, and print its tables."""
    with all_data_in(args.data):
        return _run(args, library)


def _run(args: Namespace, library: Library) -> int:
    parts, (chosen, folder) = library.parts, chosen_recipes(args, library)
    _check_not_hidden(folder, len(chosen))
    execution = _execution(args)
    backend.load(args.backend)
    print(machine.blas_hint(), end="")
    status, before, data = 0, None, None
    for name, recipe in chosen.items():
        if before is None or data is None or (before.data, before.seed) != (recipe.data, recipe.seed):
            data = load_data(recipe, parts, args.data)
        before = recipe
        if args.steps is not None:
            recipe = affordable(recipe, data)
        runs, most = len(trained(planned(recipe, parts.series))), "at most " * (recipe.patience is not None)
        size = f"{counted(runs, 'run')} of {most}{counted(recipe.steps, 'step')}"
        print(f"{recipe.name} ({recipe.source}) on {data.name} from {data.source}: {size}")
        print(said(recipe, before), end="")
        if args.scheduler:
            print(f"On the cluster at {args.scheduler}.", flush=True)
        out = folder / name if len(chosen) > 1 else folder
        try:
            result = run(recipe, parts, out, data, execution, say=True, strict=args.strict)
            print(f"\n{tables.tables(result)}\nResults: {out}", flush=True)
        except DivergedError as error:  # a sweep goes on with its other values
            print(f"error: {error}", file=sys.stderr)
            status = 2
    return status


def _check_not_hidden(folder: Path, count: int) -> None:
    """Raise StoreError where a single experiment would hide others in its subdirectories, or be in their way."""
    alone = (folder / "recipe.json").exists()
    if count > 1 and alone:
        raise StoreError(f"{folder} holds a single experiment, and {count} are asked for: choose another --out")
    if count == 1 and not alone and any(folder.glob("*/recipe.json")):
        raise StoreError(f"{folder} holds several experiments, and one is asked for: choose another --out")


def _execution(args: Namespace) -> Execution:
    """Return how the arguments ask for runs to be made; RecipeError if that cannot be."""
    jobs = args.jobs if args.jobs is not None else 1 if args.backend == "cupy" or args.lock_step else default_jobs()
    if wrong := wrong_jobs(jobs, args.backend):
        raise RecipeError(wrong)
    return Execution(jobs, args.scheduler, args.backend, args.engine, args.lock_step, keep_weights=args.keep_weights)


def show(args: Namespace, library: Library) -> int:
    """Print the tables of all experiments in a directory."""
    for result in outcomes(args.folder, library).values():
        print(tables.tables(result), end="\n\n")
    return 0


def draw(args: Namespace, library: Library) -> int:
    """Draw the figures of all experiments in a directory, and of the sweeps that these are parts of."""
    found = outcomes(args.folder, library)
    check_ours(folder / "figures" for folder in {args.folder, *found})
    for folder, result in found.items():
        for path in figures.draw(result, folder / "figures", library.plots(result.recipe)):
            print(path)
    by_recipe = {result.recipe.name: result for result in found.values()}
    for sweep in library.sweeps.values():
        for path in sweeps.draw_sweep(sweep, by_recipe, args.folder / "figures"):
            print(path)
    return 0


def verify(args: Namespace, library: Library) -> int:
    """Judge the claims that are about the experiments in a directory; status 1 if one does not hold."""
    found = {result.recipe.name: result for result in outcomes(args.folder, library).values()}
    check_ours(args.folder / name for name in ("claims.json", "claims.md"))
    judged = claims.judge(library.claims, found, library.published)
    if not judged:
        print(f"No claim is about {', '.join(found)}: the papers that `npticket list` shows have claims about others.")
        return 0
    made_from = "\n\n".join(f"{name}: {result.title}; {result.note}" for name, result in found.items())
    head = verdicts.escaped(made_from)
    print(f"{made_from}\n\n{verdicts.table(judged)}")
    write_json(args.folder / "claims.json", verdicts.as_json(judged))
    write(args.folder / "claims.md", f"{head}\n\n{verdicts.markdown(judged)}\n".encode())
    print(f"\nWritten: {args.folder / 'claims.json'}, {args.folder / 'claims.md'}")
    return int(any(verdict.status == claims.FAILS for verdict in judged))


def report(args: Namespace, library: Library) -> int:
    """Write all that there is to see of a directory's experiments into one file, DIR/report.html."""
    found, path = outcomes(args.folder, library), args.folder / "report.html"
    check_ours([path])
    write(path, document(found, library).encode())
    print(path)
    return 0


def outcomes(folder: Path, library: Library) -> dict[Path, Outcome]:
    """Read the experiment in a directory, or those in its subdirectories in the order of their papers, by directory.

    Of several, those without a finished run are left out, and named. StoreError if there is none, one is damaged, or
    two have the same recipe.
    """
    if (folder / "recipe.json").is_file():
        return {folder: read_outcome(folder, library.parts)}
    folders = [path.parent for path in sorted(folder.glob("*/recipe.json"))]
    if wrong := next(filter(None, (wrong_name(inside.name) for inside in folders)), ""):
        raise StoreError(f"a directory in {folder} cannot be shown: its {wrong}")
    read = dict[Path, Outcome]()
    for inside in folders:
        try:
            read[inside] = read_outcome(inside, library.parts)
        except NothingYetError as error:
            if inside == folders[-1] and not read:
                raise
            print(f"left out: {error}", file=sys.stderr)
    order = {name: place for place, name in enumerate(library.published)}  # of a sweep's values, say; others follow
    found = dict(sorted(read.items(), key=lambda item: order.get(item[1].recipe.name, len(order))))
    if not found:
        raise StoreError(f"{folder} holds no experiment: there is no recipe.json in it or in its subdirectories")
    names = [result.recipe.name for result in found.values()]
    if twice := {name for name in names if names.count(name) > 1}:
        raise StoreError(f"{folder} holds {', '.join(sorted(twice))} more than once: name one of the directories")
    return found
