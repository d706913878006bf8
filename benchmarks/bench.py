"""What the benchmarks share: one BLAS thread, options, sides that take turns, tables, and the tickets of a real LeNet.

Import it before NumPy: it sets the number of threads.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np

from npticket import nets
from npticket.datasets import Dataset
from npticket.engine import ENGINES
from npticket.experiments import machine
from npticket.optimizers import Adam
from npticket.params import Params
from npticket.prune import Layerwise, Rule, dense_masks, density, magnitude
from npticket.streams import streams
from npticket.task import CLASSIFY
from npticket.tickets import Round, find_tickets, rewind
from npticket.train import Setting, fit

CACHE = Path(__file__).parent / ".cache"
STATUS = Path("/proc/self/status")
LR = 1.2e-3  # of Adam, for LeNet in the paper
PRUNE = Rule(magnitude, Layerwise({"fc*/W": 0.2, "out/W": 0.1}))  # LeNet in the paper


def parser(doc: str) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", type=Path, metavar="FILE", help="also put the figures into this file")
    either = made.add_mutually_exclusive_group()
    either.add_argument("--save", action="store_true", help="... into the file of this processor in docs/results/speed")
    either.add_argument("--quick", action="store_true", help="seconds instead of minutes; the figures mean nothing")
    return made


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return the arguments; `chosen` are those, by name, that are not the defaults and matter to the figures."""
    args = parser.parse_args()
    if args.save and args.json:
        parser.error("--save names the file by itself: give one of --save and --json")
    given = {name: value for name, value in vars(args).items() if value != parser.get_default(name)}
    args.chosen = {name: value for name, value in given.items() if name not in ("json", "save")}
    return args


def take_turns(sides: Mapping[str, Callable[[], Any]], pairs: int) -> dict[str, np.ndarray]:
    """Return the seconds that each side's turns took, (pairs,) each, after one turn of each to warm up.

    Every other time the sides come in the opposite order, so that none is always the one that comes after another.
    """
    for turn in sides.values():
        turn()
    taken = {name: np.empty(pairs) for name in sides}
    for pair in range(pairs):
        for name in list(sides) if pair % 2 == 0 else reversed(sides):
            taken[name][pair], _ = timed(sides[name])
    return taken


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return how many seconds a call took, and what it returned."""
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


def resident(what: str) -> float:
    """MiB that this process has (VmRSS), or had at most (VmHWM): its own, where `getrusage` begins at its parent's."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


def ratio(theirs: np.ndarray, ours: np.ndarray) -> dict[str, float]:
    """Return {"ratio": median of theirs / ours, pair by pair, "low": first quartile, "high": third quartile}."""
    low, middle, high = np.percentile(theirs / ours, [25, 50, 75])
    return {"ratio": float(middle), "low": float(low), "high": float(high)}


def compare(taken: Mapping[str, np.ndarray], steps: int = 1) -> dict[str, float]:
    """Return a row: medians per step of all sides ("torch_ms"), and ratios of their times ("torch/fast").

    Every other side is compared with our fast engine, with quartiles ("torch/fast_low"), and PyTorch with the plain.
    """
    row = {f"{side}_ms": 1e3 * float(np.median(seconds)) / steps for side, seconds in taken.items()}
    for side in taken:
        if side not in ENGINES:
            found = ratio(taken[side], taken["fast"])
            row |= {
                f"{side}/fast": found["ratio"],
                f"{side}/fast_low": found["low"],
                f"{side}/fast_high": found["high"],
            }
    if {"torch", "plain"} <= taken.keys():
        row["torch/plain"] = ratio(taken["torch"], taken["plain"])["ratio"]
    return row


def columns(sides: Iterable[str], digits: int = 3) -> dict[str, str]:
    """The columns of such rows: times, PyTorch's time over ours with quartiles, and the other ratios."""
    peers = [side for side in sides if side not in ENGINES]
    ratios = [f"{peer}/fast{part}" for peer in peers for part in (("", "_low", "_high") if peer == "torch" else ("",))]
    times = {f"{side}_ms": f".{digits}f" for side in sides}
    return times | dict.fromkeys([*ratios, *(["torch/plain"] if {"torch", "plain"} <= {*sides} else [])], ".2f")


class Table:
    """Rows of named figures, printed as they come.

    `columns` are the fields that are shown, with their formats; a row may lack some and have others.
    """

    def __init__(self, title: str, columns: Mapping[str, str]) -> None:
        self.rows: list[dict[str, Any]] = []
        self.columns = columns
        print(f"\n{title}\n" + "".join(f"{name.replace('_', ' '):>{_width(name)}}" for name in columns), flush=True)

    def add(self, **row: Any) -> None:
        """Keep and print a row."""
        self.rows.append(row)
        cells = {name: format(row[name], form) if name in row else "-" for name, form in self.columns.items()}
        print("".join(f"{cell:>{_width(name)}}" for name, cell in cells.items()), flush=True)


def _width(name: str) -> int:
    return max(9, len(name) + 2)


def lenet_tickets(data: Dataset, quick: bool = False) -> list[Round]:
    """Return 25 rounds of a LeNet-300-100's pruning, down to 0.5 %, of 1,000 steps each; they are kept in a file.

    Quick ones are three rounds of 20 steps, and not kept.
    """
    net = nets.lenet_300_100()
    theta0 = net.init(streams(0, [0], "init"))
    if quick:
        return _pruned(net, theta0, data, rounds=3, steps=20)
    path = CACHE / f"lenet-{machine.sha256(data)[:8]}.npz"
    if not path.exists():
        print(f"25 rounds of training for {path}", flush=True)
        found = _pruned(net, theta0, data, rounds=25, steps=1000)
        CACHE.mkdir(exist_ok=True)
        masks, ends = (np.concatenate(part) for part in zip(*((r.masks.flat, r.end.flat) for r in found), strict=True))
        np.savez_compressed(path, masks=np.packbits(masks, axis=1), ends=ends)
    with np.load(path, allow_pickle=False) as file:
        masks = np.unpackbits(file["masks"], axis=1, count=theta0.flat.shape[1]).astype(bool)
        rows = [(theta0.like(m[None]), theta0.like(end[None])) for m, end in zip(masks, file["ends"], strict=True)]
    return [Round(i, mask, rewind(theta0, mask), end) for i, (mask, end) in enumerate(rows)]


def at_densities(found: Sequence[Round], densities: Sequence[float]) -> list[Round]:
    """The rounds that come nearest to these densities, each once."""
    nearest = {int(np.argmin([abs(density(r.masks).item() - goal) for r in found])) for goal in densities}
    return [found[i] for i in sorted(nearest)]


def _pruned(net: nets.Net, theta0: Params, data: Dataset, rounds: int, steps: int) -> list[Round]:
    def train(start: Params, masks: Params) -> Params:
        setting = Setting(partial(Adam, lr=LR), steps, validate_every=steps)
        return fit(net, CLASSIFY, start, masks, data, setting).end

    return list(islice(find_tickets(theta0, dense_masks(theta0), train=train, prune=PRUNE), rounds))
