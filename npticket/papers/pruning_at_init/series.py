"""Networks pruned before training, to as many weights as the ticket of the round, and sanity checks of their masks.

The checks (Frankle et al. 2021, section 5): the mask shuffled within each layer; the same mask with new initial values;
the highest scores pruned in place of the lowest. If the first two cost nothing, a mask says only how many weights each
layer needs. Weights of all layers are ranked together, as in all these papers; recipes should do so for tickets, too.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from npticket.experiments.planning import require
from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At, Done, Given, Measure, Run, Runs, Series, rewind_point
from npticket.experiments.tables import Row
from npticket.papers.lottery_ticket.series import TICKET, Under, look, mask_shuffled, random_reinit, theta0
from npticket.papers.pruning_at_init.scores import grasp, snip, synflow
from npticket.params import Params
from npticket.prune import Evidence, Score, at_random, dense_masks, magnitude, prune_globally
from npticket.task import CLASSIFY

ROUNDS, CHECKED, INVERTED = (4, 8, 12, 16), (8, 12), (8,)  # at 20 % a round: 41.0, 16.8, 6.9 and 2.8 % of the weights
STEPS = 100  # prunings of SynFlow (Tanaka et al. 2020, section 6)
LAYERS = "layers_at_init"


@dataclass(frozen=True)
class Method:
    """A way to prune before training: its score, its legend and look in figures, and in how many `steps` it prunes.

    `of_classes` says that it needs examples of each class.
    """

    score: Score
    legend: str
    look: dict[str, str]
    steps: int = 1
    of_classes: bool = False


METHODS = {
    "snip": Method(snip, "SNIP", look("#d55e00", "--", "s"), of_classes=True),
    "grasp": Method(grasp, "GraSP", look("#009e73", "-.", "D"), of_classes=True),
    "synflow": Method(synflow, "SynFlow", look("#cc79a7", "--", "^"), STEPS),
    "magnitude_at_init": Method(magnitude, "magnitude at initialisation", look("#e69f00", "-.", "P")),
    "random_at_init": Method(at_random, "random pruning", look("#000000", ":", "x")),
}


def exponential(whole: int, left: int, steps: int) -> list[int]:
    """Return how many of `whole` weights remain after each step, if each prunes the same fraction down to `left`."""
    return [round(whole * (left / whole) ** (step / steps)) for step in range(1, steps + 1)]


def pruned_in_steps(score: Score, seen: Evidence, names: Sequence[str], goals: Sequence[int]) -> Iterator[Params]:
    """Prune all of `names` together to each of the numbers of weights in `goals`, and yield the masks of each.

    Scores are computed anew before each, as by SynFlow (Tanaka et al. 2020, Algorithm 1). All trials must have the same
    number of weights at first.
    """
    masks = seen.masks
    for goal in goals:
        there = _count(masks, names)
        masks = prune_globally(score(replace(seen, masks=masks)), masks, (there - goal) / there, names)
        yield masks


def chosen(at: At, score: Score, steps: int) -> Params:
    """Return masks by a score of the initial values, with exactly as many weights as the round's ticket."""
    ticket = dense_masks(at.theta0)
    for _ in range(at.round):
        ticket = at.rule.scope(at.theta0, ticket)  # any scores will do, as only the count matters
    seen, names = _before_training(at), at.prunable
    goals = exponential(_count(seen.masks, names), _count(ticket, names), steps)
    *_, masks = pruned_in_steps(score, seen, names, goals)
    return masks


def upside_down(seen: Evidence, score: Score) -> Params:
    """Score by the negative of `score`, so that the highest go."""
    scores = score(seen)
    return scores.like(-scores.flat)


def before_training(method: Method, rounds: Sequence[int] = ROUNDS) -> Callable[[Recipe], Runs]:
    """Return a series that prunes by a method and trains the survivors from their initial values."""
    start = Under(theta0, partial(chosen, score=method.score, steps=method.steps))

    def series(recipe: Recipe) -> Runs:
        if method.of_classes:
            require(recipe, task=(CLASSIFY.name,))
        for round in rounds:
            if round < recipe.rounds:
                yield Run(round, start)

    return series


def sanity_check(of: str, start: Under) -> Callable[[Recipe], Runs]:
    """Return a series of checks: `start` with the masks of the series `of`, or masks made from these."""

    def series(recipe: Recipe) -> Runs:
        rewound = of == TICKET and not start.is_new
        point: Given = (yield from rewind_point(recipe)) if rewound else {}
        for round in CHECKED:
            if round < recipe.rounds:
                given = {"masks": (yield Done(of, round))["masks"], **point}
                yield Run(round, start, given, start.own_masks, recipe.rewind_step if point else 0)

    return series


def layers(recipe: Recipe) -> Runs:
    """Measure how many weights each method leaves in each layer, down to one weight a layer on average."""
    require(recipe, task=(CLASSIFY.name,))
    yield Measure(0, survivors)


def survivors(at: At) -> list[Row]:
    """Return a row for each method, number of weights (from all to one a layer) and layer: how many it has left."""
    rows: list[Row] = []
    seen, names = _before_training(at), at.prunable
    goals = [whole := _count(seen.masks, names), *exponential(whole, len(names), STEPS)]
    for name, method in METHODS.items():
        score = method.score if method.steps > 1 else partial(_same, scores=method.score(seen))
        for step, masks in enumerate(pruned_in_steps(score, seen, names, goals)):
            if step % 5 == 0:
                one = {"method": name, "weights": goals[step]}
                rows += [one | {"layer": layer, "left": int(masks[layer][0].sum())} for layer in names]
    return rows


def _before_training(at: At) -> Evidence:
    return Evidence(at.theta0, dense_masks(at.theta0), at.theta0, at.theta0, at.net, at.task, at.data, at.rngs)


def _count(masks: Params, names: Sequence[str]) -> int:
    return sum(int(masks[name][0].sum()) for name in names)


def _same(seen: Evidence, scores: Params) -> Params:
    return scores


CHECKS = {"shuffled": "shuffled", "reinit": "new values", "inverted": "inverted"}  # by the endings of series' names

SERIES = {
    **{name: Series(before_training(method), method.legend, method.look) for name, method in METHODS.items()},
    **{
        f"{of}_{check}": Series(sanity_check(of, start), f"{legend}, {CHECKS[check]}")
        for of, legend in {TICKET: "winning ticket", **{name: METHODS[name].legend for name in METHODS}}.items()
        for check, start in {"shuffled": mask_shuffled, "reinit": random_reinit}.items()
        if of != "random_at_init"
    },
    **{  # the same examples as of the method itself
        f"{name}_inverted": Series(
            before_training(replace(METHODS[name], score=partial(upside_down, score=METHODS[name].score)), INVERTED),
            f"{METHODS[name].legend}, inverted", stream=name)
        for name in ("snip", "grasp", "synflow")
    },
    LAYERS: Series(layers),
}  # fmt: skip
