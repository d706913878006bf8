"""The command and all papers on noise, with small networks."""

import csv
import re
from dataclasses import replace

from small import data

from npticket.experiments.parts import Parts
from npticket.experiments.recipe import Part
from npticket.experiments.series import REWIND_POINT, Key
from npticket.papers import LIBRARY, PARTS
from npticket.report.paper import Library, Paper


def shrunk(recipe):
    """A recipe for LeNet with a small network; others as they are."""
    if recipe.net.name != "lenet_300_100":
        return recipe
    return replace(recipe, batch=8, net=Part("lenet_300_100", hidden=[6, 4]))


def on_noise(paper, values=None):
    """A paper whose experiments are small, on noise; its sweeps have all values, or the first `values`."""
    sweeps = {
        name: replace(sweep, recipes={label: shrunk(recipe) for label, recipe in [*sweep.recipes.items()][:values]})
        for name, sweep in paper.sweeps.items()
    }
    return replace(paper, recipes={name: shrunk(r) for name, r in paper.recipes.items()}, sweeps=sweeps)


class Small(Library):
    """Papers on noise, with the parts of all; recipes are held against what was published."""

    def __init__(self, papers):
        there = {name for paper in papers for name in paper.published}
        able = ([claim for claim in paper.claims if set(claim.recipes) <= there] for paper in papers)
        mine = [replace(paper, claims=claims) for paper, claims in zip(papers, able, strict=True)]
        brought = {name for paper in papers for name in paper.parts.series}
        lent = {name: series for name, series in LIBRARY.parts.series.items() if name not in {*brought, REWIND_POINT}}
        super().__init__([*mine, Paper("lent", "", parts=Parts(series=lent))])
        self.papers = tuple(mine)
        data_of = {**PARTS.data, "mnist": lambda folder, seed: data()}
        self.parts = replace(PARTS, data=data_of, published=LIBRARY.published)


FEW = ["--steps", "20", "--trials", "2", "--rounds", "2", "--jobs", "1"]


def cut(folder, is_there):
    """Leave of a directory only those runs that have `is_there(key)`, as if the others were not yet trained."""
    for path in (folder / "runs").iterdir():
        series, round, trial = re.fullmatch(r"(\w+)-round(\d+)-trial(\d+)\.npz", path.name).groups()
        if not is_there(Key(series, int(round), int(trial))):
            path.unlink()
    for name in ("results.csv", "curves.csv"):
        head, *lines = (folder / name).read_text().splitlines(keepends=True)
        rows = csv.DictReader([head, *lines])
        left = [
            line
            for line, row in zip(lines, rows, strict=True)
            if is_there(Key(row["series"], int(row["round"]), int(row["trial"])))
        ]
        (folder / name).write_text("".join([head, *left]))
