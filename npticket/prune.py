"""Which weights go: a rule is a score (what is small) times a scope (among whom), with exact counts.

`Rule(magnitude, Layerwise({"fc*/W": 0.2, "out/W": 0.1}))` is the rule of Frankle & Carbin 2019, section 2: each layer
loses that fraction of its survivors. Of n survivors exactly round(rate * n) go, half to even, no matter how many are
tied; among equals the first in index order go. Ranking is done per trial, on the host. Only weights are pruned.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

import numpy as np

from npticket.backend import array_module, to_host
from npticket.datasets import Dataset
from npticket.params import Params
from npticket.protocols import Net
from npticket.task import Task

Rates = Mapping[str, float]  # by a parameter's name, or a pattern of names: which fraction of its survivors goes


@dataclass(frozen=True)
class Evidence:
    """What a score may look at: the end of a training run and its masks, and whatever else is known of it.

    `start` is where the run began, `theta0` the initial values; `rngs` are a generator for each trial, to draw examples
    with. What the caller does not give is None, or (), and a score that needs it cannot be used.
    """

    end: Params
    masks: Params
    start: Params | None = None
    theta0: Params | None = None
    net: Net | None = None
    task: Task | None = None
    data: Dataset | None = None
    rngs: Sequence[np.random.Generator] = ()


Score = Callable[[Evidence], Params]  # the lowest go


class Scope(Protocol):
    """Among which weights to rank, and how many go. `scope(scores, masks)` returns new masks without the lowest."""

    def names(self, params: Params) -> list[str]:
        """The parameters that may be pruned, in the order of the layout."""

    def __call__(self, scores: Params, masks: Params) -> Params: ...


@dataclass(frozen=True)
class Rule:
    """A way to prune: a score and a scope. A rule is the function `prune(end, masks)` that `find_tickets` takes."""

    score: Score
    scope: Scope

    def __call__(self, end: Params, masks: Params) -> Params:
        """Return the next masks, for a score that looks at nothing but the end of training."""
        return self.judge(Evidence(end, masks))

    def judge(self, seen: Evidence) -> Params:
        """Return the next masks, for any score: those of the evidence without what scores lowest."""
        return self.scope(self.score(seen), seen.masks)


@dataclass(frozen=True)
class Layerwise:
    """Rank each parameter's weights on their own; its rate is that of the first pattern that fits its name, or 0."""

    rates: Rates

    def __post_init__(self) -> None:
        check_rates(self.rates)

    def names(self, params: Params) -> list[str]:
        """The parameters with a rate above 0."""
        return list(rates_by_name(self.rates, params))

    def __call__(self, scores: Params, masks: Params) -> Params:
        return prune_layerwise(scores, masks, rates_by_name(self.rates, masks))


@dataclass(frozen=True)
class Globally(Layerwise):
    """Rank the weights of all parameters with a rate together; ValueError unless these rates are the same."""

    def __post_init__(self) -> None:
        check_rates(self.rates, together=True)

    def __call__(self, scores: Params, masks: Params) -> Params:
        rates = rates_by_name(self.rates, masks)
        return prune_globally(scores, masks, max(rates.values()), rates) if rates else masks.copy()


def check_rates(rates: Rates, together: bool = False) -> None:
    """Raise ValueError unless each rate is in [0, 1) and, of what is ranked `together`, all are the same or 0."""
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise ValueError(f"a pruning rate is a fraction of the survivors in [0, 1), got {rate} for {name}")
    if together and len({rate for rate in rates.values() if rate}) > 1:
        raise ValueError(f"pruned globally, all rates must be the same (or 0), got {dict(rates)}")


def rates_by_name(rates: Rates, params: Params) -> dict[str, float]:
    """Return the rate of each parameter that is pruned: that of the first pattern that fits its name, unless it is 0.

    Patterns are like those of file names: "conv*/W". Raises ValueError for a pattern that fits no parameter, or one
    that is no weight: biases, batch normalisation's parameters and running statistics are never pruned.
    """
    weights = params.weights
    for pattern in rates:
        fitting = [name for name in params if fnmatchcase(name, pattern)]
        others = [name for name in fitting if name not in weights]
        if not fitting:
            raise ValueError(f"no parameter is called like {pattern}; there are {', '.join(weights)}")
        if others and rates[pattern]:
            raise ValueError(f"only weights can be pruned, and {pattern} means {', '.join(others)}, too: say */W")
    return {name: rate for name in weights if (rate := next((rates[p] for p in rates if fnmatchcase(name, p)), 0.0))}


def dense_masks(theta: Params) -> Params:
    """Masks under which everything survives."""
    return theta.like(array_module(theta.flat).ones(theta.flat.shape, bool))


def density(masks: Params) -> np.ndarray:
    """Fraction of the weights that survive, per trial (T,): the paper's P_m. Biases are not counted."""
    alive = sum(to_host((masks[name] != 0).reshape(masks.trials, -1).sum(axis=1)) for name in masks.weights)
    return alive / sum(masks[name][0].size for name in masks.weights)


def magnitude(seen: Evidence) -> Params:
    """Score every parameter by the absolute value that it has at the end of training."""
    return seen.end.like(abs(seen.end.flat))


def random_scores(params: Params, rngs: Sequence[np.random.Generator]) -> Params:
    """Score every parameter by a number drawn from [0, 1), with one generator per trial: random masks come of it."""
    if len(rngs) != params.trials:
        raise ValueError(f"random scores of {params.trials} trials take as many generators, got {len(rngs)}")
    return params.like(np.stack([rng.random(params.flat.shape[1]) for rng in rngs])).to(array_module(params.flat))


def at_random(seen: Evidence) -> Params:
    """Score at random, by the evidence's generators."""
    return random_scores(seen.end, seen.rngs)


def prune_layerwise(scores: Params, masks: Params, rates: Mapping[str, float]) -> Params:
    """Return new masks: each parameter in `rates`, by name, loses that fraction of its survivors, the lowest-scored.

    Raises as `check_rates` and `check_scores` do.
    """
    return _pruned(scores, masks, [([name], rate) for name, rate in rates.items()])


def prune_globally(scores: Params, masks: Params, rate: float, names: Iterable[str]) -> Params:
    """Return new masks: the parameters in `names`, ranked together, lose a fraction `rate` of all their survivors.

    Ties go in the network's order. ValueError without names; raises as `check_rates` and `check_scores` do, too.
    """
    if not (named := set(names)):
        raise ValueError("global pruning needs at least one parameter name")
    return _pruned(scores, masks, [([*named - {*masks}, *(name for name in masks if name in named)], rate)])


def _pruned(scores: Params, masks: Params, groups: Sequence[tuple[Sequence[str], float]]) -> Params:
    """Return new masks without the round(rate * survivors) lowest-scored of each group; a stable sort settles ties."""
    for names, rate in groups:
        check_rates({", ".join(names): rate})
        check_scores(scores, masks, names)
    pruned = masks.to(np).copy()
    for t in range(masks.trials):
        for names, rate in groups:
            together = np.concatenate([to_host(scores[name][t]).ravel() for name in names])
            alive = np.concatenate([pruned[name][t].ravel() for name in names])
            survivors = np.flatnonzero(alive)
            order = np.argsort(together[survivors], kind="stable")
            alive[survivors[order[: round(rate * len(survivors))]]] = False
            ends = np.cumsum([pruned[name][t].size for name in names])
            for name, kept in zip(names, np.split(alive, ends[:-1]), strict=True):
                pruned[name][t] = kept.reshape(pruned[name][t].shape)
    return pruned.to(array_module(masks.flat))


def check_scores(scores: Params, masks: Params, names: Sequence[str]) -> None:
    """Raise ValueError or TypeError, naming the parameter, unless these can be pruned by the scores."""
    for name in names:
        if scores[name].shape != masks[name].shape:
            raise ValueError(f"{name}: the scores have shape {scores[name].shape}, the masks {masks[name].shape}")
        if name not in masks.weights:
            raise ValueError(f"only weights can be pruned, which {name} is not")
        if masks[name].dtype != bool:
            raise TypeError(f"masks[{name!r}] has dtype {masks[name].dtype}, expected bool")
        if array_module(scores[name]).isnan(scores[name]).any():
            raise ValueError(f"{name} has scores that are not a number: did the training run diverge?")
