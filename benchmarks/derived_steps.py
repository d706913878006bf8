"""A training step of what came after, a pre-trained encoder and a detector, against PyTorch eager; and peak memory.

    python benchmarks/derived_steps.py [--pairs 15] [--only steps memory] [--save]

The networks and settings are those of the recipes bert-trec (MiniLM-L3's shape, 32 sentences, AdamW with clipping) and
detection-cells (128 x 160 pixels, 8 images, Adam), in float32, with one thread each, dense and with a fifth of the
weights, of which PyTorch's side knows nothing: it is dense. Data are the recipes' own where they are found; else drawn,
with sentences as long as TREC's and as many boxes as BCCD has. Initial weights are drawn: no time depends on them. The
first table says how far the losses of some steps are apart, in float64. Memory is the peak that a process has resident,
of each side after some steps, and of each recipe after a trial with all its series and measures, in runs of two steps,
beside what it had before the first of them, imports and data.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from itertools import count
from typing import Any

import bench
import numpy as np
import results

from npticket.datasets import DataError, Dataset, Split
from npticket.engine import ENGINES, plan
from npticket.experiments.evaluation import affordable
from npticket.experiments.parts import Experiment, load_data
from npticket.experiments.recipe import scaled
from npticket.experiments.run import run
from npticket.nets import Encoder, Net, Sizes
from npticket.papers import LIBRARY, PARTS
from npticket.params import Params
from npticket.prune import dense_masks, density
from npticket.streams import Place, TrainingStep

WHAT = {"bert-trec": "MiniLM-L3, TREC", "detection-cells": "detector, BCCD"}
RECIPES = ("bert-trec", "detection-scenes", "detection-cells", "detection-transfer", "stabilizing-tiny-60")
STEPS = 4  # whose losses are compared
FIFTH = 0.2  # of the weights that are pruned
TOKENS = "torch_tokens"  # computes no padding, as ours
PEERS = ("torch", TOKENS)

Step = Callable[[np.ndarray, np.ndarray], Any]


class Work:
    """The network of a recipe, parameters to begin with, and batches of its data."""

    def __init__(self, name: str, quick: bool) -> None:
        recipe = LIBRARY.recipes[name]
        try:
            self.data = load_data(recipe, PARTS)
        except DataError:
            self.data = sentences() if name.startswith("bert") else cells()
        self.name, made = name, Experiment(recipe, PARTS)
        self.net = encoder(self.data, quick) if name.startswith("bert") else made.net
        self.task, self._made = made.task, made
        self.start = self.net.init(Place().rngs("init"))
        self.masks = dense_masks(self.start)
        rng, size = np.random.default_rng(0), 4 if quick else recipe.batch
        self.batches = []
        for _ in range(2 if quick else 16):
            some = self.data.train.take(rng.permutation(len(self.data.train))[:size])
            self.batches.append((self.data.floats(some.inputs[None], np.float32), some.targets[None]))
        self.about = {"what": WHAT[name], "batch": size}

    def sides(self, names: Sequence[str], start: Params | None = None) -> dict[str, Step]:
        """What takes a step, by name, from other parameters if they are given."""
        start = start or self.start
        return {name: self._peer(start, name) if name in PEERS else self._ours(start, name) for name in names}

    def prune(self) -> None:
        """Prune by the recipe's rule, round after round, until about a fifth of the weights is left."""
        while density(self.masks)[0] > 1.05 * FIFTH:
            self.masks = self._made.rule(self.start, self.masks)

    def able(self, names: Sequence[str]) -> list[str]:
        """Those sides that this network has."""
        return [name for name in names if name != TOKENS or self.name.startswith("bert")]

    def _ours(self, start: Params, engine: str) -> Step:
        runner = plan(self.net, self.task, start, self.masks, self._made.optimizer(), engine)
        taken = count()
        return lambda x, targets: runner.step(runner.prepare(x), targets, TrainingStep(Place(), next(taken)))[0]

    def _peer(self, start: Params, name: str) -> Step:
        optimizer: Any = self._made.optimizer()  # a partial, that has our schedule
        given = self.net, start, optimizer.keywords["lr"], *([True] if name == TOKENS else [])
        return import_module("sides.torch_derived").training(self.name, *given)


def encoder(data: Dataset, quick: bool) -> Net:
    """MiniLM-L3's shape with as many words as the data have, and weights that are drawn."""
    sizes = Sizes(int(data.train.inputs.max()) + 1, length=data.train.inputs.shape[1])
    sizes = replace(sizes, size=24, inner=48, layers=1) if quick else sizes
    return Net("encoder", Encoder(sizes, data.classes), data.train.inputs.shape[1:], (data.classes or 0,))


def sentences() -> Dataset:
    """Drawn words, 8,760 of them, in sentences as long as TREC's."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.normal(13, 4, 512).round(), 5, 40).astype(int)
    x = rng.integers(1, 8_760, (512, 40)).astype(np.uint16) * (np.arange(40) < lengths[:, None])
    return _drawn("drawn sentences", x, rng.integers(0, 6, 512), 6)


def cells() -> Dataset:
    """Drawn pixels of BCCD's size, 13 boxes in each image."""
    rng = np.random.default_rng(0)
    sides = rng.uniform(10, 50, (32, 13, 2))
    low = rng.uniform(0, [160, 120] - sides)
    kinds = rng.integers(0, 3, (32, 13, 1))
    boxes = np.concatenate([kinds, low, sides], axis=-1).astype(np.float32)
    return _drawn("drawn boxes", rng.integers(0, 256, (32, 128, 160, 3), np.uint8), boxes, None)


def _drawn(name: str, x: np.ndarray, targets: np.ndarray, classes: int | None) -> Dataset:
    split = Split(x, targets)
    return Dataset(name, split, split, split, classes, "drawn from seed 0", "drawn data", 2 / 255, -1.0)


def losses(work: Work, names: Sequence[str]) -> dict[str, Any]:
    """Return a row: the loss of some steps in float64, and how far it is from the plain layers' at most."""
    names = work.able(names)
    sides = work.sides(names, work.start.like(work.start.flat.astype(np.float64)))
    batches = [(x if x.dtype.kind == "u" else x.astype(np.float64), targets) for x, targets in work.batches[:2]]
    found = {name: np.array([float(step(*batches[i % 2])) for i in range(STEPS)]) for name, step in sides.items()}
    apart = {name: float(abs(found[name] / found["plain"] - 1).max()) for name in names if name != "plain"}
    return {"loss": found["plain"][-1]} | {f"{name} differs": value for name, value in apart.items()}


def times(work: Work, names: Sequence[str], pairs: int) -> dict[str, Any]:
    """Return a row: the sides take turns, all batches each."""

    def turn(step: Step) -> Callable[[], None]:
        return lambda: [step(*batch) for batch in work.batches] and None

    taken = bench.take_turns({name: turn(step) for name, step in work.sides(work.able(names)).items()}, pairs)
    return bench.compare(taken, len(work.batches))


def forget() -> float:
    """Let the peak begin at what this process has now, and return that."""
    bench.STATUS.with_name("clear_refs").write_text("5")
    return bench.resident("VmRSS")


def of_steps(name: str, side: str, quick: bool) -> dict[str, float]:
    """The memory of one side's steps, in a process of its own."""
    if side in PEERS:
        import_module("sides.torch_derived")
    work = Work(name, quick)
    before, (step,) = forget(), work.sides([side]).values()
    for batch in work.batches:
        step(*batch)
    return {"before_mib": before, "peak_mib": bench.resident("VmHWM")}


def of_recipe(name: str, quick: bool) -> dict[str, float]:
    """The memory of one trial of a whole experiment, all its series and measures, in runs of two steps."""
    recipe = replace(scaled(LIBRARY.published[name], 2), trials=1)
    recipe = replace(recipe, rounds=2, series=recipe.series[:1]) if quick else recipe
    data = load_data(recipe, PARTS)
    before = forget()
    with tempfile.TemporaryDirectory() as folder:
        run(affordable(recipe, data), PARTS, folder, data)
    return {"before_mib": before, "peak_mib": bench.resident("VmHWM")}


def memory(args: argparse.Namespace, names: Sequence[str]) -> bench.Table:
    """Ask a process for each."""
    table = bench.Table("peak memory", {"what": "", "side": "", "before_mib": ",.0f", "peak_mib": ",.0f"})
    cases = [(name, side) for name in WHAT for side in names if side != TOKENS] + [(name, "recipe") for name in RECIPES]
    cases = [cases[0], ("detection-scenes", "recipe")] if args.quick else cases  # each is a process, and imports
    for name, side in cases:
        call = [sys.executable, __file__, "--of", name, side, *(["--quick"] if args.quick else [])]
        asked = subprocess.run(call, capture_output=True, text=True, check=False)
        what = name if side == "recipe" else WHAT[name]
        if asked.returncode:
            print(f"without {what}, {side}: {asked.stderr.strip().splitlines()[-1]}")
        else:
            table.add(what=what, side=side, **json.loads(asked.stdout))
    return table


def compared(works: Sequence[Work], names: Sequence[str], pairs: int) -> dict[str, bench.Table]:
    """How far losses are apart, and how long steps take."""
    differ = {f"{name} differs": ".1e" for name in names if name != "plain"}
    tables = {"losses": bench.Table(f"losses of {STEPS} steps", {"what": "", "batch": "d", "loss": ".4f", **differ})}
    for work in works:
        tables["losses"].add(**work.about, **losses(work, names))
    form = {"what": "", "batch": "d", "density": ".0%"} | bench.columns(names, 1)
    tables["steps"] = bench.Table("a training step, 1 thread", form)
    for work in works:
        tables["steps"].add(**work.about, density=1.0, **times(work, names, pairs))
        work.prune()
        tables["steps"].add(**work.about, density=density(work.masks).item(), **times(work, names, pairs))
    return tables


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS, help="those that are installed")
    parser.add_argument("--only", nargs="+", choices=("steps", "memory"), default=("steps", "memory"))
    parser.add_argument("--of", nargs=2, help=argparse.SUPPRESS)
    args = bench.parse(parser)
    if args.of:
        name, side = args.of
        print(json.dumps(of_recipe(name, args.quick) if side == "recipe" else of_steps(name, side, args.quick)))
        return
    names = [*ENGINES, *args.peers]
    try:
        import_module("torch")
    except ImportError as error:
        print(f"without torch: {error}")
        names = [*ENGINES]
    works, tables = [Work(name, args.quick) for name in WHAT], {}
    if "steps" in args.only:
        tables |= compared(works, names, 2 if args.quick else args.pairs)
    if "memory" in args.only and bench.STATUS.exists():
        tables["memory"] = memory(args, names)
    results.save(args, works[0].data, tables)


if __name__ == "__main__":
    main()
