"""What a worker does: training runs of one round, from where their series says they start to what is kept of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from npticket import backend
from npticket.datasets import Dataset
from npticket.experiments.parts import Parts, make_augment, make_net, make_optimizer, make_rule, make_task
from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At, Key, Run
from npticket.experiments.tables import curves_measured, measured_columns
from npticket.params import Params, pack, stack, unpack
from npticket.protocols import Net
from npticket.prune import Evidence, Rule, dense_masks, density
from npticket.record import Fit
from npticket.streams import Place, streams
from npticket.task import Task
from npticket.train import Setting, fit


class Asked(NamedTuple):
    """A run that a worker is asked for: what its series says of it, the arrays that it takes along, what is kept of it
    besides what is measured, and the name of its random stream."""

    key: Key
    run: Run
    given: Mapping[str, np.ndarray]
    keep: frozenset[str]
    stream: str


@dataclass(frozen=True)
class How:
    """By which array module and engine, with how many threads, a worker trains."""

    array_module: str = "numpy"
    engine: str = "fast"
    threads: int = 1


def train_runs(
    recipe: Recipe, parts: Parts, data: Dataset | Callable[[], Dataset], how: How, asked: Sequence[Asked]
) -> list[dict[str, np.ndarray]]:
    """Train runs of the same round and length in lock-step, and return what the store keeps of each."""
    data = data if isinstance(data, Dataset) else data()
    net, task, rule = make_net(recipe, parts), make_task(recipe, parts), make_rule(recipe, parts)
    known = Known(net, task, rule, data)
    at = [_at(recipe, known, one) for one in asked]
    starts = [one.run.start(where) for one, where in zip(asked, at, strict=True)]
    start, masks = (stack(made) for made in zip(*starts, strict=True))
    xp = backend.load(how.array_module)
    there = [params.like(backend.to_device(params.flat, xp)) for params in (start, masks)]
    place = Place(recipe.seed, [one.key.trial for one in asked], asked[0].key.round)
    result = fit(net, task, there[0], there[1], data, _setting(recipe, parts, how, asked[0].run), place)
    end = start.like(backend.to_host(result.end.flat))
    kept = []
    for t, one in enumerate(asked):
        run = record(task, result, t, masks.trial(t))
        if "next_masks" in one.keep:
            run["next_masks"] = pack(known.prune(end.trial(t), masks.trial(t), start.trial(t), at[t].theta0))
        if "end" in one.keep:
            run["end"] = end.flat[t]
        kept.append(run)
    return kept


class Known(NamedTuple):
    """What an experiment is about."""

    net: Net
    task: Task
    rule: Rule
    data: Dataset

    def prune(self, end: Params, masks: Params, start: Params | None, theta0: Params) -> Params:
        """Return the masks without what the rule, seeing everything there is to be seen, lets go."""
        return self.rule.judge(Evidence(end, masks, start, theta0, self.net, self.task, self.data))


def _setting(recipe: Recipe, parts: Parts, how: How, run: Run) -> Setting:
    steps = run.steps or recipe.steps
    return Setting(
        optimizer=make_optimizer(recipe, parts, run.first_step, run.rate_at),
        steps=steps,
        batch=recipe.batch,
        validate_every=recipe.validate_every,
        first_step=run.first_step,
        test_at=[step for step in recipe.test_at if run.first_step < step <= steps],
        augment=make_augment(recipe, parts),
        engine=how.engine,
        threads=how.threads,
    )


def record(task: Task, result: Fit, t: int, masks: Params) -> dict[str, np.ndarray]:
    """What the store keeps of trial `t` of a fit: measured numbers, curves, and its masks (T = 1) as packed bits."""
    run = {name: result[name][t] for name in (*measured_columns(task), "seconds", *curves_measured(task))}
    run |= {"at_steps": result.at_steps, "steps": result.at_steps[-1], "density": density(masks)[0]}
    return {name: np.asarray(value) for name, value in (run | {"masks": pack(masks)}).items()}


def _at(recipe: Recipe, known: Known, asked: Asked) -> At:
    """Where a run stands: theta0 is the rewind point, if it was given one, the initial values otherwise."""
    key, given = asked.key, asked.given
    theta0 = known.net.init(streams(recipe.seed, [key.trial], "init"))
    if "theta0" in given:
        theta0 = theta0.like(given["theta0"][None])
    return At(
        net=known.net,
        round=key.round,
        theta0=theta0,
        masks=unpack(given["masks"], theta0) if "masks" in given else dense_masks(theta0),
        given_end=theta0.like(given["end"][None]) if "end" in given else None,
        prune=lambda params, masks: known.prune(params, masks, None, theta0),
        prunable=known.rule.scope.names(theta0),
        rngs=streams(recipe.seed, [key.trial], asked.stream, key.round),
    )
