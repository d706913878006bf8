"""What the paper claims, asked of LeNet-300-100 on MNIST, its FC network, and of its convolutional networks.

Claims whose ids begin with fc or conv are about the paper's own settings, all others about smaller experiments; but
CIFAR's pixels have mean 0 and standard deviation 1 here, where the paper's code divides them by 255, and all actions on
survivors are compared under the same masks, those of the ticket (`actions`).
Trained networks are compared by their accuracy at the end of training, as those that learn slowly would be cut short
before their early stop; but at early stopping, as in the paper (from memory), where only pruned weights differ, which
slows none of them so much. If a source says "order", the paper gives an order, and no number in its figures is known
here; titles of sections are those of the paper.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from npticket.experiments.tables import Row
from npticket.papers.deconstructing.criteria import CRITERIA, SAME_SIGN
from npticket.papers.deconstructing.supermasks import CONSTANT, INITIAL, PRUNINGS
from npticket.papers.lottery_ticket.claims.words import (
    ACC,
    END,
    HALF,
    LEVEL,
    POINTS,
    SPREAD,
    THIRD_OF_GAIN,
    TICKET,
    better,
    worse,
)
from npticket.report.claims import Claim
from npticket.report.comparisons import gain, left_out, past_half, value
from npticket.report.intervals import Numbers
from npticket.report.views import View

GOOD = (TICKET, "magnitude_increase", "movement", "large_init_large_final")
BAD = ("small_final", "small_init", "small_init_small_final", "random_criterion")
SIGNED = {"permuted_reinit": "signed_reinit", "shuffled": "signed_shuffled", "constant": "signed_constant"}
CHOICE, SIGNS, ZEROS, MASKS = "Mask criteria, order", "Mask-1 actions, order", "Mask-0 actions, order", "Supermasks"
TABLE = "Table of learned supermasks, from memory"
SMALL, FULL = "deconstructing-criteria", "deconstructing-fc"
UP_TO = 12  # prunings of 36 %, after which half a percent is left


def worst_against_best(v: View, percent: float) -> Numbers:
    """By how many points the worst of GOOD is better than the best of BAD."""
    worst, best = (left_out([v(END, one, percent) for one in some], s) for some, s in ((GOOD, -1), (BAD, 1)))
    return END.scale * (worst - best)


def _read(rows: Sequence[Row], criterion: str, weights: str, index: int) -> float:
    asked = (criterion, weights, index)
    return next(row["accuracy"] for row in rows if (row["criterion"], row["weights"], row["index"]) == asked)


def supermask(v: View, weights: str, *criteria: str, up_to: int) -> Numbers:
    """The accuracy in percent of the best mask that some criteria make in `up_to` prunings."""
    each = [partial(_read, criterion=c, weights=weights, index=k) for c in criteria for k in range(1, up_to + 1)]
    return 100 * left_out([v.measured("supermasks", 100, number) for number in each], 1)


def sampled(v: View, weights: str) -> Numbers:
    """The mean accuracy in percent of masks drawn with the learned probabilities."""
    return 100 * v.measured(
        "sampled_supermasks", 100, lambda rows: np.mean([row["accuracy"] for row in rows if row["weights"] == weights])
    )


# fmt: off
def _criteria(name: str, mark: str, percent: float) -> Iterator[Claim]:
    """The claims about the order of mask criteria; `mark` begins the ids."""
    names, at = (name,), f"at {percent} %"
    for id, criterion in (("movement", "movement"), ("both-large", "large_init_large_final")):
        yield worse(names, f"{mark}criteria-{id}", f"{at} {criterion} is less accurate than large_final", CHOICE,
            gain(END, criterion, percent))
    yield better(names, f"{mark}criteria-groups", f"{at} the worst of large_final, magnitude_increase, movement and "
        "large_init_large_final is more accurate than the best of small_* and random",
        CHOICE, lambda v: worst_against_best(v, percent))
    yield worse(names, f"{mark}criteria-large-init", f"{at} large_init is less accurate than large_final",
        CHOICE, gain(END, "large_init", percent))


def _increase(name: str, mark: str) -> Claim:
    """The claim about magnitude_increase, which may be ahead on convolutional networks."""
    return Claim((name,), f"{mark}criteria-increase", "at 10.8 % magnitude_increase is about as accurate as "
        "large_final", CHOICE, gain(END, "magnitude_increase", 10.8), "0", POINTS, -0.2, 0.2, because=SPREAD)


def _signs(name: str, mark: str, percent: float) -> Iterator[Claim]:
    """The claims about survivors' values and signs."""
    names, at = (name,), f"at {percent} %"
    for other, what in zip(SIGNED, ("reinit", "shuffling", "a constant of random sign"), strict=True):
        yield worse(names, f"{mark}signs-{other.replace('_', '-')}-worse", f"{at} {what} is less accurate than "
            "rewinding", SIGNS, gain(END, other, percent))
    of = list(zip(SIGNED.items(), ("reinit", "shuffling", "a constant"), strict=True))
    for (other, kept), what in of:
        yield better(names, f"{mark}{kept.replace('_', '-')}-better", f"{at} {what} is more accurate with the original "
            "signs than without", SIGNS, gain(END, kept, percent, other))
    for (other, kept), what in of:
        yield better(names, f"{mark}{kept.replace('_', '-')}-close", f"{at} {what} with the original signs recovers "
            "most of what it loses without: against halfway", SIGNS,
            past_half(gain(END, kept, percent), gain(END, other, percent)))


def _zeros(name: str, mark: str) -> Iterator[Claim]:
    """The claims about the values of pruned weights."""
    names = (name,)
    yield worse(names, f"{mark}zeros-freeze", "at 16.9 % freezing what is pruned is less accurate than zero",
        ZEROS, gain(ACC, "frozen_at_init", 16.9))
    yield Claim(names, f"{mark}zeros-variant-1", "at 7.0 % freezing only what did not shrink is as accurate as zero, "
        "or more", ZEROS, gain(ACC, "frozen_variant_1", 7.0), "≥ 0", POINTS, -0.1, because=THIRD_OF_GAIN)
    yield better(names, f"{mark}zeros-1-over-freeze", "at 16.9 % freezing only what did not shrink is more accurate "
        "than freezing all", ZEROS, gain(ACC, "frozen_variant_1", 16.9, "frozen_at_init"))
    yield better(names, f"{mark}zeros-variant-2", "at 7.0 % freezing what did not shrink is better if survivors that "
        "shrank start at 0", ZEROS, gain(ACC, "frozen_variant_2", 7.0, "frozen_variant_1"))


def _levels(name: str, mark: str, up_to: int) -> Iterator[Claim]:
    """The accuracies of untrained LeNets."""
    best = partial(supermask, up_to=up_to)
    yield Claim((name,), f"{mark}supermask-same-sign", "without training the best mask of large_final_same_sign is "
        "86 % accurate", "Abstract", lambda v: best(v, INITIAL, SAME_SIGN), "86 %", LEVEL, 48,
        because=f"{HALF} over chance")
    yield Claim((name,), f"{mark}supermask-large-final", "the best mask of large_final is about 40 % accurate",
        MASKS, lambda v: best(v, INITIAL, "large_final"), "40 %", LEVEL, 25, because=f"{HALF} over chance")


def _untrained(name: str, mark: str, up_to: int) -> Iterator[Claim]:
    """The order of untrained networks."""
    best = partial(supermask, up_to=up_to)
    yield better((name,), f"{mark}supermask-best", "the best mask of large_final_same_sign is more accurate than that "
        "of any other", MASKS,
        lambda v: best(v, INITIAL, SAME_SIGN) - best(v, INITIAL, *CRITERIA.keys() - {SAME_SIGN}))
    yield better((name,), f"{mark}supermask-constants", "the best mask of large_final_same_sign is more accurate with "
        "constants of the weights' signs", MASKS, lambda v: best(v, CONSTANT, SAME_SIGN) - best(v, INITIAL, SAME_SIGN))


def _learned(name: str, mark: str, trained: str, up_to: int) -> Iterator[Claim]:
    """The claims about learned masks, rescaled or not, against those of criteria and the training of `trained`."""
    yield Claim((name,), f"{mark}learned-supermask", "a learned mask is 95.3 % accurate without training weights",
        MASKS, lambda v: sampled(v, INITIAL), "95.3 %", LEVEL, 90.65,
        because="halfway from the best criterion's 86 %")
    yield better((name,), f"{mark}learned-constants", "a learned mask over constants is more accurate than over "
        "initial values", TABLE, lambda v: sampled(v, CONSTANT) - sampled(v, INITIAL))
    yield better((name, f"{name}-rescaled"), f"{mark}learned-rescaled", "rescaling makes learned masks more accurate",
        TABLE, lambda v, rescaled: sampled(rescaled, INITIAL) - sampled(v, INITIAL))
    yield Claim((f"{name}-rescaled", trained), f"{mark}learned-as-trained",
        "learned masks over constants, rescaled, are as accurate as a trained network, 98.0 and 97.7 %", TABLE,
        lambda v, weights: sampled(v, CONSTANT) - value(END)(weights), "+0.3", POINTS, -0.2, because=SPREAD)
    yield better((name, trained), f"{mark}learned-over-criteria", "a learned mask is more accurate than the best of "
        "any criterion", MASKS,
        lambda v, fixed: sampled(v, INITIAL) - supermask(fixed, INITIAL, *CRITERIA, up_to=up_to))
# fmt: on


CLAIMS = [
    _increase(SMALL, ""),
    *_criteria(SMALL, "", 10.8),
    *_signs("deconstructing-signs", "", 7.0),
    *_zeros("deconstructing-zeros", ""),
    *_levels(SMALL, "", UP_TO),
    *_untrained(SMALL, "", UP_TO),
    *_learned("deconstructing-learned", "", SMALL, UP_TO),
    _increase(FULL, "fc-"),
    *_criteria(FULL, "fc-", 10.8),
    *_signs(FULL, "fc-", 7.0),
    *_zeros("deconstructing-fc-zeros", "fc-"),
    *_levels(FULL, "fc-", PRUNINGS),
    *_untrained(FULL, "fc-", PRUNINGS),
    *_learned("deconstructing-fc-learned", "fc-", FULL, PRUNINGS),
]
CLAIMS += [*_criteria("deconstructing-resnet8", "resnet8-", 14.6), *_signs("deconstructing-resnet8", "resnet8-", 14.6)]
for net, at_criteria, at_signs in (("conv2", 11.0, 7.1), ("conv4", 11.1, 7.6), ("conv6", 10.6, 7.4)):
    CLAIMS += _criteria(f"deconstructing-{net}", f"{net}-", at_criteria)
    CLAIMS += _signs(f"deconstructing-{net}", f"{net}-", at_signs)
    CLAIMS += _untrained(f"deconstructing-{net}", f"{net}-", PRUNINGS)
