"""What the paper claims about instability, which is "stable" below two points of error, and about accuracy.

Numbers in its figures are from memory.
"""

from functools import partial

from npticket.papers.linear_mode.instability import FIRST, MASK, REINIT, STABLE, TICKET, instability
from npticket.papers.lottery_ticket.claims.words import END, LEVEL, POINTS
from npticket.report.claims import Claim
from npticket.report.comparisons import Number, gain

MATCHING = -0.2  # points
SAID, SAME = "stable is less than 2 points", "matching is at most 0.2 points less"
NAMES = {TICKET: "tickets", REINIT: "reinitialised tickets", MASK: "random masks"}
COPIES = {TICKET: FIRST, REINIT: "reinit_order_1", MASK: "mask_order_1"}

stable = partial(Claim, expected="< 2 points", form=POINTS, high=STABLE, strict=True, because=SAID)
unstable = partial(Claim, expected="> 2 points", form=POINTS, low=STABLE, strict=True, because=SAID)
matching = partial(Claim, expected="≥ -0.2 points", form=POINTS, low=MATCHING, because=SAME)
not_matching = partial(Claim, expected="< -0.2 points", form=POINTS, high=MATCHING, strict=True, because=SAME)


def of(kind: str, percent: float) -> Number:
    """The instability of a kind of network, in points of test error."""
    return lambda v: v.measured(f"{kind}_path", percent, instability)


def against_dense(kind: str, percent: float) -> Number:
    """How much more accurate the copies are than those of the dense network, in points."""
    return gain(END, COPIES[kind], percent, FIRST, 100)


def highest(percent: float) -> Number:
    """The highest test error on the line, in percent."""
    return lambda v: 100 * v.measured(f"{TICKET}_path", percent, lambda rows: max(row["test_error"] for row in rows))


def _resnet(net: str, percent: float, dense_k: int, ticket_k: int, words: str, of_all: str = "") -> list[Claim]:
    """The claims about a ResNet on CIFAR-10: unstable at first, stable when rewound to later steps.

    ResNet-8's later step, 800 of 2,400, is a third of its training; ResNet-20 is stable from 3 % of its training on.
    """
    name, at, to_k = f"linear-mode-{net}", f"at {percent:g} %", f"rewound to step {ticket_k:,}{of_all}"
    controls = {REINIT: f"{NAMES[REINIT]}, trained from step {ticket_k:,}{of_all} on,", MASK: f"{NAMES[MASK]} {to_k}"}
    dense, start, later = (f"{name}-{dense_k}",), (f"{name}-0",), (f"{name}-{ticket_k}",)
    return [
        unstable(start, f"lm-{net}-dense-unstable", f"{words}: at initialisation the dense network is unstable",
            "§3, Fig 3", of(TICKET, 100)),
        Claim(start, f"lm-{net}-through-chance",
            f"{words}: on the line between two dense networks from one initialisation the error comes near chance",
            "§3, Fig 2", highest(100), "90 %", LEVEL, 80, because="within ten points of chance"),
        stable(dense, f"lm-{net}-dense-stable", f"{words}: the dense network of step {dense_k:,}{of_all} is stable",
            "§3, Fig 3", of(TICKET, 100)),
        Claim((*dense, *start), f"lm-{net}-dense-more-stable", f"{words}: the dense network of step "
            f"{dense_k:,}{of_all} is less unstable than that of step 0", "§3, Fig 3",
            lambda late, early: of(TICKET, 100)(late) - of(TICKET, 100)(early),
            "< 0", POINTS, high=0, strict=True),
        unstable(start, f"lm-{net}-ticket-unstable", f"{words}: {at}, tickets reset to step 0 are unstable",
            "§4, Fig 5", of(TICKET, percent)),
        not_matching(start, f"lm-{net}-ticket-not-matching",
            f"{words}: {at}, tickets reset to step 0 are less accurate than the dense network",
            "§4, Fig 5", against_dense(TICKET, percent)),
        stable(later, f"lm-{net}-ticket-stable", f"{words}: {at}, tickets {to_k} are stable",
            "§4, Fig 5", of(TICKET, percent)),
        matching(later, f"lm-{net}-ticket-matching",
            f"{words}: {at}, tickets {to_k} are as accurate as the dense network",
            "§4, Fig 5", against_dense(TICKET, percent)),
        *(unstable(later, f"lm-{net}-{kind}-unstable", f"{words}: {at}, {what} are unstable",
            "§4, Fig 5", of(kind, percent)) for kind, what in controls.items()),
        *(not_matching(later, f"lm-{net}-{kind}-not-matching",
            f"{words}: {at}, {what} are less accurate than the dense network",
            "§4, Fig 5", against_dense(kind, percent)) for kind, what in controls.items()),
    ]  # fmt: skip


TABLE_2 = "inferred from §4, Table 2 (from memory, at 3.5 %)"
INIT, LATER = ("linear-mode-lenet-0",), ("linear-mode-lenet-1000",)
EARLY = ("linear-mode-resnet8-200",)

# fmt: off
CLAIMS = [
    stable(INIT, "lm-lenet-dense-stable", "LeNet is stable from its initial values on", "§3, Fig 3", of(TICKET, 100)),
    stable(LATER, "lm-lenet-dense-still-stable", "LeNet is stable from step 1,000 on", "§3, Fig 3", of(TICKET, 100)),
    *(stable(INIT, f"lm-lenet-ticket-stable-{percent:.0f}",
        f"LeNet's tickets at {percent} %, reset to step 0, are stable", "§4, Fig 5", of(TICKET, percent))
      for percent in (16.9, 10.8)),
    *(stable(INIT, f"lm-lenet-{kind}-stable", f"at 16.9 % of LeNet {NAMES[kind]} are stable",
        "§4: LeNet excepted", of(kind, 16.9)) for kind in (REINIT, MASK)),
    matching(INIT, "lm-lenet-ticket-matching", "LeNet's tickets at 10.8 %, reset to step 0, are as accurate as the "
        "dense network", TABLE_2, against_dense(TICKET, 10.8)),
    *(not_matching(INIT, f"lm-lenet-{kind}-not-matching", f"at 10.8 % of LeNet {NAMES[kind]} are less accurate than "
        "the dense network", TABLE_2, against_dense(kind, 10.8)) for kind in (REINIT, MASK)),
    *_resnet("resnet8", 26.2, 800, 800, "a small ResNet-8 like the paper's ResNet-20", " of 2,400"),
    *_resnet("resnet20", 16.8, 2_000, 500, "ResNet-20"),
    stable(EARLY, "lm-resnet8-ticket-early-stable",
        "a small ResNet-8 like the paper's ResNet-20: rewound to step 200 of 2,400, tickets at 26.2 % are stable",
        "§4, Fig 5", of(TICKET, 26.2)),
    Claim(EARLY, "lm-resnet8-tickets-first",
        "a small ResNet-8 like the paper's ResNet-20: rewound to step 200 of 2,400, tickets at 26.2 % are less "
        "unstable than the dense network",
        "§4, Figs 3, 5", lambda v: of(TICKET, 26.2)(v) - of(TICKET, 100)(v), "< 0", POINTS, high=0, strict=True),
]
