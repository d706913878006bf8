"""Checks that the tables of an experiment agree with its recipe, line by line, and with each other."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from npticket.experiments.limits import AllLimits, foreign
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned_if_known
from npticket.experiments.series import Key
from npticket.experiments.tables import Row


def check_tables(
    experiment: Experiment, results: Sequence[Row], curves: Sequence[Row], measured: Mapping[str, Sequence[Row]]
) -> None:
    """Raise ValueError, naming table and line, for rows that no run of the recipe can leave, or that are there twice.

    Also, naming the run, for rows that are missing. A run that only one of the tables has is not compared with the
    other.
    """
    runs = planned_if_known(experiment.recipe, experiment.parts.series)
    limits, by_key = AllLimits(experiment, runs), dict[Key, Row]()
    seen = set[tuple[Key, int]]()
    for line, row in enumerate(results, start=2):
        key = Key.of(row)
        wrong = foreign(key, experiment) or limits[key].wrong_result(row)
        if wrong or key in by_key:
            raise ValueError(f"results.csv, line {line}: {wrong or 'the run is there twice'}")
        by_key[key] = row
    for line, row in enumerate(curves, start=2):
        key, step = Key.of(row), row["step"]
        wrong = foreign(key, experiment) or limits[key].wrong_validation(row, by_key.get(key))
        if wrong or (key, step) in seen:
            raise ValueError(f"curves.csv, line {line}: {wrong or 'the step is there twice'}")
        seen.add((key, step))
    if lost := _lost(experiment, limits, seen, by_key):
        raise ValueError(f"curves.csv: {lost} lacks some of its validations")
    for series, rows in measured.items():
        for line, row in enumerate(rows, start=2):
            if wrong := foreign(Key(series, row["round"], row["trial"]), experiment):
                raise ValueError(f"{series}.csv, line {line}: {wrong}")


def _lost(
    experiment: Experiment, limits: AllLimits, seen: Iterable[tuple[Key, int]], results: Mapping[Key, Row]
) -> str:
    """Return the name of a run whose curve lacks validations, or "".

    Of a curve the beginning must be there, equally long for all runs of a series and round, and after it the steps at
    which the test set is measured. It may end earlier where the run ran out of patience; when that was, its row of
    results says, and without such a row any end is accepted.
    """
    runs = {key: {step for _, step in pairs} for key, pairs in groupby(sorted(seen), lambda pair: pair[0])}
    begun = dict[tuple[str, int], int]()
    for key, steps in runs.items():
        end = max(steps.difference(limits[key].setting.test_at), default=0)
        begun[_line(key, experiment)] = max(end, begun.get(_line(key, experiment), 0))
    for key, steps in runs.items():
        whole = [*limits[key].at_steps]
        if key in results:
            whole = whole[: limits[key].had(results[key])]
        elif experiment.recipe.patience:
            whole = [step for step in whole if step <= max(steps)]
        looks, beginning = limits[key].setting.test_at, begun[_line(key, experiment)]
        if steps != {step for step in whole if step <= beginning or step in looks}:
            return key.file.removesuffix(".npz")
    return ""


def _line(key: Key, experiment: Experiment) -> tuple[str, int]:
    """The series and round that a run belongs to; draws of one series count as that series."""
    known = experiment.parts.series.get(key.series)
    return (known.draw_of if known else "") or key.series, key.round
