"""`npticket publish`: copies from an experiment's directory what belongs into a repository, with a page about it."""

import os
import re
import shlex
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from npticket.cli.commands import outcomes
from npticket.cli.destinations import destinations
from npticket.experiments import tables
from npticket.experiments.directory import check_ours
from npticket.experiments.errors import StoreError
from npticket.experiments.json_files import json_text, write_json
from npticket.experiments.outcome import Outcome, read_outcome
from npticket.experiments.recipe import in_full, scaled, to_json
from npticket.files import write
from npticket.reading import UnreadableError, read_text
from npticket.report import claims, figures, page, prose, sweeps, verdicts
from npticket.report.finishing import finish
from npticket.report.paper import Library
from npticket.report.sweeps import Sweep

LARGEST_PAGE = 1 << 20  # bytes
PAGE, CLAIMS = "README.md", "claims.json"


def publish(args: Namespace, library: Library) -> int:
    """Write tables, figures, claims and the page of DIR into GOAL; the last three can be made again from GOAL alone."""
    found, goal = outcomes(args.folder, library), args.goal
    places = destinations(found, args.folder, goal)
    check_ours([goal / CLAIMS])
    there = {place for place in places.values() if (place / "recipe.json").exists()}
    with TemporaryDirectory() as temporary:  # everything is made and checked before anything is written to GOAL
        stage = Path(temporary)
        drawn, made = _staged(found, places, goal, stage, library)
        of = there | {goal} if there else there
        foreign = [
            str(goal / name) for name in drawn if os.path.lexists(goal / name) and (goal / name).parent not in of
        ]
        if foreign:
            raise StoreError(f"{', '.join(foreign)} would be overwritten; publish into another directory")
        for path in sorted(stage.rglob("*.*"), key=lambda path: path.suffix != ".json"):  # recipes first: it is ours
            place = goal / path.relative_to(stage)
            if path.is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                write(place, path.read_bytes())
    print("\n".join(str(goal / name) for name in (*drawn, *made)))
    return 0


def _staged(
    found: Mapping[Path, Outcome], places: Mapping[Path, Path], goal: Path, stage: Path, library: Library
) -> tuple[list[str], dict[str, str]]:
    """Make in `stage` what `goal` is to hold with the experiments `found`.

    Returns the names of figures, and claims.json and the page by their names.
    """
    swept, page_there = _swept(found.values(), library), _page(goal)
    for folder, outcome in found.items():
        plots = library.plots(outcome.recipe) if _has_own_figures(folder, outcome, swept, page_there) else ()
        _copy(folder, figures.compact(outcome, plots), stage / places[folder].relative_to(goal))
    if goal not in places.values():
        for folder in (path.parent for path in sorted(goal.glob("*/recipe.json"))):
            if folder not in places.values():  # published earlier, and on the page, too
                _copy(folder, read_outcome(folder, library.parts), stage / folder.name)
    if page_there:
        write(stage / PAGE, page_there.encode())
    drawn = draw(stage, library)
    made = written(stage, library, drawn, goal)
    for name, text in made.items():
        write(stage / name, text.encode())
    return drawn, made


def _copy(folder: Path, outcome: Outcome, goal: Path) -> None:
    """Write the recipe, manifest and tables of an experiment, with the curves that `outcome` has."""
    goal.mkdir(parents=True, exist_ok=True)
    results = tables.text(tables.result_columns(outcome.task), outcome.results)  # of runs that have curves
    data = {name: value for name, value in outcome.manifest["data"].items() if name != "source"}  # a path there
    write_json(goal / "recipe.json", to_json(outcome.recipe))
    write_json(goal / "manifest.json", {**outcome.manifest, "data": data})
    write(goal / "results.csv", results.encode())
    for series in outcome.measured:
        write(goal / f"{series}.csv", (folder / f"{series}.csv").read_bytes())
    write(goal / "curves.csv", tables.text(tables.curve_columns(outcome.task), outcome.curves).encode())


def draw(goal: Path, library: Library) -> list[str]:
    """Draw the experiments in `goal`, and the sweeps that they form, as PNG; keep those that its page shows.

    Returns their names in `goal`; without a page, all are kept.
    """
    found, text = outcomes(goal, library), _page(goal)
    swept, by_recipe = _swept(found.values(), library), {outcome.recipe.name: outcome for outcome in found.values()}
    own = [(folder, one) for folder, one in found.items() if _has_own_figures(folder, one, swept, text)]
    drawn = [(folder, figures.drawn(one, library.plots(one.recipe))) for folder, one in own]
    drawn += [(goal, sweeps.drawn_sweep(sweep, by_recipe)) for sweep in swept]
    shown = []
    for folder, one in ((folder, one) for folder, pictures in drawn for one in pictures):
        name = (folder / f"{one.picture.stem}.png").relative_to(goal).as_posix()
        if not text or f"({verdicts.target(name)})" in text:
            finish(*one, folder, ["png"])
            shown.append(name)
    return shown


def written(goal: Path, library: Library, drawn: Sequence[str] = (), place: Path | None = None) -> dict[str, str]:
    """Return claims.json and README.md as what is in `goal` is to be published in `place`; a new page shows `drawn`."""
    found = outcomes(goal, library)
    by_recipe = {outcome.recipe.name: outcome for outcome in found.values()}
    judged = claims.judge(library.claims, by_recipe, library.published)
    by_folder = {"" if folder == goal else folder.name: outcome for folder, outcome in found.items()}
    swept = _swept(found.values(), library)
    text = _page(goal) or page.new(by_folder, drawn)
    blocks = page.blocks(by_folder, swept, commands(by_folder, swept, library), judged, page.how(place or goal))
    return {
        CLAIMS: json_text(verdicts.as_json(judged)),
        PAGE: prose.counted(page.filled(text, blocks), by_folder),
    }


def _page(goal: Path) -> str:
    try:
        return read_text(goal / PAGE, LARGEST_PAGE) if (goal / PAGE).exists() else ""
    except UnreadableError as error:
        raise StoreError(str(error)) from error


def _has_own_figures(folder: Path, outcome: Outcome, swept: Sequence[Sweep], text: str) -> bool:
    """Whether an experiment's own figures are published; those of a sweep's part only if the page shows one of them."""
    part = any(outcome.recipe.name in _names(sweep) for sweep in swept)
    return not part or re.search(rf"\({re.escape(verdicts.target(folder.name))}/[^()]+\.png\)", text) is not None


def _swept(outcomes: Iterable[Outcome], library: Library) -> list[Sweep]:
    """The sweeps to which two or more of the experiments belong."""
    names = {outcome.recipe.name for outcome in outcomes}
    return [sweep for sweep in library.sweeps.values() if len(names & _names(sweep)) > 1]


def _names(sweep: Sweep) -> set[str]:
    return {recipe.name for recipe in sweep.recipes.values()}


def commands(found: Mapping[str, Outcome], swept: Sequence[Sweep], library: Library) -> list[str]:
    """Return the commands by which published results, by directory, can be made again.

    A sweep has one command if all that is there of it was made with the same options.
    """
    flags = {folder: _flags(outcome, library) for folder, outcome in found.items()}
    lines: dict[str, None] = {}
    for folder, outcome in found.items():
        for sweep in swept:
            parts = {flags[f] for f, other in found.items() if other.recipe.name in _names(sweep)}
            if outcome.recipe.name in _names(sweep) and len(parts) == 1 and None not in parts:
                lines[f"npticket run {sweep.name}{flags[folder]}"] = None
                break
        else:
            lines[_alone(folder, outcome, flags[folder], library)] = None
    return list(lines)


def _alone(folder: str, outcome: Outcome, flags: str | None, library: Library) -> str:
    """The command that makes one experiment anew."""
    if outcome.recipe.name in library.recipes and flags is not None:
        return f"npticket run {outcome.recipe.name}{flags}"
    mine = outcome.recipe.data.options.get("path")  # of data of one's own, whose folder is not published
    said = f" --data FOLDER  # in this directory; {mine} is in FOLDER" if mine else "  # in this directory"
    return f"npticket run {shlex.quote(f'{folder}/recipe.json'.lstrip('/'))}{_made_by(outcome)}{said}"


def _made_by(outcome: Outcome) -> str:
    """The flags that name what is not the default, if all machines had it."""
    machines = outcome.manifest["machines"]
    flags = {"engine": "plain", "backend": "cupy"}
    return "".join(f" --{name} {value}" for name, value in flags.items()
                   if machines and all(machine.get(name) == value for machine in machines))  # fmt: skip


def _flags(outcome: Outcome, library: Library) -> str | None:
    """The flags of `npticket run` that make this recipe from the library's of the same name; None if none can."""
    recipe, given = outcome.recipe, library.published.get(outcome.recipe.name)
    if given is None:
        return None
    changes = {name: getattr(recipe, name) for name in ("rounds", "trials", "series", "seed", "patience")}
    same = replace(scaled(given, recipe.steps), evaluated=recipe.evaluated, **changes)
    if in_full(same) != in_full(recipe):
        return None
    flags = {name: value for name, value in {"steps": recipe.steps, **changes}.items() if getattr(given, name) != value}
    texts = {name: ",".join(value) if isinstance(value, tuple) else value for name, value in flags.items()}
    return "".join(f" --{name} {value}" for name, value in texts.items()) + _made_by(outcome)
