"""What Chen et al. 2020 claim about BERT-base, asked of a smaller encoder: orders of series, and their distances."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from npticket.experiments.tables import Row
from npticket.papers.bert_tickets.other_tasks import OTHERS, TRANSFER
from npticket.papers.bert_tickets.recipes import LATE, TREC
from npticket.papers.bert_tickets.series import RANDOM, SCRATCH, SHUFFLED
from npticket.papers.lottery_ticket.claims.words import END, HALF, POINTS, TICKET, better, worse
from npticket.report.claims import Claim
from npticket.report.comparisons import gain, gain_between

TABLE, FEWER = "Chen et al., Table 2", "Chen et al., Table 2, of ten times as many steps"
SPREAD = "two standard deviations of the paper's SST-2 tickets"  # 91.9 +- 0.5; the paper takes one of BERT's, 0.1
ASKED = "asked here, after Chen et al., section 4.3"
NAMES = {"trec": "TREC", "sst2": "SST-2", "subj": "Subj"}
CONTROLS = {
    RANDOM: "a random mask of the pre-trained weights is less accurate than the ticket",
    SCRATCH: "the ticket's mask without pre-training is less accurate than the ticket",
    SHUFFLED: "the ticket's mask over shuffled pre-trained weights is less accurate than the ticket",
}


def carried(task: str) -> Callable[[Sequence[Row]], float]:
    """By how many points another task's ticket is more accurate in a task than a random mask."""

    def number(rows: Sequence[Row]) -> float:
        accuracy = {row["masks"]: row["acc"] for row in rows if row["task"] == task}
        return END.scale * (accuracy["ticket"] - accuracy["random"])

    return number


# fmt: off
def _of(task: str) -> Iterator[Claim]:
    """The claims about one task; only SST-2 is one of the paper's."""
    source, gained = (FEWER, "-0.2") if task == "sst2" else (f"after {TABLE}, of other tasks", "about 0")
    claim = partial(Claim, (f"bert-{task}",), source=source, form=POINTS)
    less, name = partial(worse, (f"bert-{task}",), source=source), NAMES[task]
    yield claim(id=f"bert-{task}-ticket", quantity=gain(END, TICKET, 40, at=100), expected=gained, low=-1,
        because=SPREAD, sentence=f"{name}: at 40 % the ticket is about as accurate as the whole encoder")
    for series, words in CONTROLS.items():
        yield less(id=f"bert-{task}-{series.removeprefix('bert_')}", quantity=gain(END, series, 40),
            sentence=f"{name}: at 40 % {words}")
    for other in OTHERS[task]:
        yield better((f"bert-{task}",), id=f"bert-{task}-to-{other}", source=ASKED,
            quantity=lambda v, other=other: v.measured(TRANSFER, 50, carried(other)),
            sentence=f"at 50 % {name}'s mask serves {NAMES[other]} better than a random one")


SIZES = [
    Claim(("bert-sst2",), f"bert-sst2-{series.removeprefix('bert_')}-by-far",
        f"SST-2: at 40 % {words} is {-points} points less accurate than the ticket", FEWER,
        gain(END, series, 40), f"{points}", POINTS, high=points / 2, because=HALF)
    for series, points, words in ((RANDOM, -8.8, "a random mask"), (SCRATCH, -11.7, "the mask from scratch"),
                                  (SHUFFLED, -9.3, "the mask over shuffled weights"))
]
CLAIMS = [
    *(claim for task in NAMES for claim in _of(task)), *SIZES,
    worse(("bert-sst2",), "bert-sst2-sparse", "SST-2: at 10 % the ticket is less accurate than the whole encoder",
        FEWER, gain(END, TICKET, 10, at=100)),
    worse(("bert-sst2",), "bert-sst2-scratch-below-random",
        "SST-2: at 40 % the ticket's mask without pre-training is less accurate than a random mask with it", FEWER,
        gain(END, SCRATCH, 40, RANDOM), expected="< 0 (-2.9)"),
    Claim((LATE.name, TREC.name), "bert-trec-late", "TREC: at 40 % rewinding to a tenth of the training does not help",
        "Chen et al., section 4.1", gain_between(END, TICKET, 40),
        "≤ 0", POINTS, high=1, because=SPREAD),
]
