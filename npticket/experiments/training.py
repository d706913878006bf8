"""What a worker does: it makes the start of some runs of one round, trains them, and returns what is to be stored.

Or it makes a measure's rows from the arrays given.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from npticket import backend
from npticket.datasets import Dataset
from npticket.engine import gemm
from npticket.experiments.checkpoints import Checkpoints
from npticket.experiments.errors import RecipeError
from npticket.experiments.machine import MACHINE, details
from npticket.experiments.measured import ROWS, as_array
from npticket.experiments.parts import Experiment
from npticket.experiments.progress import Steps
from npticket.experiments.series import At, Key, Measure, Run, Start
from npticket.experiments.tables import curves_measured, measured_columns
from npticket.params import Params, pack, stack, unpack
from npticket.protocols import UnsuitedError
from npticket.prune import dense_masks, density
from npticket.record import Fit
from npticket.streams import Place, streams
from npticket.task import Task
from npticket.train import DivergedError, fit


@dataclass(frozen=True)
class Execution:
    """How an experiment is run: by `jobs` processes, or a dask `scheduler` at this address.

    Engines, and array modules, round differently; on a CPU no bit of a result depends on the other fields. On a GPU a
    single network may round differently from one among others.

    In `lock_step`, and always on a GPU, the trials of all series of a round train together, as far as memory suffices.
    With `keep_weights` all runs keep their trained parameters; finished runs that did not are trained again.
    """

    jobs: int = 1
    scheduler: str = ""
    array_module: str = "numpy"
    engine: str = "fast"
    lock_step: bool = False
    keep_weights: bool = False


class Asked(NamedTuple):
    """A request for a run or a measure: `given` are arrays from other runs; `keep` names the arrays to be returned.

    `stream` is the name of the random stream that the run's start draws from.
    """

    key: Key
    run: Run | Measure
    given: Mapping[str, np.ndarray]
    keep: frozenset[str]
    stream: str


@backend.one_blas_thread()
def train_runs(
    experiment: Experiment,
    data: Dataset | Callable[[], Dataset],
    execution: Execution,
    asked: Sequence[Asked],
    checkpoints: Checkpoints | None = None,
    steps: Steps | None = None,
    threads: int = 1,
) -> list[dict[str, np.ndarray] | DivergedError]:
    """Train runs of the same round, order and length in lock-step, or make a measure; return what the store keeps.

    For a run that diverged the error is returned in its place; the others are not affected.
    """
    data = data if isinstance(data, Dataset) else data()
    at = [_at(experiment, data, one, execution.engine) for one in asked]
    run = asked[0].run
    if isinstance(run, Measure):
        with _naming(asked[0]):
            return [{"masks": pack(at[0].masks), ROWS: as_array(run.of(at[0])), MACHINE: _machine()}]
    start, masks = (stack(made) for made in zip(*map(_start, asked, at), strict=True))
    xp = backend.load(execution.array_module)
    there, under = (params.to(xp) for params in (start, masks))
    place = Place(experiment.recipe.seed, [one.key.trial for one in asked], run.round, run.order)
    setting = experiment.setting(execution.engine, threads, run.length)
    if checkpoints is not None:
        setting = replace(setting, checkpoints=checkpoints.of([one.key for one in asked], run.length))
    if steps is not None:
        setting = replace(setting, watch=steps.watch(asked[0].key.file, setting.first_step, len(asked)))
    try:
        with gemm.choices() as chosen:
            result = fit(experiment.net, experiment.task, there, under, data, setting, place)
    except DivergedError as error:
        if error.fit is None:
            raise
        result = error.fit
    result, task = replace(result, end=result.end.to(np)), experiment.task
    ways = {"chosen": np.array([*chosen.values()], str)}
    starts = [(start.trial(t), masks.trial(t)) for t in range(len(asked))]
    return [_left(task, one, at[t], starts[t], result, t, ways) for t, one in enumerate(asked)]


def _start(asked: Asked, at: At) -> Start:
    """The parameters at which a training run starts, and its masks."""
    assert isinstance(asked.run, Run)
    with _naming(asked):
        return asked.run.start(at)


@contextmanager
def _naming(asked: Asked) -> Iterator[None]:
    """Add the run's name to an error in a paper's code; UnsuitedError, a network it is not for, is a RecipeError."""
    series, round, trial = asked.key
    try:
        yield
    except UnsuitedError as error:
        said = f"{error}: leave {series} out, with --series, or take another network"
        raise RecipeError(f"the series {series} cannot be made, in round {round}: {said}") from error
    except Exception as error:
        error.add_note(f"in round {round} of {series}, trial {trial}")
        raise


def _left(
    task: Task, asked: Asked, at: At, start: Start, result: Fit, t: int, more: dict[str, np.ndarray]
) -> dict[str, np.ndarray] | DivergedError:
    """What is stored of trial `t` of a fit, and `more`, or the error if it diverged."""
    if t in result.diverged:
        return DivergedError(result.diverged[t])
    theta, masks = start
    left = record(task, result, t, masks) | more | {MACHINE: _machine()}
    if "next_masks" in asked.keep:
        score = asked.run.score if isinstance(asked.run, Run) else None
        with _naming(asked):
            left["next_masks"] = pack(at.prune(result.end.trial(t).copy(), masks, theta, score))
    if "end" in asked.keep:
        left["end"] = result.end.flat[t]
    return left


def _machine() -> np.ndarray:
    """The machine that this worker is on, as JSON."""
    return np.array(json.dumps(details()))


def record(task: Task, result: Fit, t: int, masks: Params) -> dict[str, np.ndarray]:
    """Return what is stored of trial `t` of a fit: what was measured, and its masks (T = 1) as packed bits.

    Curves end where the trial ran out of patience.
    """
    had = ~np.isnan(result["val_loss"][t])
    run = {name: result[name][t] for name in (*measured_columns(task), "seconds")}
    run |= {name: result[name][t][had] for name in curves_measured(task)} | {"at_steps": result.at_steps[had]}
    run |= {"steps": result.at_steps[-1], "density": density(masks)[0]}
    return {name: np.asarray(value) for name, value in (run | {"masks": pack(masks)}).items()}


def _at(experiment: Experiment, data: Dataset, asked: Asked, engine: str) -> At:
    """Return what a run's start is made from; theta0 is the rewind point if that was given, else the initial values."""
    key, seed, net = asked.key, experiment.recipe.seed, experiment.net
    initial = net.init(streams(seed, [key.trial], "init"))
    given = {name: _params(array, initial) for name, array in asked.given.items()}
    theta0, masks = given.get("theta0", initial), given.get("masks", dense_masks(initial))
    rngs, task, rule = streams(seed, [key.trial], asked.stream, key.round), experiment.task, experiment.rule
    return At(net, task, data, rule, key.round, theta0, masks, given, rngs, initial, key.trial, engine)


def _params(array: np.ndarray, like: Params) -> Params:
    """A stored array, packed masks or parameters, as Params."""
    return unpack(array, like) if array.dtype == np.uint8 else like.like(array[None])
