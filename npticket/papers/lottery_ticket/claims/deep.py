"""What the paper claims of Resnet-18 and VGG-19 on CIFAR-10: accuracies after fixed numbers of steps."""

from functools import partial

from npticket.papers.lottery_ticket.claims.words import (
    END,
    HALF,
    LEVEL,
    PERCENT,
    POINTS,
    REINIT,
    ROUNDS,
    TENTHS_3,
    TENTHS_4,
    TICKET,
    better,
    worse,
)
from npticket.papers.lottery_ticket.recipes import SWEEPS
from npticket.report.claims import Claim
from npticket.report.comparisons import best_gain, gain, gain_between, left_out, value, worst_gain

RESNET, VGG = ({rate: (f"{net}-{rate}",) for rate in ("high", "low", "warmup")} for net in ("resnet18", "vgg19"))
resnet_high, resnet_low, resnet_warmup = (partial(Claim, recipes) for recipes in RESNET.values())
vgg_high, vgg_low, vgg_warmup = (partial(Claim, recipes) for recipes in VGG.values())
STABILIZING = "Stabilizing the LTH, Fig 2"


def _scope(net: str, key: str) -> str:
    return SWEEPS[f"{net}-scope"].recipes[key].name


def _warmup(net: str, *steps: str) -> tuple[str, ...]:
    return tuple(SWEEPS[f"{net}-warmup-length"].recipes[key].name for key in steps)


# fmt: off
DEEP = [
    resnet_high("resnet-high-dense", "at learning rate 0.1 dense Resnet-18 ends at 90.5 %",
        "§4, Fig 8", value(END), "90.5 %", LEVEL, 90.1, 90.9, because=TENTHS_4),
    worse(RESNET["high"], "resnet-high-none",
        "at learning rate 0.1 there are no winning tickets from 5 % on: the best of them against the dense network",
        "§4, Fig 8", best_gain(END, 5)),
    resnet_low("resnet-low-best", "at 0.01 the best ticket from 5 % on ends at 89.5 %", "§4, Fig 8",
        lambda v: 100 * left_out(v.all(END, TICKET, 5), 1), "89.5 %", LEVEL, 89.1, 89.9, because=TENTHS_4),
    resnet_low("resnet-low-tickets", "at 0.01 tickets at 27.1 % are no less accurate than the dense network",
        "§4, Fig 8", gain(END, TICKET, 27.1, at=100), "≥ 0", POINTS, 0),
    resnet_warmup("resnet-warmup-best", "with warm-up the ticket at 27.1 % ends at 90.5 %",
        "§4, Fig 8", value(END, 27.1), "90.5 %", LEVEL, 90.1, 90.9, because=TENTHS_4),
    resnet_warmup("resnet-warmup-tickets", "with warm-up there are winning tickets down to 11.8 %: the worst of them",
        "§4, Fig 8", worst_gain(END, TICKET, 11.7), "≥ 0", POINTS, 0),
    worse(RESNET["warmup"], "resnet-warmup-reinit",
        "with warm-up reinitialised tickets at 11.8 % are less accurate than tickets",
        "§4, Fig 8", gain(END, REINIT, 11.8)),
    vgg_high("vgg-high-dense", "at learning rate 0.1 dense VGG-19 ends at 91.5 %",
        STABILIZING, value(END), "91.5 %", LEVEL, 91.2, 91.8, because=TENTHS_3),
    vgg_high("vgg-high-as-reinit", "at learning rate 0.1 tickets at 6.9 % are no better than reinitialised ones",
        "§4, Fig 7", gain(END, TICKET, 6.9, REINIT), "≤ 0", POINTS, high=0.3, because=TENTHS_3),
    vgg_low("vgg-low-dense", "at 0.01 dense VGG-19 ends at 92.0 %",
        STABILIZING, value(END), "92.0 %", LEVEL, 91.7, 92.3, because=TENTHS_3),
    vgg_low("vgg-low-near", "at 0.01 tickets from 3.5 % on are within a point of the dense network: the worst of them",
        "§4, Fig 7", worst_gain(END, TICKET, 3.4), "> -1", POINTS, -1, strict=True),
    better(VGG["low"], "vgg-low-early",
        "at 0.01 tickets at 16.8 % are more accurate than the dense network after 30,000 steps",
        "§4, Fig 7", lambda v: 100 * (v.tested(30_000, TICKET, 16.8) - v.tested(30_000, TICKET, 100))),
    vgg_warmup("vgg-warmup-dense", "with warm-up dense VGG-19 ends at 92.3 %",
        STABILIZING, value(END), "92.3 %", LEVEL, 92.0, 92.6, because=TENTHS_3),
    vgg_warmup("vgg-warmup-tickets", "with warm-up there are winning tickets down to 1.5 %: the worst of them",
        "§4, Fig 7", worst_gain(END, TICKET, 1.45), "≥ 0", POINTS, 0),
    vgg_warmup("vgg-warmup-reinit-80", "with warm-up reinitialised tickets at 21 % still match the dense network",
        "§5", gain(END, REINIT, 21, TICKET, 100), "0", POINTS, -0.5, because="half a point"),
    worse(VGG["warmup"], "vgg-warmup-reinit",
        "with warm-up reinitialised tickets at 1.5 % are less accurate than tickets",
        "§5", gain(END, REINIT, 1.5)),
    Claim(("vgg19-warmup", "vgg19-high"), "vgg-warmup-gain", "warm-up gains the dense VGG-19 about a point",
        "§4, Fig 7", gain_between(END, TICKET, 100), "+1", POINTS, 0.5, because=HALF),
    Claim((_scope("vgg19", "layer by layer"),), "vgg-layerwise",
        "pruned layer by layer, VGG-19 has winning tickets down to 6.9 % alone: below its dense network from 5.5 % on",
        "App. I.1, Fig 38", lambda v: v.falls_below(END, TICKET, TICKET, 3.4), "5.5 %", PERCENT, 3.4, 8.8,
        ratio=True, because=ROUNDS),
    *(better((_scope(net, "globally"), _scope(net, "layer by layer")), f"{name}-globally",
        f"at {percent} % tickets of {words} pruned globally are more accurate than those pruned layer by layer", figure,
        gain_between(END, TICKET, percent))
      for net, name, words, percent, figure in (
        ("vgg19", "vgg", "VGG-19", 1.5, "App. I.1, Fig 38"),
        ("resnet18", "resnet", "Resnet-18", 5.5, "App. I.1, Fig 39"))),
    *(better(_warmup(net, some, "0"), f"{name}-warmup-length-steep",
        f"at {percent} % warm-up over {some} steps makes tickets of {words} more accurate than none", figure,
        gain_between(END, TICKET, percent))
      for net, name, words, percent, some, figure in (
        ("resnet18", "resnet", "Resnet-18", 27.1, "5000", "App. I.5, Fig 44"),
        ("vgg19", "vgg", "VGG-19", 6.9, "5000", "App. I.5, Fig 45"))),
    *(Claim(_warmup(net, long, short), f"{name}-warmup-length-flat",
        f"at {percent} % warm-up over {long} steps makes tickets of {words} hardly more accurate than over {short}",
        figure, gain_between(END, TICKET, percent), "0", POINTS, -0.3, 0.3, because=TENTHS_3)
      for net, name, words, percent, long, short, figure in (
        ("resnet18", "resnet", "Resnet-18", 27.1, "20000", "5000", "App. I.5, Fig 44"),
        ("vgg19", "vgg", "VGG-19", 6.9, "50000", "10000", "App. I.5, Fig 45"))),
]
