"""The recipe of an experiment: names of parts with their options, and numbers; written as JSON and read back."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import get_type_hints

from npticket.experiments import bounds
from npticket.experiments.errors import RecipeError
from npticket.experiments.kinds import fits, words
from npticket.reading import Json, shown

# Fields in which an experiment may differ from the published recipe, or which `reduced` reports otherwise.
FREE = {"name", "source", "rounds", "trials", "series", "seed", "train_at", "train_at_end", "evaluated"}


@dataclass(frozen=True, init=False)
class Part:
    """A part of an experiment by its name, with its options: Part("sgd", lr=0.1, momentum=0.9)."""

    name: str
    options: Mapping[str, Json]

    def __init__(self, name: str, /, **options: Json) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "options", options)

    def having(self, /, **options: Json) -> "Part":
        """Return the same part with these options added or changed."""
        return Part(self.name, **{**self.options, **options})


CONSTANT = Part("constant")
STEPS = {"drops", "steps", "warmup"}  # options of schedules that are numbers of steps, as are those called ..._steps


@dataclass(frozen=True)
class Recipe:
    """One experiment: trials x series x rounds of training runs. Steps are optimizer steps, rates fractions.

    `optimizer` has the option lr, from which `schedule` starts, whose options drops, warmup and (...)steps are steps.
    `prune` names a score; its options are scope ("layerwise", "globally", "units layerwise", "units globally", or one
    that a paper brings) and rates, by patterns such as "conv*/W". The test set is measured after the steps `test_at`;
    the training set after `train_at` and, with `train_at_end`, the last; all examples of a split, or `evaluated` many.
    Survivors are reset to the parameters after `rewind_step` steps. Round 0 of the first series is the dense network.
    With `patience` a run ends after so many validations without a new minimum of the validation loss, and is pruned as
    it is then; a run for which its series sets the steps has no patience. RecipeError for a value that is not valid.
    """

    name: str
    source: str
    net: Part
    data: Part
    optimizer: Part
    prune: Part
    batch: int
    steps: int
    rounds: int
    series: tuple[str, ...]
    task: Part = Part("classify")
    schedule: Part = CONSTANT
    augment: Part | None = None
    trials: int = 5
    seed: int = 0
    validate_every: int = 100
    evaluated: int = 0
    test_at: tuple[int, ...] = ()
    train_at: tuple[int, ...] = ()
    train_at_end: bool = True
    rewind_step: int = 0
    patience: int | None = None

    def __post_init__(self) -> None:
        if wrong := next(filter(None, self._wrong()), ""):
            raise RecipeError(wrong)

    def _wrong(self) -> Iterator[str]:
        """A message for each field that is wrong, and "" for others."""
        yield bounds.wrong_name(self.name)
        yield bounds.wrong_option(self.series, "series")
        for name in ("source", *(f.name for f in fields(self) if isinstance(getattr(self, f.name), Part))):
            value = getattr(self, name)
            yield bounds.wrong_option(value.options if isinstance(value, Part) else value, name)
        yield from (bounds.wrong_size(name, getattr(self, name), most) for name, most in bounds.MOST.items())
        yield bounds.wrong_size("seed", self.seed, bounds.MOST_SEED, 0)
        yield bounds.wrong_size("patience", self.patience, bounds.MOST_VALIDATIONS) if self.patience is not None else ""
        yield bounds.wrong_size("evaluated", self.evaluated, bounds.MOST_EXAMPLES, 0)
        if not bounds.is_whole(self.rewind_step) or not 0 <= self.rewind_step < self.steps:
            yield f"rewind_step must lie between 0 and {self.steps - 1}, got {shown(self.rewind_step)}"
        for name, last in (("test_at", self.steps), ("train_at", self.steps - 1)):
            at = list(getattr(self, name))
            if not all(bounds.is_whole(step) and 1 <= step <= last for step in at) or sorted(set(at)) != at:
                yield f"{name} must lie between 1 and {last}, and grow, got {shown(at)}"
        if not self.series or len(set(self.series)) != len(self.series):
            yield f"series must name at least one, and each once, got {shown(list(self.series))}"
        if len(self.series) * self.trials * self.rounds > bounds.MOST_RUNS:
            yield f"trials x series x rounds must be at most {bounds.MOST_RUNS:,}"
        if self.steps > self.validate_every * bounds.MOST_VALIDATIONS:
            yield f"validate_every must be at least {-(-self.steps // bounds.MOST_VALIDATIONS):,} for that many steps"


def scaled(recipe: Recipe, steps: int) -> Recipe:
    """Return the recipe with fewer (or more) steps; all that happens at a certain step is moved in proportion.

    Of drops of the learning rate moved to the same step the last is left. What is rewound still is, if steps > 1.
    """

    def at(step: int) -> int:
        return step * steps // recipe.steps

    def moved(name: str, option: Json) -> Json:
        if name not in STEPS and not name.endswith("_steps"):
            return option
        if isinstance(option, list | tuple):
            return [[step, value] for step, value in {at(step): value for step, value in option}.items()]
        if not bounds.is_whole(option):
            return option
        return max(1, at(option)) if name == "steps" else at(option)  # a decay takes 1 or more

    return replace(
        recipe,
        steps=steps,
        test_at=tuple(sorted({max(1, at(step)) for step in recipe.test_at})),
        train_at=tuple(sorted({max(1, at(step)) for step in recipe.train_at} - {steps})),
        schedule=Part(recipe.schedule.name, **{name: moved(name, o) for name, o in recipe.schedule.options.items()}),
        rewind_step=min(max(1, at(recipe.rewind_step)), steps - 1) if recipe.rewind_step else 0,
        validate_every=min(recipe.validate_every, steps),
    )


def reduced(recipe: Recipe, published: Mapping[str, Recipe]) -> str:
    """Return in what a recipe is smaller than the paper's of the same name, or differs from it; "" if in nothing."""
    if (paper := published.get(recipe.name)) is None:
        return ""
    sizes = ((what, getattr(recipe, what), getattr(paper, what)) for what in ("steps", "rounds", "trials"))
    smaller = [f"{ours:,} of {theirs:,} {what}" for what, ours, theirs in sizes if ours < theirs]
    if len(recipe.series) < len(paper.series):
        smaller.append(f"{len(recipe.series)} of {len(paper.series)} series")
    same = scaled(paper, recipe.steps)
    other = [f.name for f in fields(Recipe) if f.name not in FREE and getattr(recipe, f.name) != getattr(same, f.name)]
    said = [("reduced: ", smaller), ("not the paper's: ", other)]
    return "; ".join(word + ", ".join(parts) for word, parts in said if parts)


def to_json(recipe: Recipe) -> dict[str, Json]:
    """Return the fields that differ from the defaults, for JSON: a part is {"name": ..., its options}."""
    differing = {f.name for f in fields(Recipe) if getattr(recipe, f.name) != f.default}
    return {name: value for name, value in in_full(recipe).items() if name in differing}


def in_full(recipe: Recipe) -> dict[str, Json]:
    """Return all fields for JSON, including those with their default values."""
    values = {f.name: getattr(recipe, f.name) for f in fields(Recipe)}
    return json.loads(json.dumps(values, default=lambda part: {"name": part.name, **part.options}))


def from_json(values: Json) -> Recipe:
    """Read a recipe back; RecipeError names a field that is unknown, missing or ill-typed."""
    if not isinstance(values, Mapping):
        raise RecipeError(f"a recipe is an object with named fields, got {type(values).__name__}")
    kinds = get_type_hints(Recipe)
    for name in values:
        if name not in kinds:
            raise RecipeError(f"a recipe has no field {shown(name)}; it has {', '.join(kinds)}")
    if lacking := [f.name for f in fields(Recipe) if f.default is MISSING and f.name not in values]:
        raise RecipeError(f"the recipe lacks {', '.join(lacking)}")
    for name, value in values.items():
        if not _fits(kinds[name], value):
            raise RecipeError(f"{name} must be {_words(name, kinds[name])}, got {shown(value)}")
    return Recipe(**{name: _python(value) for name, value in values.items()})


_EXAMPLES = {  # of parts, by their fields
    "net": '{"name": "lenet_300_100"}',
    "data": '{"name": "mnist"}',
    "optimizer": '{"name": "sgd", "lr": 0.1}',
    "prune": '{"name": "magnitude", "rates": {"*/W": 0.2}}',
    "task": '{"name": "classify"}',
    "schedule": '{"name": "constant"}',
    "augment": '{"name": "flip_and_crop"}',
}


def _fits(kind: Json, value: Json) -> bool:
    if kind in (Part, Part | None):
        is_part = isinstance(value, Mapping) and isinstance(value.get("name"), str)
        return is_part or (value is None and kind is not Part)
    return fits(kind, value)


def _words(name: str, kind: Json) -> str:
    if name not in _EXAMPLES:
        return words(kind)
    return f"{'null or ' * (kind is not Part)}an object with a name, such as {_EXAMPLES[name]}"


def _python(value: Json) -> Json:
    if isinstance(value, Mapping):
        return Part(value["name"], **{name: option for name, option in value.items() if name != "name"})
    return tuple(value) if isinstance(value, list) else value
