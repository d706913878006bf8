"""Tickets of one task trained for the others (Chen et al. 2020, section 4.3 and Figure 4).

A mask covers the encoder's matrices, which all tasks share; words and classifier are the other task's. It is compared
with a random mask of as many weights in each matrix: what it gains over that is what the ticket brings along. The paper
asks for more, at 70 %: that it be as good as the other task's own ticket; few are, except that of pre-training.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from npticket.datasets import Dataset
from npticket.experiments.parts import BUILT_IN, Experiment, load_data, merged
from npticket.experiments.planning import require
from npticket.experiments.recipe import Part, Recipe
from npticket.experiments.series import At, Done, Measure, Runs
from npticket.experiments.tables import Row
from npticket.papers.bert_tickets.scope import NEEDED
from npticket.papers.lottery_ticket.draws import scattered
from npticket.papers.lottery_ticket.series import TICKET
from npticket.params import Params
from npticket.prune import dense_masks
from npticket.streams import Place
from npticket.tickets import rewind
from npticket.train import fit

TRANSFER = "bert_transfer"
ROUND = 5  # 50 % of the weights
MASKS = "ticket", "random"
TASKS = {"trec": (6, 8_760), "sst2": (2, 12_852), "subj": (2, 15_914)}  # classes, and word pieces that occur
OTHERS = {task: [other for other in TASKS if other != task] for task in TASKS}


def transfer(recipe: Recipe) -> Runs:
    """Train the mask that halves the encoder for the other tasks."""
    require(recipe, net=("bert",), data=TASKS)
    if recipe.rounds > ROUND:
        left = yield Done(TICKET, ROUND - 1)
        trains = [for_task(recipe, task) for task in OTHERS[recipe.data.name] for _ in MASKS]
        yield Measure(ROUND, partial(carried, recipe=recipe), {"masks": left["next_masks"]}, trains)


def for_task(recipe: Recipe, task: str) -> Recipe:
    """Return the recipe for another task, with as many steps."""
    classes, pieces = TASKS[task]
    net = recipe.net.having(text=task, classes=classes, pieces=pieces)
    return replace(recipe, net=net, data=Part(task, **recipe.data.options))


def carried(at: At, recipe: Recipe) -> Sequence[Row]:
    """Return the accuracy on each other task after training, under the ticket's mask and under a random one."""
    found = []
    for task in OTHERS[recipe.data.name]:
        there = for_task(recipe, task)
        experiment, data = Experiment(there, merged(BUILT_IN, NEEDED)), load_data(there, BUILT_IN)
        seed = int(at.rngs[0].integers(2**31))  # both start alike, and see the same minibatches
        for name, masks in zip(MASKS, (at.masks, scattered(at)), strict=True):
            found.append({"task": task, "masks": name, "acc": _trained(experiment, data, masks, seed, at.engine)})
    return found


def _trained(experiment: Experiment, data: Dataset, masks: Params, seed: int, engine: str) -> float:
    """The accuracy after training under masks of another task's encoder."""
    place = Place(seed)
    theta0 = experiment.net.init(place.rngs("init"))
    here = dense_masks(theta0)
    for name in experiment.rule.scope.names(theta0):
        here[name][...] = masks[name]
    setting = experiment.setting(engine)
    end = fit(experiment.net, experiment.task, rewind(theta0, here), here, data, setting, place)
    return float(end["final_test_acc"][0])
