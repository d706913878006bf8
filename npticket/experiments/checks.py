"""Checks of a recipe that can be made before anything is written or trained."""

import math
from collections.abc import Mapping
from dataclasses import replace

from npticket.datasets import DataError, Dataset
from npticket.experiments.bounds import MOST_PARAMETERS, is_whole
from npticket.experiments.errors import RecipeError
from npticket.experiments.parts import Experiment, Parts, known, load_data
from npticket.experiments.planning import planned, within
from npticket.experiments.recipe import Recipe
from npticket.experiments.series import REWIND_POINT, Key, Measure, Run
from npticket.nets.net import shape_options
from npticket.params import Params
from npticket.reading import shown
from npticket.streams import Place
from npticket.task import misfit


def check(recipe: Recipe, parts: Parts) -> None:
    """Raise RecipeError for a recipe that cannot be run, as far as that can be told without its data.

    It may name parts or options that do not exist or do not go together, prune nothing, or be too large.
    """
    for of, name, owner in (("schedule", "lr", "optimizer"), ("data", "seed", "recipe")):
        if name in getattr(recipe, of).options:
            raise RecipeError(f"the {of} has no {name} of its own: it is the {owner}'s")
    experiment = Experiment(recipe, parts)
    net, rule, _ = experiment.net, experiment.rule, experiment.task
    known("data", recipe.data.name, parts.data)
    if recipe.rounds > 1 and not recipe.prune.options.get("rates"):
        raise RecipeError('prune has no rates, and would prune nothing: name some, such as {"*/W": 0.2}')
    if is_whole(warmup := recipe.schedule.options.get("warmup", 0)) and warmup > recipe.steps:
        raise RecipeError(f"the warm-up must end within the {recipe.steps:,} steps, got {warmup:,}")
    for of, part in (("augment", recipe.augment), ("task", recipe.task)):
        if part and part.options:
            raise RecipeError(f"the {of} {part.name} has no options, got {shown(part.options)}")
    if (size := sum(map(math.prod, net.body.layout.values()))) > MOST_PARAMETERS:
        raise RecipeError(f"the net has {size:,} parameters, expected at most {MOST_PARAMETERS:,}")
    try:
        layout = Params.empty(net.body.layout, 1, bool)
        rule.scope.names(layout)
        experiment.setting("fast").optimizer(layout)
    except (TypeError, ValueError) as error:
        raise RecipeError(str(error)) from error
    if REWIND_POINT in recipe.series:
        raise RecipeError(f"{REWIND_POINT} is trained where other series need it, and is not asked for: leave it out")
    # Last, as series may look at the network and the rates.
    if not isinstance(planned(recipe, parts.series).get(Key(recipe.series[0], 0, 0)), Run):
        raise RecipeError(
            f"round 0 of the first series is the dense network, and {recipe.series[0]} has none: name another first"
        )


def sized(recipe: Recipe, parts: Parts, data: Dataset) -> Recipe:
    """Return the recipe with the data's shapes as options of its network, if this does not fit the data and has them.

    Options that the recipe gives itself stay. So the recipe that is kept can be used without the data.
    """
    experiment, make = Experiment(recipe, parts), known("net", recipe.net.name, parts.nets)
    if not misfit(experiment.net, experiment.task, data):
        return recipe
    found = shape_options(make, data.train.inputs.shape[1:], experiment.task.output_shape(data))
    return replace(recipe, net=recipe.net.having(**{**found, **recipe.net.options}))


def check_data(experiment: Experiment, data: Dataset) -> None:
    """Raise RecipeError if the data do not suit the network, the batch or the augmentation of a recipe."""
    recipe, inputs = experiment.recipe, data.train.inputs
    if wrong := misfit(experiment.net, experiment.task, data):
        raise RecipeError(wrong)
    if recipe.batch > len(inputs):
        raise RecipeError(f"a batch of {recipe.batch} does not fit into {len(inputs)} training examples")
    if recipe.augment:
        augment = known("augment", recipe.augment.name, experiment.parts.augments)
        try:
            augment(1, Place(), 0).apply(inputs[None, :1], slice(0, 1))
        except ValueError as error:
            raise RecipeError(f"the augment {recipe.augment.name} does not suit {data.name}: {error}") from error


def data_within(runs: Mapping[Key, Run | Measure], parts: Parts) -> dict[str, Dataset]:
    """Return the data with which measures train networks by other recipes, by the text of these (`described`).

    DataError, which names the series, if some are not there: after hours of training it would be too late.
    """
    found = dict[str, Dataset]()
    for key, run in runs.items():
        for text, recipe in within([run]).items():
            if text not in found:
                try:
                    found[text] = load_data(recipe, parts)
                except DataError as error:
                    said = f"the series {key.series}, which --series can leave out from the start, trains on"
                    raise DataError(f"{said} {recipe.data.name}, too. {error}") from error
    return found
