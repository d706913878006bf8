"""The parts that recipes can name, and the objects made of them: a network, a task, a rule, an optimizer, data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from npticket import datasets, nets
from npticket.datasets import Augment, Dataset, FlipAndCrop, ResizedCrop
from npticket.experiments.bounds import is_number
from npticket.experiments.errors import RecipeError
from npticket.experiments.kinds import wrong_options
from npticket.experiments.recipe import Part, Recipe, scaled
from npticket.experiments.series import REWIND_POINT, Length, Series, to_the_rewind_point
from npticket.optimizers import (
    SGD,
    Adam,
    AdamW,
    Schedule,
    clipped_adamw,
    constant,
    linear_decay,
    linear_warmup,
    step_drops,
)
from npticket.protocols import MakeOptimizer, Net, Optimizer
from npticket.prune import Globally, Layerwise, Rates, Rule, Scope, Score, magnitude
from npticket.reading import Json, shown
from npticket.scopes import ByUnits
from npticket.task import CLASSIFY, Task
from npticket.train import Setting

T = TypeVar("T")
WHOLE = Length()


@dataclass(frozen=True)
class Parts:
    """All parts by the names that recipes have for them; `published` are the papers' own recipes."""

    nets: Mapping[str, Callable[..., Net]] = field(default_factory=dict)
    data: Mapping[str, Callable[..., Dataset]] = field(default_factory=dict)
    tasks: Mapping[str, Task] = field(default_factory=dict)
    optimizers: Mapping[str, Callable[..., Optimizer]] = field(default_factory=dict)
    schedules: Mapping[str, Callable[..., Schedule]] = field(default_factory=dict)
    scores: Mapping[str, Score] = field(default_factory=dict)
    scopes: Mapping[str, Callable[[Rates, Net], Scope]] = field(default_factory=dict)
    augments: Mapping[str, Augment] = field(default_factory=dict)
    series: Mapping[str, Series] = field(default_factory=dict)
    published: Mapping[str, Recipe] = field(default_factory=dict)


def merged(*many: Parts) -> Parts:
    """Put parts together; ValueError where two bring the same name."""
    found: dict[str, dict[str, Json]] = {f.name: {} for f in fields(Parts)}
    for parts in many:
        for kind, named in found.items():
            if twice := named.keys() & getattr(parts, kind).keys():
                raise ValueError(f"there are two {kind} called {' and two called '.join(sorted(twice))}")
            named.update(getattr(parts, kind))
    return Parts(**found)


def _constant(lr: float, warmup: int = 0) -> Schedule:
    """The learning rate `lr` all the time, multiplied by a linear rise over the first `warmup` steps."""
    return _warmed_up(constant(lr), warmup)


def _step_drops(lr: float, drops: list[tuple[int, float]], warmup: int = 0) -> Schedule:
    """`lr`, and then the values of `drops`, pairs [step, learning rate from there on]; `warmup` as above."""
    steps = [step for step, _ in drops]
    good = all(step >= 0 and value >= 0 for step, value in drops)
    if not good or sorted(set(steps)) != steps:
        raise ValueError(f"drops are pairs of a step and a learning rate, later steps later, got {drops}")
    return _warmed_up(step_drops(lr, dict(drops)), warmup)


def _linear_decay(lr: float, steps: int, warmup: int = 0) -> Schedule:
    """`lr`, falling linearly to 0 at step `steps`; `warmup` as above."""
    return _warmed_up(linear_decay(lr, steps), warmup)


def _warmed_up(schedule: Schedule, warmup: int) -> Schedule:
    return linear_warmup(schedule, warmup) if warmup else schedule


_NETS = ("bert", "lenet_300_100", "lenet_5", "mlp", "conv_2", "conv_4", "conv_6", "resnet", "resnet_18", "vgg_19",
         "imagenet_resnet")  # fmt: skip
_DATA = ("mnist", "fashion_mnist", "cifar10", "cifar100", "trec", "sst2", "subj", "arrays", "image_folder", "images")
BUILT_IN = Parts(
    nets={name: getattr(nets, name) for name in _NETS},
    data={**{name: getattr(datasets, name) for name in _DATA}, "csv": datasets.csv_table},
    tasks={CLASSIFY.name: CLASSIFY},
    optimizers={"adam": Adam, "adamw": AdamW, "clipped_adamw": clipped_adamw, "sgd": SGD},
    schedules={"constant": _constant, "step_drops": _step_drops, "linear_decay": _linear_decay},
    scores={"magnitude": magnitude},
    scopes={
        "layerwise": lambda rates, _: Layerwise(rates),
        "globally": lambda rates, _: Globally(rates),
        "units layerwise": lambda rates, net: ByUnits(net, rates),
        "units globally": lambda rates, net: ByUnits(net, rates, together=True),
    },
    augments={"flip_and_crop": FlipAndCrop.draw, "resized_crop": ResizedCrop.draw},
    series={REWIND_POINT: Series(to_the_rewind_point)},
)


@dataclass(frozen=True)
class Experiment:
    """A recipe's parts as objects. Each is made when it is first asked for; RecipeError says why it cannot be."""

    recipe: Recipe
    parts: Parts

    @cached_property
    def net(self) -> Net:
        return _made("net", self.recipe.net, self.parts.nets)

    @cached_property
    def task(self) -> Task:
        return known("task", self.recipe.task.name, self.parts.tasks)

    @cached_property
    def rule(self) -> Rule:
        """The pruning rule. Whether its patterns fit the network's parameters is checked by `checks.check`."""
        score = known("prune", self.recipe.prune.name, self.parts.scores)
        options = {"scope": "layerwise", "rates": {}, **self.recipe.prune.options}
        if extra := options.keys() - {"scope", "rates"}:
            raise RecipeError(f"prune has the options scope and rates, got {', '.join(sorted(extra))}")
        scope, rates = known("prune's scope", options["scope"], self.parts.scopes), options["rates"]
        if not isinstance(rates, Mapping):
            raise RecipeError(f"prune's rates must be an object of numbers, got {shown(rates)}")
        for name, rate in rates.items():
            if not is_number(rate):
                raise RecipeError(f"prune's rates must be numbers, got {shown(rate)} for {name}")
        try:
            return Rule(score, scope(rates, self.net))
        except ValueError as error:
            raise RecipeError(str(error)) from error

    def optimizer(self, first_step: int = 0, lr_at: int | None = None) -> MakeOptimizer:
        """Return a function (masks) -> optimizer; its schedule begins at `first_step`, or always stays at `lr_at`."""
        part = self.recipe.optimizer
        make, options = known("optimizer", part.name, self.parts.optimizers), {"lr": None, **part.options}
        if not is_number(options["lr"]) or not options["lr"] > 0:
            raise RecipeError(f"the optimizer's lr must be a positive number, got {shown(options['lr'])}")
        if wrong := wrong_options(make, options, ("masks",)):
            raise RecipeError(f"the optimizer {part.name}: {wrong}")
        lr = options.pop("lr")
        schedule: Schedule = _made("schedule", self.recipe.schedule, self.parts.schedules, lr=lr)
        at = constant(schedule(lr_at)) if lr_at is not None else lambda step: schedule(first_step + step)
        return partial(make, lr=at, **options)

    def setting(self, engine: str, threads: int = 1, length: Length = WHOLE) -> Setting:
        """Return how to train for a length: by default for the recipe's steps, and only then with its patience."""
        first_step, steps, lr_at, stretched = length
        if stretched and steps:
            longer = Experiment(replace(scaled(self.recipe, steps), patience=None), self.parts)
            return longer.setting(engine, threads, Length(first_step))
        recipe, patience = self.recipe, None if steps else self.recipe.patience
        steps = steps or recipe.steps
        optimizer = self.optimizer(first_step, lr_at)
        test_at, train_at = length.test_at(recipe), [step for step in recipe.train_at if first_step < step < steps]
        augment = known("augment", recipe.augment.name, self.parts.augments) if recipe.augment else None
        return Setting(
            optimizer, steps, recipe.batch, validate_every=recipe.validate_every, first_step=first_step,
            test_at=test_at, train_at=train_at, train_at_end=recipe.train_at_end, augment=augment, engine=engine,
            threads=threads, patience=patience, evaluated=recipe.evaluated,
        )  # fmt: skip


def load_data(recipe: Recipe, parts: Parts, folder: str | Path | None = None) -> Dataset:
    """Load a recipe's data, split by its seed, from `folder` or, by default, wherever their reader looks."""
    load = partial(known("data", recipe.data.name, parts.data), folder)
    return _made("data", recipe.data, {recipe.data.name: load}, (TypeError,), seed=recipe.seed)


def known(field: str, name: Json, things: Mapping[str, T]) -> T:
    """Return the one of `things` that a field of a recipe names, or raise RecipeError."""
    if not isinstance(name, str) or name not in things:
        raise RecipeError(f"{field} must be one of {', '.join(things)}, got {shown(name)}")
    return things[name]


def _made(
    field: str, part: Part, things: Mapping[str, Callable[..., T]],
    failures: tuple[type[Exception], ...] = (TypeError, ValueError, OverflowError), **given: Json,
) -> T:  # fmt: skip
    make = known(field, part.name, things)
    if wrong := wrong_options(make, part.options, given):
        raise RecipeError(f"the {field} {part.name}: {wrong}")
    try:
        return make(**part.options, **given)
    except failures as error:
        said = f"the options {shown(dict(part.options))} do not suit the {field} {part.name}"
        raise RecipeError(f"{said}: {error}") from error
