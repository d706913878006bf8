"""What the paper claims about training pruned architectures from scratch, and what Frankle & Carbin answer.

The paper has other networks than LeNet-300-100 and ResNet-8, so orders are judged, and not its numbers. "No less
accurate" has a margin, as some of the paper's own pairs of numbers differ by a hundredth the other way.
"""

from collections.abc import Iterator
from functools import partial

from npticket.papers.lottery_ticket.claims.words import (
    END,
    HALF,
    POINTS,
    REINIT,
    SPREAD,
    TENTHS_3,
    THIRD_OF_GAIN,
    TICKET,
    better,
    worse,
)
from npticket.papers.rethinking.series import TUNED, UNITS_B, UNITS_E, UNITS_TICKET, UNITS_TUNED, B, E
from npticket.report.claims import Claim
from npticket.report.comparisons import gain, past_half

LENET_RATES = "rethinking-lenet-rate-0.1", "rethinking-lenet-rate-0.01"
RESNET_RATES = "rethinking-resnet8-rate-0.1", "rethinking-resnet8-rate-0.01"
LIU, FRANKLE = "Liu et al. 2019", "Frankle & Carbin 2019"


# fmt: off
def _units(recipe: str, percents: tuple[float, float], alike: float, because: str) -> Iterator[Claim]:
    """The claims about networks of which whole units are pruned, moderately and strongly."""
    claim = partial(Claim, (recipe,), source=f"{LIU}, section 4, L1-norm filter pruning", form=POINTS)
    for percent in percents:
        name, at = f"{recipe}-units-{percent:.0f}", f"with whole units pruned, at {percent} % of the weights,"
        for scratch, word in ((UNITS_E, "E"), (UNITS_B, "B")):
            yield claim(id=f"{name}-tuned-{word}", expected="≥ 0", low=-alike, because=because,
                sentence=f"{at} Scratch-{word} is no less accurate than fine-tuning",
                quantity=gain(END, scratch, percent, UNITS_TUNED))
        yield claim(id=f"{name}-b-e", expected="≥ 0", low=-alike, because=because,
            sentence=f"{at} Scratch-B is no less accurate than Scratch-E",
            quantity=gain(END, UNITS_B, percent, UNITS_E))
        yield Claim((recipe,), f"{name}-ticket", f"{at} the ticket's initial values gain nothing over Scratch-E",
            f"{LIU}, section 6", gain(END, UNITS_TICKET, percent, UNITS_E), "0", POINTS, high=alike, because=because)


def _weights(recipe: str, percents: tuple[float, float], alike: float, because: str) -> Iterator[Claim]:
    """The claims about networks of which single weights are pruned, moderately and strongly."""
    source = f"{LIU}, section 4, unstructured pruning"
    claim = partial(Claim, (recipe,), source=source, form=POINTS)
    moderate, strong = (f"with single weights pruned, at {percent} %" for percent in percents)
    for scratch, word in ((E, "E"), (B, "B")):
        yield claim(id=f"{recipe}-weights-comparable-{word}", expected="0", low=-alike, because=because,
            sentence=f"{moderate}, Scratch-{word} is about as accurate as fine-tuning or more",
            quantity=gain(END, scratch, percents[0], TUNED))
        yield worse((recipe,), id=f"{recipe}-weights-strong-{word}", source=source,
            sentence=f"{strong}, Scratch-{word} is less accurate than fine-tuning",
            quantity=gain(END, scratch, percents[1], TUNED))
    yield claim(id=f"{recipe}-weights-b-e", expected="≥ 0", low=-alike, because=because,
        sentence=f"{strong}, Scratch-B is no less accurate than Scratch-E", quantity=gain(END, B, percents[1], E))


def _rates(name: str, high: str, low: str, percent: float, alike: float, because: str) -> Iterator[Claim]:
    """The claims about initial values at a high and a low learning rate of the same network."""
    ticket = gain(END, TICKET, percent, REINIT)
    yield better((low,), f"{name}-rates-low", f"at the low rate, at {percent} %, tickets are more accurate than "
        "reinitialised ones", f"{LIU}, section 6", ticket)
    yield Claim((high,), f"{name}-rates-none", f"at the high rate, at {percent} %, the ticket's initial values gain "
        "nothing over new ones", f"{LIU}, section 6", ticket, "0", POINTS, high=alike, because=because)
    yield worse((high, low), f"{name}-rates-high", f"at {percent} % the ticket's initial values gain less than half as "
        "much at the high rate as at the low one", f"{LIU}, section 6, put more weakly",
        past_half(ticket, ticket, 1), because=HALF)


def _levels(name: str, high: str, low: str, percent: float) -> Iterator[Claim]:
    """The claims about accuracies at both rates: so for Liu et al.'s VGG-16, the reverse for Frankle's VGG-19."""
    for series, words in ((TICKET, "tickets"), (REINIT, "reinitialised tickets")):
        yield worse((high, low), id=f"{name}-rates-{series}", source=f"{LIU}, section 6",
            sentence=f"at {percent} % {words} are less accurate at the low rate than at the high one",
            quantity=lambda fast, slow, s=series: END.scale * (slow(END, s, percent) - fast(END, s, percent)))


CLAIMS = [
    *_units("rethinking-lenet", (38.3, 15.1), 0.1, THIRD_OF_GAIN),
    *_units("rethinking-resnet56", (64.0, 26.2), 0.5, "half a point"),
    *_weights("rethinking-lenet", (64.1, 10.8), 0.2, SPREAD),
    *_weights("rethinking-resnet56", (64.1, 16.9), 0.5, "half a point"),
    *_rates("rethinking-lenet", *LENET_RATES, 41.1, 0.1, THIRD_OF_GAIN),
    *_levels("rethinking-lenet", *LENET_RATES, 41.1),
    *_rates("rethinking-resnet8", *RESNET_RATES, 43.9, 0.5, "half a point"),
    *_levels("rethinking-resnet8", *RESNET_RATES, 43.9),
    *_rates("rethinking-vgg19", "vgg19-high", "vgg19-low", 41.0, 0.3, TENTHS_3),
    *(better((recipe,), f"rethinking-{name}-strong", f"at {percent} % tickets are more accurate at the high rate, "
        f"too, than reinitialised ones{words}", f"{FRANKLE}, section 5", gain(END, TICKET, percent, REINIT))
      for name, recipe, percent, words in (
          ("lenet-rates", "rethinking-lenet-rate-0.1", 10.8, ""),
          ("vgg19-warmup", "vgg19-warmup", 6.9, ", if it is warmed up to"))),
    worse(("rethinking-resnet8-rate-0.1",), "rethinking-resnet8-high-no-ticket",
        "at the high rate, at 43.9 %, tickets are less accurate than the dense network",
        f"{FRANKLE}, Fig 8", gain(END, TICKET, 43.9, at=100)),
    better(("rethinking-resnet8-rate-0.01",), "rethinking-resnet8-low-ticket",
        "at the low rate, at 43.9 %, tickets are more accurate than the dense network",
        f"{FRANKLE}, Fig 8", gain(END, TICKET, 43.9, at=100)),
    better(("rethinking-lenet-rate-0.1",), "rethinking-lenet-high-ticket",
        "with LeNet tickets at 41.1 % are more accurate than the dense network at a high rate, too",
        f"{FRANKLE}, Fig 28", gain(END, TICKET, 41.1, at=100)),
]
