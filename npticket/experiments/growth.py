"""Which recipes an experiment's directory may take on later, and with which words others are refused.

A training run is a function of its place and of what all runs have in common. So trials, rounds and series can be added
without changing finished runs.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace

from npticket.experiments.recipe import Recipe, in_full, to_json
from npticket.experiments.series import Key
from npticket.reading import Json

GROWS = ("trials", "rounds", "series")
APART = ("source",)  # fields that no run depends on


def common(recipe: Recipe) -> dict[str, Json]:
    """Return the fields on which all runs depend and that cannot change later, where they differ from the defaults."""
    return {name: value for name, value in to_json(recipe).items() if name not in GROWS + APART}


def begun(recipe: Recipe, runs: Collection[Key]) -> Recipe:
    """Return a recipe cut down to the trials, rounds and series of which there are `runs`.

    Those that were asked for but never begun may be taken back.
    """
    if not runs:
        return replace(recipe, trials=1, rounds=1, series=recipe.series[:1])
    series = recipe.series[0], *(name for name in recipe.series[1:] if any(key.series == name for key in runs))
    trials, rounds = (1 + max(numbers) for numbers in zip(*((key.trial, key.round) for key in runs), strict=True))
    return replace(recipe, trials=min(trials, recipe.trials), rounds=min(rounds, recipe.rounds), series=series)


def refusal(there: Recipe, now: Recipe) -> str:
    """Return why a directory with the recipe `there` cannot take on `now`, and what to do; "" if it can."""
    before, after = (_flat({k: v for k, v in in_full(r).items() if k not in GROWS + APART}) for r in (there, now))
    names = [
        name for name in dict.fromkeys((*before, *after)) if canonical(before.get(name)) != canonical(after.get(name))
    ]
    if names:
        values = ((name, before.get(name, "(nothing)"), after.get(name, "(nothing)")) for name in names)
        other = "; ".join(f"{name}: {old!r} there, {new!r} now" for name, old, new in values)
        return f"holds another experiment: {other}. Choose another directory, or ask for the same again to go on"
    for what, has, asked in (("trials", there.trials, now.trials), ("rounds", there.rounds, now.rounds)):
        if asked < has:
            return f"has {has} {what}, {asked} asked: ask for at least {has}, or choose another directory"
    if lacking := [name for name in there.series if name not in now.series]:
        return f"has the series {', '.join(lacking)}, too: ask for all that it has, or choose another directory"
    if there.series[0] != now.series[0]:
        first = f"has the dense network in the series {there.series[0]}, {now.series[0]} is asked first"
        return f"{first}: ask for {there.series[0]} first, or choose another directory"
    return ""


def canonical(value: Json) -> str:
    """Return a value as JSON, the same text for 1 and 1.0 but not for 1 and true."""
    return json.dumps(json.loads(json.dumps(value), parse_float=_whole), sort_keys=True)


def _whole(text: str) -> float:
    number = float(text)
    return int(number) if number.is_integer() else number


def _flat(values: Json, name: str = "") -> dict[str, Json]:
    """Nested objects as one, with names like "optimizer's lr"."""
    if not isinstance(values, Mapping) or not values:
        return {name: values}
    return {k: v for key, value in values.items() for k, v in _flat(value, f"{name}'s {key}" if name else key).items()}
