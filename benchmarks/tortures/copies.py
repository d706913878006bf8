"""Files that are not what they were, or not where they were: refused, each of them."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np

from npticket.experiments import checkpoints, machine
from npticket.experiments.checkpoints import File
from npticket.experiments.errors import StoreError
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned
from npticket.experiments.recipe import Recipe
from npticket.experiments.run import run
from npticket.experiments.store import Store
from npticket.papers import PARTS
from tortures import small

RECIPE = replace(small.DENSE, steps=12, train_at=(), series=("winning_ticket", "random_reinit", "one_shot", "weights"))


def made(folder: Path, recipe: Recipe, noise: int = 0) -> Path:
    """Run the recipe on noise of that seed, and return where its runs are."""
    run(recipe, PARTS, folder, small.data_for(recipe, noise))
    return folder / "runs"


def changed(base: Path, rng: np.random.Generator, flips: int) -> Iterator[tuple[str, Path, bytes]]:
    """Every copy, every file of another seed or other data, and so many flips: its kind, its place and its content."""
    here = made(base / "here", RECIPE)
    others = made(base / "seed", replace(RECIPE, seed=1)), made(base / "data", RECIPE, noise=1)
    files = sorted(here.iterdir())
    for source, goal in permutations(files, 2):
        yield "copies", goal, source.read_bytes()
    for path, other in ((path, other) for path in files for other in others):
        yield "from elsewhere", path, (other / path.name).read_bytes()
    for _ in range(flips):
        path = files[rng.integers(len(files))]
        content = bytearray(path.read_bytes())
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        yield "flips", path, bytes(content)
    for name in ("round00-trial99", "round77-trial0"):
        for path in files[:3]:
            yield "strays", here / f"winning_ticket-{name}.npz", path.read_bytes()


def checkpoint_accepted(base: Path, rng: np.random.Generator, flips: int) -> tuple[int, int]:
    """Flip bits of a checkpoint, and copy it to where another run's would be; return how many, and how many pass."""
    kept, opened = base / "kept.npz", list[File]()
    really, every, share = File.save, checkpoints.EVERY, checkpoints.SHARE

    def save(self: File, take: object) -> None:
        really(self, take)
        opened.append(self)
        if not kept.exists():
            shutil.copy(self._path, kept)

    File.save, checkpoints.EVERY, checkpoints.SHARE = save, 0.0, 0
    try:
        made(base / "checkpoints", replace(RECIPE, trials=1))
    finally:
        File.save, checkpoints.EVERY, checkpoints.SHARE = really, every, share
    content, accepted = kept.read_bytes(), 0
    first, *others = {file._path: file for file in opened}.values()
    tries = [(file, content) for file in others]
    for _ in range(flips):
        flipped = bytearray(content)
        flipped[rng.integers(len(flipped))] ^= 1 << int(rng.integers(8))
        tries.append((first, bytes(flipped)))
    for file, there in [(first, content), *tries]:
        file._path.parent.mkdir(parents=True, exist_ok=True)
        file._path.write_bytes(there)
        try:
            right = file.load() is not None
        except ValueError:
            right = False
        # A flip in what no array is read from, as in the time of a member, is no other snapshot.
        accepted += right and (file is not first or there is not content) and not _says_the_same(file, first, content)
        if there is content and file is first and not right:
            raise AssertionError("the checkpoint itself is refused")
    return len(tries), accepted


def _says_the_same(file: File, first: File, content: bytes) -> bool:
    """Whether a file holds what the first one's content does, and is that one's."""
    if file is not first:
        return False
    found = file.load()
    file._path.write_bytes(content)
    known = file.load()
    return found.keys() == known.keys() and all(found[name].tobytes() == known[name].tobytes() for name in known)


def copies(count: int, seed: int = 0) -> str:
    """Copy every run's file onto every other name, bring some from elsewhere, and flip `count` bits."""
    rng, tried, accepted = np.random.default_rng(seed), dict[str, int](), dict[str, int]()
    with tempfile.TemporaryDirectory() as temporary:
        base, data = Path(temporary), small.data_for(RECIPE)
        experiment, described = Experiment(RECIPE, PARTS), machine.describe(data, 1, "numpy", "fast")
        names = {key.file for key in planned(RECIPE, PARTS.series)}
        for kind, path, content in changed(base, rng, count):
            there = path.read_bytes() if path.exists() else None
            path.write_bytes(content)
            try:
                Store(base / "here", experiment, described).close()
                passed = 1
            except StoreError as error:
                passed = int(path.name not in str(error))  # it must be named
            tried[kind], accepted[kind] = tried.get(kind, 0) + 1, accepted.get(kind, 0) + passed
            if there is None:
                path.unlink()
            else:
                path.write_bytes(there)
        assert {path.name for path in (base / "here" / "runs").iterdir()} == names
        Store(base / "here", experiment, described).close()  # and the right ones are accepted
        tried["checkpoints"], accepted["checkpoints"] = checkpoint_accepted(base, rng, count)
    parts = ", ".join(f"{number:,} {kind}" for kind, number in tried.items())
    return f"copies: {sum(accepted.values())} accepted, of {parts}"
