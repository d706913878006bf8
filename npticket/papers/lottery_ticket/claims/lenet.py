"""What the paper claims of LeNet-300-100 on MNIST."""

from functools import partial

from npticket.papers.lottery_ticket.claims.words import (
    ACC,
    END,
    FITTED,
    GAP,
    HALF,
    LEVEL,
    MASK,
    PERCENT,
    POINTS,
    REINIT,
    ROUNDS,
    SPREAD,
    STEPS,
    THIRD,
    THIRD_OF_GAIN,
    TICKET,
    TIMES,
    TRAIN,
    better,
    worse,
)
from npticket.report.claims import Claim
from npticket.report.comparisons import best_gain, gain, lowest, past_half, slowest, times, value, worst_gain
from npticket.report.quantities import STOP

MNIST, ONE_SHOT, CONTINUED, INITS = ((f"lenet-{name}",) for name in ("mnist", "one-shot", "continued", "inits"))
lenet = partial(Claim, MNIST)


def _initial_values(recipe: str, prefix: str) -> list[Claim]:
    """The claims that neither the survivors' distribution nor large initial values explain winning tickets."""
    return [
        worse((recipe,), f"{prefix}survivor-reinit",
            "at 16.9 % drawing from the survivors' values recovers less than half of what reinitialising loses: "
            "against halfway",
            "App. F.3, Fig 17", past_half(gain(ACC, "survivor_reinit", 16.9), gain(ACC, REINIT, 16.9))),
        worse((recipe,), f"{prefix}pruned-at-init",
            "at 16.9 % pruning by initial magnitude is less accurate than reinitialised tickets",
            "App. F.4, Fig 18", gain(ACC, "pruned_at_init", 16.9, REINIT)),
    ]  # fmt: skip


# fmt: off
LENET = [
    lenet("lenet-dense-accuracy", "the dense network is 98.0 % accurate at early stopping",
        "Fig 1, by eye", value(ACC), "98.0 %", LEVEL, 97.8, 98.2, because=SPREAD),
    lenet("lenet-dense-stop", "the dense network stops early near step 4,500",
        "Fig 1, by eye", value(STOP), "4,500", STEPS, 3_000, 6_000, because=THIRD),
    lenet("lenet-faster-51", "at 51.3 % tickets learn faster than the dense network", "§2, Fig 3",
        times(TICKET, 51.3, at=100), "< 1", TIMES, high=1, strict=True, ratio=True),
    lenet("lenet-faster-21", "at 21.1 % tickets stop 38 % earlier than the dense network, at 0.62 times its steps",
        "§2, Fig 4a", times(TICKET, 21.1, at=100), "0.62 times", TIMES, high=0.81, ratio=True, because=HALF),
    lenet("lenet-fastest-at", "tickets learn fastest near 21.1 % of the weights",
        "§2, Fig 4a", lambda v: v.fastest_at(TICKET), "21.1 %", PERCENT, 13, 34, ratio=True, because=ROUNDS),
    lenet("lenet-51-slower-than-21", "at 51.3 % tickets are slower than at 21.1 %",
        "§2, Fig 3", times(TICKET, 51.3, at=21.1), "> 1", TIMES, 1, strict=True, ratio=True),
    lenet("lenet-slower-below-21", "below 21.1 % learning slows again: 3.6 % against 21.1 %",
        "§2, Fig 4a", times(TICKET, 3.6, at=21.1), "> 1", TIMES, 1, strict=True, ratio=True),
    lenet("lenet-gain-13", "at 13.5 % accuracy at early stopping is more than 0.3 points above the dense network's",
        "§2, Fig 4a", gain(ACC, TICKET, 13.5, at=100), "+0.3", POINTS, 0.15, because=HALF),
    lenet("lenet-back-accuracy", "at 3.6 % accuracy is back at the dense network's",
        "§2, Fig 4a", gain(ACC, TICKET, 3.6, at=100), "0", POINTS, -0.2, 0.2, because=SPREAD),
    lenet("lenet-back-speed", "at 3.6 % speed is back at the dense network's",
        "§2, Fig 4a", times(TICKET, 3.6, at=100), "1", TIMES, 0.67, 1.33, ratio=True, because=THIRD),
    lenet("lenet-never-worse", "down to 4.5 % no ticket is less accurate than the dense network: the worst of them",
        "§2, Fig 4a", worst_gain(ACC, TICKET, 4.4), "≥ 0", POINTS, 0),
    lenet("lenet-below-dense", "tickets are less accurate than the dense network from 2.9 % on", "§2, Fig 4a",
        lambda v: v.falls_below(ACC, TICKET, TICKET, 1.8), "2.9 %", PERCENT, 1.8, 4.6, ratio=True, because=ROUNDS),
    lenet("lenet-end-gain", "at the end of training the best ticket from 1.9 % on gains 0.35 points",
        "§2, Fig 4b", best_gain(END), "+0.35", POINTS, 0.175, because=HALF),
    lenet("lenet-train-all", "tickets and reinits from 5 % on fit the whole training set: the worst of them",
        "§2, Fig 12", lowest(TRAIN, 5, TICKET, REINIT), "100 %", LEVEL, 99.9, because=FITTED),
    lenet("lenet-train-tickets", "tickets from 2 % on fit the whole training set: the worst of them",
        "§2, Fig 12", lowest(TRAIN, 2, TICKET), "100 %", LEVEL, 99.9, because=FITTED),
    worse(MNIST, "lenet-generalise",
        "at 13.5 % the gap between training and test accuracy at the end is narrower than the dense network's",
        "§2, Fig 4b", gain(GAP, TICKET, 13.5, at=100)),
    lenet("lenet-reinit-slower", "at 21.1 % reinitialised tickets take 2.51 times the ticket's steps",
        "§2, Fig 4a", times(REINIT, 21.1), "2.51 times", TIMES, 1.75, ratio=True, because=HALF),
    lenet("lenet-reinit-worse", "at 21.1 % reinitialised tickets are 0.5 points less accurate than the ticket",
        "§2, Fig 4a", gain(ACC, REINIT, 21.1), "-0.5", POINTS, high=-0.25, because=HALF),
    lenet("lenet-reinit-below-dense", "reinitialised tickets are less accurate than the dense network from 21.1 % on",
        "§2, Fig 4a",
        lambda v: v.falls_below(ACC, REINIT, TICKET, 13), "21.1 %", PERCENT, 13, 34, ratio=True, because=ROUNDS),
    lenet("lenet-reinit-ever-slower", "the more is pruned, the slower reinitialised tickets learn: 7.0 % against "
        "51.3 %", "§2, Fig 4a", times(REINIT, 7.0, REINIT, 51.3), "> 1", TIMES, 1, strict=True, ratio=True),
    lenet("lenet-mask-slower", "at 16.9 % random masks take 2.7 times the ticket's steps",
        "Fig 1, by eye", times(MASK, 16.9), "2.7 times", TIMES, 1.85, ratio=True, because=HALF),
    lenet("lenet-mask-worse", "at 7.0 % random masks are 1.3 points less accurate than the ticket",
        "Fig 1, by eye", gain(ACC, MASK, 7.0), "-1.3", POINTS, high=-0.65, because=HALF),
    better(MNIST, "lenet-reinit-over-mask", "at 7.0 % reinitialised tickets end more accurate than random masks",
        "App. E, Fig 14", gain(END, REINIT, 7.0, MASK)),
    Claim(ONE_SHOT, "one-shot-faster",
        "from 67.5 to 17.6 % (here 64.1 to 21.1 %) one-shot tickets stop earlier than the dense network: the slowest "
        "of them", "§2, Fig 4c",
        slowest("one_shot", 17.5, 67.5),
        "< 1", TIMES, high=1, strict=True, ratio=True),
    better(ONE_SHOT, "one-shot-better",
        "from 95 to 5.2 % (here 80.0 to 5.6 %) one-shot tickets are more accurate than the dense network: the worst of "
        "them",
        "§2, Fig 4c", worst_gain(ACC, "one_shot", 5.1, 95)),
    worse(ONE_SHOT, "one-shot-below-iterative", "at 5.6 % one-shot tickets are less accurate than iterative ones",
        "§2, Fig 4a", gain(ACC, "one_shot", 5.6)),
    worse(ONE_SHOT, "one-shot-reinit",
        "at 21.1 % reinitialised one-shot tickets are less accurate than one-shot tickets",
        "§2, Fig 4c", gain(ACC, "one_shot_reinit", 21.1, "one_shot")),
    worse(CONTINUED, "continued-accuracy",
        "at 7.0 % resetting only at the end is less accurate than resetting every round",
        "App. B, Fig 9", gain(ACC, "continued_training", 7.0)),
    Claim(CONTINUED, "continued-speed", "at 7.0 % resetting only at the end learns more slowly",
        "App. B, Fig 9", times("continued_training", 7.0), "> 1", TIMES, 1, strict=True, ratio=True),
    Claim(INITS, "noise-half", "at 16.9 % noise of half a standard deviation costs next to nothing",
        "App. F.7, Fig 25", gain(ACC, "noise_0.5", 16.9), "0", POINTS, -0.1, because=THIRD_OF_GAIN),
    *(worse(INITS, f"noise-{more}", f"at 16.9 % noise of {words} costs more than of {fewer}", "App. F.7, Fig 25",
        gain(ACC, f"noise_{more}", 16.9, f"noise_{less}"))
      for less, more, fewer, words in (("0.5", 1, "half of it", "one standard deviation"),
                                       (1, 2, "one", "two standard deviations"),
                                       (2, 3, "two", "three standard deviations"))),
    better(INITS, "noise-over-reinit", "at 16.9 % even three standard deviations are better than reinitialising",
        "App. F.7, Fig 25", gain(ACC, "noise_3", 16.9, REINIT)),
    Claim(INITS, "noise-faster-than-reinit",
        "at 16.9 % reinitialised tickets learn more slowly than those with noise of three standard deviations",
        "App. F.7, Fig 25", times(REINIT, 16.9, "noise_3"), "> 1", TIMES, 1, strict=True, ratio=True),
    *_initial_values("lenet-inits", ""),
    *_initial_values("lenet-inits-sgd", "sgd-"),
]
