"""Whether the rows of an experiment's two tables go together, and with its recipe."""

from collections import Counter
from collections.abc import Iterator

from npticket.experiments.series import REWIND_POINT
from npticket.experiments.tables import WHO, Outcome, Row
from npticket.reading import shown

Runs = dict[tuple[str, int], dict[tuple[str, int], Row]]  # rows of a line and round, by series and trial


def check_rows(outcome: Outcome) -> None:
    """Raise ValueError for rows that no experiment of this recipe has, or that lack what others of their line have."""
    if wrong := next(_wrong(outcome), ""):
        raise ValueError(wrong)


def _wrong(outcome: Outcome) -> Iterator[str]:
    recipe, results, curves = outcome.recipe, outcome.results, outcome.curves
    known = {*recipe.series, *([REWIND_POINT] if recipe.rewind_step else [])}
    for table, rows in (("results.csv", results), ("curves.csv", curves)):
        for row in rows:
            if row["series"] not in known or row["trial"] >= recipe.trials or row["round"] >= recipe.rounds:
                yield f"{table} has a run that its recipe does not ask for: {_said(row)}"
        names = (*WHO, "step") if table == "curves.csv" else WHO
        twice = Counter(tuple(row[name] for name in names) for row in rows).most_common(1)
        if twice and twice[0][1] > 1:
            yield f"{table} has {shown(twice[0][0])} twice"
    for row in results:
        if not 0 <= row["density"] <= 1 or not 1 <= row["early_stop_step"] <= row["steps"]:
            yield f"results.csv has a density or steps that cannot be: {_said(row)}"
    yield from _wrong_curves(outcome)


def _wrong_curves(outcome: Outcome) -> Iterator[str]:
    """Say where the validations of a line's runs in a round are not the same."""
    steps, tested = dict[tuple, dict[tuple, list[int]]](), Counter[tuple]()
    for row in outcome.curves:
        place = outcome.line(row["series"]), row["round"]
        steps.setdefault(place, {}).setdefault((row["series"], row["trial"]), []).append(row["step"])
        for name, value in row.items():
            if name.startswith("test_") and value != "" and row["step"] in outcome.recipe.test_at:
                tested[*place, row["step"], name] += 1
    for place, runs in steps.items():
        if len({tuple(sorted(of)) for of in runs.values()}) > 1:
            yield f"curves.csv has other steps for some runs of {place[0]} in round {place[1]} than for others"
    runs_of = Counter((outcome.line(row["series"]), row["round"]) for row in outcome.results)
    for (line, round, step, _), count in tested.items():
        if count != runs_of[line, round]:
            yield f"results.csv and curves.csv have not the same runs of {line} in round {round} at step {step}"


def _said(row: Row) -> str:
    return ", ".join(f"{name} {shown(row[name])}" for name in WHO)
