"""No time: how often the intervals of verdicts contain the truth, in simulated experiments of which it is known.

    python benchmarks/interval_coverage.py                          tables in Markdown
    python benchmarks/interval_coverage.py --into docs/claims.md    written between the marks that name them there

Beside Student's t intervals stands what they replaced, 2,000 resamples of the trials (the percentile bootstrap).
"""

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from npticket.report.comparisons import left_out
from npticket.report.intervals import Estimate, Numbers, estimate
from npticket.report.page import filled, markdown_table

TRIALS = (2, 3, 4, 5, 7, 10)
ROUNDS = 18  # from 80 to 1.9 % of LeNet's weights
Draw = Callable[[np.random.Generator, int], np.ndarray]  # of so many trials
NORMAL: Draw = lambda rng, trials: rng.normal(0, 1, trials)  # noqa: E731
SKEWED: Draw = lambda rng, trials: rng.exponential(1, trials) - 1  # noqa: E731


def exact(values: np.ndarray) -> Numbers:
    """Numbers that were measured."""
    return Numbers(values, values)


def estimates(draw: Draw, trials: int, experiments: int) -> list[Estimate]:
    """What is said of the mean, which is 0, in each of many experiments."""
    rng = np.random.default_rng(trials)
    return [estimate(exact(draw(rng, trials))) for _ in range(experiments)]


def covered(found: Sequence[Estimate]) -> float:
    """How many of the intervals contain the 0 that is true."""
    return float(np.mean([one.low <= 0 <= one.high for one in found]))


def bootstrap(draw: Draw, trials: int, experiments: int) -> tuple[float, float]:
    """The same for the percentile bootstrap, and how often it calls the sign of the mean 100 % certain."""
    rng, inside, certain = np.random.default_rng(trials), 0, 0
    for _ in range(experiments):
        means = draw(rng, trials)[rng.integers(0, trials, (2_000, trials))].mean(axis=1)
        low, high = np.percentile(means, [2.5, 97.5])
        inside += low <= 0 <= high
        certain += (means > 0).all() or (means < 0).all()
    return inside / experiments, certain / experiments


def means(experiments: int) -> str:
    """Coverage by the number of trials."""
    rows = []
    for trials in TRIALS:
        normal = estimates(NORMAL, trials, experiments)
        old, certain = bootstrap(NORMAL, trials, max(1, experiments // 10))
        sure = np.mean([not 0.01 <= one.certainty(0, math.inf) <= 0.99 for one in normal])
        shares = covered(normal), covered(estimates(SKEWED, trials, experiments)), old, sure, certain
        rows.append([str(trials), *(f"{100 * share:.0f} %" for share in shares)])
    heads = ["trials", "normal", "skewed, exponential", "normal, by bootstrap", "a tie called > 99 % certain",
             "called 100 %, by bootstrap"]  # fmt: skip
    return markdown_table(heads, rows)


def optima(experiments: int) -> str:
    """What the best of many rounds that gain nothing seems to gain, in standard deviations of a trial."""
    rows = []
    for trials in TRIALS:
        for alike in (0, 0.5):
            rng, plain, found = np.random.default_rng(trials), [], []
            for _ in range(experiments):
                common, dense = rng.normal(size=trials) * math.sqrt(alike), rng.normal(size=trials) / math.sqrt(5)
                gains = common + rng.normal(size=(ROUNDS, trials)) * math.sqrt(1 - alike) - dense
                plain.append(gains.mean(axis=1).max())
                found.append(estimate(left_out(list(map(exact, gains)), 1)))
            left = np.mean([one.value for one in found])
            cells = (f"{100 * alike:.0f} %", f"{np.mean(plain):+.2f}", f"{left:+.2f}", f"{100 * covered(found):.0f} %")
            rows.append([str(trials), *cells])
    return markdown_table(["trials", "variance that rounds share", "best mean", "left out", "coverage"], rows)


def apart(experiments: int) -> str:
    """What lies between the best and the worst of a few settings that do not differ, in standard deviations."""
    rows = []
    for trials in (3, 5, 10):
        for settings in (2, 3, 6):
            rng, plain, found = np.random.default_rng(trials), [], []
            for _ in range(experiments):
                each = rng.normal(size=(settings, trials))
                plain.append(np.ptp(each.mean(axis=1)))
                best, worst = (left_out(list(map(exact, each)), sign) for sign in (1, -1))
                found.append(estimate(best - worst))
            left = np.mean([one.value for one in found])
            cells = f"{np.mean(plain):+.2f}", f"{left:+.2f}", f"{100 * covered(found):.0f} %"
            rows.append([str(trials), str(settings), *cells])
    return markdown_table(["trials", "settings", "best mean less worst mean", "left out", "coverage"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=10_000, help="simulated, for each number of trials")
    parser.add_argument("--into", type=Path, help="a page with marks")
    args = parser.parse_args()
    blocks = {"coverage: means": means(args.experiments), "coverage: optima": optima(args.experiments // 5),
              "coverage: apart": apart(args.experiments // 5)}  # fmt: skip
    if args.into:
        args.into.write_text(filled(args.into.read_text("utf-8"), blocks), "utf-8", newline="\n")
    else:
        print("\n\n".join(blocks.values()))


if __name__ == "__main__":
    main()
