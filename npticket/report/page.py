"""Markdown pages that show results: blocks in them are written from results, and written again later.

    <!-- results: table -->                         a block stands between this
    <!-- end -->                                    and this

The names of blocks are `made`, `table` and `claims`. Numbers in prose are written by prose.py.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from npticket.experiments.amounts import percent
from npticket.experiments.directory import is_ours
from npticket.experiments.errors import StoreError
from npticket.experiments.outcome import Outcome, Point
from npticket.report import provenance, quantities, verdicts
from npticket.report.claims import Verdict
from npticket.report.quantities import Quantity, after, first, legend, looked_at
from npticket.report.sweeps import Sweep

BLOCK = re.compile(r"(<!-- (results: .+?) -->)[ \t]*\r?\n(?:(?!<!-- results: ).)*?(<!-- end -->)", re.DOTALL)
UNDECIDED = "Undecided: the interval crosses an end of what was asked."
WIDE = 12  # more columns are not read beside each other


def filled(page: str, blocks: Mapping[str, str]) -> str:
    """Return the page with the contents of `blocks` (name -> text) in its blocks; StoreError for a name not in these.

    A name begins with a word and a colon, as "results:". Blocks with other words are left as they are. StoreError, too,
    for a block that does not end before the next one begins: what a person wrote between them would be lost.
    """
    word = f"(?:{'|'.join({re.escape(name.partition(':')[0]) for name in blocks})})"
    pattern = re.compile(BLOCK.pattern.replace("results", word), re.DOTALL)
    begun = re.findall(rf"<!-*\s*({word}:.*?)\s*-*>", page)
    if lost := Counter(begun) - Counter(mark[2] for mark in pattern.finditer(page)):
        form = "<!-- NAME -->, alone at the end of a line, and <!-- end --> before the next"
        raise StoreError(f"a block of a page stands between {form}; that is not so of {', '.join(lost)}")

    def block(mark: re.Match[str]) -> str:
        if mark[2] not in blocks:
            raise StoreError(f"there is nothing called {mark[2]!r} for a page; there are {', '.join(blocks)}")
        return f"{mark[1]}\n\n{blocks[mark[2]]}\n\n{mark[3]}"

    return pattern.sub(block, page)


def blocks(
    outcomes: Mapping[str, Outcome],
    swept: Sequence[Sweep],
    commands: Sequence[str],
    judged: Sequence[Verdict],
    how: str = "",
) -> dict[str, str]:
    """Return the blocks of a page by name: a sweep of `swept` has one table, any other experiment a table of its own.

    `commands` are those with which these results can be made again; `how` is a link to what explains verdicts.
    """
    parts = {recipe.name for sweep in swept for recipe in sweep.recipes.values()}
    alone = {folder: outcome for folder, outcome in outcomes.items() if outcome.recipe.name not in parts}
    names = [f"{folder}. " * (len(outcomes) > 1) for folder in alone]
    tables = [summary(outcomes, sweep) for sweep in swept]
    tables += [name + results(one) for name, one in zip(names, alone.values(), strict=True)]
    said = f"Judged by the rows here{how and f' ([how]({how}))'}. {UNDECIDED}"
    claims = f"{said}\n\n{verdicts.markdown(judged)}" if judged else "No claim of a paper is about this."
    made = provenance.made(outcomes, commands)
    return {"results: made": made, "results: table": "\n\n".join(tables), "results: claims": claims}


def how(place: Path) -> str:
    """The link from `place` to the nearest claims.md above it that says how claims are judged; "" without one.

    A claims.md that `npticket verify` wrote is none: it has verdicts.
    """
    there = (above / "claims.md" for above in place.resolve().parents)
    those = (path for path in there if path.is_file() and not is_ours(path))
    return next((Path(os.path.relpath(path, place.resolve())).as_posix() for path in those), "")


class Cells(NamedTuple):
    """A table: a sentence that says what it shows, and the texts in its cells."""

    said: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def results(outcome: Outcome) -> str:
    """Return a table with a line for each round and a column for each series, means over its runs."""
    said, heads, rows = by_round(outcome)
    tables = split([verdicts.escaped(head) for head in heads], rows)
    return "\n\n".join([said, *(markdown_table(*table) for table in tables)])


def split(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[tuple[list[str], list[list[str]]]]:
    """Return a table as several, if it has more than WIDE columns.

    Columns that have entries in the same rows, and in fewer than half of all, are a table of these rows, beside the
    first two columns.
    """
    all_rows = tuple(range(len(rows)))
    first_two = [0, 1][: len(heads)]
    columns_of = {all_rows: [*first_two]}
    for column in range(2, len(heads)):
        there = tuple(i for i in all_rows if rows[i][column])
        few = len(heads) > WIDE and 0 < 2 * len(there) < len(rows)
        columns_of.setdefault(there if few else all_rows, [*first_two]).append(column)
    return [
        ([heads[column] for column in columns], [[rows[i][column] for column in columns] for i in there])
        for there, columns in columns_of.items()
    ]


def by_round(outcome: Outcome) -> Cells:
    """Return that table as texts. A cell whose density differs from its line's gives its own."""
    quantities, said = _shown(outcome)
    points = {series: {point.round: point for point in outcome.points(series)} for series in outcome.series}
    rows = []
    for round in sorted({round for of in points.values() for round in of}):
        there = [of.get(round) for of in points.values()]
        density = next(point.density for point in there if point)
        rows.append([percent(density), *(_cell(quantities, point, density) if point else "" for point in there)])
    heads = ["weights", *(legend(outcome, series) for series in points)]
    return Cells(f"Means over the runs: {said}", heads, rows)


def summary(outcomes: Mapping[str, Outcome], sweep: Sweep) -> str:
    """Return a table with a line for each experiment of a sweep: the dense, the best and the smallest network.

    A cell is empty if nothing is pruned, or not yet trained.
    """
    rows, said = [], ""
    for value, recipe in sweep.recipes.items():
        for outcome in outcomes.values():
            if outcome.recipe.name == recipe.name:
                shown, said = _shown(outcome)
                points = outcome.points(first(outcome))
                dense, tickets = points[0] if points else None, points[1:]
                best, smallest = (shown[-1].best(tickets), tickets[-1]) if tickets else (None, None)
                chosen = (dense, best, smallest)
                rows.append([value, *(f"{percent(p.density)}: {_cell(shown, p)}" if p else "" for p in chosen)])
    heads = [sweep.legend, "dense", "best of the pruned", "smallest"]
    return f"Means over the runs: {said}\n\n{markdown_table(heads, rows)}"


def _shown(outcome: Outcome) -> tuple[list[Quantity], str]:
    """The quantities that a table shows, and their names: at early stopping, or after the steps of `test_at`."""
    measure = outcome.task.headline
    if steps := [step for step in outcome.recipe.test_at if looked_at(step, first(outcome), outcome)]:
        shown = [after(step, outcome) for step in steps]
        return shown, f"{shown[0].title} after {' / '.join(f'{step:,}' for step in steps)} steps"
    shown = [quantities.STOP, quantities.at_early_stop(measure)]
    return shown, " / ".join(quantity.heading for quantity in shown)


def _cell(quantities: Sequence[Quantity], point: Point, density: float | None = None) -> str:
    """The text for a point; with its density, if that differs from its line's."""
    other = density is not None and abs(point.density - density) > 0.02 * density
    return " / ".join(quantity.mean_text(point) for quantity in quantities) + f" ({percent(point.density)})" * other


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows))


def new(outcomes: Mapping[str, Outcome], figures: Sequence[str]) -> str:
    """Return a page with a title, all blocks, empty, and the figures."""
    titles = (verdicts.escaped(f"{one.title} ({one.recipe.source})") for one in outcomes.values())
    title = "; ".join(dict.fromkeys(titles))
    marks = {name: f"<!-- results: {name} -->\n<!-- end -->" for name in ("made", "table", "claims")}
    shown = "\n\n".join(
        f"![{name.removesuffix('.png').replace('_', ' ')}]({verdicts.target(name)})" for name in figures
    )
    return "\n\n".join(filter(None, (f"# {title}", marks["made"], shown, "## Results", marks["table"], "## The claims",
                                     marks["claims"]))) + "\n"  # fmt: skip
