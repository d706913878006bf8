"""Estimates of how long experiments take on this machine, from short trainings that are timed once.

The times are kept in the user's cache folder.
"""

import hashlib
import json
import math
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npticket import engine as engines
from npticket import layers, nets, optimizers
from npticket.datasets import Dataset, Split, cache_folder
from npticket.experiments import directory, machine
from npticket.experiments.evaluation import examples
from npticket.experiments.json_files import StoreError, read_json, write_json
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned, steps_of
from npticket.experiments.recipe import in_full
from npticket.experiments.series import Key, Length, Measure, Run
from npticket.experiments.workers import threads_each
from npticket.prune import dense_masks
from npticket.reading import Json
from npticket.streams import Place
from npticket.task import Examples, Measured, Predict
from npticket.tickets import rewind
from npticket.train import fit

LEFT = 0.2  # from one timed density to the next, this fraction of the weights that are pruned fastest is left
BLOCKS, BLOCK, MOST = 5, 0.03, 100  # blocks of steps that are timed; seconds of each, about; steps of each, at most
FEW = 250  # examples of each split that are timed
EXAMPLES = 55_000, 5_000, 10_000  # for training, validation and testing, where no data are at hand to be counted


class Cost(NamedTuple):
    """Seconds of a training run at one density: once a run, for each step, and for each example evaluated."""

    once: float
    step: float
    example: float


def seconds(
    experiment: Experiment, jobs: int, engine: str = "fast", data: Dataset | None = None,
    missing: Collection[Key] | None = None,
) -> tuple[float, float] | None:  # fmt: skip
    """Return how many seconds all runs of an experiment, or those `missing`, take with `jobs` processes.

    These are two numbers, with and without evaluation. What was not timed before on this machine is timed now with
    `data`; without data the result is None, not known.
    """
    recipe = experiment.recipe
    slowest = 1 - max(recipe.prune.options.get("rates", {}).values(), default=0)
    per_round = math.log(slowest) / math.log(LEFT)  # timed densities that a round goes down by
    threads, known, found = threads_each(jobs), _read(), list[Cost]()
    for level in range(math.ceil((recipe.rounds - 1) * per_round) + 1):
        key = _key(experiment, level, engine, threads)
        cost = _cost(known.get(key))
        if cost is None:
            if data is None:
                return None
            cost = _timed(experiment, level / (per_round or 1), engine, threads, data)
            _write(key, cost)
        found.append(cost)
    sizes = (len(data.train), len(data.validation), len(data.test)) if data else EXAMPLES
    runs = planned(recipe, experiment.parts.series)

    def taken(run: Run | Measure, evaluating: bool) -> float:
        if isinstance(run, Measure):
            return 0.0
        levels = np.arange(len(found))
        cost = Cost(*(np.interp(run.round * per_round, levels, column) for column in zip(*found, strict=True)))
        steps = steps_of(recipe, run)
        return cost.once + steps * cost.step + evaluating * examples(recipe, steps, sizes) * cost.example

    left = runs if missing is None else missing
    whole, training = (
        _together(runs, {key: taken(run, part) if key in left else 0.0 for key, run in runs.items()}, jobs)
        for part in (True, False)
    )
    return whole, training


def _together(runs: Mapping[Key, Run | Measure], taken: Mapping[Key, float], jobs: int) -> float:
    """The seconds of all runs in parallel, at least: all work shared out, or the longest chain of runs that wait."""
    needed = {key: {stored.key for stored in run.given.values()} for key, run in runs.items()}
    ends: dict[Key, float] = {}
    for key in TopologicalSorter(needed).static_order():
        ends[key] = taken[key] + max((ends[other] for other in needed[key]), default=0.0)
    return max(sum(taken.values()) / jobs, max(ends.values()))


def _timed(experiment: Experiment, rounds: float, engine: str, threads: int, data: Dataset) -> Cost:
    """Time a few steps of the network as it is after so many rounds; the learning rate is too small to diverge."""
    recipe, place = experiment.recipe, Place()
    # A rate must be below 1, so a little is left of each layer, however many the rounds are.
    rates = {name: 1 - max((1 - rate) ** rounds, 1e-6) for name, rate in recipe.prune.options.get("rates", {}).items()}
    still = recipe.optimizer.having(lr=1e-9)
    asked = replace(recipe, prune=recipe.prune.having(rates=rates), optimizer=still)
    asked = replace(asked, test_at=(), train_at=(), evaluated=0)
    experiment = Experiment(asked, experiment.parts)
    theta0 = experiment.net.init(place.rngs("init"))
    masks = experiment.rule.scope(theta0.like(abs(theta0.flat)), dense_masks(theta0))
    start = rewind(theta0, masks)

    few = partial(_some, count=max(FEW, recipe.batch))
    some = replace(data, train=few(data.train), validation=few(data.validation), test=few(data.test))
    spans: list[tuple[float, float]] = []  # of evaluations: of the validation set, then those at the end

    def evaluate(predict: Predict, examples: Examples) -> Measured:
        began = time.perf_counter()
        found = experiment.task.evaluate(predict, examples)
        spans.append((began, time.perf_counter()))
        return found

    def trained(every: int, times: int) -> Cost:
        spans.clear()
        setting = replace(experiment.setting(engine, threads, Length(steps=every * times)), validate_every=every)
        task, began = replace(experiment.task, evaluate=evaluate), time.perf_counter()
        fit(experiment.net, task, start, masks, some, setting, place)
        begins, ends = np.array(spans).T
        step = np.median(begins[1:times] - ends[: times - 1]) / every
        looks = (ends - begins) / len(some.test)
        once = ends[-1] - began - every * times * step - len(some.test) * looks.sum()
        return Cost(max(0.0, once), step, np.median(looks))  # on a busy machine what is left over can be less than 0

    roughly = trained(1, 2)
    return trained(max(1, min(MOST, int(BLOCK / roughly.step))), BLOCKS)


def _some(split: Split, count: int) -> Split:
    """`count` examples; they repeat if there are fewer."""
    return split.take(np.resize(np.arange(len(split)), count))


@cache
def _here() -> str:
    """What all times depend on: this machine, and the code that computes."""
    code = hashlib.sha256()
    for room in (engines, layers, nets, optimizers):
        for path in sorted(Path(room.__file__ or "").parent.rglob("*.py")):
            code.update(path.read_bytes())
    return json.dumps({**machine.fingerprint(), "code": code.hexdigest()[:16]})


def _key(experiment: Experiment, level: int, engine: str, threads: int) -> str:
    """What a time depends on, as a text: not the learning rate, and of pruning only the density."""
    recipe = in_full(experiment.recipe)
    recipe["optimizer"].pop("lr")
    what = {name: recipe[name] for name in ("net", "task", "data", "optimizer", "batch", "augment")}
    return f"{_here()} {json.dumps({**what, 'engine': engine, 'threads': threads, 'level': level})}"


def _path() -> Path:
    return cache_folder() / "costs.json"


def _read() -> dict[str, Json]:
    """All that was timed; nothing where the file is missing, damaged or something else."""
    with suppress(StoreError, RuntimeError):  # RuntimeError: no home folder, or JSON nested too deeply
        return read_json(_path())
    return {}


def _cost(value: Json) -> Cost | None:
    """The cost in a value that was read, or None if it is not one."""
    if not isinstance(value, list) or len(value) != len(Cost._fields):
        return None
    good = all(isinstance(number, float) and 0 <= number < math.inf for number in value)
    return Cost(*value) if good else None


def _write(key: str, cost: Cost) -> None:
    """Keep a cost, unless the folder cannot be written to or another process is writing just now."""
    with suppress(OSError, RuntimeError, StoreError):
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        with directory.lock(path.with_suffix(".lock")):
            write_json(path, _read() | {key: cost})
