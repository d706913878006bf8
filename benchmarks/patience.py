"""What patience would have saved runs that were trained to the end, and what it would have missed.

    python benchmarks/patience.py [docs/results/lenet]

Nothing is trained: curves.csv says when each run's validation loss had gone so many validations without a new minimum,
results.csv where the minimum of the whole run is. `steps` is the mean of what would have been trained, `saved` their
share that would not; `same` are runs whose early-stopping iteration is the whole run's, `later` by how many steps that
was missed on average by the others. Runs whose published curves end before patience does are `open`, and left out.
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

PATIENCE = (5, 10, 20, 50)


def main(folder: Path) -> None:
    """Print a line for each patience."""
    results = {key(row): row for row in csv.DictReader((folder / "results.csv").open())}
    curves = defaultdict(list)
    for row in csv.DictReader((folder / "curves.csv").open()):
        curves[key(row)].append((int(row["step"]), float(row["val_loss"])))
    print("patience   runs   open    steps   saved    same   later")
    for patience in PATIENCE:
        found = [(results[who], stopped(curves[who], patience)) for who in curves]
        known = [(int(row["steps"]), int(row["early_stop_step"]), *at) for row, at in found if at]
        total, best, at, stop = np.array(known).T
        missed = (best - stop)[stop != best].mean() if (stop != best).any() else 0
        share, same = 1 - (at / total).mean(), (stop == best).sum()
        print(f"{patience:8} {len(found):6} {len(found) - len(known):6} {at.mean():8,.0f} {share:7.0%}", end="")
        print(f" {same:7} {missed:7,.0f}")


def key(row: dict[str, str]) -> tuple[str, str, str]:
    """Who a row is about."""
    return row["series"], row["round"], row["trial"]


def stopped(curve: list[tuple[int, float]], patience: int) -> tuple[int, int] | None:
    """The step at which patience ends, and that of the minimum until then; None if the curve ends first."""
    lowest, at, waited = np.inf, 0, 0
    for step, loss in sorted(curve):
        lowest, at, waited = (loss, step, 0) if loss < lowest else (lowest, at, waited + 1)
        if waited == patience:
            return step, at
    return None


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "results" / "lenet"))
