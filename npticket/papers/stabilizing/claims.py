"""What the paper claims of the two distances, and of the accuracy of tickets that are rewound."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise

from npticket.papers.lottery_ticket.claims.words import (
    END,
    HALF,
    LEVEL,
    POINTS,
    SPREAD,
    TENTHS_3,
    THIRD,
    TIMES,
    better,
)
from npticket.papers.stabilizing.distances import COPY, ORDER, PRUNING, RANDOM
from npticket.papers.stabilizing.recipes import STABILITY, STEPS
from npticket.report.claims import Claim
from npticket.report.comparisons import Number, gain, gain_between, ratio


def order(name: str, percent: float, column: str = "distance") -> Number:
    """How far apart two copies of a ticket, or of a random subnetwork, end."""
    return lambda v: v.measured(ORDER[name], percent, lambda rows: rows[0][column])


def pruning(name: str, percent: float, column: str = "distance") -> Number:
    """How far a ticket, or a random subnetwork, ends from the values of its weights in the dense network."""
    return lambda v: v.measured(PRUNING, percent, lambda rows: next(r[column] for r in rows if r["of"] == name))


LENET_0, RESNET_0, VGG_REWOUND = (STABILITY.name,), ("stabilizing-resnet18-0",), ("stabilizing-vgg19-100",)
RESNET_REWOUND, SMALL = ("stabilizing-resnet18-500",), ("linear-mode-resnet8-800",)
# Its later step, 800 of 2,400, is a third of the training: the paper rewinds to 0.1 to 7 % of it.
RESNET_8 = "a small ResNet-8 like the paper's Resnet-18, at 26.2 %"
half = partial(Claim, LENET_0, source="Fig 3", form=TIMES, ratio=True, because=HALF)
level = partial(Claim, LENET_0, source="Fig 3", form=LEVEL, because=SPREAD)
more = partial(Claim, expected="> 1", form=TIMES, low=1, strict=True, ratio=True)


def _rewound_later() -> Iterator[Claim]:
    """The claims that LeNet's tickets end nearer to the dense network and to each other the later they are rewound."""
    for one, other in pairwise((STABILITY, *STEPS.values())):
        names, k = (one.name, other.name), other.rewind_step
        for id, words, source, number in (
            ("pruning", "nearer to their weights in the dense network", "§4", pruning(COPY, 10.7)),
            ("pruning-angle", "in smaller angles to their weights in the dense network", "App. B",
             pruning(COPY, 10.7, "angle")),
            ("order", "nearer to each other with other data orders", "§4", order(COPY, 10.7)),
        ):  # fmt: skip
            yield more(names, f"stab-lenet-step-{k}-{id}",
                f"at 10.8 % tickets rewound to step {k:,} end {words} than those of step {one.rewind_step:,}",
                f"{source}, from memory; asked of LeNet", ratio(number, number))  # fmt: skip


# fmt: off
CLAIMS = [
    half("stab-lenet-order",
        "at 10.8 % random subnetworks end 2.8 times as far apart as tickets with other data orders",
        quantity=ratio(order(RANDOM, 10.7), order(COPY, 10.7)), expected="2.8 times", low=1.9),
    half("stab-lenet-pruning", 
        "at 10.8 % random subnetworks end 1.6 times as far from their weights in the dense network as tickets",
        quantity=ratio(pruning(RANDOM, 10.7), pruning(COPY, 10.7)), expected="1.6 times", low=1.3),
    half("stab-lenet-order-or-pruning",
        "at 10.8 % tickets end 2.3 times as far from the dense network as from each other",
        quantity=ratio(pruning(COPY, 10.7), order(COPY, 10.7)), expected="2.3 times", low=1.65),
    more(LENET_0, "stab-lenet-order-angle", "at 10.8 % random subnetworks end in wider angles to each "
        "other, with other data orders, than tickets",
        "App. B, from memory", ratio(order(RANDOM, 10.7, "angle"), order(COPY, 10.7, "angle"))),
    more(LENET_0, "stab-lenet-pruning-angle", "at 10.8 % random subnetworks end in wider angles to their "
        "weights in the dense network than tickets",
        "App. B, from memory", ratio(pruning(RANDOM, 10.7, "angle"), pruning(COPY, 10.7, "angle"))),
    level("stab-lenet-ticket", "tickets at 10.8 % are 98.3 % accurate",
        quantity=lambda v: 100 * v(END, COPY, 10.7), expected="98.3 %", low=98.1, high=98.5),
    level("stab-lenet-random", "random subnetworks at 10.8 % are 97.5 % accurate",
        quantity=lambda v: 100 * v(END, RANDOM, 10.7), expected="97.5 %", low=97.3, high=97.7),
    Claim(LENET_0, "stab-lenet-gain", "at 10.8 % tickets are 0.8 points more accurate than random subnetworks",
        "Fig 3", gain(END, COPY, 10.7, RANDOM), "+0.8 points", POINTS, 0.4, because=HALF),
    *_rewound_later(),
    better((*SMALL, "linear-mode-resnet8-0"), "stab-resnet8-rewinding",
        f"{RESNET_8}: tickets rewound to step 800 of 2,400 are more accurate than tickets reset to step 0", "§3-4",
        gain_between(END, COPY, 26.2)),
    more((*SMALL, "linear-mode-resnet8-0"), "stab-resnet8-order",
        f"{RESNET_8}: tickets reset to step 0 end further apart with other data orders than rewound ones", "§3-4",
        lambda late, early: order(COPY, 26.2)(early) / order(COPY, 26.2)(late)),
    more(SMALL, "stab-resnet8-random", f"{RESNET_8}: rewound to step 800 of 2,400, random subnetworks end further "
        "apart with other data orders than tickets", "§3-4", ratio(order(RANDOM, 26.2), order(COPY, 26.2))),
    better(SMALL, "stab-resnet8-gain", f"{RESNET_8}: rewound to step 800 of 2,400, tickets are more accurate than "
        "random subnetworks", "§3-4", gain(END, COPY, 26.2, RANDOM)),
    Claim(RESNET_0, "stab-resnet18-order", "Resnet-18 at 17.8 % (16.7 % in the paper): reset to step 0, random "
        "subnetworks end as far apart with other data orders as tickets",
        "Fig 3", ratio(order(RANDOM, 16.7), order(COPY, 16.7)), "1.0 times", TIMES, 0.67, 1.33, ratio=True,
        because=THIRD),
    Claim(RESNET_0, "stab-resnet18-no-gain", "Resnet-18 at 17.8 % (16.7 % in the paper): reset to step 0, tickets are "
        "no more accurate than random subnetworks",
        "Fig 3", gain(END, COPY, 16.7, RANDOM), "0.0 points", POINTS, high=0.3, because=TENTHS_3),
    better(RESNET_REWOUND, "stab-resnet18-rewinding", "Resnet-18 at 17.8 % (16.7 % in the paper): tickets rewound to "
        "step 500 are more accurate than the dense network", "§3-4", gain(END, COPY, 16.7, COPY, 100)),
    better(VGG_REWOUND, "stab-vgg19-rewinding", "VGG-19 at 2.2 %: tickets rewound to step 100 are more accurate than "
        "the dense network", "§3-4", gain(END, COPY, 2.2, COPY, 100)),
]
# fmt: on
