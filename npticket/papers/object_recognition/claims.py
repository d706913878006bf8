"""What the paper claims about pruning detectors, asked of a small detector; FIFTH and so on are weights remaining."""

from collections.abc import Sequence
from functools import partial

from npticket.detection.task import AP
from npticket.experiments.tables import Row
from npticket.papers.lottery_ticket.claims.words import (
    HALF,
    MASK,
    PERCENT,
    POINTS,
    REINIT,
    TICKET,
    TIMES,
    better,
    worse,
)
from npticket.papers.object_recognition.series import CARRIED, EARLY_BIRD, OVERLAP, PRECISION
from npticket.report.claims import Claim
from npticket.report.comparisons import Number, gain, gain_between, ratio
from npticket.report.quantities import at_the_end

END = at_the_end(AP)
ONE_SHOT = "one_shot"
POINT, TWICE = "a point of average precision", "at most twice as many changes"
FIFTH, TENTH, MORE = 20.4, 12.1, 58.7  # percent of the weights
IMP = "Frankle & Carbin 2019, §1"


def kept(of: str) -> Number:
    """The average precision, for one part of the objects, of tickets at 12 % divided by the dense network's."""

    def ap(percent: float) -> Number:
        return lambda v: v.measured(PRECISION, percent, lambda rows: {row["of"]: row["ap"] for row in rows}[of])

    return ratio(ap(TENTH), ap(100))


def same_mask(percent: int) -> Number:
    """The overlap of masks at 20 %, made after so many percent of training, with those made at its end."""
    return lambda v: v.measured(OVERLAP, FIFTH, lambda rows: {row["percent"]: row["iou"] for row in rows}[percent])


def of_both(recipe: str, short: str, words: str) -> list[Claim]:
    """The claims that are asked of both data sets."""
    claim = partial(Claim, (recipe,))
    level = partial(claim, expected="≥ 0", form=POINTS, low=-1, because=POINT)
    more = partial(better, (recipe,))
    # fmt: off
    return [
        level(f"od-{short}-direct", f"{words}: tickets of a fifth of the weights lose no average precision",
            "§4.1", gain(END, TICKET, FIFTH, at=100)),
        more(f"od-{short}-moderate", f"{words}: tickets of 58.7 % are better than the dense network",
            "§4.4, of ResNet-18", gain(END, TICKET, MORE, at=100)),
        more(f"od-{short}-one-shot", f"{words}: at a fifth of the weights one-shot pruning beats iterative pruning",
            "§4.3", gain(END, ONE_SHOT, FIFTH)),
        claim(f"od-{short}-mask", f"{words}: half-way through training the masks overlap by 0.96 with the last ones",
            "§4.3", same_mask(50), "0.96", "{:.2f}", 0.92, because=TWICE),
        level(f"od-{short}-early-bird", f"{words}: at a fifth of the weights masks from half-way through training are "
            "as good as those of its end", "§4.3", gain(END, EARLY_BIRD, FIFTH, ONE_SHOT)),
        claim(f"od-{short}-small", f"{words}: at 12 % small objects keep less of their average precision than large",
            "§4.4", ratio(kept("small"), kept("large")), "< 1", TIMES, high=1, strict=True, ratio=True),
        claim(f"od-{short}-small-loss", f"{words}: at 12 % small objects keep less than 83 % of their average "
            "precision", "§4.4", lambda v: 100 * kept("small")(v), "below 83 %", PERCENT, high=91.5, because=HALF),
        more(f"od-{short}-reinit", f"{words}: at a fifth of the weights tickets beat random reinitialisations",
            IMP, gain(END, TICKET, FIFTH, REINIT)),
        more(f"od-{short}-random", f"{words}: at a fifth of the weights tickets beat random masks",
            IMP, gain(END, TICKET, FIFTH, MASK)),
    ]
    # fmt: on


def of_classes(recipe: str) -> list[Claim]:
    """The claims about classes of blood cells: in training images there are eleven red cells for each platelet."""
    return [Claim((recipe,), "od-cells-rare", "blood cells: at 12 % platelets, which are rare, keep less of their "
                  "average precision than red cells", "§4.4", ratio(kept("class 2"), kept("class 0")), "< 1", TIMES,
                  high=1, strict=True, ratio=True)]  # fmt: skip


def of_scopes(globally: str, layerwise: str) -> list[Claim]:
    """The claims about pruning layer by layer against pruning all layers together."""

    both = layerwise, globally
    return [
        Claim(both, "od-layerwise-same", "scenes: at 58.7 % it makes no difference whether layers are pruned together",
              "§4.3", gain_between(END, TICKET, MORE), "0", POINTS, low=-1, high=1, because=POINT),
        worse(both, "od-layerwise-worse", "scenes: at 12 % pruning layer by layer is worse than pruning all together",
              "§4.3", gain_between(END, TICKET, TENTH)),
    ]  # fmt: skip


def carried(masks: str, percent: float, other: str) -> Number:
    """By how many points detectors with these masks of a pre-trained backbone are better than with other masks."""

    def points(rows: Sequence[Row]) -> float:
        ap = {row["masks"]: row["ap"] for row in rows}
        return END.scale * (ap[masks] - ap[other])

    return lambda v: v.measured(CARRIED, percent, points)


def of_transfer(recipe: str) -> list[Claim]:
    """The claims about masks of a pre-trained backbone: found by classification of images, or by finding cells."""
    level = partial(Claim, (recipe,), expected="≥ 0", form=POINTS, low=-1, because=POINT)
    less = partial(worse, (recipe,))
    tables, further = "Tables 1 and 2, of COCO", carried("ticket", FIFTH, "all")
    # fmt: off
    return [
        level("od-transfer-direct", "at 20 % masks found on blood cells cost a pre-trained backbone nothing there",
            "§4.1", carried("direct", FIFTH, "all")),
        level("od-transfer-moderate", "at 58.7 % a ticket found on Tiny ImageNet loses none on blood cells",
            "§4.2, of VOC", carried("ticket", MORE, "all")),
        less("od-transfer-loses", "at 20 % a ticket found on Tiny ImageNet loses average precision on blood cells",
            tables, further),
        less("od-transfer-further", "a ticket found on Tiny ImageNet loses more on blood cells at 20 % than at "
            "58.7 %", tables, lambda v: further(v) - carried("ticket", MORE, "all")(v)),
        less("od-transfer-behind", "at 20 % a ticket found on Tiny ImageNet is worse than one found on blood cells",
            tables, carried("ticket", FIFTH, "direct")),
        better((recipe,), "od-transfer-random", "at 20 % a ticket found on Tiny ImageNet beats, on blood cells, the "
            "whole trained backbone under a random mask", "Morcos et al. 2019, §4.2 (from memory)",
            carried("ticket", FIFTH, "random")),
    ]
    # fmt: on
