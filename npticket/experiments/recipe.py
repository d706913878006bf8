"""What an experiment is made of, as data that is JSON both ways, and how it becomes a network and an optimizer."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from npticket import datasets, nets
from npticket.nets import Net
from npticket.optimizers import SGD, Adam, constant, linear_warmup, step_drops

NETS: dict[str, Callable[..., Net]] = {
    "lenet_300_100": nets.lenet_300_100,
    "conv_2": nets.conv_2,
    "conv_4": nets.conv_4,
    "conv_6": nets.conv_6,
    "resnet": nets.resnet,
    "resnet_18": nets.resnet_18,
    "vgg_19": nets.vgg_19,
}
DATASETS = {
    "mnist": datasets.mnist,
    "fashion_mnist": datasets.fashion_mnist,
    "cifar10": datasets.cifar10,
    "cifar100": datasets.cifar100,
}
OPTIMIZERS = ("adam", "sgd")


@dataclass(frozen=True)
class Recipe:
    """One experiment: trials x series x rounds of training runs. Steps are optimizer steps, rates fractions.

    `drops` are pairs (step, learning rate from there on). `rates`, by patterns of parameter names such as "conv*/W",
    and `pruned_globally` replace what the network prescribes. `rewind_step` is the step whose parameters survivors are
    reset to (0: theta0). Round 0 of the winning ticket is the dense network; controls begin with round 1.
    """

    name: str
    source: str
    net: str
    data: str
    optimizer: str
    lr: float
    batch: int
    steps: int
    rounds: int
    trials: int = 5
    seed: int = 0
    series: tuple[str, ...] = ("winning_ticket", "random_reinit", "random_reinit_2", "random_reinit_3")
    validate_every: int = 100
    test_at: tuple[int, ...] = ()
    net_options: Mapping[str, Any] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    pruned_globally: bool | None = None
    momentum: float = 0.0
    weight_decay: float = 0.0
    drops: tuple[tuple[int, float], ...] = ()
    warmup: int = 0
    augment: bool = False
    rewind_step: int = 0

    def __post_init__(self) -> None:
        _choice("net", self.net, NETS)
        _choice("data", self.data, DATASETS)
        _choice("optimizer", self.optimizer, OPTIMIZERS)
        for name in ("batch", "steps", "rounds", "trials", "validate_every"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("seed", "warmup"):
            if getattr(self, name) < 0:
                raise RecipeError(f"{name} must not be negative, got {getattr(self, name)}")
        for name, rate in self.rates.items():
            if not 0 <= rate < 1:
                raise RecipeError(f"rates are fractions of the survivors in [0, 1), got {rate} for {name}")
        if self.optimizer == "adam" and (self.momentum or self.weight_decay):
            raise RecipeError("momentum and weight_decay are SGD's; Adam takes neither here")
        if not self.lr > 0:
            raise RecipeError(f"lr must be positive, got {self.lr}")
        if not 0 <= self.rewind_step < self.steps:
            raise RecipeError(f"rewind_step must lie between 0 and {self.steps - 1}, got {self.rewind_step}")
        if not all(1 <= step <= self.steps for step in self.test_at):
            raise RecipeError(f"test_at must lie between 1 and {self.steps}, got {list(self.test_at)}")
        if self.series[:1] != ("winning_ticket",) or len(set(self.series)) != len(self.series):
            raise RecipeError(f"series must begin with winning_ticket and name each once, got {list(self.series)}")


class RecipeError(ValueError):
    """A recipe that cannot be cooked: the message names the field, what was expected and what came."""


def to_json(recipe: Recipe) -> dict[str, Any]:
    """The recipe as what JSON can hold, tuples as lists."""
    return {name: _as_list(value) for name, value in asdict(recipe).items()}


def from_json(values: Mapping[str, Any]) -> Recipe:
    """Read a recipe back; RecipeError names a field that is unknown, missing or of the wrong type."""
    if not isinstance(values, Mapping):
        raise RecipeError(f"a recipe is an object with named fields, got {type(values).__name__}")
    known = {f.name: f for f in fields(Recipe)}
    for name in values:
        if name not in known:
            raise RecipeError(f"a recipe has no field {name!r}; it has {', '.join(known)}")
    required = [f.name for f in fields(Recipe) if f.default is MISSING and f.default_factory is MISSING]
    lacking = [name for name in required if name not in values]
    if lacking:
        raise RecipeError(f"the recipe lacks {', '.join(lacking)}")
    return Recipe(**{name: _typed(name, known[name].type, value) for name, value in values.items()})


def scaled(recipe: Recipe, steps: int) -> Recipe:
    """The recipe with fewer (or more) steps; whatever is to happen at some step happens earlier in proportion."""

    def at(step: int) -> int:
        return step * steps // recipe.steps

    return replace(
        recipe,
        steps=steps,
        test_at=tuple(sorted({max(1, at(step)) for step in recipe.test_at})),
        drops=tuple((at(step), lr) for step, lr in recipe.drops),
        warmup=at(recipe.warmup),
        rewind_step=at(recipe.rewind_step),
        validate_every=min(recipe.validate_every, steps),
    )


def make_net(recipe: Recipe) -> Net:
    """The network, with the recipe's options and pruning rates."""
    try:
        net = NETS[recipe.net](**recipe.net_options)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"net_options {dict(recipe.net_options)} do not suit {recipe.net}: {error}") from error
    rates = {
        name: rate
        for name in net.body.layout
        for rate in [next((r for pattern, r in recipe.rates.items() if fnmatchcase(name, pattern)), None)]
        if rate is not None
    }
    for pattern in recipe.rates:
        if not any(fnmatchcase(name, pattern) for name in net.body.layout):
            raise RecipeError(f"no parameter of {recipe.net} is called like {pattern}; it has {', '.join(net.rates)}")
    globally = net.pruned_globally if recipe.pruned_globally is None else recipe.pruned_globally
    try:
        return replace(net, rates=rates or net.rates, pruned_globally=globally)
    except ValueError as error:
        raise RecipeError(str(error)) from error


def make_optimizer(recipe: Recipe, first_step: int = 0) -> Callable[..., Any]:
    """What makes a fresh optimizer from masks, its schedule beginning at `first_step`."""
    schedule = step_drops(recipe.lr, dict(recipe.drops)) if recipe.drops else constant(recipe.lr)
    if recipe.warmup:
        schedule = linear_warmup(schedule, recipe.warmup)
    if recipe.optimizer == "adam":
        return partial(Adam, lr=lambda step: schedule(first_step + step))
    settings = {"momentum": recipe.momentum, "weight_decay": recipe.weight_decay}
    return partial(SGD, lr=lambda step: schedule(first_step + step), **settings)


def load_data(recipe: Recipe, folder: Any = None) -> datasets.Dataset:
    """The dataset, from `folder` or where it is found; its split is a function of the recipe's seed."""
    return DATASETS[recipe.data](folder, seed=recipe.seed)


def _choice(name: str, value: Any, known: Any) -> None:
    if value not in known:
        raise RecipeError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def _as_list(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_as_list(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def _is(value: Any, *types: type) -> bool:
    """Whether a value has one of the types; true and false are no numbers."""
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


def _are(values: Any, *types: type) -> bool:
    return _is(values, list, tuple) and all(_is(value, *types) for value in values)


def _is_drop(value: Any) -> bool:
    return _is(value, list, tuple) and len(value) == 2 and _is(value[0], int) and _is(value[1], int, float)


_KINDS: dict[Any, tuple[str, Callable[[Any], bool]]] = {  # by annotation: what is expected, in words and as a test
    str: ("a text", lambda v: _is(v, str)),
    int: ("an integer", lambda v: _is(v, int)),
    float: ("a number", lambda v: _is(v, int, float)),
    bool: ("true or false", lambda v: _is(v, bool)),
    bool | None: ("true, false or null", lambda v: v is None or _is(v, bool)),
    tuple[str, ...]: ("a list of texts", lambda v: _are(v, str)),
    tuple[int, ...]: ("a list of integers", lambda v: _are(v, int)),
    tuple[tuple[int, float], ...]: (
        "a list of pairs [step, learning rate]",
        lambda v: _is(v, list, tuple) and all(map(_is_drop, v)),
    ),
    Mapping[str, float]: (
        "an object of numbers",
        lambda v: _is(v, Mapping) and all(_is(item, int, float) for item in v.values()),
    ),
    Mapping[str, Any]: ("an object", lambda v: _is(v, Mapping)),
}


def _typed(name: str, kind: Any, value: Any) -> Any:
    """Check a field that came from JSON against its annotation; lists become tuples."""
    expected, is_right = _KINDS[kind]
    if not is_right(value):
        raise RecipeError(f"{name} must be {expected}, got {value!r}")
    if isinstance(value, list):
        return tuple(tuple(item) if isinstance(item, list) else item for item in value)
    return float(value) if kind is float else value
