"""Comparing rewinding and fine-tuning (Renda, Frankle & Carbin, ICLR 2020): three ways to retrain what was pruned.

After pruning, weight rewinding resets the survivors, and the learning rate, to an earlier step: that is the winning
ticket with a rewind step. Learning-rate rewinding keeps the trained values and replays only the schedule from that step
on. Fine-tuning keeps them, too, and trains for as long at the last learning rate. Which of the three loses least, in
iterative and in one-shot pruning, and from which step on?
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from npticket.experiments.outcome import Outcome
from npticket.experiments.parts import Parts
from npticket.experiments.recipe import Part, Recipe
from npticket.experiments.series import Series
from npticket.papers.lottery_ticket.claims.words import END, HALF, POINTS, REINIT, THIRD_OF_GAIN, TICKET, better, worse
from npticket.papers.lottery_ticket.recipes import RECIPES
from npticket.papers.lottery_ticket.series import in_one_go, look, one_shot, one_shot_kept, one_shot_reinit, retrained
from npticket.report.canvas import Picture, dense_network, panels, pen, upright
from npticket.report.claims import Claim
from npticket.report.comparisons import gain, gain_between
from npticket.report.figures import Lines
from npticket.report.paper import Paper
from npticket.report.quantities import at_the_end
from npticket.report.sweeps import Sweep

EPOCH = 391  # steps of an epoch of the paper's 50,000 images, 128 at a time; here there are 45,000
LAST = 71_108
RATE, FINE_TUNED = "learning_rate_rewinding", "last_rate_fine_tuning"
ONCE = {  # the same series by one-shot pruning
    TICKET: "one_shot_weight_rewinding", RATE: "one_shot_learning_rate_rewinding", FINE_TUNED: "one_shot_fine_tuning",
    REINIT: "one_shot_retrained_reinit",
}  # fmt: skip
METHODS = {TICKET: "weight rewinding", RATE: "learning-rate rewinding", FINE_TUNED: "fine-tuning"}


# Prune the trained dense network once, to the density of every other round of the ticket, and retrain.
once = partial(in_one_go, rounds=range(2, 1_000, 2))

SERIES = {
    RATE: Series(
        lambda recipe: retrained(recipe, recipe.rewind_step, None),
        "learning-rate rewinding", look("#009e73", "-", "D")),
    FINE_TUNED: Series(
        lambda recipe: retrained(recipe, recipe.rewind_step, recipe.steps - 1),
        "fine-tuning at the last rate", look("#e69f00", "-.", "P")),
    ONCE[TICKET]: Series(once(one_shot), "one-shot, weight rewinding", look("#0072b2", "-", "v")),
    ONCE[RATE]: Series(once(one_shot_kept), "one-shot, learning-rate rewinding", look("#009e73", "--", "^")),
    ONCE[FINE_TUNED]: Series(once(one_shot_kept, tuned=True), "one-shot, fine-tuning", look("#e69f00", ":", "X")),
    # New values have no earlier step, so the whole training is done.
    ONCE[REINIT]: Series(once(one_shot_reinit), "one-shot, random reinit", look("#d55e00", "-.", "<")),
}  # fmt: skip

# fmt: off
RESNET_20 = Recipe(
    name="rewinding-resnet20", source="Renda et al. 2020, Figures 1 and 2", net=Part("resnet", depth=20),
    data=Part("cifar10"), augment=Part("flip_and_crop"),
    optimizer=Part("sgd", lr=0.1, momentum=0.9, weight_decay=2e-4),
    schedule=Part("step_drops", drops=[[91 * EPOCH, 0.01], [136 * EPOCH, 0.001]]),
    prune=Part("magnitude", scope="globally", rates={"*/W": 0.2}),
    batch=128, steps=LAST, rounds=11, trials=3, validate_every=EPOCH, train_at_end=False,  # to 10.7 % of the weights
    rewind_step=LAST // 10, series=(TICKET, *SERIES, REINIT),
)
LENET = replace(RECIPES["lenet-mnist"],
    name="rewinding-lenet", source="after Renda et al. 2020, Figures 1 and 2, on LeNet",
    optimizer=Part("sgd", lr=0.1, momentum=0.9),
    schedule=Part("step_drops", drops=[[7_500, 0.01], [11_250, 0.001]]),  # at a half and at three quarters
    steps=15_000, train_at=(), rounds=11, validate_every=500, rewind_step=1_500, series=RESNET_20.series,
)
RESNET_8 = replace(RESNET_20,
    name="rewinding-resnet8", source="after Renda et al. 2020, Figures 1 and 2, on ResNet-8",
    net=Part("resnet", depth=8, width=8), schedule=Part("step_drops", drops=[[1_200, 0.01], [1_800, 0.001]]),
    prune=Part("magnitude", scope="globally", rates={"*/W": 0.428}),  # to 57.2, 32.7, 18.7 and 10.7 % of the weights
    batch=64, steps=2_400, rounds=5, validate_every=600, rewind_step=240,
)
STEPS = {step: replace(LENET,
    name=f"rewinding-lenet-step-{step}", source="after Renda et al. 2020, on LeNet", rewind_step=step, rounds=2,
    prune=Part("magnitude", rates={"fc*/W": 0.89, "out/W": 0.65}), series=(TICKET, RATE, FINE_TUNED),  # in one go
) for step in (0, 1_500, 7_500, 13_500)}
# fmt: on


def against_step(outcomes: Mapping[str, Outcome]) -> Iterator[Picture]:
    """Draw the accuracy after retraining against the step that it was retrained from, a line for each way."""
    begun = [outcome for outcome in outcomes.values() if outcome.points(TICKET)]
    one, (figure, (axes,)) = begun[0], panels(1)
    quantity = at_the_end(one.task.headline)
    for i, (series, words) in enumerate(METHODS.items()):
        points = {each.recipe.rewind_step: p for each in begun for p in each.points(series) if p.round}
        aside = 0.008 * one.recipe.steps * (i - 1)  # of each other: they end at the same places
        line = replace(pen(one, series), name=words)
        line.bars(axes, [step + aside for step in points], [quantity.drawn(point) for point in points.values()])
    axes.set_xlabel(f"step from which it is retrained, to {one.recipe.steps:,}")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    upright(axes, quantity, dense_network(axes, one.points(TICKET)[0], quantity))
    yield Picture("rewind_step", figure, marks="point: mean, bar: min-max")


DATA = "Renda et al., released data"
RELEASED = f"{DATA}, ResNet-20 at the best time"  # the median of three, for the best length of retraining
FROM_0 = f"{DATA}, ResNet-20 from epoch 0 and 12 of 182; asked of LeNet, which needs no rewinding"
SAFE = "Renda et al., the zone that is marked in the figures"  # retraining for a quarter to nine tenths of the training


# fmt: off
def _orders(
    recipe: str, alike: float, because: str, percents: tuple[float, float, float] = (51.2, 21.0, 10.7)
) -> Iterator[Claim]:
    """The claims that the paper makes about all networks; `alike` is how many points "about as accurate" allows.

    `percents` are of weights remaining: about a half, and two at which the methods are compared.
    """
    half, middle, last = percents
    claim = partial(Claim, (recipe,), source=DATA, form=POINTS)
    more, less = (partial(kind, (recipe,), source=DATA) for kind in (better, worse))
    for percent in (middle, last):
        at = f"at {percent} %"
        for method in (TICKET, RATE):
            yield more(id=f"{recipe}-{method}-{percent:.0f}", quantity=gain(END, method, percent, FINE_TUNED),
                sentence=f"{at} {METHODS[method]} is more accurate than fine-tuning")
        yield claim(id=f"{recipe}-alike-{percent:.0f}", quantity=gain(END, RATE, percent, TICKET), expected="0",
            low=-alike, high=alike, because=because,
            sentence=f"{at} learning-rate rewinding is about as accurate as weight rewinding")
    for method in (TICKET, RATE):
        yield more(id=f"{recipe}-once-{method}", quantity=gain(END, ONCE[method], last, ONCE[FINE_TUNED]),
            sentence=f"pruned in one go to {last} %, {METHODS[method]} is more accurate than fine-tuning")
    for method, words in METHODS.items():
        yield less(id=f"{recipe}-iterative-{method}", quantity=gain(END, ONCE[method], last, method),
            sentence=f"at {last} % one-shot pruning is less accurate than round after round, with {words}")
    yield less(id=f"{recipe}-reinit", quantity=gain(END, REINIT, last, FINE_TUNED),
        source="inferred: the data have it pruned in one go",
        sentence=f"at {last} % reinitialised networks are less accurate than fine-tuned ones")
    yield less(id=f"{recipe}-once-reinit", quantity=gain(END, ONCE[REINIT], last, ONCE[FINE_TUNED]),
        sentence=f"pruned in one go to {last} %, reinitialised networks are less accurate than fine-tuned ones")
    yield less(id=f"{recipe}-sparser", quantity=gain(END, FINE_TUNED, last, FINE_TUNED, half),
        sentence=f"fine-tuning loses more the sparser the network: {last} % against {half} %")
    yield more(id=f"{recipe}-half", quantity=gain(END, RATE, half, at=100),
        sentence=f"at {half} % learning-rate rewinding is more accurate than the dense network")


def _steps(one: int, other: int) -> tuple[str, str]:
    """The experiments of retraining from one step on, and from another."""
    return STEPS[one].name, STEPS[other].name


CLAIMS = [
    *_orders(RESNET_20.name, 0.3, "as far as in the paper's ResNet-20 at most"),
    *_orders(LENET.name, 0.1, THIRD_OF_GAIN),
    *_orders(RESNET_8.name, 0.5, "half a point", (57.2, 32.7, 10.7)),
    *(Claim((RESNET_20.name,), f"rewinding-resnet20-loss-{series}",
        f"at 10.7 % the accuracy is {points} points below the dense network's: {SERIES[series].legend}", RELEASED,
        gain(END, series, 10.7, at=100), f"-{points}", POINTS, high=-points / 2, because=HALF)
      for series, points in ((FINE_TUNED, 1.94), (ONCE[FINE_TUNED], 3.33), (ONCE[TICKET], 2.56), (ONCE[RATE], 2.40),
                             (ONCE[REINIT], 4.75))),
    worse(_steps(0, 1_500), id="rewinding-step-0-weights", source=FROM_0,
        sentence="at 11.1 % weights rewound to step 0 are less accurate than those rewound to a tenth of the training",
        quantity=gain_between(END, TICKET, 11.1)),
    Claim(_steps(0, 1_500), id="rewinding-step-0-rate", source=FROM_0, expected="≥ 0", form=POINTS, low=0,
        sentence="at 11.1 % the whole schedule replayed is no worse than the last nine tenths of it",
        quantity=gain_between(END, RATE, 11.1)),
    *(worse(_steps(13_500, 1_500), id=f"rewinding-step-late-{method}", source=SAFE,
        sentence=f"at 11.1 % {METHODS[method]} is less accurate for the last tenth of the training than for nine",
        quantity=gain_between(END, method, 11.1))
      for method in (TICKET, RATE)),
    Claim(_steps(7_500, 1_500), id="rewinding-step-half", source=SAFE,
        expected="0", form=POINTS, low=-0.1, high=0.1, because=THIRD_OF_GAIN,
        sentence="at 11.1 % half of the schedule replayed does about as well as nine tenths of it",
        quantity=gain_between(END, RATE, 11.1)),
    worse(_steps(0, 7_500), id="rewinding-step-fine-tuning", source="Renda et al., abstract",
        sentence="at 11.1 % fine-tuning as long as the whole training is less accurate than half of the schedule",
        quantity=gain_between(END, FINE_TUNED, 11.1, RATE)),
]

PAPER = Paper(
    "rewinding",
    "Renda, Frankle & Carbin: Comparing Rewinding and Fine-tuning in Neural Network Pruning, ICLR 2020",
    {recipe.name: recipe for recipe in (RESNET_20, LENET, RESNET_8)}, Parts(series=SERIES),
    {"rewinding-lenet-step": Sweep("rewinding-lenet-step", "after Renda et al. 2020, on LeNet", "retrained from step",
        {f"{step:,}": recipe for step, recipe in STEPS.items()}, against_step)},
    CLAIMS,
    (Lines("retraining", (at_the_end,), (*METHODS, REINIT)), Lines("in_one_go", (at_the_end,), tuple(ONCE.values()))),
)
