"""Comparing rewinding and fine-tuning (Renda, Frankle & Carbin, ICLR 2020): three ways to retrain what was pruned.

After each round of pruning, weight rewinding takes the survivors back to an earlier step, and the learning rate with
them: that is the winning ticket with a rewind step. Learning-rate rewinding keeps the trained values and only replays
the schedule from that step on. Fine-tuning keeps them, too, and trains for as long at the last learning rate.
"""

from npticket.experiments.parts import Parts
from npticket.experiments.recipe import Part, Recipe
from npticket.experiments.series import Series
from npticket.papers.lottery_ticket.series import TICKET, look, retrained
from npticket.report.paper import Paper

EPOCH = 391  # steps of 128 examples
LAST = 182 * EPOCH

SERIES = {
    "learning_rate_rewinding": Series(
        lambda recipe: retrained(recipe, recipe.rewind_step, None),
        "learning-rate rewinding", look("#009e73", "-", "D")),
    "last_rate_fine_tuning": Series(
        lambda recipe: retrained(recipe, recipe.rewind_step, recipe.steps - 1),
        "fine-tuning at the last rate", look("#e69f00", "-.", "P")),
}  # fmt: skip

RESNET_20 = Recipe(
    name="rewinding-resnet20", source="Renda et al. 2020, Figures 1 and 2", net=Part("resnet", depth=20),
    data=Part("cifar10"), augment=Part("flip_and_crop"),
    optimizer=Part("sgd", lr=0.1, momentum=0.9, weight_decay=2e-4),
    schedule=Part("step_drops", drops=[[91 * EPOCH, 0.01], [136 * EPOCH, 0.001]]),
    prune=Part("magnitude", scope="globally", rates={"*/W": 0.2}),
    batch=128, steps=LAST, rounds=11, trials=3, validate_every=EPOCH,  # to 10.7 % of the weights
    rewind_step=LAST // 10, series=(TICKET, *SERIES, "random_reinit"),
)  # fmt: skip

PAPER = Paper(
    "rewinding",
    "Renda, Frankle & Carbin: Comparing Rewinding and Fine-tuning in Neural Network Pruning, ICLR 2020",
    {RESNET_20.name: RESNET_20}, Parts(series=SERIES),
)  # fmt: skip
