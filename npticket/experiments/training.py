"""What a worker does: training runs of one round, from where their series says they start to what is kept of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from npticket import backend
from npticket.datasets import Dataset
from npticket.experiments.parts import Experiment
from npticket.experiments.series import At, Key, Run
from npticket.experiments.tables import curves_measured, measured_columns
from npticket.params import Params, pack, stack, unpack
from npticket.prune import Evidence, dense_masks, density
from npticket.record import Fit
from npticket.streams import Place, streams
from npticket.task import Task
from npticket.train import Setting, fit


@dataclass(frozen=True)
class Means:
    """What an experiment is run with, on which its results do not depend.

    Runs go to `jobs` processes, or to the dask `scheduler` at an address; each trains with `threads`. With `lock_step`,
    and always on a GPU, the trials of all series of a round train together in one process, as far as memory suffices.
    """

    jobs: int = 1
    scheduler: str = ""
    array_module: str = "numpy"
    engine: str = "fast"
    lock_step: bool = False
    threads: int = 1


class Asked(NamedTuple):
    """A run that a worker is asked for, with the arrays that it takes along, what is kept of it besides what is
    measured, and the name of its random stream."""

    key: Key
    run: Run
    given: Mapping[str, np.ndarray]
    keep: frozenset[str]
    stream: str


@backend.one_blas_thread()
def train_runs(
    experiment: Experiment, data: Dataset | Callable[[], Dataset], means: Means, asked: Sequence[Asked]
) -> list[dict[str, np.ndarray]]:
    """Train runs of the same round and length in lock-step, and return what the store keeps of each."""
    data = data if isinstance(data, Dataset) else data()
    prune = partial(_prune, experiment, data)
    at = [_at(experiment, prune, one) for one in asked]
    starts = [one.run.start(where) for one, where in zip(asked, at, strict=True)]
    start, masks = (stack(made) for made in zip(*starts, strict=True))
    xp = backend.load(means.array_module)
    there = [params.like(backend.to_device(params.flat, xp)) for params in (start, masks)]
    place = Place(experiment.recipe.seed, [one.key.trial for one in asked], asked[0].key.round)
    setting = _setting(experiment, means, asked[0].run)
    result = fit(experiment.net, experiment.task, there[0], there[1], data, setting, place)
    end = start.like(backend.to_host(result.end.flat))
    kept = []
    for t, one in enumerate(asked):
        run = record(experiment.task, result, t, masks.trial(t))
        if "next_masks" in one.keep:
            run["next_masks"] = pack(prune(at[t].theta0, start.trial(t), end.trial(t), masks.trial(t)))
        if "end" in one.keep:
            run["end"] = end.flat[t]
        kept.append(run)
    return kept


def record(task: Task, result: Fit, t: int, masks: Params) -> dict[str, np.ndarray]:
    """Return what the store keeps of trial `t` of a fit: what was measured, and its masks (T = 1) as packed bits."""
    run = {name: result[name][t] for name in (*measured_columns(task), "seconds", *curves_measured(task))}
    run |= {"at_steps": result.at_steps, "steps": result.at_steps[-1], "density": density(masks)[0]}
    return {name: np.asarray(value) for name, value in (run | {"masks": pack(masks)}).items()}


def _prune(
    experiment: Experiment, data: Dataset, theta0: Params, start: Params | None, end: Params, masks: Params
) -> Params:
    """Return the masks without what the rule, seeing everything there is to be seen, lets go."""
    return experiment.rule.judge(Evidence(end, masks, start, theta0, experiment.net, experiment.task, data))


def _setting(experiment: Experiment, means: Means, run: Run) -> Setting:
    recipe, steps = experiment.recipe, run.steps or experiment.recipe.steps
    return Setting(
        optimizer=experiment.optimizer(run.first_step, run.rate_at),
        steps=steps,
        batch=recipe.batch,
        validate_every=recipe.validate_every,
        first_step=run.first_step,
        test_at=[step for step in recipe.test_at if run.first_step < step <= steps],
        augment=experiment.augment,
        engine=means.engine,
        threads=means.threads,
    )


def _at(experiment: Experiment, prune: Callable[..., Params], asked: Asked) -> At:
    """Return where a run stands: theta0 is the rewind point, if it was given one, the initial values otherwise."""
    key, given, seed = asked.key, asked.given, experiment.recipe.seed
    theta0 = experiment.net.init(streams(seed, [key.trial], "init"))
    if "theta0" in given:
        theta0 = theta0.like(given["theta0"][None])
    return At(
        net=experiment.net,
        round=key.round,
        theta0=theta0,
        masks=unpack(given["masks"], theta0) if "masks" in given else dense_masks(theta0),
        given_end=theta0.like(given["end"][None]) if "end" in given else None,
        prune=partial(prune, theta0, None),
        prunable=experiment.rule.scope.names(theta0),
        rngs=streams(seed, [key.trial], asked.stream, key.round),
    )
