"""What the paper claims, asked of its FC network, LeNet-300-100 on MNIST.

Trained networks are compared by their accuracy at the end of training, as networks that learn slowly would be cut short
before their early stop. If a source says "order", the paper gives an order, and no number in its figures is known here;
titles of sections are those of the paper.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from npticket.experiments.tables import Row
from npticket.papers.deconstructing.criteria import CRITERIA, SAME_SIGN
from npticket.papers.deconstructing.supermasks import CONSTANT, INITIAL
from npticket.papers.lottery_ticket.claims.words import END, HALF, LEVEL, POINTS, SPREAD, THIRD_OF_GAIN, TICKET
from npticket.report.claims import Claim
from npticket.report.comparisons import gain, left_out, past_half, value
from npticket.report.intervals import Numbers
from npticket.report.views import View

GOOD = (TICKET, "magnitude_increase", "movement", "large_init_large_final")
BAD = ("small_final", "small_init", "small_init_small_final", "random_criterion")
SIGNED = {"permuted_reinit": "signed_reinit", "shuffled": "signed_shuffled", "constant": "signed_constant"}
CHOICE, SIGNS, ZEROS, MASKS = "Mask criteria, order", "Mask-1 actions, order", "Mask-0 actions, order", "Supermasks"
UP_TO = 12  # prunings of 36 %, after which half a percent is left

criteria, signs, zeros, learning, rescaling = (
    partial(Claim, tuple(f"deconstructing-{name}" for name in names))
    for names in (("criteria",), ("signs",), ("zeros",), ("learned",), ("learned", "learned-rescaled"))
)


def worst_against_best(v: View, percent: float) -> Numbers:
    """By how many points the worst of GOOD is better than the best of BAD."""
    worst, best = (left_out([v(END, one, percent) for one in some], s) for some, s in ((GOOD, -1), (BAD, 1)))
    return END.scale * (worst - best)


def _read(rows: Sequence[Row], criterion: str, weights: str, index: int) -> float:
    asked = (criterion, weights, index)
    return next(row["accuracy"] for row in rows if (row["criterion"], row["weights"], row["index"]) == asked)


def supermask(v: View, weights: str, *criteria: str) -> Numbers:
    """The accuracy in percent of the best mask that some criteria make at any density."""
    each = [partial(_read, criterion=c, weights=weights, index=k) for c in criteria for k in range(1, UP_TO + 1)]
    return 100 * left_out([v.measured("supermasks", 100, number) for number in each], 1)


def sampled(v: View, weights: str) -> Numbers:
    """The mean accuracy in percent of masks drawn with the learned probabilities."""
    return 100 * v.measured(
        "sampled_supermasks", 100, lambda rows: np.mean([row["accuracy"] for row in rows if row["weights"] == weights])
    )


# fmt: off
CLAIMS = [
    criteria("criteria-increase", "at 10.8 % magnitude_increase is about as accurate as large_final",
        CHOICE, gain(END, "magnitude_increase", 10.8), "0", POINTS, -0.2, 0.2, because=SPREAD),
    criteria("criteria-movement", "at 10.8 % movement is less accurate than large_final",
        CHOICE, gain(END, "movement", 10.8), "< 0", POINTS, high=0, strict=True),
    criteria("criteria-both-large", "at 10.8 % large_init_large_final is less accurate than large_final",
        CHOICE, gain(END, "large_init_large_final", 10.8), "< 0", POINTS, high=0, strict=True),
    criteria("criteria-groups", "at 10.8 % the worst of large_final, magnitude_increase, movement and "
        "large_init_large_final is more accurate than the best of small_* and random",
        CHOICE, lambda v: worst_against_best(v, 10.8), "> 0", POINTS, 0, strict=True),
    criteria("criteria-large-init", "at 10.8 % large_init is less accurate than large_final",
        CHOICE, gain(END, "large_init", 10.8), "< 0", POINTS, high=0, strict=True),
    *(signs(f"signs-{name.replace('_', '-')}-worse", f"at 7.0 % {what} is less accurate than rewinding", SIGNS,
        gain(END, name, 7.0), "< 0", POINTS, high=0, strict=True)
      for name, what in zip(SIGNED, ("reinit", "shuffling", "a constant of random sign"), strict=True)),
    *(signs(f"{kept.replace('_', '-')}-better", f"at 7.0 % {what} is more accurate with the original signs than "
        "without", SIGNS, gain(END, kept, 7.0, name), "> 0", POINTS, 0, strict=True)
      for (name, kept), what in zip(SIGNED.items(), ("reinit", "shuffling", "a constant"), strict=True)),
    *(signs(f"{kept.replace('_', '-')}-close", f"at 7.0 % {what} with the original signs recovers most of what it "
        "loses without: against halfway", SIGNS,
        past_half(gain(END, kept, 7.0), gain(END, name, 7.0)), "> 0", POINTS, 0, strict=True)
      for (name, kept), what in zip(SIGNED.items(), ("reinit", "shuffling", "a constant"), strict=True)),
    zeros("zeros-freeze", "at 16.9 % freezing what is pruned is less accurate than zero",
        ZEROS, gain(END, "frozen_at_init", 16.9), "< 0", POINTS, high=0, strict=True),
    zeros("zeros-variant-1", "at 7.0 % freezing only what did not shrink is as accurate as zero, or more",
        ZEROS, gain(END, "frozen_variant_1", 7.0), "≥ 0", POINTS, -0.1, because=THIRD_OF_GAIN),
    zeros("zeros-1-over-freeze", "at 16.9 % freezing only what did not shrink is more accurate than freezing all",
        ZEROS, gain(END, "frozen_variant_1", 16.9, "frozen_at_init"), "> 0", POINTS, 0, strict=True),
    zeros("zeros-variant-2", "at 7.0 % freezing what did not shrink is better if survivors that shrank start at 0",
        ZEROS, gain(END, "frozen_variant_2", 7.0, "frozen_variant_1"), "> 0", POINTS, 0, strict=True),
    criteria("supermask-same-sign", "without training the best mask of large_final_same_sign is 86 % accurate",
        "Abstract", lambda v: supermask(v, INITIAL, SAME_SIGN), "86 %", LEVEL, 48, because=f"{HALF} over chance"),
    criteria("supermask-large-final", "the best mask of large_final is about 40 % accurate",
        MASKS, lambda v: supermask(v, INITIAL, "large_final"), "40 %", LEVEL, 25, because=f"{HALF} over chance"),
    criteria("supermask-best", "the best mask of large_final_same_sign is more accurate than that of any other",
        MASKS, lambda v: supermask(v, INITIAL, SAME_SIGN) - supermask(v, INITIAL, *CRITERIA.keys() - {SAME_SIGN}),
        "> 0", POINTS, 0, strict=True),
    criteria("supermask-constants", "the best mask of large_final_same_sign is more accurate with constants of the "
        "weights' signs",
        MASKS, lambda v: supermask(v, CONSTANT, SAME_SIGN) - supermask(v, INITIAL, SAME_SIGN),
        "> 0", POINTS, 0, strict=True),
    learning("learned-supermask", "a learned mask is 95.3 % accurate without training weights", MASKS,
        lambda v: sampled(v, INITIAL), "95.3 %", LEVEL, 90.65, because="halfway from the best criterion's 86 %"),
    learning("learned-constants", "a learned mask over constants is more accurate than over initial values",
        "Table of learned supermasks, from memory",
        lambda v: sampled(v, CONSTANT) - sampled(v, INITIAL), "> 0", POINTS, 0, strict=True),
    rescaling("learned-rescaled", "rescaling makes learned masks more accurate",
        "Table of learned supermasks, from memory",
        lambda v, rescaled: sampled(rescaled, INITIAL) - sampled(v, INITIAL), "> 0", POINTS, 0, strict=True),
    Claim(("deconstructing-learned-rescaled", "deconstructing-criteria"), "learned-as-trained",
        "learned masks over constants, rescaled, are as accurate as a trained network, 98.0 and 97.7 %",
        "Table of learned supermasks, from memory",
        lambda v, weights: sampled(v, CONSTANT) - value(END)(weights), "+0.3", POINTS, -0.2, because=SPREAD),
    Claim(("deconstructing-learned", "deconstructing-criteria"), "learned-over-criteria",
        "a learned mask is more accurate than the best of any criterion", MASKS,
        lambda v, fixed: sampled(v, INITIAL) - supermask(fixed, INITIAL, *CRITERIA), "> 0", POINTS, 0, strict=True),
]
