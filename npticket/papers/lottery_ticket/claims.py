"""What the lottery ticket paper claims (Frankle & Carbin 2019), in our own words, as data that `claims` can judge.

Where the paper gives a size, a claim holds from half of that effect on; where it gives a level, within the spread that
later papers report for it; where it gives an order, by the sign. Percentages after "at" are weights remaining.

A row is a claim: id and sentence; source, the number that is judged, what the paper says, form, and bounds.
"""

from functools import partial

from npticket.report.claims import Claim
from npticket.report.quantities import STOP, at_early_stop, at_the_end, gap, trained
from npticket.report.views import best_gain, gain, lowest, times, value, worst_gain
from npticket.task import CLASSIFY

ACC, END, TRAIN, GAP = (make(CLASSIFY.headline) for make in (at_early_stop, at_the_end, trained, gap))
TICKET, REINIT, MASK = "winning_ticket", "random_reinit", "random_mask"
STEPS, TIMES, POINTS, PERCENT, LEVEL = "{:,.0f} steps", "{:.2f} times", "{:+.2f} points", "{:+.0f} %", "{:.2f} %"


# fmt: off
def _conv(depth: int, stop: int, dense: float, speed: float, best: float, alone: float, more: float) -> list[Claim]:
    name, dropped, near_14 = f"conv-{depth}", f"conv{depth}-dropout", 15 if depth > 2 else 13.7
    conv = partial(Claim, (f"conv{depth}-cifar10",))
    return [
        conv(f"{name}-dense-accuracy", f"dense Conv-{depth} is {dense} % accurate at early stopping",
            "Fig 5", value(ACC), f"{dense} % (± 1)", LEVEL, dense - 1, dense + 1),
        conv(f"{name}-dense-stop", f"dense Conv-{depth} stops early near step {stop:,}",
            "Fig 5", value(STOP), f"{stop:,} (± a third)", STEPS, stop * 2 / 3, stop * 4 / 3),
        conv(f"{name}-faster", f"the fastest ticket learns {speed} times as fast as the dense network", "§3, Fig 5",
            lambda v: v(STOP, TICKET, 100) / v.fastest(TICKET)[0], f"{speed} times", TIMES, 1 + (speed - 1) / 2),
        conv(f"{name}-gain", f"the best ticket gains {best} points",
            "§3, Fig 5", best_gain(ACC), f"+{best}", POINTS, best / 2),
        conv(f"{name}-never-worse",
            "from 2 % on every ticket is more accurate than the dense network: the worst of them",
            "§3, Fig 5", worst_gain(ACC, TICKET, 2), "> 0", POINTS, 0, strict=True),
        conv(f"{name}-train", "tickets from 2 % on fit the whole training set",
            "§3, Fig 13", lowest(TRAIN, 2, TICKET), "100 % (from 99.9)", LEVEL, 99.9),
        conv(f"{name}-reinit", "near 14 % reinitialised tickets learn more slowly than tickets",
            "§3, Fig 5", times(REINIT, near_14), "> 1", TIMES, 1, strict=True),
        conv(f"{name}-reinit-is-mask", "near 14 % reinitialised tickets and random masks end equally accurate",
            "App. E, Fig 14", gain(END, REINIT, near_14, MASK), "0 (± 1)", POINTS, -1, 1),
        Claim((f"conv{depth}-cifar10", dropped), f"{name}-dropout",
            f"dropout alone gains the dense network {alone} points", "§3, Fig 6",
            lambda v, d: 100 * (d(ACC, TICKET, 100) - v(ACC, TICKET, 100)), f"+{alone}", POINTS, alone / 2),
        Claim((dropped,), f"{name}-dropout-and-pruning", f"with dropout pruning gains up to {more} points more",
            "§3, Fig 6", best_gain(ACC), f"+{more}", POINTS, more / 2),
    ]


lenet, one_shot, continued, inits = (
    partial(Claim, (f"lenet-{name}",)) for name in ("mnist", "one-shot", "continued", "inits"))
resnet_high, resnet_low, resnet_warmup, vgg_high, vgg_low, vgg_warmup = (
    partial(Claim, (f"{net}-{rate}",)) for net in ("resnet18", "vgg19") for rate in ("high", "low", "warmup"))
CLAIMS = [
    lenet("lenet-dense-accuracy", "the dense network is 98.0 % accurate at early stopping",
        "Fig 1", value(ACC), "98.0 % (± 0.2)", LEVEL, 97.8, 98.2),
    lenet("lenet-dense-stop", "the dense network stops early near step 4,500",
        "Fig 1", value(STOP), "4,500 (± a third)", STEPS, 3_000, 6_000),
    lenet("lenet-faster-51", "at 51.3 % tickets learn faster than the dense network", "§2, Fig 3",
        lambda v: 100 * (1 - v(STOP, TICKET, 51.3) / v(STOP, TICKET, 100)), "> 0 %", PERCENT, 0, strict=True),
    lenet("lenet-faster-21", "at 21.1 % tickets stop 38 % earlier than the dense network",
        "§2, Fig 4a", lambda v: 100 * (1 - v(STOP, TICKET, 21.1) / v(STOP, TICKET, 100)), "38 % earlier", PERCENT, 19),
    lenet("lenet-fastest-at", "tickets learn fastest near 21.1 % of the weights",
        "§2, Fig 4a", lambda v: v.fastest(TICKET)[1], "21.1 % (± 2 rounds)", "{:.1f} %", 13, 34),
    lenet("lenet-51-slower-than-21", "at 51.3 % they are slower than at 21.1 %",
        "§2, Fig 3", times(TICKET, 51.3, at=21.1), "> 1", TIMES, 1, strict=True),
    lenet("lenet-slower-below-21", "below 21.1 % learning slows again: 3.6 % against 21.1 %",
        "§2, Fig 4a", times(TICKET, 3.6, at=21.1), "> 1", TIMES, 1, strict=True),
    lenet("lenet-gain-13", "at 13.5 % accuracy at early stopping is 0.3 points above the dense network's",
        "§2, Fig 4a", gain(ACC, TICKET, 13.5, at=100), "> +0.3", POINTS, 0.2, strict=True),
    lenet("lenet-back-accuracy", "at 3.6 % accuracy is back at the dense network's",
        "§2, Fig 4a", gain(ACC, TICKET, 3.6, at=100), "0 (± 0.2)", POINTS, -0.2, 0.2),
    lenet("lenet-back-speed", "at 3.6 % speed is back at the dense network's",
        "§2, Fig 4a", times(TICKET, 3.6, at=100), "1 (± a third)", TIMES, 0.67, 1.33),
    lenet("lenet-never-worse", "down to 4.5 % no ticket is less accurate than the dense network",
        "§2, Fig 4a", worst_gain(ACC, TICKET, 4.4), "≥ 0", POINTS, 0),
    lenet("lenet-end-gain", "at the end of training the best tickets gain 0.35 points",
        "§2, Fig 4b", best_gain(END), "up to +0.35", POINTS, 0.175),
    lenet("lenet-train-all", "tickets and reinits from 5 % on fit the whole training set",
        "§2, Fig 12", lowest(TRAIN, 5, TICKET, REINIT), "100 % (from 99.9)", LEVEL, 99.9),
    lenet("lenet-train-tickets", "tickets from 2 % on fit the whole training set",
        "§2, Fig 12", lowest(TRAIN, 2, TICKET), "100 % (from 99.9)", LEVEL, 99.9),
    lenet("lenet-generalise",
        "at 13.5 % the gap between training and test accuracy at the end is narrower than the dense network's",
        "§2, Fig 4b", gain(GAP, TICKET, 13.5, at=100), "< 0", POINTS, high=0, strict=True),
    lenet("lenet-reinit-slower", "at 21.1 % reinitialised tickets take 2.51 times the ticket's steps",
        "§2, Fig 4a", times(REINIT, 21.1), "2.51 times", TIMES, 1.75),
    lenet("lenet-reinit-worse", "at 21.1 % they are 0.5 points less accurate than the ticket",
        "§2, Fig 4a", gain(ACC, REINIT, 21.1), "-0.5", POINTS, high=-0.25),
    lenet("lenet-reinit-below-dense", "at 21.1 % they are less accurate than the dense network",
        "§2, Fig 4a", gain(ACC, REINIT, 21.1, at=100), "< 0", POINTS, high=0, strict=True),
    lenet("lenet-reinit-ever-slower", "the more is pruned, the slower they learn: 7.0 % against 51.3 %",
        "§2, Fig 4a", times(REINIT, 7.0, REINIT, 51.3), "> 1", TIMES, 1, strict=True),
    lenet("lenet-mask-slower", "at 16.9 % random masks take 2.7 times the ticket's steps",
        "§1, Fig 1", times(MASK, 16.9), "2.7 times", TIMES, 1.85),
    lenet("lenet-mask-worse", "at 7.0 % random masks are 1.3 points less accurate than the ticket",
        "§1, Fig 1", gain(ACC, MASK, 7.0), "-1.3", POINTS, high=-0.65),
    lenet("lenet-reinit-over-mask", "at 7.0 % reinitialised tickets end more accurate than random masks",
        "App. E, Fig 14", gain(END, REINIT, 7.0, MASK), "> 0", POINTS, 0, strict=True),
    one_shot("one-shot-faster",
        "from 67.5 to 17.6 % one-shot tickets stop earlier than the dense network: the slowest of them", "§2, Fig 4c",
        lambda v: v.all(STOP, "one_shot", 17.5, 67.5).max(0) / v(STOP, TICKET, 100), "< 1", TIMES, high=1, strict=True),
    one_shot("one-shot-better", "from 95 to 5.2 % they are more accurate than it: the worst of them",
        "§2, Fig 4c", worst_gain(ACC, "one_shot", 5.1, 95), "> 0", POINTS, 0, strict=True),
    one_shot("one-shot-below-iterative", "at 3.6 % one-shot tickets are less accurate than iterative ones",
        "§2, Fig 4c", gain(ACC, "one_shot", 3.6), "< 0", POINTS, high=0, strict=True),
    one_shot("one-shot-reinit", "at 21.1 % reinitialised one-shot tickets are less accurate than one-shot tickets",
        "§2, Fig 4c", gain(ACC, "one_shot_reinit", 21.1, "one_shot"), "< 0", POINTS, high=0, strict=True),
    continued("continued-accuracy", "at 7.0 % resetting only at the end is less accurate than resetting every round",
        "App. B, Fig 9", gain(ACC, "continued_training", 7.0), "< 0", POINTS, high=0, strict=True),
    continued("continued-speed", "at 7.0 % resetting only at the end learns more slowly",
        "App. B, Fig 9", times("continued_training", 7.0), "> 1", TIMES, 1, strict=True),
    inits("noise-half", "at 16.9 % noise of half a standard deviation costs next to nothing",
        "App. F.7, Fig 25", gain(ACC, "noise_0.5", 16.9), "0 (down to -0.1)", POINTS, -0.1),
    inits("noise-gradual", "at 16.9 % three standard deviations cost more than half of one",
        "App. F.7, Fig 25", gain(ACC, "noise_3", 16.9, "noise_0.5"), "< 0", POINTS, high=0, strict=True),
    inits("noise-over-reinit", "at 16.9 % even three standard deviations are better than reinitialising",
        "App. F.7, Fig 25", gain(ACC, "noise_3", 16.9, REINIT), "> 0", POINTS, 0, strict=True),
    inits("survivor-reinit",
        "at 16.9 % drawing from the survivors' values recovers less than half of what reinitialising loses",
        "App. F.3, Fig 17", lambda v: gain(ACC, "survivor_reinit", 16.9)(v) - gain(ACC, REINIT, 16.9)(v) / 2,
        "hardly any (< 0 from halfway)", POINTS, high=0, strict=True),
    inits("pruned-at-init", "at 16.9 % pruning by initial magnitude is less accurate than reinitialised tickets",
        "App. F.4, Fig 18", gain(ACC, "pruned_at_init", 16.9, REINIT), "< 0", POINTS, high=0, strict=True),
    Claim(("lenet-prune-rate-0.2", "lenet-prune-rate-0.4"), "rate-40",
        "pruning 40 % per round is less accurate than 20 %, near 4.6 % of the weights", "App. G.4, Fig 29",
        lambda slow, fast: 100 * (fast(ACC, TICKET, 4.8) - slow(ACC, TICKET, 4.5)), "< 0", POINTS, high=0, strict=True),
    Claim(("lenet-prune-rate-0.2", "lenet-prune-rate-0.8"), "rate-80",
        "pruning 80 % per round is less accurate than 20 %, near 4.4 % of the weights", "App. G.4, Fig 29",
        lambda slow, fast: 100 * (fast(ACC, TICKET, 4.1) - slow(ACC, TICKET, 4.5)), "< 0", POINTS, high=0, strict=True),
    Claim(("lenet-prune-rate-0.1", "lenet-prune-rate-0.2"), "rate-10",
        "pruning 10 % per round gains little over 20 %, near 7 % of the weights", "App. G.4, Fig 29",
        lambda slow, fast: 100 * (slow(ACC, TICKET, 7.0) - fast(ACC, TICKET, 7.0)), "0 (± 0.2)", POINTS, -0.2, 0.2),
    *_conv(2, 2_300, 65.7, 3.5, 3.4, alone=2.1, more=2.3),
    *_conv(4, 2_700, 73.7, 3.5, 3.5, alone=3.0, more=4.6),
    *_conv(6, 3_300, 77.1, 2.5, 3.3, alone=2.4, more=4.7),
    resnet_high("resnet-high-dense", "at learning rate 0.1 dense Resnet-18 ends at 90.5 %",
        "§4, Fig 8", value(END), "90.5 % (± 0.4)", LEVEL, 90.1, 90.9),
    resnet_high("resnet-high-none",
        "at learning rate 0.1 there are no winning tickets: the best pruned network against the dense one",
        "§4, Fig 8", best_gain(END), "< 0", POINTS, high=0, strict=True),
    resnet_low("resnet-low-best", "at 0.01 the best ticket ends at 89.5 %",
        "§4, Fig 8", lambda v: 100 * v.best(END, TICKET), "89.5 % (± 0.4)", LEVEL, 89.1, 89.9),
    resnet_low("resnet-low-tickets", "at 0.01 tickets at 27.1 % are no less accurate than the dense network",
        "§4, Fig 8", gain(END, TICKET, 27.1, at=100), "≥ 0", POINTS, 0),
    resnet_warmup("resnet-warmup-best", "with warm-up the ticket at 27.1 % ends at 90.5 %",
        "§4, Fig 8", value(END, 27.1), "90.5 % (± 0.4)", LEVEL, 90.1, 90.9),
    resnet_warmup("resnet-warmup-tickets", "with warm-up there are winning tickets down to 11.8 %: the worst of them",
        "§4, Fig 8", worst_gain(END, TICKET, 11.7), "≥ 0", POINTS, 0),
    resnet_warmup("resnet-warmup-reinit", "with warm-up reinitialised tickets at 11.8 % are less accurate than tickets",
        "§4, Fig 8", gain(END, REINIT, 11.8), "< 0", POINTS, high=0, strict=True),
    vgg_high("vgg-high-dense", "at learning rate 0.1 dense VGG-19 ends at 91.5 %",
        "Fig 7", value(END), "91.5 % (± 0.3)", LEVEL, 91.2, 91.8),
    vgg_high("vgg-high-as-reinit", "at learning rate 0.1 tickets at 6.9 % are no better than reinitialised ones",
        "§4, Fig 7", gain(END, TICKET, 6.9, REINIT), "0 (up to +0.3)", POINTS, high=0.3),
    vgg_low("vgg-low-near", "at 0.01 tickets from 3.5 % on are within a point of the dense network: the worst of them",
        "§4, Fig 7", worst_gain(END, TICKET, 3.4), "> -1", POINTS, -1, strict=True),
    vgg_warmup("vgg-warmup-dense", "with warm-up dense VGG-19 ends at 92.3 %",
        "Fig 7", value(END), "92.3 % (± 0.3)", LEVEL, 92.0, 92.6),
    vgg_warmup("vgg-warmup-tickets", "with warm-up there are winning tickets down to 1.5 %: the worst of them",
        "§4, Fig 7", worst_gain(END, TICKET, 1.45), "≥ 0", POINTS, 0),
    vgg_warmup("vgg-warmup-reinit-80", "with warm-up reinitialised tickets at 21 % still match the dense network",
        "§5", gain(END, REINIT, 21, TICKET, 100), "0 (from -0.5)", POINTS, -0.5),
    vgg_warmup("vgg-warmup-reinit", "with warm-up reinitialised tickets at 1.5 % are more than a point below tickets",
        "§5", gain(END, REINIT, 1.5), "< -1", POINTS, high=-1, strict=True),
    Claim(("vgg19-high", "vgg19-warmup"), "vgg-warmup-gain", "warm-up gains the dense VGG-19 about a point",
        "§4, Fig 7", lambda high, warm: 100 * (warm(END, TICKET, 100) - high(END, TICKET, 100)), "+1", POINTS, 0.5),
]
