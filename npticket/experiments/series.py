"""How a line of a figure comes about: a series is a generator of the training runs of one trial.

It yields a Run, to have it trained, or a Done, to wait for a run of another series, and is sent the names of the arrays
that this leaves in the store, to hand on to later runs. Or it yields a Measure, which is computed from such arrays and
not trained. It never sees an array itself, so all runs are known before the first is trained. A run must not depend on
how many rounds, trials or other series a recipe asks for, as these may be added later.

    def winning_ticket(recipe):
        masks, point = {}, {}
        for round in range(recipe.rounds):
            left = yield Run(round, ticket, masks | point, first_step=recipe.rewind_step if round else 0)  # 2, 3
            masks, point = {"masks": left["next_masks"]}, (yield from rewind_point(recipe))  # 4
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from npticket.datasets import Dataset
from npticket.experiments.recipe import Recipe, scaled
from npticket.params import Params
from npticket.protocols import Net
from npticket.prune import Evidence, Rule, Score
from npticket.reading import Json
from npticket.task import Task

REWIND_POINT = "rewind_point"
LEFT = ("end", "masks", "next_masks")  # what a run leaves: trained parameters, its masks, and the masks after pruning


class Key(NamedTuple):
    """The name of a run within its experiment."""

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
Given = Mapping[str, Stored]  # what a run takes over from others, by its own names: "masks", "theta0", "end" ...
Start = tuple[Params, Params]  # the parameters at which a run starts, and its masks


class Done(NamedTuple):
    """Asks to wait for a run of another series, of the same trial."""

    series: str
    round: int


@dataclass(frozen=True)
class At:
    """What `Run.start` and `Measure.of` are given: the ticket (theta0, masks), and the arrays from other runs.

    `given` has these by the names that the series gave them. There is one trial, number `trial`, and one generator for
    it. theta0 are the `initial` values or, if rewound, later ones. A measure that trains does so by `engine`.
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
    initial: Params
    trial: int = 0
    engine: str = "fast"

    @property
    def end(self) -> Params:
        """The parameters at the end of the run whose "end" was given."""
        if "end" not in self.given:
            raise LookupError("no earlier run's end was given: the series should hand it on")
        return self.given["end"]

    @property
    def prunable(self) -> list[str]:
        """The names of the parameters that the recipe's rule prunes."""
        return self.rule.scope.names(self.theta0)

    def prune(self, end: Params, masks: Params, start: Params | None = None, score: Score | None = None) -> Params:
        """Prune by the recipe's rule, or with another score; `start`, by default the initial values, led to `end`."""
        rule = self.rule if score is None else replace(self.rule, score=score)
        start = self.initial if start is None else start
        return rule.judge(Evidence(end, masks, start, self.initial, self.net, self.task, self.data, self.rngs))


class Length(NamedTuple):
    """From which step to which a run trains, and with which learning rates; fields as in Run."""

    first_step: int = 0
    steps: int | None = None
    lr_at: int | None = None
    stretched: bool = False

    def test_at(self, recipe: Recipe) -> list[int]:
        """Return the steps after which such a run measures the test set, besides the last one."""
        steps = self.steps or recipe.steps
        at = scaled(recipe, steps).test_at if self.stretched else recipe.test_at
        return [step for step in at if self.first_step < step <= steps]


@dataclass(frozen=True)
class Run:
    """A training run that a series asks for, from `first_step` to `steps` (None: the recipe's).

    With `steps` set, the recipe's patience does not apply. `start(at)` returns parameters and masks; it is called in
    the process that trains, and must return the masks given, if any are, unless `own_masks` is set. With `lr_at` the
    learning rate is always that of the schedule at that step; with `stretched` the recipe's schedule, and whatever else
    is at certain steps, is stretched to `steps`. The result is pruned by `score`, by default the recipe's. Another
    `order` gives other minibatches, and other draws of augmentation and dropout, from the same start.
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
    """Something that is computed from the arrays of runs: rows of the table <series>.csv, all with the same columns.

    `of(at)` returns the rows, numbers and texts by column, for one trial, in the process that trains. `given` is as for
    a Run. The recipes by which `of` trains networks itself stand in `trains`, one for each network: they are what it
    costs, and their data are looked for before anything is trained. No run can take over anything from a measure.
    """

    round: int
    of: Callable[[At], Sequence[Mapping[str, Json]]]
    given: Given = field(default_factory=dict)
    trains: Sequence[Recipe] = ()


Runs = Generator[Run | Measure | Done, Left, None]


@dataclass(frozen=True)
class Series:
    """A line of a figure: `runs(recipe)` generates the runs of one trial; `legend` and `look` are of the line.

    A series that repeats another with other random draws names that in `draw_of`: both are one line. `stream` is the
    name of the random stream of `At.rngs`, by default the series' own name.
    """

    runs: Callable[[Recipe], Runs]
    legend: str = ""
    look: Mapping[str, str] = field(default_factory=dict)
    draw_of: str = ""
    stream: str = ""


def all_series(recipe: Recipe) -> list[str]:
    """Return the names of a recipe's series; before them, if it rewinds, that of the run to the rewind point."""
    return [*[REWIND_POINT] * bool(recipe.rewind_step), *recipe.series]


def to_the_rewind_point(recipe: Recipe) -> Runs:
    """Train the dense network up to the rewind point, which other series take over."""
    yield Run(0, lambda at: (at.theta0, at.masks), steps=recipe.rewind_step)


def rewind_point(recipe: Recipe) -> Generator[Done, Left, Given]:
    """Return {"theta0": the parameters after `rewind_step` steps}, or {} if survivors are reset to theta0 itself."""
    if not recipe.rewind_step:
        return {}
    return {"theta0": (yield Done(REWIND_POINT, 0))["end"]}
