"""The check of what a run's file must hold."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from npticket.experiments.errors import StoreError
from npticket.experiments.limits import Limits
from npticket.experiments.measured import ROWS, refusal
from npticket.experiments.tables import INTEGERS, WHO, curves_measured, result_columns
from npticket.params import Shapes
from npticket.task import Task


def check_run(path: Path, run: Mapping[str, np.ndarray], layout: Shapes, limits: Limits) -> None:
    """Raise StoreError, naming `path`, if `run` does not hold what it must; called before writing and after reading.

    A training run has masks, packed bits of the P parameters in `layout`; at_steps and curves (V,); scalars as in
    results.csv; and perhaps next_masks, which only shrink, end (P,), and chosen, texts (n,) about what the engine chose
    by timing. A measure has the masks under which it was made, and its rows. `limits` say which numbers are possible.
    """
    size, task = sum(map(math.prod, layout.values())), limits.task

    def need(holds: bool, what: str) -> None:
        if not holds:
            raise StoreError(f"{path}: {what}; delete it to train this run again")

    if ROWS in run:
        needed, optional = {"masks", ROWS}, set[str]()
    else:
        needed = {"masks", "at_steps", *curves_measured(task), *result_columns(task)[len(WHO) :]}
        optional = {"next_masks", "end", "chosen"}
    lacking, extra = needed - run.keys(), run.keys() - needed - optional
    need(not lacking and not extra, f"lacks {sorted(lacking)}" if lacking else f"has the unknown {sorted(extra)}")
    for name in sorted({"masks", "next_masks"} & run.keys()):
        packed = run[name]
        need(packed.dtype == np.uint8 and packed.shape == (-(-size // 8),), f"{name} are not {size} packed bits")
        need(not np.unpackbits(packed)[size:].any(), f"{name} have bits beyond {size}")
    if ROWS in run:
        need(not (wrong := refusal(run[ROWS])), wrong)
    else:
        _check_training(run, size, task, need)
        need(not (wrong := limits.wrong_run(run, layout)), wrong)


def _check_training(run: Mapping[str, np.ndarray], size: int, task: Task, need: Callable[[bool, str], None]) -> None:
    """Check the numbers, the curves and what other runs take over."""
    for name in result_columns(task)[len(WHO) :]:
        kind = "i" if name in INTEGERS else "f"
        need(run[name].shape == () and run[name].dtype.kind == kind, f"{name} is not a single {kind} number")
    validations = run["at_steps"].shape
    need(len(validations) == 1 and run["at_steps"].dtype.kind == "i", "at_steps is not a list of integers")
    for name in curves_measured(task):
        need(run[name].shape == validations and run[name].dtype.kind == "f", f"{name} does not go with at_steps")
    if "next_masks" in run:
        need(not (run["next_masks"] & ~run["masks"]).any(), "next_masks bring a pruned weight back")
    if "chosen" in run:
        need(run["chosen"].ndim == 1 and run["chosen"].dtype.kind == "U", "chosen is not a list of texts")
    if "end" in run:
        end = run["end"]
        need(end.shape == (size,) and end.dtype in (np.float32, np.float64), f"end is not {size} floats")
        need(bool(np.isfinite(end).all()), "end is not finite")
        need(not end[~np.unpackbits(run["masks"])[:size].astype(bool)].any(), "end is not 0 where pruned")
