"""Markdown pages that show results: blocks and numbers in them are written from results, and written again later.

    <!-- results: table -->                         a block stands between this
    <!-- end -->                                    and this; the names of blocks are `made`, `table` and `claims`

    at 13.5 % <!-- {at_early_stop: SERIES 13.5 - SERIES 100} -->+0.41 percentage points<!-- --> better

A number in prose follows a comment, which readers do not see, that says what it is: a quantity, a series and a
percentage of weights remaining; and perhaps a second series and percentage that is subtracted (-) or divided by (/). On
a page about several experiments, the experiment's directory stands before the series: 0.4/SERIES.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from npticket.experiments.amounts import percent
from npticket.experiments.json_files import StoreError
from npticket.experiments.outcome import Outcome, Point
from npticket.report import provenance, quantities, verdicts
from npticket.report.claims import Verdict
from npticket.report.quantities import Quantity, QuantityOf, after, first, legend, looked_at
from npticket.report.sweeps import Sweep
from npticket.report.views import NEAR

BLOCK = re.compile(r"(<!-- (results: .+?) -->\n).*?(<!-- end -->)", re.DOTALL)
NUMBER = re.compile(r"(<!-- \{(\w+): ([^}]+)\} -->)(.*?)(<!-- -->)", re.DOTALL)
BOUNDS = {
    (False, False): "",
    (True, False): "≥",
    (False, True): "≤",
    (True, True): "? ",
}  # is the 1st, 2nd at least that
QUANTITIES: dict[str, QuantityOf] = {
    name: getattr(quantities, name)
    for name in ("early_stop", "at_early_stop", "at_the_end", "trained", "fitted", "gap")
}


def filled(page: str, blocks: Mapping[str, str]) -> str:
    """Return the page with the contents of `blocks` (name -> text) in its blocks; StoreError for a name not in these.

    A name begins with a word and a colon, as "results:". Blocks with other words are left as they are.
    """
    word = "|".join({re.escape(name.partition(":")[0]) for name in blocks})

    def block(mark: re.Match[str]) -> str:
        if mark[2] not in blocks:
            raise StoreError(f"there is nothing called {mark[2]!r} for a page; there are {', '.join(blocks)}")
        return f"{mark[1]}\n{blocks[mark[2]]}\n\n{mark[3]}"

    return re.sub(BLOCK.pattern.replace("results", f"(?:{word})"), block, page, flags=re.DOTALL)


def counted(page: str, outcomes: Mapping[str, Outcome]) -> str:
    """Return the page with the numbers in its prose taken from `outcomes`, by directory ("" for the page's own)."""
    return NUMBER.sub(lambda mark: f"{mark[1]}{number(mark[2], mark[3], outcomes)}{mark[5]}", page)


def number(quantity: str, of: str, outcomes: Mapping[str, Outcome]) -> str:
    """Return the number that a comment asks for, as a text; StoreError if it is not well formed or not known."""
    term = r"([\w./-]+) ([0-9]+(?:\.[0-9]+)?)"
    asked = re.fullmatch(rf"{term}(?: ([-/]) {term})?", " ".join(of.split()))
    if quantity not in QUANTITIES or asked is None:
        form = "{QUANTITY: SERIES PERCENT} or {QUANTITY: SERIES PERCENT - SERIES PERCENT}, or / for -"
        raise StoreError(f"a number is {form}, got {{{quantity}: {of}}}; quantities: {', '.join(QUANTITIES)}")
    one, point = _point(asked[1], float(asked[2]), outcomes)
    what = QUANTITIES[quantity](one.task.headline)
    other = _point(asked[4], float(asked[5]), outcomes)[1] if asked[3] else point
    if not what.is_known([point, other]):
        asks = f"a page asks for {{{quantity}: {of}}}"
        raise StoreError(f"{asks}, which is not known: nobody looked, or patience ran out")
    if asked[3] is None:
        return f"{what.mean_text(point)} {what.unit}".rstrip()
    ends = bool(what.cut_short(point).any()), bool(what.cut_short(other).any())
    bound = BOUNDS[ends[::-1] if what.lower_is_better else ends]
    if asked[3] == "-":
        return bound + what.gain_text(point, other)
    if not (whole := _typical(what, other)):
        raise StoreError(f"a page asks for {{{quantity}: {of}}}, which is divided by 0")
    return f"{bound}{_typical(what, point) / whole:.2f} times"


def _typical(what: Quantity, point: Point) -> float:
    """The geometric mean over the trials, which ratios are made of, as in claims."""
    trials = [what.of(point)[point.trial == trial].mean() for trial in set(point.trial.tolist())]
    return math.exp(sum(map(math.log, trials)) / len(trials)) if all(trials) else 0.0


def _point(name: str, density: float, outcomes: Mapping[str, Outcome]) -> tuple[Outcome, Point]:
    """The round of a series near a percentage of weights remaining, and its experiment."""
    folder, _, series = name.rpartition("/")
    points = outcomes[folder].points(series) if folder in outcomes else []
    near = [point for point in points if abs(100 * point.density - density) <= NEAR * density]
    if not near:
        raise StoreError(f"a page asks for {name} near {density:g} % of the weights, which is not there")
    return outcomes[folder], min(near, key=lambda point: abs(100 * point.density - density))


def blocks(
    outcomes: Mapping[str, Outcome], swept: Sequence[Sweep], commands: Sequence[str], judged: Sequence[Verdict]
) -> dict[str, str]:
    """Return the blocks of a page by name: a sweep of `swept` has one table, any other experiment a table of its own.

    `commands` are those with which these results can be made again.
    """
    parts = {recipe.name for sweep in swept for recipe in sweep.recipes.values()}
    alone = {folder: outcome for folder, outcome in outcomes.items() if outcome.recipe.name not in parts}
    names = [f"{folder}. " * (len(outcomes) > 1) for folder in alone]
    tables = [summary(outcomes, sweep) for sweep in swept]
    tables += [name + results(one) for name, one in zip(names, alone.values(), strict=True)]
    claims = verdicts.markdown(judged) if judged else "No claim of a paper is about this."
    made = provenance.made(outcomes, commands)
    return {"results: made": made, "results: table": "\n\n".join(tables), "results: claims": claims}


class Cells(NamedTuple):
    """A table: a sentence that says what it shows, and the texts in its cells."""

    said: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def results(outcome: Outcome) -> str:
    """Return a table with a line for each round and a column for each series, means over its runs."""
    said, heads, rows = by_round(outcome)
    return f"{said}\n\n{markdown_table([verdicts.escaped(head) for head in heads], rows)}"


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
    shown = "\n\n".join(f"![{name.removesuffix('.png').replace('_', ' ')}]({name})" for name in figures)
    return "\n\n".join(filter(None, (f"# {title}", marks["made"], shown, "## Results", marks["table"], "## The claims",
                                     marks["claims"]))) + "\n"  # fmt: skip
