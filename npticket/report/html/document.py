"""The whole page: claims, then every experiment with its tables, its figures and its tickets."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from npticket.experiments.directory import REPORT
from npticket.experiments.kept import Kept
from npticket.experiments.outcome import Outcome
from npticket.experiments.parts import Experiment, Parts
from npticket.report import page, provenance, tables, verdicts
from npticket.report.claims import FAILS, HOLDS, UNKNOWN, Verdict, judge
from npticket.report.figures import Drawn, Plot, drawn
from npticket.report.html.drawings import figures
from npticket.report.html.markup import Markup, joined, section, table, tag
from npticket.report.html.style import CSS, POLICY, SCRIPT
from npticket.report.html.tickets import Tickets
from npticket.report.paper import Library
from npticket.report.quantities import first
from npticket.report.sweeps import drawn_sweep

LOOKS = {HOLDS: "holds", FAILS: "fails"}
ROUNDS, FEWEST = 30, 4  # rounds shown of all experiments together, at most, but of each at least FEWEST
NO_MATPLOTLIB = "Figures are drawn with matplotlib, which is not installed: python -m pip install matplotlib."


def document(outcomes: Mapping[Path, Outcome], library: Library) -> str:
    """Return the HTML page about the experiments in these directories; StoreError for a run file that is damaged.

    The same files give the same page, with the same version of matplotlib.
    """
    by_recipe = {outcome.recipe.name: outcome for outcome in outcomes.values()}
    title = "; ".join(dict.fromkeys(f"{one.title} ({one.recipe.source})" for one in outcomes.values()))
    judged = judge(library.claims, by_recipe, library.published)
    sweeps, swept = list[Markup](), set[str]()
    for sweep in library.sweeps.values():
        if drawings := _figures(drawn_sweep(sweep, by_recipe), sweep.name):
            sweeps += drawings
            swept |= {recipe.name for recipe in sweep.recipes.values()}
    most, links, parts = max(FEWEST, ROUNDS // len(outcomes)), [_link("The papers' claims", "claims")], list[Markup]()
    for i, (folder, outcome) in enumerate(outcomes.items()):
        plots = () if outcome.recipe.name in swept else library.plots(outcome.recipe)
        experiment, tickets = f"e{i}", f"e{i}-tickets"
        parts.append(_experiment(folder, outcome, library.parts, plots, most, experiment))
        links += [_link(outcome.recipe.name, experiment), _link("its tickets", tickets)]
    header = tag(
        "header", tag("h1", title), tag("p", f"Made on {provenance.machines(outcomes.values())}.", class_="note")
    )
    claims = section("The papers' claims", _claims(judged), name="claims")
    side_by_side = section("Side by side", sweeps) if sweeps else ""
    return _whole(title, [header, tag("nav", links), claims, side_by_side, *parts])


def _link(text: str, name: str) -> Markup:
    return tag("a", text, href=f"#{name}")


def _whole(title: str, body: Sequence[str]) -> str:
    head = [
        tag("meta", charset="utf-8"), Markup(REPORT),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title), tag("style", Markup(CSS)),
    ]  # fmt: skip
    script = tag("script", Markup(SCRIPT))
    return f"<!doctype html>\n{tag('html', tag('head', head), tag('body', tag('main', body), script), lang='en')}\n"


def _claims(judged: Sequence[Verdict]) -> Markup:
    """The verdicts with their numbers, as text that wraps: a table would be too wide for a phone."""
    if not judged:
        return tag("p", "No claim of a paper is about this.")
    items: dict[bool, list[Markup]] = {False: [], True: []}
    for verdict in judged:
        status = tag("span", verdict.status, class_=f"status {LOOKS.get(verdict.status, 'open')}")
        cells = zip(verdicts.HEADER, verdicts.cells(verdict), strict=True)
        said = [f"{name}: {cell}" for name, cell in cells if cell != "-"] + [verdict.claim.source, verdict.reason]
        small = tag("small", "; ".join(filter(None, said)).replace(" %", "\xa0%"))
        items[verdict.status == UNKNOWN].append(tag("li", status, verdict.claim.sentence, small))
    shown, rest = (tag("ul", those, class_="claims") if those else "" for those in items.values())
    rest = tag("details", tag("summary", "Those that there is too little data for"), rest) if rest else ""
    return joined([tag("p", verdicts.count(judged), "."), shown, rest])


def _experiment(
    folder: Path, outcome: Outcome, parts: Parts, plots: Sequence[Plot], most_rounds: int, name: str
) -> Markup:
    made = f"{outcome.note}; seed {outcome.recipe.seed}. {provenance.trained(outcome.results)}."
    said, heads, rows = page.by_round(outcome)
    series = first(outcome)
    points = outcome.points(series)
    experiment = Experiment(outcome.recipe, parts)
    kept = Kept(folder, experiment, outcome, series)
    summary = tag("summary", "Every series, with the range over its runs")
    full = tag("details", summary, tag("pre", tables.tables(outcome)))
    return section(
        f"{outcome.recipe.name}: {outcome.title}",
        tag("p", made, class_="note"),
        tag("pre", tables.verdict(outcome)),
        _figures(drawn(outcome, plots), name),
        section("Every round", tag("p", said, class_="note"), table(heads, rows), full, level=3),
        Tickets(experiment.net, kept, outcome, points, most_rounds, name).shown(),
        name=name,
    )


def _figures(those: Iterable[Drawn], prefix: str) -> list[Markup]:
    try:
        return list(figures(those, prefix))
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        return [tag("p", NO_MATPLOTLIB, class_="note")]
