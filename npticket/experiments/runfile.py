"""What a run's file must hold: everything that is read from a disk, or comes from a worker, is held against it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from npticket.experiments.files import StoreError
from npticket.experiments.tables import INTEGERS, curves_measured, measured_columns
from npticket.task import Task


def single_numbers(task: Task) -> tuple[str, ...]:
    """The numbers of a run that are columns of results.csv."""
    return ("density", *measured_columns(task), "steps", "seconds")


def check_run(path: Path, run: Mapping[str, np.ndarray], size: int, task: Task) -> None:
    """Raise StoreError, naming `path`, if `run` is not what a run should be.

    It has masks, packed bits of `size` parameters; at_steps and curves as in curves.csv (V,); scalars as in
    results.csv; and perhaps next_masks, which only shrink, and end (size,).
    """
    numbers, curves = single_numbers(task), curves_measured(task)

    def need(holds: bool, what: str) -> None:
        if not holds:
            raise StoreError(f"{path}: {what}; delete it to train this run again")

    needed = {"masks", "at_steps", *curves, *numbers}
    lacking, extra = needed - run.keys(), run.keys() - needed - {"next_masks", "end"}
    need(not lacking and not extra, f"lacks {sorted(lacking)}" if lacking else f"has the unknown {sorted(extra)}")
    for name in numbers:
        kind = "i" if name in INTEGERS else "f"
        need(run[name].shape == () and run[name].dtype.kind == kind, f"{name} is not a single {kind} number")
    validations = run["at_steps"].shape
    need(len(validations) == 1 and run["at_steps"].dtype.kind == "i", "at_steps is not a list of integers")
    need(bool((np.diff(run["at_steps"]) > 0).all()), "at_steps does not grow")
    for name in curves:
        need(run[name].shape == validations and run[name].dtype.kind == "f", f"{name} does not go with at_steps")
        need(name.startswith("test_") or bool(np.isfinite(run[name]).all()), f"{name} is not finite")
    for name in ("masks", "next_masks"):
        if name in run:
            packed = run[name]
            need(packed.dtype == np.uint8 and packed.shape == (-(-size // 8),), f"{name} are not {size} packed bits")
            need(not np.unpackbits(packed)[size:].any(), f"{name} have bits beyond {size}")
    if "next_masks" in run:
        need(not (run["next_masks"] & ~run["masks"]).any(), "next_masks bring a pruned weight back")
    if "end" in run:
        end = run["end"]
        need(end.shape == (size,) and end.dtype in (np.float32, np.float64), f"end is not {size} floats")
        need(bool(np.isfinite(end).all()), "end is not finite")
        need(not end[~np.unpackbits(run["masks"])[:size].astype(bool)].any(), "end is not 0 where pruned")
