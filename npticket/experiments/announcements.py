"""What is printed while an experiment runs: what is left to train and how long it takes, and each complete round."""

from collections.abc import Collection, Mapping

import numpy as np

from npticket.datasets import Dataset
from npticket.experiments import costs
from npticket.experiments.amounts import counted, duration, percent
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import steps_of, trained, within
from npticket.experiments.progress import Progress
from npticket.experiments.scheduler import Scheduler
from npticket.experiments.series import Key, Measure
from npticket.experiments.training import Execution


def left(
    experiment: Experiment, data: Dataset, execution: Execution, scheduler: Scheduler, others: Mapping[str, Dataset]
) -> str:
    """Return what is left to train, how this machine differs from earlier ones, and, if known, how long it takes.

    `others` are the data with which measures train (`checks.data_within`).
    """
    store, runs, missing = scheduler.store, scheduler.runs, scheduler.missing
    unlike = f"{store.difference}. The last digits may differ.\n" if missing and store.difference else ""
    training = missing.intersection(trained(runs)) | {key for key in missing if within([runs[key]])}
    if not training or execution.scheduler or execution.array_module != "numpy":
        return unlike + _work(scheduler)
    jobs, engine, measures = execution.jobs, execution.engine, len(missing - training)
    return f"{unlike}{_work(scheduler)} {time_needed(experiment, jobs, engine, data, missing, measures, others)}"


def _work(scheduler: Scheduler) -> str:
    total, missing = len(runs := trained(scheduler.runs)), scheduler.missing.intersection(runs)
    if not missing:
        measures = len(scheduler.missing)
        rest = f"{counted(measures, 'measure')} left to make" if measures else "nothing is left to do"
        return f"{f'All {total:,} runs are' if total > 1 else 'The run is'} finished: {rest}."
    again = sum(key in scheduler.store for key in missing)
    to_do = f", {again:,} of them to be trained again, as they did not keep what is needed now" if again else ""
    return f"{len(missing):,} of {counted(total, 'run')} {'are' if len(missing) > 1 else 'is'} left{to_do}."


def time_needed(
    experiment: Experiment, jobs: int, engine: str, data: Dataset, missing: Collection[Key] | None = None,
    measures: int = 0, others: Mapping[str, Dataset] | None = None,
) -> str:  # fmt: skip
    """Return a sentence that says how long all runs, or those `missing`, take, and which part of it is evaluation.

    It also says that `measures`, so many of them, are not counted in; those that train networks are.
    """
    found = costs.seconds(experiment, jobs, engine, data, missing, others)
    if found is None:
        return "How long this takes is not known."
    whole, training = found
    at_most = "at most " * (experiment.recipe.patience is not None)
    part = f"{1 - training / whole:.0%}".replace("%", " %") if training < whole else "0 %"
    of_it = f", {part} of it for evaluation" if part != "0 %" else ""
    without = f", without {counted(measures, 'measure')}" if measures else ""
    return f"This takes {at_most}about {duration(whole)} with {counted(jobs, 'process', 'processes')}{of_it}{without}."


def note(experiment: Experiment, scheduler: Scheduler, progress: Progress, say: bool, key: Key) -> None:
    """Show the latest run's result, and with `say` a line once all trials of a round are done."""
    runs, run = scheduler.runs, scheduler.runs[key]
    alike = {other for other in runs if isinstance(runs[other], type(run))}  # training runs, or measures
    count = f"{len(alike - scheduler.missing):,} of {len(alike):,}"
    if isinstance(run, Measure):
        return progress.advance(f"{count} measures, {key.series}: round {key.round}", 0)
    measure, result = experiment.task.headline, scheduler.store.result
    latest = result(key)
    column = f"early_stop_test_{measure.name}"
    said = f"{key.series} {percent(latest['density'])}: {measure.text(latest[column])}"
    progress.advance(f"{count} runs, {said}", steps_of(experiment.recipe, run))
    trials = [key._replace(trial=trial) for trial in range(experiment.recipe.trials)]
    if say and scheduler.missing.isdisjoint(trials):
        rows = [result(trial) for trial in trials]
        stop, best = (np.mean([row[name] for row in rows]) for name in ("early_stop_step", column))
        tested = f"test {measure.words} {measure.text(best)}"
        progress.say(f"{key.series:20} {percent(latest['density']):>8}   early stop {stop:9,.0f}   {tested}")
