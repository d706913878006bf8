"""`npticket show`, `figures` and `verify`: what came out of experiments, and what that says of the papers' claims."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from npticket.experiments.files import StoreError, write, write_json
from npticket.experiments.outcome import outcome
from npticket.experiments.tables import Outcome
from npticket.report import claims, figures, page, tables
from npticket.report.paper import Library, Sweep


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
        for path in figures.draw(result, library.plots(result.recipe.name), inside / "figures"):
            print(path)
    for sweep in library.sweeps.values():
        parts = _parts(sweep, found)
        if len(parts) > 1:
            title = f"{next(iter(parts.values())).title}: {sweep.legend}"
            for path in figures.draw_sweep(parts, args.folder / "figures", title, sweep.legend):
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


def _parts(sweep: Sweep, found: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """The outcomes that belong to a sweep, by what the legend calls them, in its order."""
    by_name = {result.recipe.name: result for result in found.values()}
    return {word: by_name[recipe.name] for word, recipe in sweep.recipes.items() if recipe.name in by_name}
