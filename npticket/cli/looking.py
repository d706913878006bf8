"""`npticket show`, `figures` and `verify`: what came out of experiments, and what that says of the papers' claims."""

from argparse import Namespace
from pathlib import Path

from npticket.experiments.files import StoreError, write, write_json
from npticket.experiments.outcome import outcome
from npticket.experiments.tables import Outcome
from npticket.report import claims, figures, page, tables
from npticket.report.paper import Library
from npticket.report.sweeps import draw_sweep


def show(args: Namespace, library: Library) -> int:
    """Print the tables of all experiments in a directory."""
    for result in _outcomes(args.folder, library).values():
        print(tables.tables(result), end="\n\n")
    return 0


def draw(args: Namespace, library: Library) -> int:
    """Draw the figures of all experiments in a directory, and of the sweeps that these are parts of."""
    found = _outcomes(args.folder, library)
    for name, result in found.items():
        inside = args.folder if (args.folder / "recipe.json").is_file() else args.folder / name
        for path in figures.draw(result, inside / "figures", library.plots(result.recipe)):
            print(path)
    by_recipe = {result.recipe.name: result for result in found.values()}
    for sweep in library.sweeps.values():
        for path in draw_sweep(sweep, by_recipe, args.folder / "figures"):
            print(path)
    return 0


def verify(args: Namespace, library: Library) -> int:
    """Judge the claims that are about the experiments in a directory; status 1 if one does not hold."""
    found = _outcomes(args.folder, library)
    verdicts = claims.judge(library.claims, {result.recipe.name: result for result in found.values()})
    made_from = "\n\n".join(f"{r.recipe.name}: {r.title}; {r.note}" for r in found.values())
    print(f"{made_from}\n\n{page.table(verdicts)}")
    write_json(args.folder / "claims.json", page.as_json(verdicts))
    write(args.folder / "claims.md", f"{made_from}\n\n{page.markdown(verdicts)}\n".encode())
    print(f"\nWritten: {args.folder / 'claims.json'}, {args.folder / 'claims.md'}")
    return int(any(verdict.status == claims.FAILS for verdict in verdicts))


def _outcomes(folder: Path, library: Library) -> dict[str, Outcome]:
    """The experiments in a directory: itself, or its subdirectories, by name."""
    if (folder / "recipe.json").is_file():
        return {folder.name: outcome(folder, library.parts)}
    inside = sorted(path.parent for path in folder.glob("*/recipe.json"))
    if not inside:
        raise StoreError(f"{folder} holds no experiment: there is no recipe.json in it or in its subdirectories")
    found = {path.name: outcome(path, library.parts) for path in inside}
    names = [result.recipe.name for result in found.values()]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise StoreError(f"{folder} holds {', '.join(sorted(twice))} more than once: name one of the directories")
    return found
