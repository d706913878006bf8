"""How a line of a figure comes about: a series is a generator of the training runs of one trial.

It yields a Run, to have it trained, or a Done, to wait for a run of another series, and is sent what that left: names
of arrays in the store, to hand on; or a Measure, which is computed of such arrays and not trained. It never sees a
number: all runs are known before the first is trained. None may depend on how many rounds, trials or other series a
recipe asks for: more of them leave it as it is.

    def winning_ticket(recipe):
        masks, point = {}, {}
        for round in range(recipe.rounds):
            left = yield Run(round, ticket, masks | point)  # train, and prune
            masks, point = {"masks": left["next_masks"]}, (yield from rewind_point(recipe))  # reset
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from npticket.backend import Json
from npticket.datasets import Dataset
from npticket.experiments.recipe import Recipe, scaled
from npticket.params import Params
from npticket.protocols import Net
from npticket.prune import Evidence, Rule, Score
from npticket.task import Task

REWIND_POINT = "rewind_point"
LEFT = ("end", "masks", "next_masks")  # what a run leaves: its parameters, its masks, and these once they were pruned


class Key(NamedTuple):
    """What tells a run from the others of its experiment."""

    series: str
    round: int
    trial: int

    @classmethod
    def of(cls, row: Mapping[str, Json]) -> "Key":
        """Return the run of a line of results.csv or curves.csv."""
        return cls(row["series"], row["round"], row["trial"])

    @property
    def file(self) -> str:
        """The name of the run's file."""
        return f"{self.series}-round{self.round:02}-trial{self.trial}.npz"


class Stored(NamedTuple):
    """An array that a run leaves, one of LEFT."""

    key: Key
    what: str


Left = Mapping[str, Stored]
Given = Mapping[str, Stored]  # what a run takes along from others: "masks", another "theta0", an "end" or whatever else
Start = tuple[Params, Params]  # where a run starts, and its masks


class Done(NamedTuple):
    """A run of another series of the same trial, to be waited for."""

    series: str
    round: int


@dataclass(frozen=True)
class At:
    """Where a run stands, as whoever makes its start sees it: the ticket (theta0, masks), and what it takes along.

    `given` has that by the names that the series gave it. There is one trial, the recipe's `trial`-th from 0 on, and a
    random generator for it.
    """

    net: Net
    task: Task
    data: Dataset
    rule: Rule
    round: int
    theta0: Params
    masks: Params
    given: Mapping[str, Params]
    rngs: Sequence[np.random.Generator]
    trial: int = 0

    @property
    def end(self) -> Params:
        """The parameters at the end of the run whose "end" was given."""
        if "end" not in self.given:
            raise LookupError("no earlier run's end was given: the series should hand it on")
        return self.given["end"]

    @property
    def prunable(self) -> list[str]:
        """The names of what the recipe's rule prunes."""
        return self.rule.scope.names(self.theta0)

    def prune(self, end: Params, masks: Params, start: Params | None = None, score: Score | None = None) -> Params:
        """Return the masks after the recipe's rule, or that with another score; `start` is where training began."""
        rule = self.rule if score is None else replace(self.rule, score=score)
        return rule.judge(Evidence(end, masks, start, self.theta0, self.net, self.task, self.data, self.rngs))


class Length(NamedTuple):
    """From which step to which a run trains, with which learning rates: as Run says."""

    first_step: int = 0
    steps: int | None = None
    lr_at: int | None = None
    stretched: bool = False

    def test_at(self, recipe: Recipe) -> list[int]:
        """Return after which steps of a run of this length the test set is looked at, apart from the end."""
        steps = self.steps or recipe.steps
        at = scaled(recipe, steps).test_at if self.stretched else recipe.test_at
        return [step for step in at if self.first_step < step <= steps]


@dataclass(frozen=True)
class Run:
    """A training run that a series asks for, from `first_step` to `steps` (None: the recipe's).

    With `steps` it goes on whatever the recipe's patience. `start(at)` says where it starts, and is called where it
    trains, under the masks given unless `own_masks` says that it makes others of them. With `lr_at` the learning rate
    is always the one that the schedule has at that step; with `stretched` what the recipe says of steps, as its
    schedule does, is moved in proportion to other `steps`. What it ends with is pruned by `score`, if that is not the
    recipe's. Another `order` is another order of minibatches, and of what augmentation and dropout draw, from the same
    start: for a network trained several times, as the dense one is, or to see how far two end apart (linear mode
    connectivity, Frankle et al. 2020).
    """

    round: int
    start: Callable[[At], Start]
    given: Given = field(default_factory=dict)
    own_masks: bool = False
    first_step: int = 0
    steps: int | None = None
    lr_at: int | None = None
    stretched: bool = False
    score: Score | None = None
    order: int = 0

    @property
    def length(self) -> Length:
        """From which step to which, and with which learning rates."""
        return Length(self.first_step, self.steps, self.lr_at, self.stretched)


@dataclass(frozen=True)
class Measure:
    """Something that is computed of what runs left: rows of the table <series>.csv, which all have the same columns.

    `of(at)` returns them, numbers and texts by column, and is called where runs are trained, with one trial; `given` is
    as for a run. It leaves nothing that others could take along.
    """

    round: int
    of: Callable[[At], Sequence[Mapping[str, Json]]]
    given: Given = field(default_factory=dict)


Runs = Generator[Run | Measure | Done, Left, None]


@dataclass(frozen=True)
class Series:
    """A line of a figure: `runs(recipe)` generates the runs of one trial, `legend` and `look` are the line's.

    `draw_of` names the series that this is another draw of, and part of one line with; `stream` is the random stream
    that starts draw from, if it is not called like the series.
    """

    runs: Callable[[Recipe], Runs]
    legend: str = ""
    look: Mapping[str, str] = field(default_factory=dict)
    draw_of: str = ""
    stream: str = ""


def all_series(recipe: Recipe) -> list[str]:
    """Return the names of a recipe's series, that of the way to its rewind point first."""
    if not recipe.rewind_step:
        return [*recipe.series]
    return [REWIND_POINT, *recipe.series]


def to_the_rewind_point(recipe: Recipe) -> Runs:
    """The dense network's first steps, of which other series take the end."""
    yield Run(0, lambda at: (at.theta0, at.masks), steps=recipe.rewind_step)


def rewind_point(recipe: Recipe) -> Generator[Done, Left, Given]:
    """{"theta0": the parameters after `rewind_step` steps}, or nothing for a reset to theta0 itself."""
    if not recipe.rewind_step:
        return {}
    return {"theta0": (yield Done(REWIND_POINT, 0))["end"]}
