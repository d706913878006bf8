"""Which of the paper's claims about networks on CIFAR-10 shorter experiments can decide.

They are about orders, and about early stopping, which is early. Resnet-18 and VGG-19 are pruned once: the paper says of
networks pruned round by round what is asked here of those.
"""

from functools import partial

from npticket.papers.lottery_ticket.claims.conv import controls, dense_network, reinit_flat
from npticket.papers.lottery_ticket.claims.words import (
    ACC,
    END,
    HALF,
    POINTS,
    REINIT,
    TENTHS_3,
    TICKET,
    TIMES,
    better,
    worse,
)
from npticket.papers.lottery_ticket.short import DENSE, MASK, ONCE, ONCE_REINIT
from npticket.report.claims import Claim
from npticket.report.comparisons import fastest, gain, gain_between, times, worst_gain

STABILIZING = "Stabilizing the LTH, §3 and 4"


# fmt: off
def _conv(depth: int, stop: int, dense: float, speed: float, low: float, percent: float) -> list[Claim]:
    """Claims about tickets from `low` percent of the weights on, and about controls at `percent`."""
    name, conv = f"conv-{depth}-short", partial(Claim, (f"conv{depth}-short",))
    return [
        *dense_network(conv, name, depth, stop, dense),
        conv(f"{name}-faster", f"the fastest ticket from {low} % on learns {speed} times as fast as the dense network",
            "§3, Fig 5", fastest(low), f"{speed} times", TIMES, 1 + (speed - 1) / 2, ratio=True, because=HALF),
        conv(f"{name}-never-worse",
            f"from {low} % on every ticket is more accurate than the dense network: the worst of them",
            "§3, Fig 5", worst_gain(ACC, TICKET, low), "> 0", POINTS, 0, strict=True),
        conv(f"{name}-reinit-slows", f"at {percent} % reinitialised tickets learn more slowly than the dense network",
            "§3, Fig 5", times(REINIT, percent, at=100), "> 1", TIMES, 1, strict=True, ratio=True),
        *controls(conv, name, percent, MASK),
    ]


SHORT = [
    *_conv(2, 2_300, 65.7, 3.5, 7.1, 13.7), *_conv(4, 2_700, 73.7, 3.5, 9.2, 16.2),
    *_conv(6, 3_300, 77.1, 2.5, 10.6, 18.4),
    *(reinit_flat(partial(Claim, (f"conv{depth}-short",)), f"conv-{depth}-short", near_27)
      for depth, near_27 in ((2, 26.5), (4, 29.1))),
    Claim(("conv2-short", "conv2-dropout-short"), "conv-2-short-dropout",
        "dropout alone gains the dense network 2.1 points", "§3, Fig 6",
        lambda v, d: 100 * (d(ACC, TICKET, 100) - v(ACC, TICKET, 100)), "+2.1", POINTS, 1.05, because=HALF),
    better(("conv2-dropout-short",), "conv-2-short-dropout-and-pruning",
        "with dropout every ticket from 17 % on is more accurate than the dense network: the worst of them",
        "inferred from §3, Fig 6", worst_gain(ACC, TICKET, 17)),
    worse(("resnet18-short-high",), "resnet-short-high-none",
        "at learning rate 0.1 tickets at 27.1 % are worse than the dense network", "§4, Fig 8",
        gain(END, ONCE, 27.1, at=100)),
    Claim(("resnet18-short-low",), "resnet-short-low-tickets",
        "at 0.01 tickets at 27.1 % are no less accurate than the dense network", "§4, Fig 8",
        gain(END, ONCE, 27.1, at=100), "≥ 0", POINTS, 0),
    worse(("resnet18-short-low",), "resnet-short-low-reinit",
        "at 0.01 reinitialised tickets at 11.8 % are less accurate than tickets", "§4, Fig 8",
        gain(END, ONCE_REINIT, 11.8, ONCE)),
    better(("resnet18-short-high", "resnet18-short-low"), "resnet-short-high-low",
        "the dense network is more accurate at 0.1 than at 0.01", STABILIZING + ", Fig 2",
        gain_between(END, DENSE, 100)),
    Claim(("resnet18-short-warmup",), "resnet-short-warmup-tickets",
        "with warm-up there are winning tickets down to 11.8 %", "§4, Fig 8",
        worst_gain(END, ONCE, 11.7), "≥ 0", POINTS, 0),
    worse(("resnet18-short-warmup",), "resnet-short-warmup-reinit",
        "with warm-up reinitialised tickets at 11.8 % are less accurate than tickets", "§4, Fig 8",
        gain(END, ONCE_REINIT, 11.8, ONCE)),
    Claim(("resnet18-short-rewound",), "resnet-short-rewound-tickets",
        "at 0.1 tickets at 27.1 % that are reset to an early step are no less accurate than the dense network",
        STABILIZING, gain(END, ONCE, 27.1, at=100), "≥ 0", POINTS, 0),
    better(("resnet18-short-rewound", "resnet18-short-high"), "resnet-short-rewound-better",
        "at 0.1 tickets at 11.8 % are more accurate if reset to an early step than to initial values",
        STABILIZING, gain_between(END, ONCE, 11.8)),
    Claim(("vgg19-short-high",), "vgg-short-high-as-reinit",
        "at 0.1 tickets at 10.8 % are no better than reinitialised ones", "§4, Fig 7",
        gain(END, ONCE, 10.8, ONCE_REINIT), "≤ 0", POINTS, high=0.3, because=TENTHS_3),
    Claim(("vgg19-short-low",), "vgg-short-low-near",
        "at 0.01 tickets from 10.8 % on are within a point of the dense network: the worst", "§4, Fig 7",
        worst_gain(END, ONCE, 10.7), "> -1", POINTS, -1, strict=True),
    Claim(("vgg19-short-warmup",), "vgg-short-warmup-tickets",
        "with warm-up tickets at 10.8 % are no less accurate than the dense network", "§4, Fig 7",
        gain(END, ONCE, 10.8, at=100), "≥ 0", POINTS, 0),
    worse(("vgg19-short-warmup",), "vgg-short-warmup-reinit",
        "with warm-up reinitialised tickets at 1.5 % are less accurate than tickets", "§5",
        gain(END, ONCE_REINIT, 1.5, ONCE)),
    better(("vgg19-short-warmup", "vgg19-short-high"), "vgg-short-warmup-gain",
        "at 0.1 the dense VGG-19 is more accurate with warm-up than without", "§4, Fig 7",
        gain_between(END, DENSE, 100)),
    better(("vgg19-short-warmup", "vgg19-short-layerwise"), "vgg-short-globally",
        "at 1.5 % tickets of VGG-19 pruned globally are more accurate than those pruned layer by layer",
        "App. I.1, Fig 38", gain_between(END, ONCE, 1.5)),
]
