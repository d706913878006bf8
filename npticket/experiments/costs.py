"""Estimates of how long experiments take on this machine, from times of single steps."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from graphlib import TopologicalSorter

import numpy as np

from npticket.datasets import Dataset
from npticket.experiments import timings
from npticket.experiments.evaluation import examples
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import described, planned, steps_of, within
from npticket.experiments.series import Key, Measure, Run
from npticket.experiments.timings import Cost
from npticket.experiments.workers import threads_each

EXAMPLES = 55_000, 5_000, 10_000  # for training, validation and testing, where no data are at hand to be counted

Taken = Callable[[int, int], np.ndarray]  # by round and steps: the seconds of a run, with and without evaluation (2,)


def seconds(
    experiment: Experiment, jobs: int, engine: str = "fast", data: Dataset | None = None,
    missing: Collection[Key] | None = None, others: Mapping[str, Dataset] | None = None,
) -> tuple[float, float] | None:  # fmt: skip
    """Return how many seconds all runs of an experiment, or those `missing`, take with `jobs` processes.

    These are two numbers, with and without evaluation. Of measures only what they train is counted. What was not timed
    before on this machine is timed now with `data` and, for what measures train, `others` (`checks.data_within`);
    without data the result is None, not known.
    """
    own = _by_round(experiment, engine, threads_each(jobs), data)
    if own is None:
        return None  # before all runs are planned, which takes a while
    runs = planned(experiment.recipe, experiment.parts.series)
    left = runs if missing is None else {key: runs[key] for key in missing}
    known = {
        name: _by_round(Experiment(replace(recipe, rounds=1), experiment.parts), engine, 1, (others or {}).get(name))
        for name, recipe in within(left.values()).items()
    }
    by = {name: taken for name, taken in known.items() if taken is not None}
    if len(by) < len(known):
        return None

    def taken(run: Run | Measure) -> np.ndarray:
        if isinstance(run, Run):
            return own(run.round, steps_of(experiment.recipe, run))
        return sum((by[described(recipe)](0, recipe.steps) for recipe in run.trains), start=np.zeros(2))

    both = {key: taken(run) if key in left else np.zeros(2) for key, run in runs.items()}
    whole, training = (_together(runs, {key: float(each[i]) for key, each in both.items()}, jobs) for i in (0, 1))
    return whole, training


def _by_round(experiment: Experiment, engine: str, threads: int, data: Dataset | None) -> Taken | None:
    """What a run of each round takes; None if that is not known and there are no data to time it with."""
    known = timings.by_density(experiment, engine, threads, data)
    if known is None:
        return None
    recipe, (per_round, found) = experiment.recipe, known
    sizes = (len(data.train), len(data.validation), len(data.test)) if data else EXAMPLES

    def taken(round: int, steps: int) -> np.ndarray:
        levels = np.arange(len(found))
        cost = Cost(*(np.interp(round * per_round, levels, column) for column in zip(*found, strict=True)))
        training = cost.once + steps * cost.step
        return np.array([training + examples(recipe, steps, sizes) * cost.example, training])

    return taken


def _together(runs: Mapping[Key, Run | Measure], taken: Mapping[Key, float], jobs: int) -> float:
    """The seconds of all runs in parallel, at least: all work shared out, or the longest chain of runs that wait."""
    needed = {key: {stored.key for stored in run.given.values()} for key, run in runs.items()}
    ends: dict[Key, float] = {}
    for key in TopologicalSorter(needed).static_order():
        ends[key] = taken[key] + max((ends[other] for other in needed[key]), default=0.0)
    return max(sum(taken.values()) / jobs, max(ends.values()))
