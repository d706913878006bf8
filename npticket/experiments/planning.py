"""The plan of an experiment: all runs that the generators of its series ask for, known before the first is trained."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from textwrap import shorten

from npticket.experiments.errors import RecipeError, UnknownSeriesError
from npticket.experiments.recipe import Recipe, in_full
from npticket.experiments.series import LEFT, REWIND_POINT, Done, Key, Measure, Run, Runs, Series, Stored, all_series
from npticket.protocols import UnsuitedError
from npticket.reading import nearest, shown


def planned(recipe: Recipe, known: Mapping[str, Series]) -> dict[Key, Run | Measure]:
    """Return all runs and measures by series, trial and round.

    RecipeError for a series that is not made for such a recipe, or needs one that the recipe does not name;
    UnknownSeriesError for one that is unknown. ValueError for a series that asks twice for one round.
    """
    runs, awaited = dict[Key, Run | Measure](), dict[Key, str]()
    for name in all_series(recipe):
        if name not in known:
            others = [name for name in known if name != REWIND_POINT]
            names = shorten(", ".join(others), 500, placeholder=" ... (`npticket run --help` has all)")
            hint = nearest(name, others) or f"; there are {names}"
            raise UnknownSeriesError(f"there is no series {shown(name)}{hint}")
        for trial in range(recipe.trials):
            for asked, key in _asked(known[name].runs(recipe), name, trial):
                if isinstance(asked, Done):
                    awaited.setdefault(key, name)
                elif key in runs:
                    raise ValueError(f"the series {name} asks for two things in round {key.round}: one has its file")
                else:
                    runs[key] = asked
    for key, name in awaited.items():
        if not isinstance(runs.get(key), Run):
            lacking = f"round {key.round} of {key.series}, which does not train it"
            missing = f"{key.series}, which is not among them"
            raise RecipeError(f"the series {name} needs {lacking if key.series in recipe.series else missing}")
    return runs


def require(recipe: Recipe, **names: Collection[str]) -> None:
    """Raise RecipeError unless the recipe's parts have one of these names, as in require(recipe, net=["conv_2"]).

    Called by a series that is made for certain networks, tasks or data alone, before it asks for a run.
    """
    for field, those in names.items():
        if (name := getattr(recipe, field).name) not in those:
            raise RecipeError(f"it is made for the {field} {' or '.join(those)}, and the recipe's is {shown(name)}")


def planned_if_known(recipe: Recipe, known: Mapping[str, Series]) -> dict[Key, Run | Measure]:
    """Return what `planned` does, or {} if a series is not known here, as in a directory from somebody else."""
    try:
        return planned(recipe, known)
    except UnknownSeriesError:
        return {}


def _asked(runs: Runs, name: str, trial: int) -> Iterator[tuple[Run | Measure | Done, Key]]:
    """Go through the generator of one series of one trial, sending names of arrays in place of results."""
    try:
        asked = next(runs)
        while True:
            key = Key(asked.series if isinstance(asked, Done) else name, asked.round, trial)
            yield asked, key
            left = () if isinstance(asked, Measure) else LEFT
            asked = runs.send({what: Stored(key, what) for what in left})
    except StopIteration:
        return
    except (RecipeError, UnsuitedError) as error:
        raise RecipeError(f"the series {name}: {error}") from error


def trained(runs: Mapping[Key, Run | Measure]) -> list[Key]:
    """Return the keys of training runs, without those of measures."""
    return [key for key, run in runs.items() if isinstance(run, Run)]


def steps_of(recipe: Recipe, run: Run | Measure) -> int:
    """Return how many optimizer steps a run takes: none, if it is a measure."""
    return (run.steps or recipe.steps) - run.first_step if isinstance(run, Run) else 0


def within(runs: Iterable[Run | Measure]) -> dict[str, Recipe]:
    """Return the recipes by which measures train networks, each once, by their text."""
    measures = (run for run in runs if isinstance(run, Measure))
    return {described(recipe): recipe for measure in measures for recipe in measure.trains}


def described(recipe: Recipe) -> str:
    """Return all of a recipe as one text."""
    return json.dumps(in_full(recipe), sort_keys=True)


def taken_along(runs: Mapping[Key, Run | Measure]) -> dict[Key, set[str]]:
    """Return for each run the names of those of its arrays that other runs take over."""
    wanted: dict[Key, set[str]] = {key: set() for key in runs}
    for run in runs.values():
        for stored in run.given.values():
            wanted[stored.key].add(stored.what)
    return wanted
