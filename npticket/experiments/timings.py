"""How long training runs take on this machine: a few of their steps are timed once, and kept in the cache folder."""

import hashlib
import json
import math
import time
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npticket.datasets import Dataset, Split, cache_folder
from npticket.experiments import directory, machine
from npticket.experiments.errors import StoreError
from npticket.experiments.json_files import read_json, write_json
from npticket.experiments.parts import Experiment
from npticket.experiments.recipe import in_full
from npticket.experiments.series import Length
from npticket.prune import dense_masks
from npticket.reading import Json
from npticket.streams import Place
from npticket.task import Examples, Measured, Predict
from npticket.tickets import rewind
from npticket.train import fit

LEFT = 0.2  # from one timed density to the next, this fraction of the weights that are pruned fastest is left
BLOCKS, BLOCK, MOST = 5, 0.03, 100  # blocks of steps that are timed; seconds of each, about; steps of each, at most
FEW = 250  # examples of each split that are timed
ROOMS = ("datasets", "detection", "engine", "layers", "nets", "optimizers")
COMPUTE = (*(f"{room}/**/*.py" for room in ROOMS), "backend.py", "loss.py", "record.py", "task.py", "train.py")


class Cost(NamedTuple):
    """Seconds of a training run at one density: once a run, for each step, and for each example evaluated."""

    once: float
    step: float
    example: float


def by_density(
    experiment: Experiment, engine: str, threads: int, data: Dataset | None
) -> tuple[float, list[Cost]] | None:
    """Return what runs cost at some densities, and by how many of these densities a round goes down.

    What was not timed before on this machine is timed now with `data`; without data the result is None, not known.
    """
    recipe, known, found = experiment.recipe, _read(), list[Cost]()
    left = 1 - max(recipe.prune.options.get("rates", {}).values(), default=0)
    per_round = math.log(left) / math.log(LEFT)
    for level in range(math.ceil((recipe.rounds - 1) * per_round) + 1):
        key = _key(experiment, level, engine, threads)
        cost = _cost(known.get(key))
        if cost is None:
            if data is None:
                return None
            cost = _timed(experiment, level / (per_round or 1), engine, threads, data)
            _write(key, cost)
        found.append(cost)
    return per_round, found


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
    """What all times depend on: this machine, and the code that computes, but for networks that papers bring."""
    code = hashlib.sha256()
    for path in sorted(chain.from_iterable(map(Path(__file__).parents[1].glob, COMPUTE))):
        code.update(machine.text_of(path))
    return json.dumps({**machine.fingerprint(), "code": code.hexdigest()[:16]})


def _key(experiment: Experiment, level: int, engine: str, threads: int) -> str:
    """What a time depends on, as a text: not the learning rate, and of pruning only what goes, and in which ratios."""
    recipe = in_full(experiment.recipe)
    recipe["optimizer"].pop("lr")
    what = {name: recipe[name] for name in ("net", "task", "data", "optimizer", "batch", "augment")}
    if level:
        scope, rates = recipe["prune"].get("scope"), recipe["prune"]["rates"]
        what["prune"] = [scope, {name: round(rate / max(rates.values()), 6) for name, rate in rates.items()}]
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
